//! A table of rows by dense number, with a digest of all of them that is kept as rows change.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::digest::{Feed, Hasher};

/// Rows of a page and pages of a branch: a first write after a clone copies two such lists of pointers and the root.
const FAN: u32 = 64;

type Page<T> = Vec<Option<Arc<Row<T>>>>;
type Branch<T> = Vec<Arc<Page<T>>>;

#[derive(Clone, Debug)]
struct Row<T> {
    digest: u64,
    value: T,
}

/// Rows by dense number. The lowest free number is taken first, so numbers are a function of what is there.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    root: Arc<Vec<Arc<Branch<T>>>>,
    /// Numbers below `high` that have no row.
    free: Arc<BTreeSet<u32>>,
    high: u32,
    /// Wrapping sum of the rows' digests, right after [`Table::settle`].
    sum: u64,
    /// Rows written since the last [`Table::settle`].
    dirty: Vec<u32>,
}

impl<T: Clone + Feed> Table<T> {
    pub(crate) fn new() -> Self {
        Self {
            root: Arc::new(Vec::new()),
            free: Arc::new(BTreeSet::new()),
            high: 0,
            sum: 0,
            dirty: Vec::new(),
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let (branch, page, row) = path(number);
        let row = self.root.get(branch)?.get(page)?.get(row)?.as_ref()?;
        Some(&row.value)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let row = self.slot(number)?.as_mut()?;
        // The borrow checker wants the mark before the row is handed out.
        let row = Arc::make_mut(row);
        Some(&mut row.value)
    }

    /// Puts a row at the lowest free number.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let number = self.free.first().copied().unwrap_or(self.high);
        self.insert_at(number, value);
        number
    }

    /// Puts a row at a number, as a snapshot holds it.
    pub(crate) fn insert_at(&mut self, number: u32, value: T) {
        while self.high <= number {
            Arc::make_mut(&mut self.free).insert(self.high);
            self.high = self.high.saturating_add(1);
        }
        Arc::make_mut(&mut self.free).remove(&number);
        self.grow(number);
        if let Some(slot) = self.slot(number) {
            *slot = Some(Arc::new(Row { digest: 0, value }));
        }
    }

    pub(crate) fn remove(&mut self, number: u32) {
        let Some(slot) = self.slot(number) else { return };
        let Some(row) = slot.take() else { return };
        self.sum = self.sum.wrapping_sub(row.digest);
        let free = Arc::make_mut(&mut self.free);
        free.insert(number);
        while let Some(last) = self.high.checked_sub(1)
            && free.remove(&last)
        {
            self.high = last;
        }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> u32 {
        self.high
            .saturating_sub(u32::try_from(self.free.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let rows = self
            .root
            .iter()
            .flat_map(|branch| branch.iter())
            .flat_map(|page| page.iter());
        (0u32..)
            .zip(rows)
            .filter_map(|(number, row)| row.as_ref().map(|row| (number, &row.value)))
    }

    /// Brings the digests of the rows written since the last time up to date.
    pub(crate) fn settle(&mut self) {
        let mut dirty = core::mem::take(&mut self.dirty);
        dirty.sort();
        dirty.dedup();
        for number in &dirty {
            let Some(value) = self.get(*number) else { continue };
            let mut hasher = Hasher::new();
            hasher.word(u64::from(*number));
            value.feed(&mut hasher);
            let fresh = hasher.finish();
            if let Some(Some(row)) = self.slot(*number) {
                let row = Arc::make_mut(row);
                let stale = core::mem::replace(&mut row.digest, fresh);
                self.sum = self.sum.wrapping_sub(stale).wrapping_add(fresh);
            }
        }
        dirty.clear();
        self.dirty = dirty;
    }

    /// The digest of all rows; current after [`Table::settle`].
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// The place of a row, for writing: marks it as written.
    fn slot(&mut self, number: u32) -> Option<&mut Option<Arc<Row<T>>>> {
        if self.dirty.last() != Some(&number) {
            self.dirty.push(number);
        }
        let (branch, page, row) = path(number);
        let branch = Arc::make_mut(Arc::make_mut(&mut self.root).get_mut(branch)?);
        Arc::make_mut(branch.get_mut(page)?).get_mut(row)
    }

    fn grow(&mut self, number: u32) {
        let (branch, page, row) = path(number);
        let root = Arc::make_mut(&mut self.root);
        while root.len() <= branch {
            root.push(Arc::new(Vec::new()));
        }
        // Every earlier branch and page is filled up, so that a row's number is its place.
        for (at, filled) in root.iter_mut().enumerate() {
            if at < branch && filled.len() >= place(FAN) && filled.last().is_some_and(|page| page.len() >= place(FAN)) {
                continue;
            }
            let filled = Arc::make_mut(filled);
            let pages = if at < branch {
                place(FAN)
            } else {
                page.saturating_add(1)
            };
            while filled.len() < pages {
                filled.push(Arc::new(Vec::new()));
            }
            for (at_page, rows) in filled.iter_mut().enumerate() {
                let wanted = if at < branch || at_page < page {
                    place(FAN)
                } else {
                    row.saturating_add(1)
                };
                if rows.len() < wanted {
                    Arc::make_mut(rows).resize_with(wanted, || None);
                }
            }
        }
    }
}

/// A number as a place in a list; `usize` has at least 32 bits wherever paceline runs.
pub(crate) fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn path(number: u32) -> (usize, usize, usize) {
    let row = number.rem_euclid(FAN);
    let pages = number.div_euclid(FAN);
    (place(pages.div_euclid(FAN)), place(pages.rem_euclid(FAN)), place(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_is_taken_and_the_digest_follows_the_rows() {
        let mut table = Table::new();
        for value in 0u64..10_000 {
            assert_eq!(u64::from(table.insert(value)), value);
        }
        table.settle();
        let full = (table.sum(), table.clone());
        table.remove(9_999);
        table.remove(70);
        table.remove(4_096);
        table.settle();
        assert_ne!(table.sum(), full.0);
        assert_eq!(table.get(70), None);
        assert_eq!(
            (table.insert(70), table.insert(4_096), table.insert(9_999)),
            (70, 4_096, 9_999)
        );
        table.settle();
        assert_eq!(table.sum(), full.0);
        if let Some(value) = table.get_mut(5) {
            *value = 6;
        }
        table.settle();
        assert_ne!(table.sum(), full.0);
        assert_eq!(full.1.get(5), Some(&5), "a clone keeps what it had");
        assert_eq!(table.iter().count(), 10_000);
    }

    #[test]
    fn rows_come_back_at_their_places() {
        let mut table = Table::new();
        for number in [3u32, 200, 5_000] {
            table.insert_at(number, u64::from(number));
        }
        table.settle();
        let rows: Vec<_> = table.iter().map(|(number, value)| (number, *value)).collect();
        assert_eq!(rows, [(3, 3), (200, 200), (5_000, 5_000)]);
        assert_eq!(table.insert(0), 0);
        assert_eq!(table.insert(1), 1);
        assert_eq!(table.insert(2), 2);
        assert_eq!(table.insert(4), 4);
    }
}
