//! A cluster without servers: entries go straight into the state machine, and daemons obey when told to.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod rule_texts;
pub mod script;
pub mod specs;

use statemachine::command::{
    Command, EndCause, InstanceReport, InstanceState, Mode, Observation, RegisterNode, ReloadReport, RequestId,
};
use statemachine::entry::Entry;
use statemachine::id::{NodeId, NodeName, PackageName, SessionId, Term};
use statemachine::package::{Instance, Package, Phase};
use statemachine::time::{Millis, Timestamp};
use statemachine::{Applied, Digest, State, apply, digest, invariant};

/// The state with everything around it that makes entries.
pub struct World {
    pub state: State,
    pub term: Term,
    pub at: Timestamp,
    pub nonces: u64,
    /// Everything that was applied, for replays.
    pub log: Vec<Entry>,
    pub digests: Vec<Digest>,
    /// Rules that a script has written down and not yet put in force.
    pub rules: String,
}

impl World {
    pub fn new() -> Self {
        Self {
            state: State::new(),
            term: Term(1),
            at: Timestamp(0),
            nonces: 0,
            log: Vec::new(),
            digests: Vec::new(),
            rules: String::new(),
        }
    }

    /// Applies a command and checks every invariant.
    pub fn apply(&mut self, command: Command) -> Applied {
        self.apply_as(None, command)
    }

    pub fn apply_as(&mut self, request: Option<RequestId>, command: Command) -> Applied {
        let entry = Entry {
            index: self.state.applied().next(),
            term: self.term,
            at: self.at,
            wall_ms: self.at.0 + 1_000_000,
            request,
            command,
        };
        let applied = apply(&mut self.state, &entry);
        self.log.push(entry);
        self.digests.push(digest(&self.state));
        if let Err(violation) = invariant::check(&self.state) {
            for event in &applied.events {
                eprintln!("{} {}", event.id, event.text());
            }
            panic!("after entry {}: {violation}\n{:#?}", applied.index, self.log.last());
        }
        applied
    }

    pub fn pass(&mut self, time: Millis) {
        self.at = self.at.plus(time);
    }

    pub fn register(&mut self, name: &str, capacity: &[(&str, u64)], options: &Registration) -> Command {
        self.nonces += 1;
        let known = self.state.node_by_name(&NodeName::new(name).unwrap());
        let ended = match known {
            Some(node) if options.clean => vec![node.status.session()],
            _ => Vec::new(),
        };
        let capacity = if capacity.is_empty() {
            known.map(|node| (*node.capacity).clone()).unwrap_or_default()
        } else {
            specs::amounts(capacity)
        };
        Command::RegisterNode(RegisterNode {
            name: NodeName::new(name).unwrap(),
            machine: options.machine.clone().unwrap_or_else(|| format!("machine-{name}")),
            boot: options.boot.clone().unwrap_or_else(|| "boot-1".to_owned()),
            nonce: options
                .nonce
                .clone()
                .unwrap_or_else(|| format!("nonce-{}", self.nonces)),
            ended,
            capacity,
            labels: Default::default(),
            api: format!("{name}:7400"),
            containment: None,
            cut_off: options.cut_off,
        })
    }

    pub fn package(&self, name: &str) -> Option<&Package> {
        self.state.package(&PackageName::new(name).ok()?)
    }

    pub fn session(&self, node: &str) -> Option<(NodeId, SessionId)> {
        let node = self.state.node_by_name(&NodeName::new(node).ok()?)?;
        Some((node.id, node.status.session()))
    }

    /// A report of these instances' node.
    pub fn report(&self, package: &str, states: Vec<InstanceState>, detail: &str) -> Option<Command> {
        let instance = self.package(package)?.instance.as_ref()?;
        let observations = states
            .into_iter()
            .map(|state| observation(package, instance, state, detail))
            .collect();
        self.observe(package, observations)
    }

