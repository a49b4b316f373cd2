//! Conditions (M6) on a node: does one hold there, and does a newcomer break somebody else's?
//!
//! Exclusion is symmetric: a newcomer's own condition must hold with it there, and so must the condition of everything
//! there that names the newcomer or its group, whoever wrote it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::event::EventId;
use crate::id::{NodeIx, PackageIx};
use crate::node::Node;
use crate::package::Package;
use crate::plan::eligible::Terms;
use crate::plan::maintenance;
use crate::reason::Obstacle;
use crate::rules::condition::{Expression, Polarity};
use crate::state::State;
use crate::subject::Subject;

/// What counts as being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lens {
    /// For a start: whatever is being stopped may be there or not.
    Now,
    /// For a claim: whatever is being stopped for good is gone.
    Later,
}

/// One node as a condition sees it.
struct Sight<'a> {
    state: &'a State,
    node: NodeIx,
    lens: Lens,
    /// These are taken as running there.
    with: &'a [PackageIx],
    /// These are taken as gone.
    without: &'a [PackageIx],
}

impl Sight<'_> {
    /// Whether a package runs there; none where that is not settled.
    fn runs(&self, number: PackageIx) -> Option<bool> {
        if self.with.contains(&number) {
            return Some(true);
        }
        if self.without.contains(&number) {
            return Some(false);
        }
        let Some(package) = self.state.package_at(number) else {
            return Some(false);
        };
        if let Some(instance) = package.instance.as_ref().filter(|it| it.node == self.node) {
            return match (instance.is_live(), instance.is_leaving(), self.lens) {
                (true, _, _) => Some(true),
                (false, true, Lens::Later) => Some(false),
                (false, _, _) => None,
            };
        }
        (package.claim != Some(self.node)).then_some(false)
    }

    fn name(&self, subject: &Subject) -> Option<bool> {
        let package = subject.package.as_ref();
        let package = package.and_then(|name| self.state.packages_by_name.get(name).copied());
        let group = subject.group.as_ref();
        let group = group.and_then(|name| self.state.groups_by_name.get(name).copied());
        let members = group.and_then(|group| self.state.group_at(group));
        let members = members.into_iter().flat_map(|group| group.members.iter().copied());
        let mut known = Some(false);
        for number in package.into_iter().chain(members) {
            match self.runs(number) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => known = None,
            }
        }
        known
    }

    fn decides(&self, condition: &Expression<Subject>) -> Option<bool> {
        condition.decided(&mut |subject| self.name(subject))
    }
}

/// Who has a place on a condition that names a package or its group, and where.
pub(crate) fn wary_of(state: &State, number: PackageIx, package: &Package) -> Vec<(NodeIx, PackageIx)> {
    if state.mentions.len() == 0 {
        return Vec::new();
    }
    let by_name = state.mentions.get(package.name().as_str());
    let group = package.group.and_then(|group| state.group_at(group));
    let by_group = group.and_then(|group| state.mentions.get(group.name().as_str()));
    let who = by_name.into_iter().chain(by_group).flat_map(|who| who.iter().copied());
    let mut wary = Vec::new();
    for mentioner in who.filter(|mentioner| *mentioner != number) {
        let Some(package) = state.package_at(mentioner) else {
            continue;
        };
        let here = package.instance.as_ref().map(|instance| instance.node);
        wary.extend(here.into_iter().chain(package.claim).map(|node| (node, mentioner)));
    }
    wary.sort();
    wary.dedup();
    wary
}

/// Whether the conditions of newcomers surely hold on a node with them there and these gone.
pub(crate) fn holds_for(state: &State, party: &[PackageIx], node: NodeIx, lens: Lens, without: &[PackageIx]) -> bool {
    let sight = Sight {
        state,
        node,
        lens,
        with: party,
        without,
    };
    let mut conditions = party
        .iter()
        .filter_map(|number| state.package_at(*number)?.condition.as_deref());
    conditions.all(|condition| sight.decides(condition) == Some(true))
}

/// Whether the condition of what runs on a node holds by what runs there, with these there and those gone.
pub(crate) fn still_holds(
    state: &State,
    number: PackageIx,
    node: NodeIx,
    with: &[PackageIx],
    without: &[PackageIx],
) -> bool {
    let Some(condition) = state
        .package_at(number)
        .and_then(|package| package.condition.as_deref())
    else {
        return true;
    };
    let sight = Sight {
        state,
        node,
        lens: Lens::Later,
        with,
        without,
    };
    condition.holds(&mut |subject| sight.name(subject) == Some(true) || is_itself(state, number, subject))
}

/// Whoever of these is on a node on the condition that what goes is there goes with it: each whose condition holds with `with`, and not
/// any more. What is in maintenance goes on whether its condition holds or not.
pub(crate) fn add_dependents<I: Iterator<Item = PackageIx>>(
    state: &State,
    node: NodeIx,
    here: impl Fn() -> I,
    with: &[PackageIx],
    gone: &mut Vec<PackageIx>,
) {
    let is_named = |number: &PackageIx| {
        let package = state.package_at(*number);
        package.is_some_and(|package| !wary_of(state, *number, package).is_empty())
    };
    if !gone.iter().any(is_named) {
        return;
    }
    let holds = |number: PackageIx, gone: &[PackageIx]| still_holds(state, number, node, with, gone);
    let breaks = |number: PackageIx, gone: &[PackageIx]| {
        !gone.contains(&number) && !maintenance::is_held(state, number) && holds(number, &[]) && !holds(number, gone)
    };
    while let Some(broken) = here().find(|number| breaks(*number, gone)) {
        gone.push(broken);
    }
}

