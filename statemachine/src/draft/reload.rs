//! The verbs of a definition that changes under an instance: a reload asked for, done, failed; or nothing to be told.

use alloc::string::String;

use super::{Cause, Draft};
use crate::event::EventKind;
use crate::id::{Index, PackageIx};
use crate::plan::maintenance;
use crate::reload::{Change, Reload};

impl Draft<'_> {
    /// Has a package's instance told of its present definition. Nothing of what is not to be touched is.
    pub(crate) fn reload(&mut self, number: PackageIx) {
        let Some(package) = self.state.package_at(number) else {
            return;
        };
        let Some(node) = package.instance.as_ref().map(|instance| instance.node) else {
            return;
        };
        if maintenance::is_held(self.state, number) {
            return;
        }
        let revision = package.revision;
        self.change_instance(number, |instance| instance.reload = Some(Reload::Asked(revision)));
        self.touch(node);
        if let Some((package, node)) = self.names(number, node) {
            self.say_package(number, Cause::Trail, EventKind::Reloading { package, node });
        }
    }

    /// Takes what a node says of a reload. An answer to an older one says nothing of the present definition.
    pub(crate) fn reloaded(&mut self, number: PackageIx, revision: Index, error: Option<String>) {
        let Some(row) = self.state.package_at(number) else {
            return;
        };
        let asked = |instance: &&crate::package::Instance| instance.is_live() && instance.reloading() == Some(revision);
        let Some(node) = row.instance.as_ref().filter(asked).map(|instance| instance.node) else {
            return;
        };
        let Some((package, node_name)) = self.names(number, node) else {
            return;
        };
        let kind = match error {
            None => {
                self.change_instance(number, |instance| {
                    instance.reload = None;
                    instance.revision = revision;
                });
                self.adopt(number);
                EventKind::Reloaded {
                    package,
                    node: node_name,
                }
            }
            Some(detail) => {
                self.change_instance(number, |instance| instance.reload = Some(Reload::Failed(revision)));
                EventKind::ReloadFailed {
                    package,
                    node: node_name,
                    detail,
                }
            }
        };
        self.touch(node);
        self.say_package(number, Cause::Trail, kind);
        self.plan_package(number);
    }

    /// Whether a package's definition has become again what its instance runs and was never told to leave: then there is nothing to
    /// restart or to tell.
    pub(crate) fn returns_to(&mut self, number: PackageIx) -> bool {
        let Some(package) = self.state.package_at(number) else {
            return false;
        };
        let revision = package.revision;
        let returns = package.instance.as_ref().is_some_and(|instance| {
            instance.is_live()
                && instance.revision != revision
                && instance.reload.is_none()
                && Change::between(&instance.spec, &package.spec) == Change::Nothing
        });
        if returns {
            self.change_instance(number, |instance| instance.revision = revision);
        }
        returns
    }

    /// An instance that needs no restart, or none any more, goes on under the new definition, with the new load.
    pub(crate) fn adopt(&mut self, number: PackageIx) {
        let Some(package) = self.state.package_at(number) else {
            return;
        };
        let Some(instance) = package
            .instance
            .as_ref()
            .filter(|instance| instance.revision == package.revision)
        else {
            return;
        };
        let (node, before, load, spec) = (instance.node, instance.load, package.load, package.spec.clone());
        let (was_alone, alone) = (u32::from(instance.spec.exclusive), u32::from(spec.exclusive));
        let leaving = instance.is_leaving();
        self.change_instance(number, |instance| {
            instance.spec = spec;
            instance.load = load;
        });
        if before == load && was_alone == alone {
            return;
        }
        self.change_node(node, |node| {
            node.planned = node.planned.minus(before).plus(load);
            node.alone = node.alone.saturating_sub(was_alone).saturating_add(alone);
            if leaving {
                node.leaving = node.leaving.minus(before).plus(load);
            }
        });
        self.grown.insert(number);
        self.gained.insert(node);
    }
}
