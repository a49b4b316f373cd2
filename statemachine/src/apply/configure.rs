//! What is defined: all changes of a command or none.

mod checks;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use checks::{check_group_size, check_growth, check_modes_in_use, claim_dimensions};

use super::conditions::{check_condition, check_conditions};
use super::facts::check_rules;
use super::validate::{check_changes, check_cluster, check_group, check_package};
use super::{conflict, not_found, order, resource};
use crate::cluster::LeaseTail;
use crate::command::{ClusterSpec, ConfigChange, GroupSpec, PackageSpec, Shares, Wish};
use crate::digest::fingerprint;
use crate::draft::{Cause, Draft};
use crate::effect::Effect;
use crate::event::EventKind;
use crate::group::{Group, Health};
use crate::id::{GroupIx, GroupName, Index, NodeIx, PackageIx, PackageName};
use crate::node::NodeStatus;
use crate::outcome::{Accepted, Outcome, Rejection};
use crate::package::Package;
use crate::reload::Change;
use crate::state::{Deadline, Unit};
use crate::subject::condition_of;

pub(super) fn configure(draft: &mut Draft<'_>, expect: Option<Index>, changes: &[ConfigChange]) -> Outcome {
    let found = draft.state.cluster().map_or(Index(0), |cluster| cluster.config_index);
    if let Some(expected) = expect
        && expected != found
    {
        return Err(Rejection::Changed { expected, found });
    }
    check_changes(changes.len())?;
    let before = order::groups_of(draft, changes);
    let mut changed = false;
    let mut removed = false;
    let mut rules = None;
    for change in changes {
        changed |= match change {
            ConfigChange::PutCluster(spec) => put_cluster(draft, spec)?,
            ConfigChange::PutGroup(spec) => put_group(draft, spec)?,
            ConfigChange::RemoveGroup(name) => {
                removed = true;
                remove_group(draft, name)?
            }
            ConfigChange::PutPackage(spec) => put_package(draft, spec)?,
            ConfigChange::RemovePackage(name) => {
                removed = true;
                remove_package(draft, name)?
            }
            ConfigChange::PutRules(text) => {
                rules = Some(text.as_str());
                false
            }
        };
    }
    changed |= put_rules(draft, rules, removed)?;
    for group in before.into_iter().chain(order::groups_of(draft, changes)) {
        order::check(draft, group)?;
    }
    check_conditions(draft, changes)?;
    if changed {
        let index = draft.index;
        if let Some(cluster) = draft.state.cluster_mut() {
            cluster.config_index = index;
        }
        draft.effect(Effect::ConfigChanged);
    }
    Ok(Accepted::Done)
}

fn put_cluster(draft: &mut Draft<'_>, spec: &ClusterSpec) -> Result<bool, Rejection> {
    check_cluster(spec)?;
    check_modes_in_use(draft, spec)?;
    let now = draft.at();
    let Some(cluster) = draft.state.cluster_mut() else {
        return Err(Rejection::NoCluster);
    };
    if cluster.spec == *spec {
        return Ok(false);
    }
    let before = core::mem::replace(&mut cluster.spec, spec.clone());
    draft.say(None, EventKind::ClusterChanged);
    let thresholds = |spec: &ClusterSpec| (spec.overload, spec.resume);
    if before.shares != spec.shares || thresholds(&before) != thresholds(spec) {
        draft.touch_all();
    }
    if before.lease != spec.lease {
        change_lease(draft, &before, LeaseTail::from_now(before.lease, now));
    }
    Ok(true)
}

/// New rules, or the rules in force where something was removed: all that they name must be defined now.
fn put_rules(draft: &mut Draft<'_>, rules: Option<&str>, removed: bool) -> Result<bool, Rejection> {
    let Some(cluster) = draft.state.cluster() else {
        return Err(Rejection::NoCluster);
    };
    let before = cluster.rules.clone();
    let text = rules.unwrap_or(&before);
    let replaced = *text != *before;
    if !replaced && (!removed || before.is_empty()) {
        return Ok(false);
    }
    let checked = check_rules(draft.state, text).map_err(|errors| Rejection::Rules { errors })?;
    let count = u32::try_from(checked.rules().count()).unwrap_or(u32::MAX);
    draft.state.rules = Arc::new(checked);
    if replaced {
        let text = Arc::from(text);
        if let Some(cluster) = draft.state.cluster_mut() {
            cluster.rules = text;
        }
        draft.say(None, EventKind::RulesChanged { rules: count });
    }
    Ok(replaced)
}