fn is_itself(state: &State, number: PackageIx, subject: &Subject) -> bool {
    let Some(package) = state.package_at(number) else {
        return false;
    };
    let group = package.group.and_then(|group| state.group_at(group));
    subject.as_str() == package.name().as_str() || group.is_some_and(|group| subject.as_str() == group.name().as_str())
}

/// The first of those there whose condition does not allow the newcomer beside it.
pub(crate) fn first_against(
    state: &State,
    terms: &Terms,
    node: NodeIx,
    lens: Lens,
    without: &[PackageIx],
) -> Option<PackageIx> {
    let there = terms.wary.iter().filter(|(there, _)| *there == node);
    let mut there = there.map(|(_, other)| *other).filter(|other| !without.contains(other));
    there.find(|other| is_against(state, *other, &terms.party, node, lens, without))
}

fn is_against(
    state: &State,
    other: PackageIx,
    party: &[PackageIx],
    node: NodeIx,
    lens: Lens,
    without: &[PackageIx],
) -> bool {
    let Some(package) = state.package_at(other) else {
        return false;
    };
    let Some(condition) = package.condition.as_deref() else {
        return false;
    };
    let instance = package.instance.as_ref().filter(|instance| instance.node == node);
    match instance {
        Some(instance) if instance.is_live() => !still_holds(state, other, node, party, without),
        Some(instance) if lens == Lens::Later && instance.is_leaving() => false,
        // It is being stopped, or will start there: only what excludes the newcomer whatever else is there counts.
        Some(_) | None => {
            let names_it = |subject: &Subject| {
                is_itself(state, other, subject) || party.iter().any(|newcomer| is_itself(state, *newcomer, subject))
            };
            condition.decided(&mut |subject| names_it(subject).then_some(true)) == Some(false)
        }
    }
}

/// What conditions have against a package on a node.
pub(crate) fn obstacle(state: &State, terms: &Terms, node: NodeIx) -> Option<Obstacle> {
    let package = state.package_at(*terms.party.first()?)?;
    if let Some(condition) = package.condition.as_deref()
        && !holds_for(state, &terms.party, node, Lens::Now, &[])
    {
        let with = &terms.party;
        let sight = Sight {
            state,
            node,
            lens: Lens::Now,
            with,
            without: &[],
        };
        let failing = condition.failing(&mut |subject| sight.name(subject) == Some(true));
        return Some(Obstacle::Condition {
            condition: failing.unwrap_or(condition).to_string(),
        });
    }
    let other = state.package_at(first_against(state, terms, node, Lens::Now, &[])?)?;
    Some(Obstacle::Against {
        package: other.name().clone(),
        condition: other.spec.condition.clone().unwrap_or_default(),
    })
}

/// The part of a package's condition that does not hold where it runs; none where all of it does.
pub(crate) fn unmet(state: &State, number: PackageIx, node: NodeIx) -> Option<String> {
    let condition = state.package_at(number)?.condition.as_deref()?;
    let sight = Sight {
        state,
        node,
        lens: Lens::Later,
        with: &[],
        without: &[],
    };
    let mut is_true = |subject: &Subject| sight.name(subject) == Some(true) || is_itself(state, number, subject);
    condition.failing(&mut is_true).map(ToString::to_string)
}

/// The packages that a condition names with one sign, groups by their members.
pub(crate) fn named(state: &State, number: PackageIx, sign: Polarity) -> Vec<PackageIx> {
    let condition = state
        .package_at(number)
        .and_then(|package| package.condition.as_deref());
    let mut found = Vec::new();
    for atom in condition.into_iter().flat_map(|condition| condition.atoms()) {
        if atom.polarity != sign {
            continue;
        }
        let package = atom.name.package.as_ref();
        found.extend(package.and_then(|name| state.packages_by_name.get(name).copied()));
        let group = atom.name.group.as_ref();
        let group = group.and_then(|name| state.groups_by_name.get(name).copied());
        found.extend(
            group
                .and_then(|group| state.group_at(group))
                .into_iter()
                .flat_map(|group| group.members.iter().copied()),
        );
    }
    found
}

/// The last event about anything that a condition names, or about the package itself: what its end follows from.
pub(crate) fn latest_trail(state: &State, number: PackageIx) -> Option<EventId> {
    let [for_it, against_it] = [Polarity::Positive, Polarity::Negative].map(|sign| named(state, number, sign));
    let all = for_it.into_iter().chain(against_it).chain([number]);
    all.filter_map(|other| state.package_at(other)?.trail).max()
}

/// Whether what a package is, or will be where room is kept for it, needs the node for itself.
pub(crate) fn is_exclusive(state: &State, number: PackageIx) -> bool {
    state.package_at(number).is_some_and(|package| match &package.instance {
        Some(instance) => instance.spec.exclusive,
        None => package.spec.exclusive,
    })
}

/// How many instances on a node need it for themselves.
pub(crate) fn alone_instances(state: &State, node: &Node) -> u32 {
    let alone = node.instances.iter().filter(|number| is_exclusive(state, **number));
    u32::try_from(alone.count()).unwrap_or(u32::MAX)
}
