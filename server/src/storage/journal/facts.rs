//! What an event says in words, for programs.

use serde::{Deserialize, Serialize};

/// What the sentence of an event says, as far as takeovers are told from it. Frozen like the event that it is part of: a
/// new field is left out of what is stored where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The group of the package that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What may be active only once is the package itself, not the whole of its group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// Under which epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The node where it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Why, in one stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The package that room is made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_for: Option<String>,
    /// It concerns the one of its unit that is active, or is to be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub holds: bool,
    /// That it may still run on a lost node was said before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stranded: bool,
}

impl Facts {
    /// Itself, where it says anything.
    #[must_use]
    pub fn or_none(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}