    /// A report of the node where a package is.
    pub fn observe(&self, package: &str, observations: Vec<Observation>) -> Option<Command> {
        let instance = self.package(package)?.instance.as_ref()?;
        let node = self.state.node_at(instance.node)?;
        Some(Command::Observe {
            node: node.id,
            session: instance.session,
            sequence: node.sequence + 1,
            observations,
        })
    }

    /// A report that a package's reload command has ended, where it is to run.
    pub fn reload(&self, package: &str, error: Option<String>) -> Option<Command> {
        let row = self.package(package)?;
        let answer = answer_reload(row.name(), row.instance.as_ref()?, error)?;
        self.observe(package, vec![answer])
    }

    /// Every daemon that is up does what it is told, until nothing is left to do. Gives what came of each report.
    pub fn obey(&mut self) -> Vec<Applied> {
        let done = self.obey_at_most(200);
        assert!(self.next_report().is_none(), "the plan never rests");
        done
    }

    /// As [`World::obey`] but with so many reports at most: rules may have things started and stopped for ever.
    pub fn obey_at_most(&mut self, reports: usize) -> Vec<Applied> {
        let mut done = Vec::new();
        for _ in 0..reports {
            let Some(command) = self.next_report() else { return done };
            done.push(self.apply(command));
        }
        done
    }

    fn next_report(&self) -> Option<Command> {
        self.state.nodes().filter(|node| node.is_up()).find_map(|node| {
            let packages = node
                .instances
                .iter()
                .filter_map(|number| self.state.package_at(*number));
            let observations: Vec<_> = packages
                .filter_map(|package| {
                    let instance = package.instance.as_ref()?;
                    if instance.phase == Phase::Running {
                        return answer_reload(package.name(), instance, None);
                    }
                    let state = match instance.phase {
                        Phase::Starting if instance.held => return None,
                        Phase::Starting | Phase::Changing { .. } => InstanceState::Running { mode: instance.mode },
                        Phase::Stopping { .. } => InstanceState::Ended {
                            cause: EndCause::Requested,
                        },
                        Phase::Failing { .. } => InstanceState::Ended {
                            cause: EndCause::ProbeFailed,
                        },
                        Phase::Running | Phase::Stranded => return None,
                    };
                    Some(observation(package.name().as_str(), instance, state, ""))
                })
                .collect();
            let session = node.session()?;
            let sequence = node.sequence + 1;
            (!observations.is_empty()).then_some(Command::Observe {
                node: node.id,
                session,
                sequence,
                observations,
            })
        })
    }

    /// Where a package is and what it is to be there: `n1 active`.
    pub fn place(&self, package: &str) -> String {
        let Some(row) = self.package(package) else {
            return "gone".into();
        };
        match &row.instance {
            None => row.state().as_str().to_string(),
            Some(instance) => {
                let node = self.state.node_at(instance.node).unwrap();
                format!("{} {}", node.name, mode_word(instance.mode))
            }
        }
    }
}

/// What a registration says beside its name and capacity.
#[derive(Default)]
pub struct Registration {
    /// It names the session before as ended.
    pub clean: bool,
    pub cut_off: Option<Millis>,
    pub machine: Option<String>,
    pub nonce: Option<String>,
    pub boot: Option<String>,
}

fn answer_reload(package: &PackageName, instance: &Instance, error: Option<String>) -> Option<Observation> {
    Some(Observation::Reloaded(ReloadReport {
        package: package.clone(),
        start: instance.start,
        revision: instance.reloading()?,
        error,
    }))
}

pub fn observation(package: &str, instance: &Instance, state: InstanceState, detail: &str) -> Observation {
    Observation::Instance(InstanceReport {
        package: PackageName::new(package).unwrap(),
        start: instance.start,
        epoch: instance.epoch,
        state,
        detail: detail.to_string(),
    })
}

pub fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Standby => "standby",
        Mode::Active => "active",
        Mode::Test => "test",
    }
}
