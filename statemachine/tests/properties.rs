//! Random commands, nonsense among them: every invariant holds after every entry, a twin that applies the same entries
//! and one that came from a snapshot agree at every index, and once faults end everything heals.

mod support;

use proptest::prelude::*;

use statemachine::cluster::StartGate;
use statemachine::command::{
    Capacity, ClusterSpec, Command, ConfigChange, EndCause, Fencing, GroupKind, InstanceReport, InstanceState,
    InstanceWords, Maintained, Mode, ModeSpec, Need, Observation, OnQuorumLoss, RequestId, ResourceReport, RestartSpec,
    Shares, Wish,
};
use statemachine::event::{Event, EventKind};
use statemachine::group::{Health, Ownership};
use statemachine::id::{Epoch, GroupName, Index, NodeId, NodeName, PackageName, SessionId, Term};
use statemachine::package::Phase;
use statemachine::snapshot::{from_stored, to_stored};
use statemachine::time::{Millis, Timestamp};
use statemachine::{State, apply, digest};
use support::{Registration, World, observation, rule_texts, specs};

/// One random step: small numbers, so that they meet the same few nodes and packages.
#[derive(Clone, Debug)]
enum Step {
    Package {
        package: u8,
        group: u8,
        cpu: u8,
        priority: u8,
        nodes: u8,
        run: u8,
        odd: u8,
        company: u8,
    },
    Group {
        group: u8,
        standbys: u8,
        failovers: u8,
    },
    Remove {
        package: u8,
    },
    RemoveGroup {
        group: u8,
    },
    Settings {
        min_nodes: u8,
        lease: u8,
    },
    Up {
        node: u8,
        clean: bool,
        cpu: u8,
        machine: u8,
    },
    Lost {
        nodes: u8,
        wrong_term: bool,
    },
    Leave {
        node: u8,
    },
    Confirm {
        node: u8,
    },
    Drain {
        node: u8,
        drain: bool,
    },
    Maintain {
        what: u8,
        on: bool,
        seconds: u8,
    },
    Whole {
        what: u8,
    },
    Measure {
        node: u8,
        cpu: u8,
    },
    Demote {
        package: u8,
    },
    Extend {
        node: u8,
        seconds: u8,
    },
    Wish {
        package: u8,
        wish: u8,
    },
    Promote {
        package: u8,
    },
    Move {
        package: u8,
        node: u8,
    },
    Clear {
        package: u8,
    },
    Obey,
    Report {
        package: u8,
        kind: u8,
    },
    Link {
        node: u8,
        up: bool,
    },
    Says {
        package: u8,
        score: i8,
        busy: bool,
    },
    Nonsense {
        node: u64,
        session: u64,
        sequence: u64,
        epoch: u64,
    },
    Wait {
        seconds: u16,
    },
    Keyed {
        key: u8,
        package: u8,
    },
    Rules {
        seed: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let small = 0u8..6;
    let step = prop_oneof![
        6 => (small.clone(), 0u8..4, 0u8..60, 0u8..4, any::<u8>(), 0u8..3, any::<u8>(), any::<u8>()).prop_map(
            |(package, group, cpu, priority, nodes, run, odd, company)|
                Step::Package { package, group, cpu, priority, nodes, run, odd, company }),
        3 => (0u8..3, 0u8..3, 0u8..4).prop_map(|(group, standbys, failovers)| Step::Group { group, standbys, failovers }),
        1 => small.clone().prop_map(|package| Step::Remove { package }),
        1 => (0u8..3).prop_map(|group| Step::RemoveGroup { group }),
        1 => (0u8..4, 0u8..3).prop_map(|(min_nodes, lease)| Step::Settings { min_nodes, lease }),
        6 => (0u8..4, any::<bool>(), 0u8..3, 0u8..9).prop_map(
            |(node, clean, cpu, machine)| Step::Up { node, clean, cpu, machine }),
        3 => (1u8..16, prop::bool::weighted(0.1)).prop_map(|(nodes, wrong_term)| Step::Lost { nodes, wrong_term }),
        1 => (0u8..4).prop_map(|node| Step::Leave { node }),
        1 => (0u8..4).prop_map(|node| Step::Confirm { node }),
        2 => (0u8..4, any::<bool>()).prop_map(|(node, drain)| Step::Drain { node, drain }),
        3 => (0u8..11, prop::bool::weighted(0.4), 0u8..200).prop_map(
            |(what, on, seconds)| Step::Maintain { what, on, seconds }),
        2 => (0u8..6).prop_map(|what| Step::Whole { what }),
        3 => (0u8..4, any::<u8>()).prop_map(|(node, cpu)| Step::Measure { node, cpu }),
        2 => small.clone().prop_map(|package| Step::Demote { package }),
        1 => (0u8..4, 0u8..70).prop_map(|(node, seconds)| Step::Extend { node, seconds }),
        3 => (small.clone(), 0u8..5).prop_map(|(package, wish)| Step::Wish { package, wish }),
        2 => small.clone().prop_map(|package| Step::Promote { package }),
        2 => (small.clone(), 0u8..4).prop_map(|(package, node)| Step::Move { package, node }),
        1 => small.clone().prop_map(|package| Step::Clear { package }),
        6 => Just(Step::Obey),
        9 => (small.clone(), 0u8..6).prop_map(|(package, kind)| Step::Report { package, kind }),
        3 => (0u8..4, prop::bool::weighted(0.7)).prop_map(|(node, up)| Step::Link { node, up }),
        2 => (small.clone(), -2i8..3, any::<bool>()).prop_map(|(package, score, busy)| Step::Says { package, score, busy }),
        1 => (0u64..40, 0u64..40, 0u64..9, 0u64..40).prop_map(
            |(node, session, sequence, epoch)| Step::Nonsense { node, session, sequence, epoch }),
        3 => (0u16..700).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0u8..4, small).prop_map(|(key, package)| Step::Keyed { key, package }),
        2 => any::<u64>().prop_map(|seed| Step::Rules { seed }),
    ];
    prop::collection::vec(step, 1..120)
}

