//! Which units wait for a node, in order of rank, with the least that each of them needs.
//!
//! A node that gains room asks for the first one that it could take, and for the next one after that. Many wait where
//! nothing is free, so that the needs of a page are compared at a time.
//!
//! Derived from the packages, so it is no part of a snapshot.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::PackageIx;
use crate::load::{DIMENSIONS_MAX, Loads};
use crate::package::Rank;
use crate::room::{is_below, small, small_load};
use crate::state::{State, Unit};

/// Units of a page at most: what the first write after a clone copies. A full page is split.
const PAGE: usize = 128;

/// A unit by its rank.
pub(crate) type Ranked = (Rank, Unit);

/// Units in order of rank.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// None is empty.
    pages: Arc<Vec<(Head, Arc<Page>)>>,
}

/// What tells of many pages that there is nothing for a room in them.
#[derive(Clone, Copy, Debug)]
struct Head {
    first: Ranked,
    /// The least that any of them needs in each dimension.
    least: Loads,
}

#[derive(Clone, Debug)]
struct Page {
    units: Vec<(Ranked, Loads)>,
    /// What each of them needs in each dimension, as [`small`] numbers.
    needs: [[i32; PAGE]; DIMENSIONS_MAX],
}

impl Page {
    /// A page of these units, of which there are few enough.
    fn of(units: Vec<(Ranked, Loads)>) -> Self {
        let mut page = Self {
            units,
            needs: [[i32::MAX; PAGE]; DIMENSIONS_MAX],
        };
        page.count();
        page
    }

    /// None of an empty one.
    fn head(&self) -> Option<Head> {
        let (first, _) = self.units.first()?;
        Some(Head {
            first: *first,
            least: least(self.units.iter().map(|(_, needs)| *needs)),
        })
    }

    /// Writes down what its units need.
    fn count(&mut self) {
        for (dimension, needs) in self.needs.iter_mut().enumerate() {
            let units = self.units.iter().map(|(_, needs)| needs.0.get(dimension).copied());
            let known = units.map(|amount| match amount {
                // Whoever needs nothing fits where nothing is left.
                None | Some(0) => -1,
                Some(amount) => small_load(amount),
            });
            let rest = core::iter::repeat(i32::MAX);
            for (to, from) in needs.iter_mut().zip(known.chain(rest)) {
                *to = from;
            }
        }
    }

    /// Whether any of them could fit into a room, as far as small numbers tell.
    fn could_fit(&self, room: [u64; DIMENSIONS_MAX]) -> bool {
        let mut could = [true; PAGE];
        for (needs, room) in self.needs.iter().zip(room) {
            let room = small(room);
            for (could, needs) in could.iter_mut().zip(needs) {
                *could &= *needs < room;
            }
        }
        // Not `any`: all are looked at, many at a time.
        could.iter().fold(false, |found, could| found | *could)
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
        self.pages.iter().flat_map(|(_, page)| page.units.iter())
    }

    /// The page that has a unit, or would have it.
    fn page_of(&self, unit: Ranked) -> usize {
        let after = self.pages.partition_point(|(head, _)| head.first <= unit);
        after.saturating_sub(1)
    }

    /// Writes down that a unit waits, and what it needs at least.
    pub(crate) fn insert(&mut self, unit: Ranked, needs: Loads) {
        let at = self.page_of(unit);
        let known = self.pages.get(at).and_then(|(_, page)| {
            let place = page.units.binary_search_by_key(&unit, |(unit, _)| *unit).ok()?;
            page.units.get(place)
        });
        if known.is_some_and(|(_, known)| *known == needs) {
            return;
        }
        let Some((_, page)) = self.pages.get(at) else {
            self.replace(at, Page::of(Vec::from([(unit, needs)])));
            return;
        };
        let mut units = page.units.clone();
        match units.binary_search_by_key(&unit, |(unit, _)| *unit) {
            Ok(place) => {
                if let Some((_, known)) = units.get_mut(place) {
                    *known = needs;
                }
            }
            Err(place) => units.insert(place, (unit, needs)),
        }
        let upper = (units.len() >= PAGE).then(|| units.split_off(PAGE.div_euclid(2)));
        self.replace(at, Page::of(units));
        if let Some((head, page)) = upper.map(Page::of).and_then(|page| Some((page.head()?, page))) {
            Arc::make_mut(&mut self.pages).insert(at.saturating_add(1), (head, Arc::new(page)));
        }
    }

    /// Writes down that a unit does not wait.
    pub(crate) fn remove(&mut self, unit: Ranked) {
        let at = self.page_of(unit);
        let Some((_, page)) = self.pages.get(at) else { return };
        if let Ok(place) = page.units.binary_search_by_key(&unit, |(unit, _)| *unit) {
            let mut units = page.units.clone();
            units.remove(place);
            self.replace(at, Page::of(units));
        }
    }

    /// Puts a page in place of another one, or after the last; an empty one goes.
    fn replace(&mut self, at: usize, page: Page) {
        let pages = Arc::make_mut(&mut self.pages);
        match (page.head(), pages.get_mut(at)) {
            (Some(head), Some(known)) => *known = (head, Arc::new(page)),
            (Some(head), None) => pages.push((head, Arc::new(page))),
            (None, Some(_)) => {
                pages.remove(at);
            }
            (None, None) => {}
        }
    }

    /// The first unit after another one that fits into the room that there is for a rank: for a less important one there
    /// is never more. It is asked for ranks in their order.
    pub(crate) fn first_after(
        &self,
        after: Option<Ranked>,
        mut room: impl FnMut(Rank) -> [u64; DIMENSIONS_MAX],
    ) -> Option<Ranked> {
        let from = after.map_or(0, |after| self.page_of(after));
        for (head, page) in self.pages.iter().skip(from) {
            let (rank, _) = head.first;
            let most = room(rank);
            if !is_below(head.least, most) || !page.could_fit(most) {
                continue;
            }
            let mut rest = page
                .units
                .iter()
                .filter(|(unit, needs)| is_below(*needs, most) && after.is_none_or(|after| *unit > after));
            if let Some((unit, _)) = rest.find(|((rank, _), needs)| is_below(*needs, room(*rank))) {
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
    let idle = |number: PackageIx| {
        let package = state.package_at(number)?;
        package.instance.is_none().then_some(package.load)
    };
    let mut idle = state.members_of(unit).into_iter().filter_map(idle).peekable();
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
        for most in [0, 1, 5, 20, 100] {
            for after in [None, Some(ranked(0)), Some(ranked(700)), Some(ranked(1_999))] {
                // The less important, the less there is.
                let room = |rank: Rank| [most, u64::MAX.saturating_sub(rank.order * 9_000_000_000_000_000), 1, 0];
                let slow = held
                    .iter()
                    .filter(|(unit, _)| after.is_none_or(|after| *unit > after))
                    .find(|((rank, _), needs)| is_below(*needs, room(*rank)));
                assert_eq!(waiting.first_after(after, room), slow.map(|(unit, _)| *unit));
            }
        }
        for order in 0..2_000 {
            waiting.remove(ranked(order));
        }
        assert_eq!(waiting.iter().next(), None);
    }
}
