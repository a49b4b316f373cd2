//! Encoded v1 entries and recorded logs with their digests. What is in `golden/` is never edited: it stands for what is
//! on somebody's disk. `UPDATE=1` writes files that are not there yet, and new lines; never others.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use statemachine::command::{
    Capacity, ClusterSpec, Command, ConfigChange, Containment, EndCause, Fencing, InstanceReport, InstanceState,
    Maintained, Mode, Observation, OnQuorumLoss, ProbeKind, ProbeSpec, RegisterNode, ReloadReport, RequestId, Shares,
    Wish,
};
use statemachine::entry::Entry;
use statemachine::id::{Epoch, Index, MemberId, NodeId, NodeName, PackageName, SessionId, Term};
use statemachine::log::v1::{Batch, Proposal};
use statemachine::snapshot::{from_stored, to_stored, v1};
use statemachine::time::{Millis, Timestamp};
use statemachine::{State, apply, digest};
use support::{World, script, specs};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn name(name: &str) -> PackageName {
    PackageName::new(name).unwrap()
}

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

/// A definition whose node is reset after the loss of the quorum.
fn reset() -> Command {
    let mut spec = specs::package("r", None);
    spec.on_quorum_loss = OnQuorumLoss::Reset;
    Command::Configure {
        expect: None,
        changes: vec![ConfigChange::PutPackage(spec)],
    }
}

/// A definition with a reload command.
fn reloadable() -> Command {
    let mut spec = specs::package("r", None);
    spec.run.reload = Some(vec!["/bin/reload".into()]);
    Command::Configure {
        expect: None,
        changes: vec![ConfigChange::PutPackage(spec)],
    }
}

/// What a daemon says of two reloads.
fn reloaded() -> Command {
    let report = |error: Option<&str>| {
        Observation::Reloaded(ReloadReport {
            package: name("r"),
            start: Epoch(3),
            revision: Index(9),
            error: error.map(Into::into),
        })
    };
    Command::Observe {
        node: NodeId(1),
        session: SessionId(2),
        sequence: 4,
        observations: vec![report(None), report(Some("exited with 1"))],
    }
}

