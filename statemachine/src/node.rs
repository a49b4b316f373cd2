//! A node: one computer of the cluster, as the manager knows it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::cluster::{LeaseTail, Maintenance};
use crate::command::{Capacity, Containment};
use crate::digest::{Feed, Hasher};
use crate::event::EventId;
use crate::id::{Generation, Index, NodeId, NodeName, PackageIx, SessionId};
use crate::load::Loads;
use crate::resource::Resources;
use crate::time::{Millis, Timestamp};

/// Values of a node that people and programs may set: so many at most, each of at most [`ATTRIBUTE_BYTES_MAX`].
pub const ATTRIBUTES_MAX: usize = 1_024;

/// The longest attribute.
pub const ATTRIBUTE_BYTES_MAX: usize = 1_024;

/// When something was: cluster time decides, wall time is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Moment {
    /// Cluster time.
    pub at: Timestamp,
    /// The leader's wall clock in milliseconds since 1970.
    pub wall_ms: u64,
}

impl Feed for Moment {
    fn feed(&self, hasher: &mut Hasher) {
        let Self { at, wall_ms: _ } = self;
        at.feed(hasher);
    }
}

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// Its daemon has a session.
    Up {
        /// Which.
        session: SessionId,
        /// The longest lease that this session may count on.
        lease: Millis,
    },
    /// Its session's lease has ended.
    Lost {
        /// The session that was lost.
        session: SessionId,
        /// An operator has said that the node is off.
        confirmed: bool,
    },
    /// Its daemon ended in order.
    Left {
        /// The last session.
        session: SessionId,
    },
}

impl NodeStatus {
    /// `up`, `lost` or `left`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up { .. } => "up",
            Self::Lost { .. } => "lost",
            Self::Left { .. } => "left",
        }
    }

    /// The present session, or the last one.
    #[must_use]
    pub fn session(self) -> SessionId {
        match self {
            Self::Up { session, .. } | Self::Lost { session, .. } | Self::Left { session } => session,
        }
    }
}

/// One computer of the cluster.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id, never reused.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Whether it takes part.
    pub status: NodeStatus,
    /// Since when.
    pub since: Moment,
    /// Whether packages are moved away from it.
    pub drain: bool,
    /// Which machine it is.
    pub machine: Arc<str>,
    /// The kernel's boot id at its last registration.
    pub boot: Arc<str>,
    /// Of its last registration.
    pub nonce: Arc<str>,
    /// What it has.
    pub capacity: Arc<Capacity>,
    /// For placement.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Where its API is.
    pub api: Arc<str>,
    /// Small replicated values.
    pub attributes: Attributes,
    /// The version of its desired set.
    pub generation: Generation,
    /// The last report of the session that was taken.
    pub sequence: u64,
    /// A lease that its session was given for a planned restart.
    pub extended: Option<LeaseTail>,
    /// How its packages' processes are held together, where its daemon said so.
    pub containment: Option<Containment>,
    /// The packages that have an instance here, stopping ones too; sorted.
    pub instances: Vec<PackageIx>,
    /// The sum of their loads.
    pub planned: Loads,
    /// The sum of the loads of those that are stopping and won't come back by themselves.
    pub leaving: Loads,
    /// The packages for which room is kept here; sorted.
    pub claims: Vec<PackageIx>,
    /// The sum of their loads.
    pub claimed: Loads,
    /// How many of all these need the node for themselves.
    pub alone: u32,
    /// The last event about it.
    pub trail: Option<EventId>,
    /// What its daemon says of its links, disks and services.
    pub resources: Resources,
    /// The manager touches nothing here.
    pub maintenance: Option<Maintenance>,
    /// Its measured load has reached the threshold: it sheds packages, and takes none.
    pub overload: Option<Overload>,
}

/// A node's measured load has reached the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Since when.
    pub since: Moment,
    /// The event that said so.
    pub event: Option<EventId>,
    /// Nothing more could be shed, and an event has said so.
    pub stuck: bool,
}

impl Node {
    /// Whether it is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.status, NodeStatus::Up { .. })
    }

    /// Whether anything may be placed on it.
    #[must_use]
    pub fn takes_packages(&self) -> bool {
        self.is_up() && !self.drain && self.maintenance.is_none() && self.overload.is_none()
    }

    /// Its present session, where it is up.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self.status {
            NodeStatus::Up { session, .. } => Some(session),
            NodeStatus::Lost { .. } | NodeStatus::Left { .. } => None,
        }
    }
}

/// By key: the value, and when it was set.
type AttributeTable = BTreeMap<Arc<str>, (Arc<str>, Index)>;

