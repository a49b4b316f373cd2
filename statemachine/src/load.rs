//! Loads and capacities as vectors: a name for each of at most four dimensions.

use alloc::string::{String, ToString};
use alloc::sync::Arc;

use crate::command::{Capacity, Load};
use crate::digest::{Feed, Hasher};

/// How many dimensions there can be at one time: a scan over nodes compares so many numbers.
pub const DIMENSIONS_MAX: usize = 4;

/// The largest load or capacity that counts, so that shares of it fit a word: larger ones are taken as this.
pub const LOAD_MAX: u64 = 1 << 48;

/// The dimensions that are always there, in this order: millicores and MiB.
pub const BUILT_IN: [&str; 2] = ["cpu", "memory"];

/// An amount in each dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Loads(pub [u64; DIMENSIONS_MAX]);

impl Loads {
    /// The sum, held at the largest value instead of overflowing.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for (to, from) in self.0.iter_mut().zip(other.0) {
            *to = to.saturating_add(from);
        }
        self
    }

    /// The difference, held at zero.
    #[must_use]
    pub fn minus(mut self, other: Self) -> Self {
        for (to, from) in self.0.iter_mut().zip(other.0) {
            *to = to.saturating_sub(from);
        }
        self
    }
}

impl Feed for Loads {
    fn feed(&self, hasher: &mut Hasher) {
        for amount in self.0 {
            hasher.word(amount);
        }
    }
}

/// Which name each dimension has. `cpu` and `memory` are always there; a further one is there as long as a package's
/// load names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimensions {
    further: [Option<(Arc<str>, u64)>; DIMENSIONS_MAX - BUILT_IN.len()],
}

impl Dimensions {
    /// Only the built-in ones.
    #[must_use]
    pub fn new() -> Self {
        Self { further: [None, None] }
    }

    /// The names in use, by place.
    pub fn names(&self) -> impl Iterator<Item = Option<&str>> {
        let further = self.further.iter().map(|slot| slot.as_ref().map(|(name, _)| &**name));
        BUILT_IN.into_iter().map(Some).chain(further)
    }

    /// A load as a vector. A dimension that it does not name is 0.
    #[must_use]
    pub fn load(&self, load: &Load) -> Loads {
        let mut loads = Loads::default();
        for (to, name) in loads.0.iter_mut().zip(self.names()) {
            *to = name
                .and_then(|name| load.0.get(name))
                .map_or(0, |amount| (*amount).min(LOAD_MAX));
        }
        loads
    }

    /// A capacity as a vector. A node that does not declare `cpu` or `memory` is not metered in it (none: without
    /// limit); of any other dimension that it does not declare it has nothing.
    #[must_use]
    pub fn capacity(&self, capacity: &Capacity) -> [Option<u64>; DIMENSIONS_MAX] {
        let mut amounts = [None; DIMENSIONS_MAX];
        for (place, (to, name)) in amounts.iter_mut().zip(self.names()).enumerate() {
            let declared = name
                .and_then(|name| capacity.0.get(name))
                .map(|amount| (*amount).min(LOAD_MAX));
            *to = if place < BUILT_IN.len() {
                declared
            } else {
                Some(declared.unwrap_or(0))
            };
        }
        amounts
    }

    /// Counts one more user of each further dimension that a load names.
    ///
    /// # Errors
    /// The name of the dimension that there is no place for; nothing is counted then.
    pub(crate) fn claim(&mut self, load: &Load) -> Result<(), String> {
        let before = self.clone();
        for name in further(load) {
            let known = self.further.iter_mut().flatten().find(|(known, _)| **known == *name);
            if let Some((_, users)) = known {
                *users = users.saturating_add(1);
            } else if let Some(slot) = self.further.iter_mut().find(|slot| slot.is_none()) {
                *slot = Some((Arc::from(name), 1));
            } else {
                *self = before;
                return Err(name.to_string());
            }
        }
        Ok(())
    }

    /// Counts one user less of each further dimension that a load names.
    pub(crate) fn release(&mut self, load: &Load) {
        for name in further(load) {
            for slot in &mut self.further {
                let Some((known, users)) = slot else { continue };
                if **known == *name {
                    *users = users.saturating_sub(1);
                    if *users == 0 {
                        *slot = None;
                    }
                }
            }
        }
    }

    /// The further dimensions with their users, by place: for the snapshot.
    pub(crate) fn further(&self) -> impl Iterator<Item = Option<(&str, u64)>> {
        self.further
            .iter()
            .map(|slot| slot.as_ref().map(|(name, users)| (&**name, *users)))
    }

    /// Takes what [`Dimensions::further`] gave.
    pub(crate) fn restore(slots: impl Iterator<Item = Option<(String, u64)>>) -> Self {
        let mut dimensions = Self::new();
        for (to, from) in dimensions.further.iter_mut().zip(slots) {
            *to = from.map(|(name, users)| (Arc::from(name), users));
        }
        dimensions
    }
}

impl Default for Dimensions {
    fn default() -> Self {
        Self::new()
    }
}

impl Feed for Dimensions {
    fn feed(&self, hasher: &mut Hasher) {
        for slot in self.further() {
            hasher.word(slot.map_or(0, |(_, users)| users));
            slot.map_or("", |(name, _)| name).feed(hasher);
        }
    }
}

fn further(load: &Load) -> impl Iterator<Item = &str> {
    let named = load
        .0
        .iter()
        .filter(|(_, amount)| **amount > 0)
        .map(|(name, _)| name.as_str());
    named.filter(|name| !BUILT_IN.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(amounts: &[(&str, u64)]) -> Capacity {
        Capacity(
            amounts
                .iter()
                .map(|(name, amount)| (name.to_string(), *amount))
                .collect(),
        )
    }

    #[test]
    fn a_dimension_is_there_as_long_as_a_load_names_it() {
        let mut dimensions = Dimensions::new();
        let gpu = amounts(&[("cpu", 1), ("gpu", 2)]);
        assert_eq!(dimensions.claim(&gpu), Ok(()));
        assert_eq!(dimensions.claim(&amounts(&[("gpu", 1), ("disk", 3)])), Ok(()));
        assert_eq!(dimensions.load(&gpu), Loads([1, 0, 2, 0]));
        assert_eq!(
            dimensions.claim(&amounts(&[("disk", 1), ("tape", 1)])),
            Err("tape".to_string())
        );
        dimensions.release(&amounts(&[("gpu", 1), ("disk", 3)]));
        assert_eq!(dimensions.claim(&amounts(&[("tape", 1)])), Ok(()));
        assert_eq!(
            dimensions.load(&amounts(&[("tape", 5), ("gpu", 1)])),
            Loads([0, 0, 1, 5])
        );
    }

    #[test]
    fn what_a_node_does_not_declare() {
        let mut dimensions = Dimensions::new();
        assert_eq!(dimensions.claim(&amounts(&[("gpu", 1)])), Ok(()));
        assert_eq!(
            dimensions.capacity(&amounts(&[("cpu", 8)])),
            [Some(8), None, Some(0), Some(0)]
        );
    }
}
