//! Rules on commit (M5): what an entry brought about fires the rules that are bound to it.
//!
//! Events fire their rules one after another in the order of the log, and the rules of one event in the order of their
//! text. Each rule sees the state as it is after the plan, with all that the rules before it brought about; what it
//! wants goes the way of a person's command and is planned at once. The events of that fire rules again: a cascade,
//! which is bounded.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use super::dispatch;
use crate::command::{Command, Wish};
use crate::draft::Draft;
use crate::entry::Entry;
use crate::event::{Event, EventId, EventKind};
use crate::outcome::Outcome;
use crate::plan::plan;
use crate::reason::Reason;
use crate::rules::{Action, Kind, Rule, RuleSet, Trigger, evaluate};

/// Rules that fire each other in one entry at most: longer chains are loops, and people do not write them on purpose.
const CHAIN_MAX: u32 = 16;
/// Rules that fire in one entry at most: the loss of a rack fires those of all its packages.
const FIRINGS_MAX: usize = 1_024;
/// Actions of theirs that are carried out in one entry at most: each is an event at least.
const ACTIONS_MAX: usize = 2_048;
/// Rules that are looked at in one entry at most, whether they want anything or not.
const LOOKS_MAX: usize = 16_384;
/// Rules of a chain that its event names at most: the last ones, where a loop shows.
const NAMED_MAX: usize = 8;

/// Fires the rules of everything that has happened, and of what they bring about.
pub(super) fn run(draft: &mut Draft<'_>, entry: &Entry) {
    let rules = draft.state.rules.clone();
    // A cluster that is stopped as a whole, or that people work on, is not started or stopped by rules.
    if rules.is_empty() || draft.state.is_stopped() || draft.state.is_maintained() {
        return;
    }
    let mut cascade = Cascade {
        firings: Vec::new(),
        origins: vec![None; draft.events().len()],
        looks: 0,
        actions: 0,
    };
    let mut place = 0;
    while let Some(event) = draft.events().get(place) {
        let (id, matching) = (event.id, matching(&rules, event));
        let resource = if matching.is_empty() {
            String::new()
        } else {
            event.resource()
        };
        let by = cascade.origins.get(place).copied().flatten();
        for rule in matching {
            if !cascade.look(
                draft,
                entry,
                &Cue {
                    id,
                    by,
                    resource: &resource,
                },
                rule,
            ) {
                return;
            }
        }
        place = place.saturating_add(1);
    }
}

/// What fires a rule.
struct Cue<'a> {
    id: EventId,
    /// The firing that brought the event about; none where the entry itself did.
    by: Option<usize>,
    /// What the event is about.
    resource: &'a str,
}

/// A rule that fired.
struct Firing<'r> {
    rule: &'r Rule,
    by: Option<usize>,
    /// How many rules stand above it in its chain.
    depth: u32,
}

struct Cascade<'r> {
    firings: Vec<Firing<'r>>,
    /// For each event the firing that brought it about.
    origins: Vec<Option<usize>>,
    looks: usize,
    /// Actions that were carried out.
    actions: usize,
}

impl<'r> Cascade<'r> {
    /// Looks at one rule and carries out what it wants; false where this entry has had enough.
    fn look(&mut self, draft: &mut Draft<'_>, entry: &Entry, cue: &Cue<'_>, rule: &'r Rule) -> bool {
        self.looks = self.looks.saturating_add(1);
        let actions = evaluate(rule, &*draft.state);
        if actions.is_empty() && self.looks <= LOOKS_MAX {
            return true;
        }
        let above = cue.by.and_then(|by| self.firings.get(by));
        let depth = above.map_or(0, |above| above.depth.saturating_add(1));
        let wanted = self.actions.saturating_add(actions.len());
        let enough = self.firings.len() >= FIRINGS_MAX || self.looks > LOOKS_MAX || wanted > ACTIONS_MAX;
        if enough || depth >= CHAIN_MAX {
            let kind = EventKind::RulesCutOff {
                resource: cue.resource.into(),
                chain: self.chain(cue.by, rule),
            };
            draft.say(Some(cue.id), kind);
            self.claim(draft, None);
            return !enough;
        }
        self.fire(draft, entry, cue, rule, &actions, depth);
        true
    }

    fn fire(
        &mut self,
        draft: &mut Draft<'_>,
        entry: &Entry,
        cue: &Cue<'_>,
        rule: &'r Rule,
        actions: &[&Action],
        depth: u32,
    ) {
        let kind = EventKind::RuleFired {
            resource: cue.resource.into(),
            rule: format!("{rule}"),
            actions: join(actions.iter(), ", "),
        };
        let fired = draft.say(Some(cue.id), kind);
        let before = draft.events().len();
        draft.actor = Some(fired);
        for action in actions {
            if let Err(rejection) = carry_out(draft, entry, action) {
                let kind = EventKind::RuleRefused {
                    resource: cue.resource.into(),
                    rule: format!("{rule}"),
                    action: format!("{action}"),
                    why: format!("{rejection}"),
                };
                draft.say(Some(fired), kind);
            }
        }
        draft.actor = None;
        if draft.events().len() == before {
            // All is as the rule wants it already.
            draft.retract();
            return;
        }
        plan(draft);
        self.actions = self.actions.saturating_add(actions.len());
        let number = self.firings.len();
        self.firings.push(Firing {
            rule,
            by: cue.by,
            depth,
        });
        self.claim(draft, Some(number));
    }

