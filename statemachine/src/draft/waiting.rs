//! Which units wait for a node, and which packages are gone for good.

use super::Draft;
use crate::apply::resource;
use crate::id::{GroupIx, PackageIx};
use crate::state::{Deadline, Scope, Unit};
use crate::waiting;

impl Draft<'_> {
    /// Records whether a unit waits for a node.
    pub(crate) fn set_waiting(&mut self, unit: Unit, waits: bool) {
        let Some(rank) = self.state.unit_rank(unit) else { return };
        match waits.then(|| waiting::needs(self.state, unit)).flatten() {
            Some(needs) => self.state.waiting.insert((rank, unit), needs),
            None => self.state.waiting.remove((rank, unit)),
        }
    }

    /// Deletes a package that was removed, once nothing of it is left.
    pub(crate) fn bury(&mut self, number: PackageIx) {
        let Some(package) = self.state.package_at(number) else {
            return;
        };
        if !package.removing || package.instance.is_some() {
            return;
        }
        let maintenance = package.maintenance;
        self.state.maintained = self.state.maintained.saturating_sub(u32::from(maintenance.is_some()));
        if let Some(until) = maintenance.and_then(|maintenance| maintenance.until) {
            self.drop_deadline(until.at, Deadline::Maintenance(Scope::Package(number)));
        }
        let Some(package) = self.state.package_at(number) else {
            return;
        };
        let spec = package.spec.clone();
        let group = package.group;
        self.drop_claim(number);
        self.forget_mentions(number);
        self.leave_unit(number);
        self.state.packages_by_name.remove(&spec.name);
        self.state.dimensions.release(&spec.load);
        resource::release(self, &spec);
        self.state.packages.remove(number.0);
        if let Some(group) = group {
            self.bury_group(group);
        }
    }

    /// Deletes a group that was removed, once its last package is gone.
    pub(crate) fn bury_group(&mut self, number: GroupIx) {
        let Some(group) = self.state.group_at(number) else {
            return;
        };
        if !group.removing || !group.members.is_empty() {
            return;
        }
        let name = group.name().clone();
        if let Some(until) = group.exhausted.and_then(|exhausted| exhausted.until) {
            self.drop_deadline(until, Deadline::Failovers(number));
        }
        self.state.groups_by_name.remove(&name);
        self.state.groups.remove(number.0);
    }

    /// Takes a package out of its group, and its unit out of the waiting ones.
    pub(crate) fn leave_unit(&mut self, number: PackageIx) {
        let unit = self.state.unit_of(number);
        self.set_waiting(unit, false);
        if let Some(group) = self.state.package_at(number).and_then(|package| package.group)
            && let Some(group) = self.state.groups.get_mut(group.0)
        {
            group.members.retain(|member| *member != number);
            if group.successor == Some(number) {
                group.successor = None;
            }
            if group.vacancy.is_some_and(|vacancy| vacancy.package == number) {
                group.vacancy = None;
            }
        }
        self.change_package(number, |package| package.group = None);
    }

    /// Puts a package into a group, in order of rank.
    pub(crate) fn join_group(&mut self, number: PackageIx, group: GroupIx) {
        self.set_waiting(Unit::Group(group), false);
        self.change_package(number, |package| package.group = Some(group));
        if let Some(group) = self.state.groups.get_mut(group.0) {
            group.members.push(number);
        }
        self.sort_members(group);
    }

    /// Brings a group's members back into order of rank.
    pub(crate) fn sort_members(&mut self, group: GroupIx) {
        let Some(row) = self.state.group_at(group) else { return };
        let mut members = row.members.clone();
        members.sort_by_key(|member| self.state.package_at(*member).map(crate::package::Package::rank));
        if let Some(row) = self.state.groups.get_mut(group.0) {
            row.members = members;
        }
    }
}
