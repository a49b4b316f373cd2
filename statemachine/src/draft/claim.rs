//! Room that is kept for a package until what is being stopped there has ended.
//!
//! Whoever is stopped to make room holds that room until its end is proven. Without a claim somebody else could take it
//! in between, and the stop would have been for nothing.

use alloc::vec::Vec;

use super::Draft;
use crate::id::{NodeIx, PackageIx};
use crate::load::Loads;

impl Draft<'_> {
    /// Keeps room for a package on a node.
    pub(crate) fn claim(&mut self, number: PackageIx, node: NodeIx) {
        self.drop_claim(number);
        let Some(package) = self.state.package_at(number) else {
            return;
        };
        let (load, alone) = (package.load, package.spec.exclusive);
        self.change_package(number, |package| package.claim = Some(node));
        self.change_node(node, |row| {
            if let Err(place) = row.claims.binary_search(&number) {
                row.claims.insert(place, number);
            }
            row.claimed = row.claimed.plus(load);
            row.alone = row.alone.saturating_add(u32::from(alone));
        });
        self.shake(number);
    }

    /// Keeps no room for a package any more; gives whether any was kept.
    pub(crate) fn drop_claim(&mut self, number: PackageIx) -> bool {
        let Some(package) = self.state.package_at(number) else {
            return false;
        };
        let Some(node) = package.claim else { return false };
        let (load, alone) = (package.load, package.spec.exclusive);
        self.change_package(number, |package| package.claim = None);
        self.change_node(node, |row| {
            row.claims.retain(|there| *there != number);
            row.claimed = row.claimed.minus(load);
            row.alone = row.alone.saturating_sub(u32::from(alone));
        });
        self.gained.insert(node);
        self.shake(number);
        true
    }

    /// Has every package looked at again for which room is kept on a node: it may not be of use any more.
    pub(crate) fn plan_claims(&mut self, node: NodeIx) {
        let claims = self.state.node_at(node).map(|row| row.claims.clone());
        for number in claims.unwrap_or_default() {
            self.plan_package(number);
        }
    }

    /// Writes down that an instance on a node is being stopped and will not come back by itself.
    pub(super) fn count_leaving(&mut self, node: NodeIx, load: Loads) {
        self.change_node(node, |row| row.leaving = row.leaving.plus(load));
        self.gained.insert(node);
    }

    /// Has everything looked at again whose condition names a package, or its group: it has come or gone.
    pub(crate) fn shake(&mut self, number: PackageIx) {
        if self.state.mentions.len() == 0 {
            return;
        }
        let Some(package) = self.state.package_at(number) else {
            return;
        };
        let by_name = self.state.mentions.get(package.name().as_str());
        let group = package.group.and_then(|group| self.state.group_at(group));
        let by_group = group.and_then(|group| self.state.mentions.get(group.name().as_str()));
        let who = by_name.into_iter().chain(by_group);
        let who: Vec<PackageIx> = who.flat_map(|who| who.iter().copied()).collect();
        for mentioner in who {
            self.plan_package(mentioner);
        }
    }
}
