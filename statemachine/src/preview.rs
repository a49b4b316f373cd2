//! What would happen: commands applied to a clone of the state, with daemons that do at once what they are told.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::apply::apply;
use crate::command::{Command, EndCause, InstanceReport, InstanceState, Mode, Observation, ReloadReport};
use crate::effect::Effect;
use crate::entry::Entry;
use crate::event::{Event, EventKind};
use crate::id::{Index, NodeId, NodeName, PackageName, Term};
use crate::nearest::nearest;
use crate::outcome::Rejection;
use crate::package::{Instance, Package, PackageState, Phase};
use crate::reason::Reason;
use crate::reload::Change;
use crate::state::State;

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The index that it was computed at.
    pub index: Index,
    /// What becomes defined otherwise, in words.
    pub changes: Vec<String>,
    /// What happens to instances, in order of rank.
    pub steps: Vec<Step>,
    /// Packages that would run nowhere afterwards although they should.
    pub unplaced: Vec<Unplaced>,
    /// Whether any step stops something that runs.
    pub disruptive: bool,
}

/// What happens to one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Which package.
    pub package: PackageName,
    /// Where.
    pub node: NodeName,
    /// Where it was, for a move.
    pub from: Option<NodeName>,
    /// In which mode it is afterwards; none where it is stopped.
    pub mode: Option<Mode>,
    /// Why.
    pub reason: String,
}

/// What is done to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is started where it did not run.
    Start,
    /// It is stopped and runs nowhere afterwards.
    Stop,
    /// A standby becomes active in place.
    Promote,
    /// The output of a member of a free-run group is released in place.
    Release,
    /// The active one becomes standby on its node, by a stop and a start.
    Demote,
    /// It is stopped and started on its node.
    Restart,
    /// It is stopped and started on another node.
    Move,
    /// It is told of its changed definition in place.
    Reload,
}

impl Action {
    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Promote => "promote",
            Self::Release => "release",
            Self::Demote => "demote",
            Self::Restart => "restart",
            Self::Move => "move",
            Self::Reload => "reload",
        }
    }
}

/// A package that would run nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Which.
    pub package: PackageName,
    /// Why.
    pub reason: String,
}

/// What commands would do.
///
/// # Errors
/// The rejection of the first command that would be rejected.
pub fn preview(state: &State, commands: &[Command]) -> Result<Preview, Rejection> {
    let mut run = Run::new(state);
    for command in commands {
        run.apply(command.clone())?;
    }
    run.obey();
    Ok(run.compare(state))
}

/// What the loss of a node would do.
///
/// # Errors
/// [`Rejection::NotFound`], or [`Rejection::Conflict`] where the node is not up.
pub fn preview_loss(state: &State, node: &NodeName) -> Result<Preview, Rejection> {
    preview(state, &[loss(state, node)?])
}

/// The command that a node's loss is, for [`preview`] alone: its term is none that a leader has.
///
/// # Errors
/// [`Rejection::NotFound`], or [`Rejection::Conflict`] where the node is not up.
pub fn loss(state: &State, node: &NodeName) -> Result<Command, Rejection> {
    let found = state.node_by_name(node).ok_or_else(|| Rejection::NotFound {
        kind: "node",
        name: node.to_string(),
        nearest: nearest(node.as_str(), state.nodes().map(|node| node.name.as_str())),
    })?;
    let session = found.session().ok_or_else(|| Rejection::Conflict {
        text: format!("node {node} is {}, so it can't fail any more", found.status.as_str()),
    })?;
    Ok(Command::NodeLost {
        sessions: Vec::from([(found.id, session)]),
        term: TERM,
    })
}

/// The term of all simulated entries; nothing but a lost node is compared with it.
const TERM: Term = Term(u64::MAX);

/// Rounds of obedience: each stop, start and promotion takes one, and the members of a together group take turns; more
/// would be a plan that never rests.
const ROUNDS_MAX: u32 = 256;

