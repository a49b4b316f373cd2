//! A stable hash of what decisions depend on, to compare servers.
//!
//! The hash is ours, not `core::hash`'s, because fingerprints of requests are part of the state: they must be the same
//! under every compiler.

mod fingerprint;

use alloc::sync::Arc;
use core::fmt;

use crate::state::State;

pub(crate) use fingerprint::fingerprint;

/// A hash of a [`State`]: equal on all servers at one index, or they have diverged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u64);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The digest of the state, in constant time: the tables keep theirs as rows change.
///
/// It covers everything that decisions depend on. Wall times are left out: they are for people.
#[must_use]
pub fn digest(state: &State) -> Digest {
    let mut hasher = Hasher::new();
    state.feed(&mut hasher);
    Digest(hasher.finish())
}

/// What can be fed to a [`Hasher`].
pub(crate) trait Feed {
    /// Feeds every field: destructure without `..`, so that a new field can't be forgotten.
    fn feed(&self, hasher: &mut Hasher);
}

/// A 64-bit hash over words.
#[derive(Debug)]
pub(crate) struct Hasher(u64);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(0x243f_6a88_85a3_08d3)
    }

    pub(crate) fn word(&mut self, word: u64) {
        let mixed = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        for chunk in bytes.chunks(8) {
            let mut word = [0u8; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.word(u64::from_le_bytes(word));
        }
    }

    pub(crate) fn finish(&self) -> u64 {
        let mut word = self.0;
        word ^= word >> 33;
        word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
        word ^= word >> 33;
        word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        word ^ (word >> 33)
    }
}

impl Feed for u64 {
    fn feed(&self, hasher: &mut Hasher) {
        hasher.word(*self);
    }
}

impl Feed for u32 {
    fn feed(&self, hasher: &mut Hasher) {
        hasher.word(u64::from(*self));
    }
}

impl Feed for bool {
    fn feed(&self, hasher: &mut Hasher) {
        hasher.word(u64::from(*self));
    }
}

impl Feed for str {
    fn feed(&self, hasher: &mut Hasher) {
        hasher.bytes(self.as_bytes());
    }
}

impl Feed for alloc::string::String {
    fn feed(&self, hasher: &mut Hasher) {
        hasher.bytes(self.as_bytes());
    }
}

impl<T: Feed + ?Sized> Feed for Arc<T> {
    fn feed(&self, hasher: &mut Hasher) {
        (**self).feed(hasher);
    }
}

impl<T: Feed> Feed for Option<T> {
    fn feed(&self, hasher: &mut Hasher) {
        match self {
            None => hasher.word(0),
            Some(value) => {
                hasher.word(1);
                value.feed(hasher);
            }
        }
    }
}

impl<T: Feed> Feed for [T] {
    fn feed(&self, hasher: &mut Hasher) {
        hasher.word(u64::try_from(self.len()).unwrap_or(u64::MAX));
        for value in self {
            value.feed(hasher);
        }
    }
}

macro_rules! feed_number {
    ($($type:ty),*) => {$(
        impl Feed for $type {
            fn feed(&self, hasher: &mut Hasher) {
                hasher.word(self.0.into());
            }
        }
    )*};
}
feed_number!(
    crate::id::Index,
    crate::id::NodeId,
    crate::id::MemberId,
    crate::id::SessionId,
    crate::id::Epoch,
    crate::id::Generation,
    crate::id::NodeIx,
    crate::id::PackageIx,
    crate::id::GroupIx,
    crate::time::Timestamp,
    crate::time::Millis
);

macro_rules! feed_name {
    ($($type:ty),*) => {$(
        impl Feed for $type {
            fn feed(&self, hasher: &mut Hasher) {
                hasher.bytes(self.as_str().as_bytes());
            }
        }
    )*};
}
feed_name!(crate::id::NodeName, crate::id::PackageName, crate::id::GroupName);

/// Feeds a stored shape, field by field.
macro_rules! feed_stored {
    ($($type:ty),*) => {$(
        impl Feed for $type {
            fn feed(&self, hasher: &mut Hasher) {
                hasher.word(fingerprint(self));
            }
        }
    )*};
}
feed_stored!(
    crate::command::Mode,
    crate::command::Wish,
    crate::command::EndCause,
    crate::command::PackageSpec,
    crate::command::GroupSpec,
    crate::command::ClusterSpec,
    crate::command::Capacity
);