/// Far more than rules of a few lines can bring about before they are cut off.
const EVENTS_MAX: usize = 20_000;

/// Some packages have one of these; what names nothing at the moment is refused.
const CONDITIONS: [&str; 12] = [
    "!p0",
    "!p1",
    "!p2",
    "p0",
    "p1",
    "p5",
    "p1 | p2",
    "p3 & !p4",
    "g0",
    "!g1",
    "!g0 & !p5",
    "(p0 | g2) & !p2",
];

fn package_name(package: u8) -> PackageName {
    PackageName::new(&format!("p{package}")).unwrap()
}

fn node_name(node: u8) -> String {
    format!("n{node}")
}

fn node(node: u8) -> NodeName {
    NodeName::new(&node_name(node)).unwrap()
}

fn group_name(group: u8) -> String {
    format!("g{group}")
}

fn kind_of(group: u8) -> GroupKind {
    [
        GroupKind::Duplex,
        GroupKind::FreeRun,
        GroupKind::Together,
        GroupKind::LoadShare,
    ][usize::from(group % 4)]
}

fn configure(change: ConfigChange) -> Command {
    Command::Configure {
        expect: None,
        changes: vec![change],
    }
}

/// Does one step; a step that makes no sense at the moment does nothing.
fn take(world: &mut World, step: &Step) {
    let command = match *step {
        Step::Obey => {
            // Rules may have things started and stopped for ever, so nothing need come to rest.
            world.obey_at_most(40);
            None
        }
        Step::Rules { seed } => Some(configure(ConfigChange::PutRules(rule_texts::random(
            &world.state,
            seed,
        )))),
        Step::Wait { seconds } => {
            world.pass(Millis(u64::from(seconds) * 1_000));
            Some(Command::Tick)
        }
        Step::Keyed { key, package } => {
            let request = RequestId {
                client: "c".into(),
                key: format!("k{key}"),
            };
            let _ = world.apply_as(
                Some(request),
                Command::Clear {
                    package: package_name(package),
                },
            );
            None
        }
        Step::Package { .. }
        | Step::Group { .. }
        | Step::Remove { .. }
        | Step::RemoveGroup { .. }
        | Step::Settings { .. } => definition(world, step),
        Step::Up { .. }
        | Step::Lost { .. }
        | Step::Leave { .. }
        | Step::Confirm { .. }
        | Step::Drain { .. }
        | Step::Extend { .. } => about_node(world, step),
        Step::Maintain { what, on, seconds } => {
            let of = match what {
                0..4 => Maintained::Node(node(what)),
                4..10 => Maintained::Package(package_name(what - 4)),
                _ => Maintained::Cluster,
            };
            let length = (seconds % 2 == 1).then_some(Millis(u64::from(seconds) * 1_000));
            Some(if on {
                Command::BeginMaintenance { of, length }
            } else {
                Command::EndMaintenance { of }
            })
        }
        Step::Measure { node, cpu } => measured(world, node, cpu),
        Step::Whole { what: 4.. } => Some(Command::SetMode {
            package: package_name(1),
            mode: "training".into(),
        }),
        Step::Whole { what } => Some(match what {
            0 => Command::StopCluster,
            1 | 2 => Command::StartCluster,
            _ => Command::Rebalance { at_most: 3 },
        }),
        Step::Demote { package } => Some(Command::Demote {
            package: package_name(package),
        }),
        Step::Wish { package, wish } => {
            let wish = [Wish::Start, Wish::Start, Wish::Start, Wish::Stop, Wish::Test][usize::from(wish)];
            Some(Command::SetWish {
                package: package_name(package),
                wish,
            })
        }
        Step::Promote { package } => Some(Command::Promote {
            package: package_name(package),
        }),
        Step::Move { package, node: to } => Some(Command::Move {
            package: package_name(package),
            to: node(to),
        }),
        Step::Clear { package } => Some(Command::Clear {
            package: package_name(package),
        }),
        Step::Report { package, kind } => report(world, package, kind),
        Step::Link { node, up } => reported_link(world, node, up),
        Step::Says { package, score, busy } => says(world, package, score, busy),
        Step::Nonsense {
            node,
            session,
            sequence,
            epoch,
        } => Some(nonsense(node, session, sequence, epoch)),
    };
    if let Some(command) = command {
        let applied = world.apply(command);
        // A cascade of rules is bounded in the entry that begins it.
        assert!(applied.events.len() <= EVENTS_MAX, "{} events", applied.events.len());
    }
}