/// One of each kind of what can stand in the log, with every optional part there.
fn samples() -> BTreeMap<&'static str, Command> {
    let mut full = specs::package("orders-a", Some("orders"));
    full.copy_of = Some(name("orders"));
    full.priority = Some(1);
    full.load = Capacity([("cpu".into(), 500), ("memory".into(), 256)].into());
    full.nodes = vec![node("n1"), node("n2")];
    full.safety = Fencing::Fenced;
    full.on_quorum_loss = OnQuorumLoss::Freeze;
    full.run.environment = [("A".into(), "b".into())].into();
    full.run.directory = Some("/srv".into());
    full.run.promote = Some(vec!["/bin/up".into()]);
    full.run.demote = Some(vec!["/bin/down".into()]);
    full.run.probe = Some(ProbeSpec {
        kind: ProbeKind::Tcp("127.0.0.1:7000".into()),
        interval: Millis(1_000),
        timeout: Millis(2_000),
        failures: 2,
    });
    let cluster = ClusterSpec {
        name: "c".into(),
        lease: Millis(1_000),
        min_nodes: 1,
        start_wait: Millis(60_000),
        shares: Shares::None,
        overload: 100,
        resume: 85,
        modes: vec![],
    };
    let report = |state| {
        Observation::Instance(InstanceReport {
            package: name("a"),
            start: Epoch(3),
            epoch: Epoch(4),
            state,
            detail: "d".into(),
        })
    };
    let observations = vec![
        report(InstanceState::Running { mode: Mode::Active }),
        report(InstanceState::Running { mode: Mode::Standby }),
        report(InstanceState::Running { mode: Mode::Test }),
        report(InstanceState::Failing {
            cause: EndCause::Exited { code: -1 },
        }),
        report(InstanceState::Failing {
            cause: EndCause::Signalled { signal: 9 },
        }),
        report(InstanceState::Ended {
            cause: EndCause::NotStarted,
        }),
        report(InstanceState::Ended {
            cause: EndCause::NotReady,
        }),
        report(InstanceState::Ended {
            cause: EndCause::ProbeFailed,
        }),
        report(InstanceState::Ended {
            cause: EndCause::LeaseEnded,
        }),
        report(InstanceState::Ended {
            cause: EndCause::Requested,
        }),
    ];
    let changes = vec![
        ConfigChange::PutCluster(cluster.clone()),
        ConfigChange::PutGroup(specs::group("orders", 1)),
        ConfigChange::PutPackage(full),
        ConfigChange::PutPackage(specs::package("plain", None)),
        ConfigChange::RemovePackage(name("old")),
        ConfigChange::RemoveGroup(statemachine::id::GroupName::new("old").unwrap()),
    ];
    let rules = vec![ConfigChange::PutRules("a (halt) { b->startup }".into())];
    let peer = vec!["10.0.0.1:7401".to_string()];
    let wish = |wish| Command::SetWish {
        package: name("a"),
        wish,
    };
    BTreeMap::from([
        (
            "configure-rules",
            Command::Configure {
                expect: Some(Index(3)),
                changes: rules,
            },
        ),
        (
            "create-cluster",
            Command::CreateCluster {
                id: "c1".into(),
                member: node("n1"),
                peer: peer.clone(),
                api: "a".into(),
            },
        ),
        (
            "add-member",
            Command::AddMember {
                name: node("n2"),
                peer: peer.clone(),
                api: "a".into(),
                witness: false,
            },
        ),
        (
            "add-member-witness",
            Command::AddMember {
                name: node("w"),
                peer,
                api: "a".into(),
                witness: true,
            },
        ),
        ("remove-member", Command::RemoveMember { member: MemberId(7) }),
        (
            "configure",
            Command::Configure {
                expect: Some(Index(9)),
                changes,
            },
        ),
        ("set-wish-start", wish(Wish::Start)),
        ("set-wish-stop", wish(Wish::Stop)),
        ("set-wish-test", wish(Wish::Test)),
        ("promote", Command::Promote { package: name("a") }),
        (
            "move",
            Command::Move {
                package: name("a"),
                to: node("n2"),
            },
        ),
        ("clear", Command::Clear { package: name("a") }),
        (
            "set-drain",
            Command::SetDrain {
                node: node("n1"),
                drain: true,
            },
        ),
        (
            "set-attribute",
            Command::SetAttribute {
                node: node("n1"),
                key: "k".into(),
                value: Some("v".into()),
                expect: None,
            },
        ),
        (
            "set-attribute-if-unchanged",
            Command::SetAttribute {
                node: node("n1"),
                key: "k".into(),
                value: Some("v".into()),
                expect: Some(Index(9)),
            },
        ),
        (
            "remove-attribute",
            Command::SetAttribute {
                node: node("n1"),
                key: "k".into(),
                value: None,
                expect: None,
            },
        ),
        (
            "confirm-down",
            Command::ConfirmDown {
                node: node("n1"),
                by: "ada".into(),
            },
        ),
        (
            "register-node",
            Command::RegisterNode(RegisterNode {
                name: node("n1"),
                machine: "m".into(),
                boot: "b".into(),
                nonce: "n".into(),
                ended: vec![SessionId(3)],
                capacity: Capacity([("cpu".into(), 8_000)].into()),
                labels: [("rack".into(), "a".into())].into(),
                api: "10.0.0.1:7400".into(),
                containment: None,
                cut_off: None,
            }),
        ),
        (
            "register-node-back",
            Command::RegisterNode(RegisterNode {
                name: node("n1"),
                machine: "m".into(),
                boot: "b".into(),
                nonce: "n2".into(),
                ended: vec![SessionId(3)],
                capacity: Capacity::default(),
                labels: BTreeMap::new(),
                api: "10.0.0.1:7400".into(),
                containment: Some(Containment::Group),
                cut_off: Some(Millis(3_200)),
            }),
        ),
        ("configure-reset", reset()),
        ("configure-reload", reloadable()),
        (
            "if-unchanged",
            Command::IfUnchanged {
                since: Index(7),
                command: Box::new(Command::Promote { package: name("a") }),
            },
        ),
        ("observe-reloaded", reloaded()),
        (
            "observe",
            Command::Observe {
                node: NodeId(2),
                session: SessionId(3),
                sequence: 4,
                observations,
            },
        ),
        (
            "node-lost",
            Command::NodeLost {
                sessions: vec![(NodeId(2), SessionId(3))],
                term: Term(5),
            },
        ),
        (
            "extend-lease",
            Command::ExtendLease {
                node: NodeId(2),
                session: SessionId(3),
                lease: Millis(30_000),
            },
        ),
        (
            "leave-node",
            Command::LeaveNode {
                node: NodeId(2),
                session: SessionId(3),
            },
        ),
        ("tick", Command::Tick),
        (
            "begin-maintenance",
            Command::BeginMaintenance {
                of: Maintained::Node(node("n1")),
                length: Some(Millis(60_000)),
            },
        ),
        (
            "end-maintenance",
            Command::EndMaintenance {
                of: Maintained::Package(name("a")),
            },
        ),
        (
            "begin-maintenance-cluster",
            Command::BeginMaintenance {
                of: Maintained::Cluster,
                length: None,
            },
        ),
        ("stop-cluster", Command::StopCluster),
        ("start-cluster", Command::StartCluster),
        ("demote", Command::Demote { package: name("a") }),
        (
            "set-mode",
            Command::SetMode {
                package: name("a"),
                mode: "training".into(),
            },
        ),
        ("rebalance", Command::Rebalance { at_most: 100 }),
        (
            "configure-shares",
            Command::Configure {
                expect: None,
                changes: vec![ConfigChange::PutCluster(ClusterSpec {
                    shares: Shares::Half,
                    ..cluster.clone()
                })],
            },
        ),
    ])
}

