//! Which units wait for a node, in order of rank, with the least that each of them needs.
//!
//! A node that gains room asks for the first one that it could take, and for the next one after that. Many wait where
//! nothing is free, so that pages of them are passed over by the least that any of their units needs.
//!
//! Derived from the packages, so it is no part of a snapshot.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::PackageIx;
use crate::load::Loads;
use crate::package::Rank;
use crate::state::{State, Unit};

/// Units of a page at most: what the first write after a clone copies. A full page is split.
const PAGE: usize = 128;

/// A unit by its rank.
pub(crate) type Ranked = (Rank, Unit);

/// Units in order of rank.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// None is empty.
    pages: Arc<Vec<Arc<Page>>>,
}

#[derive(Clone, Debug)]
struct Page {
    /// The least that any of them needs, in each dimension.
    least: Loads,
    units: Vec<(Ranked, Loads)>,
}

impl Page {
    fn of(units: Vec<(Ranked, Loads)>) -> Self {
        let least = least(units.iter().map(|(_, needs)| *needs));
        Self { least, units }
    }
}

/// The least in each dimension.
fn least(loads: impl Iterator<Item = Loads>) -> Loads {
    let smaller = |mut all: Loads, one: Loads| {
        for (all, one) in all.0.iter_mut().zip(one.0) {
            *all = one.min(*all);
        }
        all
    };
    loads.reduce(smaller).unwrap_or_default()
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self {
            pages: Arc::new(Vec::new()),
        }
    }

    /// Every unit that waits, in order of rank.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Ranked> {
        self.rows().map(|(unit, _)| *unit)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &(Ranked, Loads)> {
        self.pages.iter().flat_map(|page| page.units.iter())
    }

    /// The page that has a unit, or would have it.
    fn page_of(&self, unit: Ranked) -> usize {
        let after = self
            .pages
            .partition_point(|page| page.units.first().is_some_and(|(first, _)| *first <= unit));
        after.saturating_sub(1)
    }

    /// Writes down that a unit waits, and what it needs at least.
    pub(crate) fn insert(&mut self, unit: Ranked, needs: Loads) {
        let at = self.page_of(unit);
        let known = self.pages.get(at).and_then(|page| {
            let place = page.units.binary_search_by_key(&unit, |(unit, _)| *unit).ok()?;
            page.units.get(place)
        });
        if known.is_some_and(|(_, known)| *known == needs) {
            return;
        }
        let pages = Arc::make_mut(&mut self.pages);
        let Some(page) = pages.get_mut(at) else {
            pages.push(Arc::new(Page::of(Vec::from([(unit, needs)]))));
            return;
        };
        let page = Arc::make_mut(page);
        match page.units.binary_search_by_key(&unit, |(unit, _)| *unit) {
            Ok(place) => {
                if let Some((_, known)) = page.units.get_mut(place) {
                    *known = needs;
                }
            }
            Err(place) => page.units.insert(place, (unit, needs)),
        }
        page.least = least(page.units.iter().map(|(_, needs)| *needs));
        if page.units.len() > PAGE {
            let upper = page.units.split_off(PAGE.div_euclid(2));
            page.least = least(page.units.iter().map(|(_, needs)| *needs));
            pages.insert(at.saturating_add(1), Arc::new(Page::of(upper)));
        }
    }

    /// Writes down that a unit does not wait.
    pub(crate) fn remove(&mut self, unit: Ranked) {
        let at = self.page_of(unit);
        let place = self
            .pages
            .get(at)
            .and_then(|page| page.units.binary_search_by_key(&unit, |(unit, _)| *unit).ok());
        let Some(place) = place else { return };
        let pages = Arc::make_mut(&mut self.pages);
        let Some(page) = pages.get_mut(at).map(Arc::make_mut) else {
            return;
        };
        page.units.remove(place);
        if page.units.is_empty() {
            pages.remove(at);
        } else {
            page.least = least(page.units.iter().map(|(_, needs)| *needs));
        }
    }

    /// The first unit after another one that could be taken. What `could` says of the first rank and the least needs of
    /// several must hold for each of them.
    pub(crate) fn first_after(
        &self,
        after: Option<Ranked>,
        mut could: impl FnMut(Rank, Loads) -> bool,
    ) -> Option<Ranked> {
        let from = after.map_or(0, |after| self.page_of(after));
        for page in self.pages.iter().skip(from) {
            let Some(((rank, _), _)) = page.units.first() else {
                continue;
            };
            if !could(*rank, page.least) {
                continue;
            }
            let mut rest = page
                .units
                .iter()
                .filter(|(unit, _)| after.is_none_or(|after| *unit > after));
            if let Some((unit, _)) = rest.find(|((rank, _), needs)| could(*rank, *needs)) {
                return Some(*unit);
            }
        }
        None
    }
}

/// Two are equal where the same units wait for the same, however they lie on pages.
impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.rows().eq(other.rows())
    }
}

/// What a unit needs at least to have one more of its packages somewhere; none where all have an instance.
pub(crate) fn needs(state: &State, unit: Unit) -> Option<Loads> {
    let (single, group) = match unit {
        Unit::Package(package) => (Some(package), None),
        Unit::Group(group) => (None, state.group_at(group)),
    };
    let members = group.into_iter().flat_map(|group| group.members.iter().copied());
    let idle = |number: PackageIx| {
        let package = state.package_at(number)?;
        package.instance.is_none().then_some(package.load)
    };
    let mut idle = single.into_iter().chain(members).filter_map(idle).peekable();
    idle.peek()?;
    Some(least(idle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(order: u64) -> Ranked {
        let number = u32::try_from(order).unwrap_or(0);
        (
            Rank {
                priority: u32::MAX,
                order,
            },
            Unit::Package(PackageIx(number)),
        )
    }

    /// A load from 0 to 99 in two dimensions, which differ.
    fn load(order: u64) -> Loads {
        Loads([order.wrapping_mul(7_919) % 100, order.wrapping_mul(104_729) % 100, 0, 0])
    }

    #[test]
    fn units_come_in_order_and_the_first_that_fits_is_found() {
        let mut waiting = Waiting::new();
        let mut held = Vec::new();
        for order in (0..2_000u64).map(|it| it.wrapping_mul(577) % 2_000) {
            waiting.insert(ranked(order), load(order));
        }
        for order in (0..2_000).filter(|order| order % 3 == 0) {
            waiting.remove(ranked(order));
        }
        waiting.insert(ranked(1), Loads::default());
        for order in 0..2_000 {
            if order % 3 != 0 {
                held.push((ranked(order), if order == 1 { Loads::default() } else { load(order) }));
            }
        }
        assert!(waiting.rows().eq(held.iter()));
        for room in [0, 1, 5, 20, 100] {
            for after in [None, Some(ranked(0)), Some(ranked(700)), Some(ranked(1_999))] {
                let could = |_: Rank, needs: Loads| needs.0.iter().all(|needs| *needs <= room);
                let slow = held
                    .iter()
                    .filter(|(unit, _)| after.is_none_or(|after| *unit > after))
                    .find(|((rank, _), needs)| could(*rank, *needs));
                assert_eq!(waiting.first_after(after, could), slow.map(|(unit, _)| *unit));
            }
        }
        for order in 0..2_000 {
            waiting.remove(ranked(order));
        }
        assert_eq!(waiting.iter().next(), None);
    }
}