    /// Marks the events since the last time as brought about by this firing.
    fn claim(&mut self, draft: &Draft<'_>, by: Option<usize>) {
        self.origins.resize(draft.events().len(), by);
    }

    /// The rules that led to a rule, and that rule, in words.
    fn chain(&self, by: Option<usize>, rule: &Rule) -> String {
        let mut rules = vec![rule];
        let mut next = by;
        while let Some(firing) = next.and_then(|number| self.firings.get(number)) {
            if rules.len() == NAMED_MAX {
                break;
            }
            rules.push(firing.rule);
            next = firing.by;
        }
        let dots = if next.is_some() { "… -> " } else { "" };
        format!("{dots}{}", join(rules.iter().rev(), " -> "))
    }
}

fn join<T: core::fmt::Display>(parts: impl Iterator<Item = T>, between: &str) -> String {
    let mut joined = String::new();
    for part in parts {
        if !joined.is_empty() {
            joined.push_str(between);
        }
        joined.push_str(&format!("{part}"));
    }
    joined
}

/// By the same function as a person's command, so that no rule can do what a person can't.
fn carry_out(draft: &mut Draft<'_>, entry: &Entry, action: &Action) -> Outcome {
    let wish = |package: &crate::id::PackageName, wish| Command::SetWish {
        package: package.clone(),
        wish,
    };
    let drain = |node: &crate::id::NodeName, drain| Command::SetDrain {
        node: node.clone(),
        drain,
    };
    let command = match action {
        Action::Startup(package) => wish(package, Wish::Start),
        Action::Halt(package) => wish(package, Wish::Stop),
        Action::Test(package) => wish(package, Wish::Test),
        Action::Promote(package) => Command::Promote {
            package: package.clone(),
        },
        Action::Demote(package) => Command::Demote {
            package: package.clone(),
        },
        Action::Move { package, to } => Command::Move {
            package: package.clone(),
            to: to.clone(),
        },
        Action::Drain(node) => drain(node, true),
        Action::Resume(node) => drain(node, false),
    };
    let entry = Entry {
        index: entry.index,
        term: entry.term,
        at: entry.at,
        wall_ms: entry.wall_ms,
        request: None,
        command,
    };
    dispatch(draft, &entry, &entry.command)
}

/// The rules that an event fires.
#[allow(clippy::wildcard_enum_match_arm, reason = "all other events fire no rule")]
fn matching<'r>(rules: &'r RuleSet, event: &Event) -> Vec<&'r Rule> {
    let (trigger, package) = match &event.kind {
        EventKind::Placed { package, .. } => (Trigger::Startup, package),
        EventKind::Ended { package, .. } => (Trigger::Halt, package),
        EventKind::Failed { package, .. } => (Trigger::Fail, package),
        EventKind::Promoted { package, .. } => (Trigger::Promote, package),
        EventKind::Stopping {
            package,
            why: Reason::Promoted { .. },
            ..
        } => (Trigger::Demote, package),
        EventKind::Started { package, .. } => (Trigger::Mode, package),
        EventKind::GroupDegraded { group, .. } => return of(rules, Kind::Group, Trigger::Degraded, group.as_str()),
        EventKind::GroupRedundant { group, .. } => return of(rules, Kind::Group, Trigger::Redundant, group.as_str()),
        EventKind::GroupLost { group } => return of(rules, Kind::Group, Trigger::Lost, group.as_str()),
        EventKind::NodeRegistered { node, .. } => return of(rules, Kind::Node, Trigger::Up, node.as_str()),
        EventKind::NodeLost { node, .. } | EventKind::NodeLeft { node } => {
            return of(rules, Kind::Node, Trigger::Down, node.as_str());
        }
        EventKind::NodeOverloaded { node, .. } => return of(rules, Kind::Node, Trigger::Overload, node.as_str()),
        EventKind::NodeDrained { node, .. } => return of(rules, Kind::Node, Trigger::Drain, node.as_str()),
        _ => return Vec::new(),
    };
    of(rules, Kind::Package, trigger, package.as_str())
}

fn of<'r>(rules: &'r RuleSet, kind: Kind, trigger: Trigger, name: &str) -> Vec<&'r Rule> {
    rules.matching(kind, trigger, name).collect()
}