fn definition(world: &World, step: &Step) -> Option<Command> {
    Some(match *step {
        Step::Package {
            package,
            group,
            cpu,
            priority,
            nodes,
            run,
            odd,
            company,
        } => {
            let name = format!("p{package}");
            let group = (group < 3).then(|| group_name(group));
            let mut spec = specs::package(&name, group.as_deref());
            spec.load = specs::amounts(&[("cpu", u64::from(cpu))]);
            spec.priority = (priority > 0).then_some(u32::from(priority));
            if nodes & 0x80 != 0 {
                spec.nodes = (0..4).filter(|bit| nodes & (1 << bit) != 0).map(node).collect();
            }
            let together = |name: &String| {
                let group = world.state.group(&GroupName::new(name).unwrap());
                group.is_some_and(|group| group.is_together())
            };
            if group.as_ref().is_some_and(together) && nodes & 1 == 0 && package > 0 {
                spec.after = vec![package_name(package - 1)];
            }
            if nodes & 0x60 == 0x60 {
                spec.needs = vec![link()];
            }
            spec.run.command = vec![format!("/run{run}")];
            spec.safety = if odd & 7 == 0 { Fencing::Fenced } else { Fencing::Lease };
            spec.on_quorum_loss = if odd & 0x38 == 0 {
                OnQuorumLoss::Freeze
            } else {
                OnQuorumLoss::Stop
            };
            spec.enabled = odd & 0xc0 != 0;
            spec.condition = CONDITIONS
                .get(usize::from(company & 0x1f))
                .map(|text| (*text).to_owned());
            spec.exclusive = company & 0xe0 == 0xe0;
            spec.preemptible = company & 0xe0 != 0x20;
            spec.restart = RestartSpec {
                attempts: u32::from(odd & 3),
                within: Millis(600_000),
            };
            configure(ConfigChange::PutPackage(spec))
        }
        Step::Group {
            group,
            standbys,
            failovers,
        } => {
            let mut spec = specs::group(&group_name(group), u32::from(standbys));
            spec.kind = kind_of(group + if failovers == 3 { 3 } else { 0 });
            spec.failovers.attempts = u32::from(failovers);
            configure(ConfigChange::PutGroup(spec))
        }
        Step::Remove { package } => configure(ConfigChange::RemovePackage(package_name(package))),
        Step::RemoveGroup { group } => {
            let name = GroupName::new(&group_name(group)).unwrap();
            let members = world
                .state
                .group(&name)
                .map(|group| world.state.group_members(group))
                .into_iter()
                .flatten();
            let members = members.filter(|(_, package)| !package.removing);
            let mut changes: Vec<_> = members
                .map(|(_, package)| ConfigChange::RemovePackage(package.name().clone()))
                .collect();
            changes.push(ConfigChange::RemoveGroup(name));
            Command::Configure {
                expect: Some(world.state.cluster()?.config_index),
                changes,
            }
        }
        Step::Settings { min_nodes, lease } => configure(ConfigChange::PutCluster(ClusterSpec {
            name: "c".into(),
            lease: Millis(u64::from(lease) * 1_000),
            min_nodes: u32::from(min_nodes),
            start_wait: Millis(30_000),
            shares: Shares::Priority,
            overload: 100,
            resume: 85,
            modes: vec![ModeSpec {
                name: "training".into(),
                from: vec!["stopped".into(), "standby".into(), "test".into()],
                to: vec!["stopped".into(), "active".into()],
            }],
        })),
        _ => return None,
    })
}