/// A clone of the state in which commands are applied.
struct Run {
    state: State,
    events: Vec<Event>,
    /// Nodes whose desired set changed since their daemons last obeyed.
    restless: BTreeSet<NodeId>,
}

impl Run {
    fn new(state: &State) -> Self {
        // What is under way is brought to its end as well, so that the steps show where everything comes to rest.
        Self {
            state: state.clone(),
            events: Vec::new(),
            restless: state.nodes().map(|node| node.id).collect(),
        }
    }

    fn apply(&mut self, command: Command) -> Result<(), Rejection> {
        let entry = Entry {
            index: self.state.applied().next(),
            term: TERM,
            at: self.state.at(),
            wall_ms: 0,
            request: None,
            command,
        };
        let applied = apply(&mut self.state, &entry);
        for effect in &applied.effects {
            if let Effect::NodeGeneration { node, .. } = effect {
                self.restless.insert(*node);
            }
        }
        self.events.extend(applied.events);
        applied.outcome.map(|_| ())
    }

    /// Every daemon does at once what it is told, until nothing is left to do.
    fn obey(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let restless = core::mem::take(&mut self.restless);
            if restless.is_empty() {
                return;
            }
            for node in restless {
                // A report of a session that is present is never rejected.
                let _ = self.report(node);
            }
        }
    }

    fn report(&mut self, id: NodeId) -> Result<(), Rejection> {
        let Some(node) = self.state.node(id) else { return Ok(()) };
        let Some(session) = node.session() else { return Ok(()) };
        let packages = node
            .instances
            .iter()
            .filter_map(|number| self.state.package_at(*number));
        let observations: Vec<Observation> = packages.filter_map(obedient).collect();
        if observations.is_empty() {
            return Ok(());
        }
        let sequence = node.sequence.saturating_add(1);
        self.apply(Command::Observe {
            node: id,
            session,
            sequence,
            observations,
        })
    }

    fn compare(&self, before: &State) -> Preview {
        let named: BTreeSet<&PackageName> = self.events.iter().filter_map(|event| event.kind.package()).collect();
        let rank = |name| {
            self.state
                .package(name)
                .or_else(|| before.package(name))
                .map(Package::rank)
        };
        let ranked: BTreeSet<_> = named.into_iter().map(|name| (rank(name), name)).collect();
        let mut steps = Vec::new();
        let mut unplaced = Vec::new();
        for (_, name) in ranked {
            steps.extend(self.step(before, name));
            let reason = self.state.package(name).and_then(|package| package.idle.as_ref());
            let fails = |reason: &&Reason| matches!(reason.idle_state(), PackageState::Waiting | PackageState::Failed);
            if let Some(reason) = reason.filter(fails) {
                unplaced.push(Unplaced {
                    package: name.clone(),
                    reason: reason.to_string(),
                });
            }
        }
        let stops = |step: &Step| match step.action {
            Action::Start | Action::Promote | Action::Release | Action::Reload => false,
            Action::Stop | Action::Demote | Action::Restart | Action::Move => true,
        };
        Preview {
            index: before.applied(),
            changes: self.events.iter().filter_map(change_words).collect(),
            disruptive: steps.iter().any(stops),
            steps,
            unplaced,
        }
    }

    /// What becomes of a package's instance, by comparing before and after.
    fn step(&self, before: &State, name: &PackageName) -> Option<Step> {
        let was = before.package(name).and_then(|package| package.instance.as_ref());
        let is = self.state.package(name).and_then(|package| package.instance.as_ref());
        let node_name = |instance: &Instance| self.state.node_at(instance.node).map(|node| node.name.clone());
        let (action, instance) = match (was, is) {
            (None, None) => return None,
            (None, Some(is)) => (Action::Start, is),
            (Some(was), None) => (Action::Stop, was),
            (Some(was), Some(is)) => (action_between(was, is)?, is),
        };
        let from = was.filter(|_| action == Action::Move).and_then(node_name);
        let mode = is.map(|instance| instance.mode);
        let reason = self.reason(name).unwrap_or_default();
        Some(Step {
            action,
            package: name.clone(),
            node: node_name(instance)?,
            from,
            mode,
            reason,
        })
    }

    /// The first thing that happened to a package, and if that follows from something else, that.
    fn reason(&self, name: &PackageName) -> Option<String> {
        let about = |event: &&Event| event.kind.package() == Some(name) && !is_definition(&event.kind);
        let first = self.events.iter().find(about)?;
        let cause = first
            .cause
            .and_then(|cause| self.events.iter().find(|event| event.id == cause));
        Some(match (&first.kind, cause) {
            (EventKind::Stopping { why, .. }, _) => why.to_string(),
            (_, Some(cause)) => cause.text(),
            (_, None) => first.text(),
        })
    }
}

