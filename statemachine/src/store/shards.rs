//! A map whose clone costs a few pointers: keys are spread over many small maps by a stable hash.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;

use crate::digest::{Feed, Hasher};

/// Branches, and maps of a branch: 4,096 maps, so that a million names make maps of about 250.
const FAN: u64 = 64;

type Branch<K, V> = Vec<Arc<BTreeMap<K, V>>>;

/// A map from `K` to `V`. It has no order: what is shown in an order is sorted by who shows it.
#[derive(Clone, Debug)]
pub(crate) struct Shards<K, V> {
    root: Arc<Vec<Arc<Branch<K, V>>>>,
    len: usize,
}

impl<K: Clone + Ord + Feed, V: Clone> Shards<K, V> {
    pub(crate) fn new() -> Self {
        let fan = usize::try_from(FAN).unwrap_or(1);
        let empty = Arc::new(BTreeMap::new());
        let branch = Arc::new(alloc::vec![empty; fan]);
        Self {
            root: Arc::new(alloc::vec![branch; fan]),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q: Ord + Feed + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (branch, shard) = path(key);
        self.root.get(branch)?.get(shard)?.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.shard(key)?.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let Some(shard) = self.shard(&key) else { return };
        if shard.insert(key, value).is_none() {
            self.len = self.len.saturating_add(1);
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.shard(key)?.remove(key)?;
        self.len = self.len.saturating_sub(1);
        Some(value)
    }

    fn shard(&mut self, key: &K) -> Option<&mut BTreeMap<K, V>> {
        let (branch, shard) = path(key);
        let branch = Arc::make_mut(Arc::make_mut(&mut self.root).get_mut(branch)?);
        Some(Arc::make_mut(branch.get_mut(shard)?))
    }
}

fn path<K: Feed + ?Sized>(key: &K) -> (usize, usize) {
    let mut hasher = Hasher::new();
    key.feed(&mut hasher);
    let hash = hasher.finish();
    let shard = hash.rem_euclid(FAN);
    let branch = hash.div_euclid(FAN).rem_euclid(FAN);
    (
        usize::try_from(branch).unwrap_or(0),
        usize::try_from(shard).unwrap_or(0),
    )
}