fn about_node(world: &mut World, step: &Step) -> Option<Command> {
    Some(match *step {
        Step::Up {
            node,
            clean,
            cpu,
            machine,
        } => {
            let name = node_name(node);
            let capacity = [("cpu", 40 + 40 * u64::from(cpu))];
            let boot = (machine == 1).then(|| "boot-2".to_string());
            let machine = (machine == 0).then(|| "other".to_string());
            world.register(
                &name,
                &capacity,
                &Registration {
                    clean,
                    machine,
                    boot,
                    nonce: None,
                    cut_off: None,
                },
            )
        }
        Step::Lost { nodes, wrong_term } => {
            let sessions = (0..4).filter(|bit| nodes & (1 << bit) != 0);
            let sessions = sessions.filter_map(|node| world.session(&node_name(node))).collect();
            let term = if wrong_term { Term(77) } else { world.term };
            Command::NodeLost { sessions, term }
        }
        Step::Leave { node } => {
            let (node, session) = world.session(&node_name(node))?;
            Command::LeaveNode { node, session }
        }
        Step::Extend { node, seconds } => {
            let (node, session) = world.session(&node_name(node))?;
            Command::ExtendLease {
                node,
                session,
                lease: Millis(u64::from(seconds) * 1_000),
            }
        }
        Step::Confirm { node: name } => Command::ConfirmDown {
            node: node(name),
            by: "ada".into(),
        },
        Step::Drain { node: name, drain } => Command::SetDrain {
            node: node(name),
            drain,
        },
        _ => return None,
    })
}

