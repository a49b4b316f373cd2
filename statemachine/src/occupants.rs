//! What has a place on each node, the most important first: what every look at a node reads.
//!
//! A node's packages lie far from each other in the table of packages, so that to read a hundred of them costs more than all
//! that is done with them. Here they are one list.
//!
//! Derived from the packages, so it is no part of a snapshot. [`State::change_row`] keeps it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{NodeIx, PackageIx};
use crate::load::Loads;
use crate::package::{Importance, Package};
use crate::state::State;
use crate::store::table::place;

/// Nodes of a page: what the first write after a clone copies, beside the node's list.
const PAGE: usize = 64;

/// One that has a place on a node, and will still have it when everything that is being stopped has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Occupant {
    pub(crate) importance: Importance,
    pub(crate) number: PackageIx,
    pub(crate) load: Loads,
    /// It could be given up now for a more important one, as far as it alone tells.
    pub(crate) yields: bool,
}

/// The lists of all nodes, by [`NodeIx`].
#[derive(Clone, Debug)]
pub(crate) struct Occupants {
    pages: Arc<Vec<Arc<Page>>>,
}

type Page = Vec<Arc<Vec<Occupant>>>;

impl Occupants {
    pub(crate) fn new() -> Self {
        Self {
            pages: Arc::new(Vec::new()),
        }
    }

    /// What has a place on a node, the most important first.
    pub(crate) fn on(&self, node: NodeIx) -> &[Occupant] {
        let at = place(node.0);
        let page = self.pages.get(at.div_euclid(PAGE));
        let list = page.and_then(|page| page.get(at.rem_euclid(PAGE)));
        list.map_or(&[], |list| list.as_slice())
    }

    fn list(&mut self, node: NodeIx) -> Option<&mut Vec<Occupant>> {
        let (page, at) = (place(node.0).div_euclid(PAGE), place(node.0).rem_euclid(PAGE));
        let pages = Arc::make_mut(&mut self.pages);
        if pages.len() <= page {
            pages.resize(page.saturating_add(1), Arc::new(Vec::new()));
        }
        let page = pages.get_mut(page).map(Arc::make_mut)?;
        if page.len() <= at {
            page.resize(at.saturating_add(1), Arc::new(Vec::new()));
        }
        page.get_mut(at).map(Arc::make_mut)
    }

    fn insert(&mut self, node: NodeIx, occupant: Occupant) {
        if let Some(list) = self.list(node) {
            let place = list.binary_search(&occupant).unwrap_or_else(|place| place);
            list.insert(place, occupant);
        }
    }

    fn remove(&mut self, node: NodeIx, occupant: Occupant) {
        if let Some(list) = self.list(node)
            && let Ok(place) = list.binary_search(&occupant)
        {
            list.remove(place);
        }
    }
}

/// How a package stands, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Presence {
    /// None where it has no place, or is being stopped for good.
    occupant: Option<Occupant>,
    /// Where it is.
    here: Option<NodeIx>,
    /// Where room is kept for it.
    claim: Option<NodeIx>,
}

impl Presence {
    fn of(number: PackageIx, package: &Package) -> Self {
        let standing = match &package.instance {
            Some(instance) if instance.is_leaving() => None,
            Some(instance) => Some((instance.importance(package), instance.load, instance.is_live())),
            None => package.claim.map(|_| (package.as_active(), package.load, true)),
        };
        Self {
            occupant: standing.map(|(importance, load, settled)| Occupant {
                importance,
                number,
                load,
                yields: settled && package.spec.preemptible,
            }),
            here: package.instance.as_ref().map(|instance| instance.node),
            claim: package.claim,
        }
    }

    fn places(self) -> impl Iterator<Item = (NodeIx, Occupant)> {
        let places = self.here.into_iter().chain(self.claim);
        places.filter_map(move |node| Some((node, self.occupant?)))
    }
}

impl State {
    /// Changes a package's row and whatever is derived from how it stands; its node's row apart.
    pub(crate) fn change_row<T>(&mut self, number: PackageIx, change: impl FnOnce(&mut Package) -> T) -> Option<T> {
        let package = self.packages.get_mut(number.0)?;
        let before = Presence::of(number, package);
        let given = change(package);
        let after = Presence::of(number, package);
        if after != before {
            for (node, occupant) in before.places() {
                self.occupants.remove(node, occupant);
                self.yielding.mark(node);
            }
            for (node, occupant) in after.places() {
                self.occupants.insert(node, occupant);
                self.yielding.mark(node);
            }
        }
        Some(given)
    }

    /// Puts every package on the lists of its nodes: once, when a snapshot has been read.
    pub(crate) fn list_occupants(&mut self) {
        let rows = self.packages.iter();
        let there: Vec<_> = rows
            .flat_map(|(number, row)| Presence::of(PackageIx(number), row).places())
            .collect();
        for (node, occupant) in there {
            self.occupants.insert(node, occupant);
        }
    }

    /// The first node whose list is not what its packages say.
    pub(crate) fn stale_occupants(&self) -> Option<NodeIx> {
        let listed = |node: &NodeIx| {
            let row = self.node_at(*node);
            let there = row.into_iter().flat_map(|row| row.instances.iter().chain(&row.claims));
            let mut there: Vec<Occupant> = there
                .filter_map(|number| Presence::of(*number, self.package_at(*number)?).occupant)
                .collect();
            there.sort();
            there != self.occupants.on(*node)
        };
        self.nodes.iter().map(|(number, _)| NodeIx(number)).find(listed)
    }
}
