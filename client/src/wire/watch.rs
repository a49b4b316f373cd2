//! What `/v1/watch` streams: the data of each kind of message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resource::Resource;

/// The name of a message that carries a [`WatchedState`].
pub const STATE: &str = "state";
/// The name of a message that carries a [`Current`].
pub const CURRENT: &str = "current";
/// The name of a message that carries an [`Event`](super::event::Event).
pub const CHANGE: &str = "change";
/// The name of a message that carries a [`Forgotten`]; the stream ends after it.
pub const FORGOTTEN: &str = "forgotten";
/// The name of a message that carries an [`Elsewhere`]; the stream ends after it.
pub const ELSEWHERE: &str = "elsewhere";

/// `event: state`: how a resource was as the stream began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchedState {
    /// As of this index.
    pub index: u64,
    /// The resource.
    #[serde(flatten)]
    pub resource: Resource,
}

/// `event: current`: the state is complete, and every change after this index follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Current {
    /// It.
    pub index: u64,
    /// So many resources were told of.
    pub resources: u64,
    /// True where a server answered from its own copy without a quorum.
    #[serde(default)]
    pub stale: bool,
}

/// `event: forgotten`: the reader fell behind what is kept, and the stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forgotten {
    /// The first index whose events are still kept.
    pub oldest: u64,
}

/// `event: elsewhere`: this server can't go on at the moment, and the stream ends; another one can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Elsewhere {
    /// Why.
    pub detail: String,
}
