//! What packages need of a node beside room: a network link, a disk, a service. Their daemons say whether these are up.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

pub use crate::log::v1::{Need, ResourceKind};

use crate::digest::{Feed, Hasher};
use crate::event::EventId;
use crate::id::NodeIx;
use crate::node::Moment;

/// The longest name of a resource: that of a mount point.
const NAME_BYTES_MAX: usize = 255;

/// Different needs in the whole cluster at most: every daemon looks at all of them.
pub const NEEDS_MAX: usize = 1_024;

impl ResourceKind {
    /// The word before the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Disk => "disk",
            Self::Service => "service",
        }
    }
}

impl Need {
    /// From `lan:eth1`, `disk:/data` or `service:db`.
    ///
    /// # Errors
    /// What is wrong, and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected \"lan:INTERFACE\", \"disk:/MOUNT/POINT\" or \"service:NAME\"";
        let Some((kind, name)) = text.split_once(':') else {
            return Err(format!("{text:?}: {expected}"));
        };
        let kind = match kind {
            "lan" => ResourceKind::Lan,
            "disk" => ResourceKind::Disk,
            "service" => ResourceKind::Service,
            _ => return Err(format!("{text:?}: {expected}")),
        };
        let need = Self {
            kind,
            name: name.to_string(),
        };
        need.check().map(|()| need)
    }

    /// Whether its name is one that such a resource can have.
    ///
    /// # Errors
    /// What is wrong, and what was expected.
    pub fn check(&self) -> Result<(), String> {
        let Self { kind, name } = self;
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(odd) {
            return Err(format!(
                "{self}: expected a name of 1 to {NAME_BYTES_MAX} bytes without blanks after the colon"
            ));
        }
        match kind {
            ResourceKind::Disk if !name.starts_with('/') => {
                Err(format!("{self}: expected a mount point, like disk:/data"))
            }
            ResourceKind::Lan | ResourceKind::Service if name.contains('/') => {
                Err(format!("{self}: a {} has no / in its name", kind.as_str()))
            }
            ResourceKind::Lan | ResourceKind::Disk | ResourceKind::Service => Ok(()),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

/// A resource of a node, as its daemon said it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Whether it can be used.
    pub up: bool,
    /// Since when it is so.
    pub since: Moment,
    /// What its daemon says of it, for people.
    pub detail: Arc<str>,
    /// The event that says so, where it changed.
    pub event: Option<EventId>,
}

/// The resources of a node that were reported in its present session.
#[derive(Clone, Debug, Default)]
pub struct Resources(pub(crate) Arc<BTreeMap<Need, Resource>>);

impl Resources {
    /// One of them; none: nothing was said of it.
    #[must_use]
    pub fn get(&self, need: &Need) -> Option<&Resource> {
        self.0.get(need)
    }

    /// All, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (&Need, &Resource)> {
        self.0.iter()
    }
}

impl Feed for Resources {
    fn feed(&self, hasher: &mut Hasher) {
        // Fed only where there are any, so that logs from before they were kept have the same digests.
        for (need, resource) in self.0.iter() {
            let Resource {
                up,
                since,
                detail,
                event,
            } = resource;
            hasher.word(crate::digest::fingerprint(need));
            up.feed(hasher);
            since.feed(hasher);
            detail.feed(hasher);
            event.feed(hasher);
        }
    }
}

/// What packages need, how many of them each, and where it is up. Derived from the rows of packages and nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) wanted: Arc<BTreeMap<Need, u32>>,
    pub(crate) up: Arc<BTreeMap<Need, Arc<BTreeSet<NodeIx>>>>,
}

impl Needs {
    /// Notes that one more package needs this; true where none did.
    pub(crate) fn claim(&mut self, need: &Need) -> bool {
        let count = Arc::make_mut(&mut self.wanted).entry(need.clone()).or_default();
        *count = count.saturating_add(1);
        *count == 1
    }

    /// Notes that one package less needs this; true where none does any more.
    pub(crate) fn release(&mut self, need: &Need) -> bool {
        let wanted = Arc::make_mut(&mut self.wanted);
        let Some(count) = wanted.get_mut(need) else {
            return false;
        };
        *count = count.saturating_sub(1);
        let last = *count == 0;
        if last {
            wanted.remove(need);
        }
        last
    }

    /// Notes whether a resource of a node is up.
    pub(crate) fn set(&mut self, node: NodeIx, need: &Need, is_up: bool) {
        let up = Arc::make_mut(&mut self.up);
        if is_up {
            Arc::make_mut(up.entry(need.clone()).or_default()).insert(node);
        } else if let Some(nodes) = up.get_mut(need) {
            Arc::make_mut(nodes).remove(&node);
            if nodes.is_empty() {
                up.remove(need);
            }
        }
    }

    /// Where a resource is up.
    pub(crate) fn nodes_with(&self, need: &Need) -> Option<&Arc<BTreeSet<NodeIx>>> {
        self.up.get(need)
    }
}
