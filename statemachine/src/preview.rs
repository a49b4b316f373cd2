//! What would happen: commands applied to a clone of the state, with daemons that do at once what they are told.

use alloc::string::String;
use alloc::vec::Vec;

use crate::command::{Command, Mode};
use crate::id::{Index, NodeName, PackageName};
use crate::outcome::Rejection;
use crate::state::State;

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The index that it was computed at.
    pub index: Index,
    /// What becomes defined otherwise, in words.
    pub changes: Vec<String>,
    /// What happens to instances, in order of rank.
    pub steps: Vec<Step>,
    /// Packages that would run nowhere afterwards although they should.
    pub unplaced: Vec<Unplaced>,
    /// Whether any step stops something that runs.
    pub disruptive: bool,
}

/// What happens to one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Which package.
    pub package: PackageName,
    /// Where.
    pub node: NodeName,
    /// Where it was, for a move.
    pub from: Option<NodeName>,
    /// In which mode it is afterwards; none where it is stopped.
    pub mode: Option<Mode>,
    /// Why.
    pub reason: String,
}

/// What is done to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is started where it did not run.
    Start,
    /// It is stopped and runs nowhere afterwards.
    Stop,
    /// A standby becomes active in place.
    Promote,
    /// The active one becomes standby on its node, by a stop and a start.
    Demote,
    /// It is stopped and started on its node.
    Restart,
    /// It is stopped and started on another node.
    Move,
}

impl Action {
    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Restart => "restart",
            Self::Move => "move",
        }
    }
}

/// A package that would run nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Which.
    pub package: PackageName,
    /// Why.
    pub reason: String,
}

/// What commands would do.
///
/// # Errors
/// The rejection of the first command that would be rejected.
pub fn preview(state: &State, commands: &[Command]) -> Result<Preview, Rejection> {
    let _ = (state, commands);
    Err(Rejection::NoCluster)
}

/// What the loss of a node would do.
///
/// # Errors
/// [`Rejection::NotFound`], or [`Rejection::Conflict`] where the node is not up.
pub fn preview_loss(state: &State, node: &NodeName) -> Result<Preview, Rejection> {
    let _ = (state, node);
    Err(Rejection::NoCluster)
}
