//! Why a package is where it is, or why it is nowhere, from the plan's own reasons.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::command::Mode;
use crate::event::{EventId, mode_word, output_word};
use crate::id::{NodeIx, NodeName, PackageName};
use crate::package::{Instance, Package, Phase};
use crate::plan::eligible::Terms;
use crate::plan::free_run::runs_free;
use crate::plan::maintenance;
use crate::plan::together;
use crate::reason::Reason;
use crate::room::SCORE_MAX;
use crate::state::State;

/// Why a package is where it is, or why it is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The package.
    pub package: PackageName,
    /// One sentence.
    pub summary: String,
    /// The last event about it: its causes, one after another, tell how it came so.
    pub trail: Option<EventId>,
    /// Every node with the verdict on it, in the order of first registration.
    pub nodes: Vec<NodeVerdict>,
    /// What would change it.
    pub next: Vec<String>,
}

/// What the plan thinks of a node for a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeVerdict {
    /// The node.
    pub node: NodeName,
    /// The verdict.
    pub verdict: Verdict,
    /// By which rule, with its numbers.
    pub reason: String,
}

/// What the plan thinks of a node for a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is there.
    Chosen,
    /// It could be there.
    Possible,
    /// It can't be there.
    Rejected,
}

impl Verdict {
    /// `chosen`, `possible` or `rejected`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Possible => "possible",
            Self::Rejected => "rejected",
        }
    }
}

/// Explains a package; none where there is no such package.
#[must_use]
pub fn explain(state: &State, name: &PackageName) -> Option<Explanation> {
    let number = *state.packages_by_name.get(name)?;
    let package = state.package_at(number)?;
    let terms = Terms::of(state, number, package);
    let here = package.instance.as_ref().map(|instance| instance.node);
    let nodes = state.nodes.iter().map(|(row, node)| {
        let row = NodeIx(row);
        let (verdict, reason) = if here == Some(row) {
            (Verdict::Chosen, placed_words(package))
        } else {
            let obstacle = if together::holds(state, package) {
                together::obstacle(state, number, package, row)
            } else {
                terms.obstacle(state, row)
            };
            match obstacle {
                _ if package.claim == Some(row) => (Verdict::Possible, kept_words(state, package, row)),
                Some(obstacle) => (Verdict::Rejected, obstacle.to_string()),
                None => (Verdict::Possible, possible_words(state, package, row)),
            }
        };
        NodeVerdict {
            node: node.name.clone(),
            verdict,
            reason,
        }
    });
    Some(Explanation {
        package: name.clone(),
        summary: summary(state, package),
        trail: package.trail,
        nodes: nodes.collect(),
        next: next(state, package),
    })
}

/// One sentence: where it is, or why it is nowhere.
fn summary(state: &State, package: &Package) -> String {
    let name = package.name();
    let Some(instance) = &package.instance else {
        return match state.why_idle(package) {
            Some(why) => format!("{name} is {}: {why}", package.state().as_str()),
            None => format!("{name} is {}", package.state().as_str()),
        };
    };
    let node = state
        .node_at(instance.node)
        .map_or("an unknown node", |node| node.name.as_str());
    let mode = manner(state, package, instance);
    let epoch = instance.epoch;
    match &instance.phase {
        Phase::Running => format!(
            "{name} runs on {node} as {mode} under epoch {epoch}{}{}",
            fitness_words(instance),
            state
                .held_back_by(package)
                .map_or_else(String::new, |by| format!("; it {}", held_back_words(by)))
        ),
        Phase::Starting if instance.delay.0 > 0 => {
            format!(
                "{name} starts on {node} as {mode} after a pause of {} ms, because it failed there",
                instance.delay.0
            )
        }
        Phase::Starting if instance.held => match state
            .packages_by_name
            .get(name)
            .and_then(|number| together::waits_for(state, *number))
        {
            Some(earlier) => format!(
                "{name} has its place on {node} and starts once {} of its group is ready there",
                earlier.name()
            ),
            None => format!("{name} has its place on {node} and starts next"),
        },
        Phase::Starting => format!("{name} starts on {node} as {mode}: its daemon has not answered yet"),
        Phase::Changing { from } => {
            format!(
                "{name} on {node} was told to be {mode} and has not answered yet; it was {}",
                if instance.mode == *from {
                    "inhibited"
                } else {
                    mode_word(*from)
                }
            )
        }
        Phase::Failing { .. } => format!("{name} failed on {node}: its end is not proven yet"),
        Phase::Stopping { why } => format!("{name} is being stopped on {node}: {why}"),
        Phase::Stranded => format!("{name} was {mode} on {node}, which is lost, and may still run there"),
    }
}

/// What a standby says of how fit it is to be promoted.
fn fitness_words(instance: &Instance) -> String {
    match instance.score.filter(|_| instance.stands_by()) {
        None => String::new(),
        Some(score) if score < 0 => {
            format!(
                "; it says that it must not be promoted (score {score}), so only `promote` by hand makes it take over"
            )
        }
        Some(score) => format!("; it says how fit it is to be promoted: score {score}, the highest is chosen"),
    }
}

/// What is said of a package that goes on under an older definition because another one failed under the new one.
#[must_use]
pub fn held_back_words(by: &PackageName) -> String {
    format!("goes on under the definition before, because {by} has failed under the new one")
}

