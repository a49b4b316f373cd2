//! The cluster as a whole: its id and settings, its servers, and whether placing has begun.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::ClusterSpec;
use crate::digest::{Feed, Hasher};
use crate::id::{Index, MemberId, NodeName};
use crate::node::Moment;
use crate::time::{Millis, Timestamp};

/// The lease of a cluster that was told nothing else.
pub const LEASE_DEFAULT: Millis = Millis(1_000);

/// How long a start from nothing waits for `min_nodes` where nothing else was said.
pub const START_WAIT_DEFAULT: Millis = Millis(60_000);

/// The per cent of its capacity at which a node sheds packages where nothing else was said.
pub const OVERLOAD_DEFAULT: u32 = 100;

/// The per cent of its capacity below which such a node takes packages again where nothing else was said.
pub const RESUME_DEFAULT: u32 = 85;

/// The largest of both: ten times the capacity.
pub const PER_CENT_MAX: u32 = 1_000;

/// What holds of the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Random, chosen at the bootstrap: tells two clusters apart.
    pub id: Arc<str>,
    /// Its settings.
    pub spec: ClusterSpec,
    /// The last entry that changed what is defined: what `If-Match` is compared with.
    pub config_index: Index,
    /// The longest lease that any daemon may still count on: what a new leader must wait out for all sessions.
    pub lease_high: Millis,
    /// A longer lease that was in force before, and when none of it can be left.
    pub lease_before: Option<LeaseTail>,
    /// Whether packages are placed yet.
    pub gate: StartGate,
    /// The rules in force, as they were written; empty where there are none.
    pub rules: Arc<str>,
    /// The manager touches nothing at all.
    pub maintenance: Option<Maintenance>,
    /// Everything was stopped in order, and nothing is started before somebody says so.
    pub stopped: bool,
    /// The last entry that stopped, started or maintained the cluster as a whole.
    pub acted: Index,
}

/// A lease that was granted and ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTail {
    /// How long it is.
    pub lease: Millis,
    /// When it has surely ended, in cluster time with a margin far above the clocks' error.
    pub until: Timestamp,
}

impl LeaseTail {
    /// A lease whose last grant was at most now: twice its length and 10 s more pass before it counts as ended.
    #[must_use]
    pub fn from_now(lease: Millis, now: Timestamp) -> Self {
        let until = now.plus(lease).plus(lease).plus(Millis(10_000));
        Self { lease, until }
    }
}

/// Something is not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// When that ends by itself; none: when somebody says so.
    pub until: Option<Moment>,
}

/// Whether packages are placed: after a start from nothing not before enough nodes are there, or the wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartGate {
    /// No node is up.
    Closed,
    /// Some nodes are up, not yet enough.
    Waiting {
        /// When placing begins all the same.
        until: Timestamp,
    },
    /// Packages are placed.
    Open,
}

/// A server in the Raft group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Never reused.
    pub id: MemberId,
    /// Its node's name.
    pub name: NodeName,
    /// Where its peers reach it, tried in turn.
    pub peer: Vec<String>,
    /// Where its API is.
    pub api: String,
    /// It only votes and stores: it runs no package, and gives the lead away.
    pub witness: bool,
}

impl Feed for Cluster {
    fn feed(&self, hasher: &mut Hasher) {
        let Self {
            id,
            spec,
            config_index,
            lease_high,
            lease_before,
            gate,
            rules,
            maintenance,
            stopped,
            acted,
        } = self;
        id.feed(hasher);
        spec.feed(hasher);
        config_index.feed(hasher);
        lease_high.feed(hasher);
        lease_before.feed(hasher);
        match gate {
            StartGate::Closed => hasher.word(0),
            StartGate::Waiting { until } => {
                hasher.word(1);
                until.feed(hasher);
            }
            StartGate::Open => hasher.word(2),
        }
        // Fed only where there are some, so that logs from before there were rules keep their digests.
        if !rules.is_empty() {
            rules.feed(hasher);
        }
        // Fed only where there is some, so that logs from before it was there keep their digests.
        if *stopped {
            hasher.word(0x7374_6f70_7065_6400);
        }
        if let Some(maintenance) = maintenance {
            maintenance.feed(hasher);
        }
        if *acted > Index(0) {
            hasher.word(0x6163_7465_6400);
            acted.feed(hasher);
        }
    }
}

impl Feed for Maintenance {
    fn feed(&self, hasher: &mut Hasher) {
        let Self { until } = self;
        until.feed(hasher);
    }
}

impl Feed for LeaseTail {
    fn feed(&self, hasher: &mut Hasher) {
        let Self { lease, until } = self;
        lease.feed(hasher);
        until.feed(hasher);
    }
}

impl Feed for Member {
    fn feed(&self, hasher: &mut Hasher) {
        let Self {
            id,
            name,
            peer,
            api,
            witness,
        } = self;
        id.feed(hasher);
        name.feed(hasher);
        peer.feed(hasher);
        api.feed(hasher);
        // Fed only where it is one, so that logs from before there were witnesses keep their digests.
        if *witness {
            witness.feed(hasher);
        }
    }
}