/// Every session has the new lease from now on; the longer one before it still counts until it has surely ended.
fn change_lease(draft: &mut Draft<'_>, before: &ClusterSpec, tail: LeaseTail) {
    let Some(cluster) = draft.state.cluster_mut() else {
        return;
    };
    let lease = cluster.spec.lease;
    if before.lease > lease && cluster.lease_before.is_none_or(|older| older.lease <= tail.lease) {
        let older = cluster.lease_before.replace(tail);
        if let Some(older) = older {
            draft.drop_deadline(older.until, Deadline::LeaseBefore);
        }
        draft.set_deadline(tail.until, Deadline::LeaseBefore);
    }
    let numbers: Vec<NodeIx> = draft.state.nodes.iter().map(|(number, _)| NodeIx(number)).collect();
    for number in numbers {
        draft.change_node(number, |node| {
            let extended = node.extended;
            if let NodeStatus::Up { lease: granted, .. } = &mut node.status {
                *granted = extended.map_or(lease, |extended| extended.lease.max(lease));
            }
        });
    }
    super::session::update_lease_high(draft);
}

fn put_group(draft: &mut Draft<'_>, spec: &GroupSpec) -> Result<bool, Rejection> {
    check_group(spec)?;
    let index = draft.index;
    let name = spec.name.clone();
    let Some(number) = draft.state.groups_by_name.get(&name).copied() else {
        let number = GroupIx(draft.state.groups.insert(Group {
            spec: Arc::new(spec.clone()),
            changed: index,
            removing: false,
            members: Vec::new(),
            successor: None,
            vacancy: None,
            failovers: Vec::new(),
            exhausted: None,
            health: Health::Idle,
            trail: None,
            leaving: None,
        }));
        draft.state.groups_by_name.insert(name.clone(), number);
        draft.say_group(number, Cause::Outside, EventKind::GroupDefined { group: name });
        return Ok(true);
    };
    check_kind(draft, number, spec)?;
    let Some(group) = draft.state.group_at(number) else {
        return Ok(false);
    };
    if *group.spec == *spec && !group.removing {
        return Ok(false);
    }
    // Who waits is written down by unit, and what a unit is depends on the kind.
    let mut members = group.members.clone();
    members.retain(|_| group.spec.kind != spec.kind);
    for member in &members {
        draft.drop_claim(*member);
        draft.set_waiting(draft.state.unit_of(*member), false);
    }
    let Some(group) = draft.state.groups.get_mut(number.0) else {
        return Ok(false);
    };
    group.spec = Arc::new(spec.clone());
    group.changed = index;
    let defined = core::mem::take(&mut group.removing);
    let kind = if defined {
        EventKind::GroupDefined { group: name }
    } else {
        EventKind::GroupChanged { group: name }
    };
    draft.say_group(number, Cause::Outside, kind);
    draft.plan_unit(Unit::Group(number));
    for member in members {
        draft.plan_package(member);
    }
    Ok(true)
}

/// What its members are to each other decides what may be there only once, so it changes only while none of them runs.
fn check_kind(draft: &Draft<'_>, number: GroupIx, spec: &GroupSpec) -> Result<(), Rejection> {
    let Some(group) = draft
        .state
        .group_at(number)
        .filter(|group| group.spec.kind != spec.kind)
    else {
        return Ok(());
    };
    let mut running = draft
        .state
        .group_members(group)
        .filter(|(_, package)| package.instance.is_some());
    running.next().map_or(Ok(()), |(_, package)| {
        let (name, package) = (&spec.name, package.name());
        Err(conflict(format!(
            "group {name} can't change its kind while {package} of it runs: `stop` its packages, then repeat"
        )))
    })
}

fn remove_group(draft: &mut Draft<'_>, name: &GroupName) -> Result<bool, Rejection> {
    let number = find_group(draft, name)?;
    let Some(group) = draft.state.group_at(number) else {
        return Ok(false);
    };
    let staying = draft.state.group_members(group).find(|(_, package)| !package.removing);
    if let Some((_, member)) = staying {
        return Err(conflict(format!(
            "group {name} still has package {}: remove that first",
            member.name()
        )));
    }
    draft.say_group(number, Cause::Outside, EventKind::GroupRemoved { group: name.clone() });
    if let Some(group) = draft.state.groups.get_mut(number.0) {
        group.removing = true;
    }
    draft.bury_group(number);
    Ok(true)
}

/// A group that is defined.
fn find_group(draft: &Draft<'_>, name: &GroupName) -> Result<GroupIx, Rejection> {
    let state = &*draft.state;
    let known = state.groups_by_name.get(name).copied();
    known
        .filter(|number| state.group_at(*number).is_some_and(|group| !group.removing))
        .ok_or_else(|| {
            let names = state
                .groups
                .iter()
                .filter(|(_, group)| !group.removing)
                .map(|(_, group)| group.name().as_str());
            not_found("group", name.as_str(), names)
        })
}

fn put_package(draft: &mut Draft<'_>, spec: &PackageSpec) -> Result<bool, Rejection> {
    check_package(spec)?;
    check_condition(spec)?;
    let group = spec.group.as_ref().map(|group| find_group(draft, group)).transpose()?;
    match draft.state.packages_by_name.get(&spec.name).copied() {
        None => define(draft, spec, group).map(|()| true),
        Some(number) => redefine(draft, number, spec, group),
    }
}

