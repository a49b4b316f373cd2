//! A generated cluster whose daemons do at once what they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use statemachine::command::{
    Capacity, Command, ConfigChange, EndCause, Fencing, InstanceReport, InstanceState, Mode, Observation, OnQuorumLoss,
    PackageSpec, RegisterNode, RestartSpec, RunSpec,
};
use statemachine::effect::Effect;
use statemachine::entry::Entry;
use statemachine::id::{NodeId, NodeName, PackageName, SessionId, Term};
use statemachine::package::Phase;
use statemachine::time::{Millis, Timestamp};
use statemachine::{State, apply};

/// A load is so much on average, in each of two dimensions.
const LOAD_MEAN: u64 = 32;
/// Definitions of one entry.
const BATCH: u64 = 10_000;
/// Reports until all rests, at most: a plan that goes round would never end.
const REPORTS_MAX: usize = 10_000_000;

/// How large, and how full.
#[derive(Clone, Copy, Debug)]
pub(super) struct SiteOptions {
    pub(super) packages: u64,
    pub(super) nodes: u64,
    /// All loads together, in per cent of all capacity.
    pub(super) fill: u64,
}

/// A cluster in the middle of its life.
pub(super) struct Site {
    state: State,
    options: SiteOptions,
    /// Nodes that have something to do.
    touched: BTreeSet<NodeId>,
    /// What daemons were told to start or to stop so far.
    pub(super) actions: u64,
}

/// The load of a package in a dimension, 1 to 63.
pub(super) fn load(package: u64, salt: u64) -> u64 {
    1 + package.wrapping_mul(2_654_435_761).wrapping_add(salt) / 7 % 63
}

/// What each node has in each dimension.
pub(super) fn capacity(options: SiteOptions) -> u64 {
    options.packages * LOAD_MEAN * 100 / options.fill / options.nodes
}

impl Site {
    pub(super) fn new(options: SiteOptions) -> anyhow::Result<Self> {
        let mut site = Self {
            state: State::new(),
            options,
            touched: BTreeSet::new(),
            actions: 0,
        };
        site.apply(Command::CreateCluster {
            id: "c".into(),
            member: name(0)?,
            peer: vec!["127.0.0.1:1".into()],
            api: "127.0.0.1:2".into(),
        })?;
        for number in 0..options.nodes {
            site.register(number, 0)?;
        }
        Ok(site)
    }

    /// A node comes up, for the first time or after it was lost.
    pub(super) fn register(&mut self, number: u64, round: u64) -> anyhow::Result<Duration> {
        let capacity = capacity(self.options);
        self.apply(Command::RegisterNode(RegisterNode {
            name: name(number)?,
            machine: format!("m{number}"),
            boot: "b".into(),
            nonce: format!("{round}"),
            ended: Vec::new(),
            capacity: Capacity([("cpu".into(), capacity), ("memory".into(), capacity)].into()),
            labels: BTreeMap::new(),
            api: "127.0.0.1:1".into(),
            containment: None,
            cut_off: None,
        }))
    }

    /// Every package is defined and placed.
    pub(super) fn define(&mut self) -> anyhow::Result<Duration> {
        let mut sum = Duration::ZERO;
        for first in (0..self.options.packages).step_by(usize::try_from(BATCH)?) {
            let last = self.options.packages.min(first + BATCH);
            let changes = (first..last).map(|number| Ok(ConfigChange::PutPackage(package(number)?)));
            let changes = changes.collect::<anyhow::Result<Vec<_>>>()?;
            sum += self.apply(Command::Configure { expect: None, changes })?;
        }
        Ok(sum)
    }

    pub(super) fn session(&self, number: u64) -> Option<(NodeId, SessionId)> {
        let node = self.state.node_by_name(&name(number).ok()?)?;
        Some((node.id, node.session()?))
    }

    /// Every daemon does what it is told and reports it, until none has anything to do. Gives what applying that took.
    pub(super) fn rest(&mut self) -> anyhow::Result<Duration> {
        let mut sum = Duration::ZERO;
        for _ in 0..REPORTS_MAX {
            let Some(id) = self.touched.pop_first() else {
                return Ok(sum);
            };
            let Some((session, sequence, observations)) = self.report(id) else {
                continue;
            };
            self.actions += observations.len() as u64;
            sum += self.apply(Command::Observe {
                node: id,
                session,
                sequence,
                observations,
            })?;
        }
        anyhow::bail!("the plan never rests")
    }

    fn report(&self, id: NodeId) -> Option<(SessionId, u64, Vec<Observation>)> {
        let node = self.state.node(id)?;
        let packages = node
            .instances
            .iter()
            .filter_map(|number| self.state.package_at(*number));
        let observations: Vec<Observation> = packages
            .filter_map(|package| {
                let instance = package.instance.as_ref()?;
                let state = match instance.phase {
                    Phase::Starting => InstanceState::Running { mode: Mode::Active },
                    Phase::Stopping { .. } => InstanceState::Ended {
                        cause: EndCause::Requested,
                    },
                    Phase::Running | Phase::Changing { .. } | Phase::Failing { .. } | Phase::Stranded => return None,
                };
                Some(Observation::Instance(InstanceReport {
                    package: package.name().clone(),
                    start: instance.start,
                    epoch: instance.epoch,
                    state,
                    detail: String::new(),
                }))
            })
            .collect();
        (!observations.is_empty()).then_some((node.session()?, node.sequence + 1, observations))
    }

    /// Applies a command; gives the processor time that it took.
    pub(super) fn apply(&mut self, command: Command) -> anyhow::Result<Duration> {
        let held = self.state.clone();
        let entry = Entry {
            index: self.state.applied().next(),
            term: Term(1),
            at: Timestamp(self.state.applied().0),
            wall_ms: 0,
            request: None,
            command,
        };
        let begin = cpu_time()?;
        let applied = apply(&mut self.state, &entry);
        let took = cpu_time()?.saturating_sub(begin);
        if let Err(rejection) = &applied.outcome {
            anyhow::bail!("refused: {rejection}");
        }
        for effect in &applied.effects {
            if let Effect::NodeGeneration { node, .. } = effect {
                self.touched.insert(*node);
            }
        }
        drop(held);
        Ok(took)
    }
}

fn cpu_time() -> anyhow::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?))
}

fn name(number: u64) -> anyhow::Result<NodeName> {
    Ok(NodeName::new(&format!("n{number}"))?)
}

fn package(number: u64) -> anyhow::Result<PackageSpec> {
    Ok(PackageSpec {
        name: PackageName::new(&format!("package-{number}"))?,
        copy_of: None,
        group: None,
        priority: None,
        load: Capacity(
            [
                ("cpu".into(), load(number, 1)),
                ("memory".into(), load(number, 999_983)),
            ]
            .into(),
        ),
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
            reload: None,
        },
        after: Vec::new(),
        needs: Vec::new(),
        preemptible: true,
        exclusive: false,
        condition: None,
    })
}