fn report(world: &World, package: u8, kind: u8) -> Option<Command> {
    let name = format!("p{package}");
    let instance = world.package(&name)?.instance.as_ref()?;
    let failure = EndCause::Exited { code: 1 };
    let states = match kind {
        0 => vec![InstanceState::Running { mode: instance.mode }],
        1 => vec![InstanceState::Running { mode: Mode::Standby }],
        2 => vec![InstanceState::Failing { cause: failure }],
        3 => vec![
            InstanceState::Failing { cause: failure.clone() },
            InstanceState::Ended { cause: failure },
        ],
        4 => vec![InstanceState::Ended { cause: failure }],
        _ => vec![InstanceState::Ended {
            cause: EndCause::LeaseEnded,
        }],
    };
    world.report(&name, states, "because")
}

fn nonsense(node: u64, session: u64, sequence: u64, epoch: u64) -> Command {
    let report = InstanceReport {
        package: package_name(0),
        start: Epoch(epoch),
        epoch: Epoch(epoch.saturating_sub(1)),
        state: InstanceState::Ended {
            cause: EndCause::NotReady,
        },
        detail: "é".repeat(400),
    };
    let observations = vec![Observation::Instance(report)];
    Command::Observe {
        node: NodeId(node),
        session: SessionId(session),
        sequence,
        observations,
    }
}

fn says(world: &World, package: u8, score: i8, busy: bool) -> Option<Command> {
    let name = package_name(package);
    let words = InstanceWords {
        package: name.clone(),
        start: world.package(name.as_str())?.instance.as_ref()?.start,
        score: Some(i64::from(score)),
        busy,
    };
    world.observe(name.as_str(), vec![Observation::Said(words)])
}

fn link() -> Need {
    Need::parse("lan:eth0").unwrap()
}

fn reported_link(world: &World, node: u8, up: bool) -> Option<Command> {
    let (node, session) = world.session(&node_name(node))?;
    Some(Command::Observe {
        node,
        session,
        sequence: world.state.node(node)?.sequence + 1,
        observations: vec![Observation::Resource(ResourceReport {
            need: link(),
            up,
            detail: "it was looked at".into(),
        })],
    })
}

fn measured(world: &World, node: u8, cpu: u8) -> Option<Command> {
    let (node, session) = world.session(&node_name(node))?;
    let load = Capacity([("cpu".to_owned(), u64::from(cpu))].into());
    Some(Command::Observe {
        node,
        session,
        sequence: world.state.node(node)?.sequence + 1,
        observations: vec![Observation::Load(load)],
    })
}

fn start() -> World {
    let mut world = World::new();
    let create = Command::CreateCluster {
        id: "c1".into(),
        member: node(0),
        peer: vec!["127.0.0.1:1".into()],
        api: "127.0.0.1:2".into(),
    };
    let _ = world.apply(create);
    for group in 0..3 {
        let mut spec = specs::group(&group_name(group), 1);
        spec.kind = kind_of(group);
        let _ = world.apply(configure(ConfigChange::PutGroup(spec)));
    }
    for name in 0..3 {
        let command = world.register(&node_name(name), &[("cpu", 100)], &Registration::default());
        let _ = world.apply(command);
    }
    world
}

