//! What the words after some commands are.

use clap::Subcommand;

use super::change::AskOptions;

/// What can be done with the servers of the Raft group.
#[derive(Clone, Debug, Subcommand)]
#[allow(
    missing_docs,
    reason = "the comments are the help texts, and flattened options bring their own"
)]
pub enum MembersAction {
    /// List them.
    List,
    /// Take one out for good: its id is never used again.
    Remove {
        /// Its node's name.
        name: String,
        #[command(flatten)]
        options: AskOptions,
    },
}