/// What a daemon that obeys would report of an instance.
fn obedient(package: &Package) -> Option<Observation> {
    let instance = package.instance.as_ref()?;
    let state = match instance.phase {
        Phase::Starting if instance.held => return None,
        Phase::Starting | Phase::Changing { .. } => InstanceState::Running { mode: instance.mode },
        Phase::Stopping { .. } | Phase::Failing { .. } => InstanceState::Ended {
            cause: EndCause::Requested,
        },
        Phase::Running => {
            return instance.reloading().map(|revision| {
                Observation::Reloaded(ReloadReport {
                    package: package.name().clone(),
                    start: instance.start,
                    revision,
                    error: None,
                })
            });
        }
        Phase::Stranded => return None,
    };
    Some(Observation::Instance(InstanceReport {
        package: package.name().clone(),
        start: instance.start,
        epoch: instance.epoch,
        state,
        detail: String::new(),
    }))
}

fn action_between(was: &Instance, is: &Instance) -> Option<Action> {
    if was.node != is.node {
        return Some(Action::Move);
    }
    if was.start == is.start && was.is_inhibited() && is.holds_unit() {
        return Some(Action::Release);
    }
    match (was.mode, is.mode) {
        (Mode::Standby, Mode::Active) if was.start == is.start => Some(Action::Promote),
        (Mode::Active, Mode::Standby) => Some(Action::Demote),
        (Mode::Active | Mode::Standby | Mode::Test, _) if was.start != is.start => Some(Action::Restart),
        (Mode::Active | Mode::Standby | Mode::Test, _) => (was.revision != is.revision).then_some(Action::Reload),
    }
}

fn is_definition(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::PackageDefined { .. } | EventKind::PackageChanged { .. } | EventKind::PackageRemoved { .. }
    )
}

/// A change of what is defined, in words.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "all other events are about what runs, not about what is defined"
)]
fn change_words(event: &Event) -> Option<String> {
    Some(match &event.kind {
        EventKind::ClusterChanged => "change the cluster's settings".to_string(),
        EventKind::PackageDefined { package } => format!("define package {package}"),
        EventKind::PackageChanged {
            package,
            change: Change::Restart,
        } => format!("change package {package}, with a restart"),
        EventKind::PackageChanged {
            package,
            change: Change::Reload,
        } => format!("change package {package}, with a reload"),
        EventKind::PackageChanged {
            package,
            change: Change::Nothing,
        } => format!("change package {package}"),
        EventKind::PackageRemoved { package } => format!("remove package {package}"),
        EventKind::GroupDefined { group } => format!("define group {group}"),
        EventKind::GroupChanged { group } => format!("change group {group}"),
        EventKind::GroupRemoved { group } => format!("remove group {group}"),
        EventKind::RulesChanged { rules: 0 } => "remove all rules".to_string(),
        EventKind::RulesChanged { rules } => format!("change the rules: {rules} afterwards"),
        _ => return None,
    })
}