fn define(draft: &mut Draft<'_>, spec: &PackageSpec, group: Option<GroupIx>) -> Result<(), Rejection> {
    claim_dimensions(draft, spec)?;
    resource::claim(draft, spec)?;
    check_group_size(draft, group)?;
    let index = draft.index;
    draft.state.order = draft.state.order.saturating_add(1);
    let number = PackageIx(draft.state.packages.insert(Package {
        spec: Arc::new(spec.clone()),
        spec_digest: fingerprint(spec),
        order: draft.state.order,
        changed: index,
        revision: index,
        wish: if spec.enabled { Wish::Start } else { Wish::Stop },
        own_mode: None,
        removing: false,
        group: None,
        load: draft.state.dimensions.load(&spec.load),
        instance: None,
        prefer: None,
        last: None,
        failures: Vec::new(),
        bans: Vec::new(),
        idle: None,
        maintenance: None,
        trail: None,
        claim: None,
        condition: condition_of(spec),
    }));
    draft.state.packages_by_name.insert(spec.name.clone(), number);
    draft.remember_mentions(number);
    if let Some(group) = group {
        draft.join_group(number, group);
    }
    draft.say_package(
        number,
        Cause::Outside,
        EventKind::PackageDefined {
            package: spec.name.clone(),
        },
    );
    draft.plan_package(number);
    Ok(())
}

fn redefine(
    draft: &mut Draft<'_>,
    number: PackageIx,
    spec: &PackageSpec,
    group: Option<GroupIx>,
) -> Result<bool, Rejection> {
    let Some(package) = draft.state.package_at(number) else {
        return Ok(false);
    };
    if *package.spec == *spec && !package.removing {
        return Ok(false);
    }
    let before = package.spec.clone();
    let was_removing = package.removing;
    if package.group != group {
        if package.instance.is_some() {
            let name = &spec.name;
            return Err(conflict(format!(
                "package {name} runs and can't change its group: `stop {name}`, then repeat"
            )));
        }
        check_group_size(draft, group)?;
    }
    draft.drop_claim(number);
    draft.forget_mentions(number);
    draft.state.dimensions.release(&before.load);
    claim_dimensions(draft, spec)?;
    check_growth(draft, number, spec)?;
    resource::claim(draft, spec)?;
    resource::release(draft, &before);
    change_unit(draft, number, group, spec);
    let index = draft.index;
    let change = Change::between(&before, spec);
    let load = draft.state.dimensions.load(&spec.load);
    let spec = Arc::new(spec.clone());
    draft.change_package(number, |package| {
        package.spec_digest = fingerprint(&*spec);
        package.spec = spec.clone();
        package.changed = index;
        package.load = load;
        package.condition = condition_of(&spec);
        if core::mem::take(&mut package.removing) || before.enabled != spec.enabled {
            package.wish = if spec.enabled { Wish::Start } else { Wish::Stop };
            package.own_mode = None;
        }
        if change != Change::Nothing {
            package.revision = index;
            package.forget_failures();
        }
    });
    draft.remember_mentions(number);
    if let Some(group) = group {
        draft.sort_members(group);
    }
    // Who gives way, and for whom, may be decided otherwise now.
    if let Some(node) = draft
        .state
        .package_at(number)
        .and_then(|package| Some(package.instance.as_ref()?.node))
    {
        draft.gained.insert(node);
        let shares = draft.state.cluster().map(|cluster| cluster.spec.shares);
        if before.priority != spec.priority && shares.is_some_and(|shares| shares != Shares::None) {
            draft.touch(node);
        }
    }
    let change = if draft.returns_to(number) {
        Change::Nothing
    } else {
        change
    };
    if change == Change::Nothing {
        draft.adopt(number);
    }
    let package = spec.name.clone();
    let kind = if was_removing {
        EventKind::PackageDefined { package }
    } else {
        EventKind::PackageChanged { package, change }
    };
    draft.say_package(number, Cause::Outside, kind);
    draft.plan_package(number);
    Ok(true)
}

/// Takes a package out of its old place in the order and in its group before its rank or group changes.
fn change_unit(draft: &mut Draft<'_>, number: PackageIx, group: Option<GroupIx>, spec: &PackageSpec) {
    let unit = draft.state.unit_of(number);
    draft.set_waiting(unit, false);
    if draft
        .state
        .package_at(number)
        .is_some_and(|package| package.group == group)
    {
        // Only the rank may change, and with it the unit's; the members are sorted once the definition is there.
        return;
    }
    draft.plan_unit(unit);
    draft.leave_unit(number);
    draft.change_package(number, |package| package.spec = Arc::new(spec.clone()));
    if let Some(group) = group {
        draft.join_group(number, group);
    }
}

fn remove_package(draft: &mut Draft<'_>, name: &PackageName) -> Result<bool, Rejection> {
    let number = super::control::find_package(draft, name)?;
    draft.change_package(number, |package| package.removing = true);
    draft.say_package(
        number,
        Cause::Outside,
        EventKind::PackageRemoved { package: name.clone() },
    );
    draft.plan_package(number);
    Ok(true)
}
