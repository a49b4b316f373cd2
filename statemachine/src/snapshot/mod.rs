//! The state as it is stored in a snapshot, and back.
//!
//! The server adds the header (format version, feature level) and the bytes; here are the shapes, frozen per version,
//! and the two conversions. A state that went through a snapshot decides as the one that did not.

mod load;
mod store;
pub mod v1;

use alloc::string::String;

pub use load::from_stored;
pub use store::to_stored;

/// Why a stored state can't be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this snapshot can't be loaded: {text}")]
pub struct SnapshotError {
    /// What was found.
    pub text: String,
}
