//! What an entry costs: `cargo run --release -p paceline-statemachine --example plan_bench [-- big]`.
//!
//! A node goes down and everything on it is placed anew; a value of a node is set. Each entry is applied to a state of
//! which a reader holds a clone, as in the server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use statemachine::command::{
    Capacity, Command, ConfigChange, Fencing, InstanceReport, InstanceState, Mode, Observation, OnQuorumLoss,
    PackageSpec, RegisterNode, RequestId, RestartSpec, RunSpec,
};
use statemachine::entry::Entry;
use statemachine::id::{NodeName, PackageName, Term};
use statemachine::time::{Millis, Timestamp};
use statemachine::{State, apply};

fn main() {
    let big = std::env::args().any(|word| word == "big");
    println!(
        "| packages / nodes | define | node down p50 / p99 | packages moved | set attribute p50 / p99 | with a key |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    measure(1_000, 32);
    measure(10_000, 1_000);
    measure(100_000, 10_000);
    if big {
        measure(1_000_000, 10_000);
    }
}

fn measure(packages: u64, nodes: u64) {
    let mut bench = Bench { state: State::new() };
    bench.create(nodes, packages);
    let started = Instant::now();
    for first in (0..packages).step_by(10_000) {
        let changes = (first..packages.min(first + 10_000)).map(|number| ConfigChange::PutPackage(package(number)));
        bench.apply(
            None,
            Command::Configure {
                expect: None,
                changes: changes.collect(),
            },
        );
    }
    let define = started.elapsed();
    bench.answer();
    let mut down = Vec::new();
    let mut moved = 0;
    for round in 0..200 {
        let number = round * 7 % nodes;
        let name = NodeName::new(&format!("n{number}")).unwrap();
        let node = bench.state.node_by_name(&name).unwrap();
        let (id, session) = (node.id, node.status.session());
        moved += node.instances.len();
        down.push(bench.apply(
            None,
            Command::NodeLost {
                sessions: vec![(id, session)],
                term: Term(1),
            },
        ));
        bench.apply(None, register(number, round + 1, nodes, packages));
    }
    let mut plain = Vec::new();
    let mut keyed = Vec::new();
    for round in 0..5_000u64 {
        let key = RequestId {
            client: format!("client-{}", round % 64),
            key: format!("{round}"),
        };
        plain.push(bench.apply(None, attribute(round, nodes)));
        keyed.push(bench.apply(Some(key), attribute(round, nodes)));
    }
    println!(
        "| {packages} / {nodes} | {} ns each | {} | {} a node | {} | {} |",
        define.as_nanos() / u128::from(packages),
        quantiles(down),
        moved / 200,
        quantiles(plain),
        quantiles(keyed)
    );
}

struct Bench {
    state: State,
}

impl Bench {
    fn create(&mut self, nodes: u64, packages: u64) {
        let member = NodeName::new("n0").unwrap();
        let peer = vec!["127.0.0.1:1".into()];
        self.apply(
            None,
            Command::CreateCluster {
                id: "c".into(),
                member,
                peer,
                api: "127.0.0.1:2".into(),
            },
        );
        for number in 0..nodes {
            self.apply(None, register(number, 0, nodes, packages));
        }
    }

    /// Every daemon answers that what it starts runs.
    fn answer(&mut self) {
        let nodes: Vec<_> = self.state.nodes().map(|node| node.id).collect();
        for id in nodes {
            let node = self.state.node(id).unwrap();
            let session = node.session().unwrap();
            let sequence = node.sequence + 1;
            let running = node.instances.iter().filter_map(|number| {
                let package = self.state.package_at(*number)?;
                let instance = package.instance.as_ref()?;
                Some(Observation::Instance(InstanceReport {
                    package: package.name().clone(),
                    start: instance.start,
                    epoch: instance.epoch,
                    state: InstanceState::Running { mode: Mode::Active },
                    detail: String::new(),
                }))
            });
            let observations = running.collect();
            self.apply(
                None,
                Command::Observe {
                    node: id,
                    session,
                    sequence,
                    observations,
                },
            );
        }
    }

    fn apply(&mut self, request: Option<RequestId>, command: Command) -> Duration {
        let held = self.state.clone();
        let entry = Entry {
            index: self.state.applied().next(),
            term: Term(1),
            at: Timestamp(self.state.applied().0),
            wall_ms: 0,
            request,
            command,
        };
        let started = Instant::now();
        let applied = apply(&mut self.state, &entry);
        let took = started.elapsed();
        assert!(applied.outcome.is_ok(), "{:?}", applied.outcome);
        drop(held);
        took
    }
}

fn register(number: u64, round: u64, nodes: u64, packages: u64) -> Command {
    // Two thirds of the capacity are used: a load is 32 on average.
    let capacity = packages * 32 * 3 / 2 / nodes;
    Command::RegisterNode(RegisterNode {
        name: NodeName::new(&format!("n{number}")).unwrap(),
        machine: format!("m{number}"),
        boot: "b".into(),
        nonce: format!("{round}"),
        ended: Vec::new(),
        capacity: Capacity([("cpu".into(), capacity), ("memory".into(), capacity)].into()),
        labels: BTreeMap::new(),
        api: "127.0.0.1:1".into(),
        containment: None,
        cut_off: None,
    })
}

fn package(number: u64) -> PackageSpec {
    let load = |salt: u64| 1 + number.wrapping_mul(2_654_435_761).wrapping_add(salt) / 7 % 63;
    PackageSpec {
        name: PackageName::new(&format!("package-{number}")).unwrap(),
        copy_of: None,
        group: None,
        priority: None,
        load: Capacity([("cpu".into(), load(1)), ("memory".into(), load(999_983))].into()),
        nodes: Vec::new(),
        enabled: true,
        safety: Fencing::Lease,
        on_quorum_loss: OnQuorumLoss::Stop,
        restart: RestartSpec {
            attempts: 3,
            within: Millis(600_000),
        },
        run: RunSpec {
            command: vec!["/bin/true".into()],
            environment: BTreeMap::new(),
            directory: None,
            promote: None,
            demote: None,
            probe: None,
            start_timeout: Millis(60_000),
            stop_timeout: Millis(10_000),
        },
        after: Vec::new(),
        needs: Vec::new(),
    }
}

fn attribute(round: u64, nodes: u64) -> Command {
    let node = NodeName::new(&format!("n{}", round % nodes.min(3))).unwrap();
    Command::SetAttribute {
        node,
        key: format!("key-{}", round % 256),
        value: Some("x".repeat(256)),
        expect: None,
    }
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| {
        let tenths = times[(times.len() - 1) * share / 100].as_nanos() / 100;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    format!("{} / {} us", at(50), at(99))
}