/// The mode of an instance in words, with its output where all of its group are active.
fn manner(state: &State, package: &Package, instance: &Instance) -> String {
    let mode = instance.mode_name();
    if instance.mode == Mode::Active && runs_free(state, package) {
        format!("{mode} with its output {}", output_word(instance.output))
    } else {
        mode.to_string()
    }
}

fn placed_words(package: &Package) -> String {
    let Some(instance) = &package.instance else {
        return String::new();
    };
    match &instance.phase {
        Phase::Starting | Phase::Running | Phase::Changing { .. } => {
            "it is there; a package that runs is not moved without a cause".to_string()
        }
        Phase::Failing { .. } => "it failed there and is being killed".to_string(),
        Phase::Stopping { why } => format!("it is being stopped there: {why}"),
        Phase::Stranded => "it may still run there although the node is lost".to_string(),
    }
}

/// Who still has the room that is kept for a package.
fn kept_words(state: &State, package: &Package, node: NodeIx) -> String {
    let there = state
        .node_at(node)
        .map(|node| node.instances.as_slice())
        .unwrap_or_default();
    let leaving = there.iter().filter_map(|number| {
        let package = state.package_at(*number)?;
        let instance = package.instance.as_ref()?;
        (!instance.is_live()).then(|| package.name().as_str())
    });
    let leaving: Vec<&str> = leaving.collect();
    format!(
        "room is kept for {} here until this has ended: {}",
        package.name(),
        leaving.join(", ")
    )
}

fn possible_words(state: &State, package: &Package, node: NodeIx) -> String {
    let score = state.rooms.get(node).score;
    let free = score.saturating_mul(100).div_euclid(SCORE_MAX);
    let listed = state
        .node_at(node)
        .and_then(|node| package.spec.nodes.iter().position(|name| *name == node.name));
    match listed {
        Some(place) => format!(
            "it is number {} in the package's list; {free} % is free",
            place.saturating_add(1)
        ),
        None => format!("it has room: {free} % of its scarcest dimension is free"),
    }
}

/// What would change it.
fn next(state: &State, package: &Package) -> Vec<String> {
    let name = package.name();
    let mut next = Vec::new();
    if package.instance.is_some() && maintenance::is_maintained_package(state, package) {
        next.push("it is in maintenance and not touched: `maintenance off` ends that".to_string());
        return next;
    }
    if let Some(by) = state.held_back_by(package) {
        next.push(format!(
            "mend the definition and apply it again; `clear {by}` tries it once more; `stop {by}` gives its node up, and {name} is \
             restarted under the new definition all the same"
        ));
    }
    match &package.instance {
        Some(instance) => {
            let node = state.node_at(instance.node).map_or("NODE", |node| node.name.as_str());
            match (&instance.phase, instance.mode) {
                (Phase::Stranded, _) => next.push(format!(
                    "`confirm-down {node}` once the node is surely off, or let it return"
                )),
                (Phase::Running, Mode::Active) if instance.stands_by() => {
                    next.push(format!("`promote {name}` releases its output instead of the other's"));
                }
                (Phase::Running, Mode::Standby) => next.push(format!("`promote {name}` makes it the active one")),
                (Phase::Running, Mode::Active) if together::holds(state, package) => {
                    next.push(format!(
                        "`move {name} --to NODE` places its whole group on another node"
                    ));
                }
                (Phase::Running, Mode::Active | Mode::Test) => {
                    next.push(format!("`move {name} --to NODE` places it on another node"));
                }
                (
                    Phase::Starting | Phase::Changing { .. } | Phase::Failing { .. } | Phase::Stopping { .. },
                    Mode::Standby | Mode::Active | Mode::Test,
                ) => next.push(format!("the daemon of {node} answers or reports its end")),
            }
        }
        None => next.extend(package.idle.as_ref().map(|idle| next_of_idle(name, idle))),
    }
    next
}

fn next_of_idle(name: &PackageName, idle: &Reason) -> String {
    match idle {
        Reason::Stopped => format!("`start {name}`"),
        Reason::ClusterStopped => "`cluster start`".to_string(),
        Reason::Reserve { .. } => "one of its group stops, or more standbys are defined".to_string(),
        Reason::WaitsForNodes => "more nodes come up, or start_wait passes".to_string(),
        Reason::NoNode { .. } => "a node comes up, is resumed or has more room".to_string(),
        Reason::Failed { .. } => format!("`clear {name}` once the cause is mended, or restart the node"),
        Reason::Maintenance { .. } => "`maintenance off`, or its end".to_string(),
        Reason::AwaitsRoom { node } => format!("what is being stopped on {node} reports its end"),
        Reason::Exhausted { .. } => format!("`clear {name}` or `promote` a member of its group"),
        Reason::Removed
        | Reason::Drained
        | Reason::Shed { .. }
        | Reason::Moved { .. }
        | Reason::Promoted { .. }
        | Reason::Redefined
        | Reason::NotAllowed
        | Reason::NoRoom
        | Reason::Surplus { .. }
        | Reason::ModeChange { .. }
        | Reason::OwnMode { .. }
        | Reason::Preempted { .. }
        | Reason::Unmet { .. }
        | Reason::Excluded { .. }
        | Reason::GroupLeaves { .. }
        | Reason::NeedLost { .. }
        | Reason::GroupMoves { .. } => "its daemon reports its end".to_string(),
    }
}
