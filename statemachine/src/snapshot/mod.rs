//! The state as it is stored in a snapshot, and back. Shapes are frozen per version.

pub mod v1;

use alloc::string::String;

/// Why a stored state can't be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this snapshot can't be loaded: {text}")]
pub struct SnapshotError {
    /// What was found.
    pub text: String,
}