fn batch(entry: &Entry) -> Vec<u8> {
    let proposals = vec![Proposal {
        request: entry.request.clone(),
        command: entry.command.clone(),
    }];
    rmp_serde::to_vec_named(&Batch {
        at: entry.at,
        wall_ms: entry.wall_ms,
        proposals,
    })
    .unwrap()
}

#[test]
fn every_command_is_stored_as_ever() {
    let path = folder().join("commands-v1.txt");
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let mut kept: BTreeMap<String, String> = kept
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, hex)| (name.into(), hex.into()))
        .collect();
    for (name, command) in samples() {
        let entry = Entry {
            index: Index(1),
            term: Term(1),
            at: Timestamp(1_234),
            wall_ms: 1_700_000_000_000,
            request: Some(RequestId {
                client: "c".into(),
                key: "k".into(),
            }),
            command,
        };
        let bytes = batch(&entry);
        if std::env::var_os("UPDATE").is_some() {
            kept.entry(name.to_string()).or_insert_with(|| hex(&bytes));
        }
        let expected = kept
            .get(name)
            .unwrap_or_else(|| panic!("{name} has no golden encoding: UPDATE=1 adds it"));
        assert_eq!(&hex(&bytes), expected, "{name} is stored otherwise than before");
        let read: Batch = rmp_serde::from_slice(&unhex(expected)).unwrap();
        assert_eq!(
            read.proposals[0].command, entry.command,
            "{name} is read otherwise than it was written"
        );
    }
    let text: String = kept.iter().map(|(name, hex)| format!("{name} {hex}\n")).collect();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, text).unwrap();
    }
}

#[test]
fn an_unknown_field_is_refused() {
    #[derive(serde::Serialize)]
    struct Newer {
        at: u64,
        wall_ms: u64,
        proposals: Vec<u8>,
        colour: u8,
    }
    let bytes = rmp_serde::to_vec_named(&Newer {
        at: 1,
        wall_ms: 2,
        proposals: Vec::new(),
        colour: 3,
    })
    .unwrap();
    assert!(rmp_serde::from_slice::<Batch>(&bytes).is_err());
}

/// Recorded from the scripts in `testdata/plan`, once: one line per entry, its term, its bytes and the digest after it.
#[test]
fn recorded_logs_replay_to_their_digests() {
    let path = folder().join("log-v1.txt");
    if std::env::var_os("UPDATE").is_some() && !path.exists() {
        fs::write(&path, record()).unwrap();
    }
    let mut state = State::new();
    for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
        if line == "new" {
            state = State::new();
            continue;
        }
        let parts: Vec<&str> = line.split(' ').collect();
        let read: Batch = rmp_serde::from_slice(&unhex(parts[1])).unwrap();
        for proposal in read.proposals {
            let entry = Entry {
                index: state.applied().next(),
                term: Term(parts[0].parse().unwrap()),
                at: read.at,
                wall_ms: read.wall_ms,
                request: proposal.request,
                command: proposal.command,
            };
            let _ = apply(&mut state, &entry);
        }
        assert_eq!(
            digest(&state).to_string(),
            parts[2],
            "line {}: the same log leads elsewhere",
            number + 1
        );
        let bytes = rmp_serde::to_vec_named(&to_stored(&state)).unwrap();
        let stored: v1::Snapshot = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(digest(&from_stored(stored).unwrap()), digest(&state));
    }
}

fn record() -> String {
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/plan");
    let mut text = String::new();
    for file in ["hot-standby", "failovers-limit", "fenced", "drain", "redefine", "room"] {
        let mut world = World::new();
        let mut skipping = false;
        for line in fs::read_to_string(plans.join(file).with_extension("txt"))
            .unwrap()
            .lines()
        {
            skipping = line == "----" || (skipping && !line.is_empty());
            if !skipping && !line.is_empty() && !line.starts_with('#') {
                script::line(&mut world, line);
            }
        }
        text += "new\n";
        for (entry, digest) in world.log.iter().zip(&world.digests) {
            text += &format!("{} {} {digest}\n", entry.term, hex(&batch(entry)));
        }
    }
    text
}
