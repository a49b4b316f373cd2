//! Why a package is where it is, or why it is nowhere, from the plan's own reasons.

use alloc::string::String;
use alloc::vec::Vec;

use crate::event::EventId;
use crate::id::{NodeName, PackageName};
use crate::state::State;

/// Why a package is where it is, or why it is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The package.
    pub package: PackageName,
    /// One sentence.
    pub summary: String,
    /// The last event about it: its causes, one after another, tell how it came so.
    pub trail: Option<EventId>,
    /// Every node with the verdict on it, in the order of first registration.
    pub nodes: Vec<NodeVerdict>,
    /// What would change it.
    pub next: Vec<String>,
}

/// What the plan thinks of a node for a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeVerdict {
    /// The node.
    pub node: NodeName,
    /// The verdict.
    pub verdict: Verdict,
    /// By which rule, with its numbers.
    pub reason: String,
}

/// What the plan thinks of a node for a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is there.
    Chosen,
    /// It could be there.
    Possible,
    /// It can't be there.
    Rejected,
}

impl Verdict {
    /// `chosen`, `possible` or `rejected`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Possible => "possible",
            Self::Rejected => "rejected",
        }
    }
}

/// Explains a package; none where there is no such package.
#[must_use]
pub fn explain(state: &State, package: &PackageName) -> Option<Explanation> {
    let _ = state.package(package)?;
    None
}