/// Every epoch that was ever granted to be active by a state, with who had it before.
fn follow_epochs(world: &World, granted: &mut std::collections::BTreeMap<String, Epoch>) {
    for package in world.state.packages() {
        let Some(instance) = package.instance.as_ref().filter(|instance| instance.holds_unit()) else {
            continue;
        };
        let group = package.group.and_then(|group| world.state.group_at(group));
        let unit = match group.filter(|group| group.is_unit()) {
            Some(group) => format!("group {}", group.name()),
            None => format!("package {}", package.name()),
        };
        let before = granted.entry(unit.clone()).or_default();
        assert!(
            instance.epoch >= *before,
            "{unit} went back from epoch {before} to {}",
            instance.epoch
        );
        *before = instance.epoch;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn twins_agree_and_invariants_hold(steps in steps(), cut in 0usize..120) {
        let mut world = start();
        let mut granted = std::collections::BTreeMap::new();
        for step in &steps {
            take(&mut world, step);
            follow_epochs(&world, &mut granted);
        }
        let mut twin = State::new();
        let mut restored: Option<State> = None;
        for (number, (entry, expected)) in world.log.iter().zip(&world.digests).enumerate() {
            let first = apply(&mut twin, entry);
            prop_assert_eq!(digest(&twin), *expected);
            if number == cut {
                restored = Some(from_stored(to_stored(&twin)).unwrap());
            } else if let Some(restored) = &mut restored {
                let second = apply(restored, entry);
                prop_assert_eq!(first, second);
                prop_assert_eq!(digest(restored), *expected);
            }
        }
    }

    #[test]
    fn everything_heals_once_faults_end(steps in steps()) {
        let mut world = start();
        for step in &steps {
            take(&mut world, step);
        }
        heal(&mut world);
        for group in world.state.groups() {
            let wished = world.state.group_members(group).filter(|(_, package)| package.wish == Wish::Start);
            let any_placed = wished.into_iter().any(|(_, package)| package.instance.is_some());
            let ownership = world.state.group_members(group).next().map(|(_, package)| world.state.ownership(package));
            if any_placed {
                let held = matches!(ownership, Some(Ownership::Held { .. }));
                prop_assert!(held || !group.is_unit(), "{}: {ownership:?}", group.name());
                let healthy = matches!(group.health, Health::Redundant | Health::Degraded);
                prop_assert!(healthy || group.members_are_units(), "{}: {:?}", group.name(), group.health);
            }
        }
        for package in world.state.packages() {
            if let Some(instance) = &package.instance {
                prop_assert_eq!(&instance.phase, &Phase::Running, "{} rests", package.name());
            }
        }
    }

    #[test]
    fn nothing_is_touched_in_maintenance(before in steps(), during in steps()) {
        let mut world = start();
        for step in &before {
            take(&mut world, step);
        }
        let of = Maintained::Cluster;
        let began = world.log.len();
        let _ = world.apply(Command::BeginMaintenance { of, length: None });
        for step in during.iter().filter(|step| !matches!(step, Step::Maintain { .. })) {
            take(&mut world, step);
        }
        let mut twin = State::new();
        for (number, entry) in world.log.iter().enumerate() {
            let applied = apply(&mut twin, entry);
            let touches = |event: &&Event| matches!(
                event.kind,
                EventKind::Placed { .. } | EventKind::Promoted { .. } | EventKind::Stopping { .. }
            );
            if number > began {
                prop_assert!(applied.events.iter().find(touches).is_none(), "{:?}: {:?}", entry.command, applied.events);
            }
        }
    }

    #[test]
    fn nothing_runs_in_a_stopped_cluster(before in steps(), during in steps()) {
        let mut world = start();
        for step in &before {
            take(&mut world, step);
        }
        heal(&mut world);
        prop_assert!(world.apply(Command::StopCluster).outcome.is_ok());
        world.obey();
        for step in during.iter().filter(|step| !matches!(step, Step::Whole { .. })) {
            take(&mut world, step);
            for package in world.state.packages() {
                prop_assert!(package.instance.is_none(), "{} runs", package.name());
            }
        }
    }

    #[test]
    fn a_preview_changes_nothing_and_comes_true(steps in steps(), lost in 0u8..3) {
        let mut world = start();
        for step in &steps {
            take(&mut world, step);
        }
        heal(&mut world);
        let before = digest(&world.state);
        let Ok(planned) = statemachine::preview_loss(&world.state, &node(lost)) else { return Ok(()) };
        prop_assert_eq!(digest(&world.state), before);
        let sessions = vec![world.session(&node_name(lost)).unwrap()];
        let term = world.term;
        let _ = world.apply(Command::NodeLost { sessions, term });
        world.obey();
        for step in planned.steps {
            let place = world.place(step.package.as_str());
            match step.mode {
                Some(mode) => prop_assert_eq!(place, format!("{} {}", step.node, support::mode_word(mode))),
                None => prop_assert!(!place.contains(' '), "{place}"),
            }
        }
    }
}

/// No rule is left, all nodes return and are resumed, every failure is forgotten, time passes, and every daemon obeys.
fn heal(world: &mut World) {
    let _ = world.apply(configure(ConfigChange::PutRules(String::new())));
    let _ = world.apply(Command::EndMaintenance {
        of: Maintained::Cluster,
    });
    let _ = world.apply(Command::StartCluster);
    let names: Vec<PackageName> = world.state.packages().map(|package| package.name().clone()).collect();
    for name in names {
        let of = Maintained::Package(name);
        let _ = world.apply(Command::EndMaintenance { of });
    }
    for name in 0..4 {
        let _ = world.apply(Command::EndMaintenance {
            of: Maintained::Node(node(name)),
        });
        let command = world.register(
            &node_name(name),
            &[("cpu", 1_000)],
            &Registration {
                cut_off: None,
                clean: true,
                boot: world.state.node_by_name(&node(name)).map(|node| node.boot.to_string()),
                ..Default::default()
            },
        );
        let _ = world.apply(command);
        let _ = world.apply(Command::ConfirmDown {
            node: node(name),
            by: "ada".into(),
        });
        let _ = world.apply(Command::SetDrain {
            node: node(name),
            drain: false,
        });
        if let Some(command) = reported_link(world, name, true) {
            let _ = world.apply(command);
        }
        if let Some(command) = measured(world, name, 0) {
            let _ = world.apply(command);
        }
    }
    let names: Vec<PackageName> = world.state.packages().map(|package| package.name().clone()).collect();
    for package in names {
        let _ = world.apply(Command::Clear { package });
    }
    world.pass(Millis(3_600_000));
    let _ = world.apply(Command::Tick);
    world.obey();
    // What was still ending may have used up a group's last failover.
    let names: Vec<PackageName> = world.state.packages().map(|package| package.name().clone()).collect();
    for package in names {
        let _ = world.apply(Command::Clear { package });
    }
    world.obey();
    assert!(
        world.state.next_deadline().is_none_or(|at| at > world.at),
        "a tick leaves nothing that is due"
    );
    assert_eq!(world.state.cluster().unwrap().gate, StartGate::Open);
}

/// Every report that was taken once has no effect the second time.
#[test]
fn a_report_counts_once() {
    let mut world = start();
    let _ = world.apply(configure(ConfigChange::PutPackage(specs::package("p0", None))));
    let command = world
        .report("p0", vec![InstanceState::Running { mode: Mode::Active }], "")
        .unwrap();
    assert!(!world.apply(command.clone()).events.is_empty());
    let again = world.apply(command.clone());
    assert!(again.outcome.is_ok() && again.events.is_empty() && again.effects.is_empty());
    let Command::Observe {
        node,
        session,
        sequence,
        ..
    } = command
    else {
        unreachable!()
    };
    let gap = world.apply(Command::Observe {
        node,
        session,
        sequence: sequence + 2,
        observations: Vec::new(),
    });
    assert_eq!(gap.outcome.unwrap_err().code(), "report_gap");
}

/// A clone that a reader holds does not change while entries go on.
#[test]
fn a_clone_stays_as_it_was() {
    let mut world = start();
    let _ = world.apply(configure(ConfigChange::PutPackage(specs::package("p0", Some("g0")))));
    let held = world.state.clone();
    let before = (digest(&held), to_stored(&held));
    let _ = world.apply(Command::SetWish {
        package: package_name(0),
        wish: Wish::Stop,
    });
    let command = observation(
        "p0",
        world.package("p0").unwrap().instance.as_ref().unwrap(),
        InstanceState::Ended {
            cause: EndCause::Requested,
        },
        "",
    );
    assert!(matches!(command, Observation::Instance(_)));
    world.obey();
    assert_eq!((digest(&held), to_stored(&held)), before);
    assert_ne!(digest(&world.state), before.0);
    assert_eq!(held.applied(), Index(before.1.applied.0));
    assert_eq!(held.at(), Timestamp(0));
}