/// A node's small replicated values, by key.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    values: Arc<AttributeTable>,
    /// When a key was last removed: of a key that is not there nothing else is kept.
    removed: Index,
    sum: u64,
}

impl Attributes {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| &**value)
    }

    /// The index of a key's last change. Of a key that is not there: that of the last removal of any key, so that it is
    /// never too small.
    #[must_use]
    pub fn changed(&self, key: &str) -> Index {
        self.values.get(key).map_or(self.removed, |(_, changed)| *changed)
    }

    /// The index of the last removal of any key.
    #[must_use]
    pub fn removed(&self) -> Index {
        self.removed
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, (value, _))| (&**key, &**value))
    }

    pub(crate) fn kept(removed: Index) -> Self {
        let mut kept = Self::default();
        kept.note_removal(removed);
        kept
    }

    fn note_removal(&mut self, index: Index) {
        let digest = |removed: Index| {
            let mut hasher = Hasher::new();
            removed.feed(&mut hasher);
            hasher.finish()
        };
        if self.removed != Index(0) {
            self.sum = self.sum.wrapping_sub(digest(self.removed));
        }
        if index != Index(0) {
            self.sum = self.sum.wrapping_add(digest(index));
        }
        self.removed = index;
    }

    pub(crate) fn set(&mut self, key: &str, value: &str, changed: Index) {
        self.take(key);
        self.sum = self.sum.wrapping_add(attribute_digest(key, value, changed));
        Arc::make_mut(&mut self.values).insert(Arc::from(key), (Arc::from(value), changed));
    }

    pub(crate) fn remove(&mut self, key: &str, index: Index) {
        if self.take(key) {
            self.note_removal(index);
        }
    }

    fn take(&mut self, key: &str) -> bool {
        if !self.values.contains_key(key) {
            return false;
        }
        if let Some((value, changed)) = Arc::make_mut(&mut self.values).remove(key) {
            self.sum = self.sum.wrapping_sub(attribute_digest(key, &value, changed));
        }
        true
    }
}

fn attribute_digest(key: &str, value: &str, changed: Index) -> u64 {
    let mut hasher = Hasher::new();
    key.feed(&mut hasher);
    value.feed(&mut hasher);
    changed.feed(&mut hasher);
    hasher.finish()
}

impl Feed for NodeStatus {
    fn feed(&self, hasher: &mut Hasher) {
        match self {
            Self::Up { session, lease } => {
                hasher.word(0);
                session.feed(hasher);
                lease.feed(hasher);
            }
            Self::Lost { session, confirmed } => {
                hasher.word(1);
                session.feed(hasher);
                confirmed.feed(hasher);
            }
            Self::Left { session } => {
                hasher.word(2);
                session.feed(hasher);
            }
        }
    }
}

impl Feed for Node {
    fn feed(&self, hasher: &mut Hasher) {
        let Self {
            id,
            name,
            status,
            since,
            drain,
            machine,
            boot,
            nonce,
            capacity,
            labels,
            api,
            attributes,
            generation,
            sequence,
            extended,
            containment,
            instances,
            planned,
            trail,
            leaving: _,
            claims: _,
            claimed: _,
            alone: _,
            resources,
            maintenance,
            overload,
        } = self;
        id.feed(hasher);
        name.feed(hasher);
        status.feed(hasher);
        since.feed(hasher);
        drain.feed(hasher);
        machine.feed(hasher);
        boot.feed(hasher);
        nonce.feed(hasher);
        capacity.feed(hasher);
        hasher.word(crate::digest::fingerprint(&**labels));
        api.feed(hasher);
        hasher.word(attributes.sum);
        generation.feed(hasher);
        sequence.feed(hasher);
        extended.feed(hasher);
        instances.feed(hasher);
        planned.feed(hasher);
        trail.feed(hasher);
        // Fed only where it is known, so that logs from before it was asked for keep their digests.
        if let Some(containment) = containment {
            hasher.word(match containment {
                Containment::Namespace => 0,
                Containment::UserNamespace => 1,
                Containment::Group => 2,
            });
        }
        resources.feed(hasher);
        // Fed only where there is some, so that logs from before it was there keep their digests.
        if let Some(maintenance) = maintenance {
            maintenance.feed(hasher);
        }
        // The same, of what is measured.
        if let Some(Overload { since, event, stuck }) = overload {
            hasher.word(0x6f76_6572_6c6f_6164);
            since.feed(hasher);
            event.feed(hasher);
            stuck.feed(hasher);
        }
    }
}
