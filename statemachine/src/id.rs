//! Names, ids and counters: newtypes, so that no two of them can be mixed up.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Serialize};

/// Longest name of a package, node, group or mode, in bytes: it stays readable in a table and in a path.
pub const NAME_BYTES_MAX: usize = 63;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text has no character.
    #[error("a name can't be empty")]
    Empty,
    /// The text is longer than [`NAME_BYTES_MAX`].
    #[error("a name has at most {NAME_BYTES_MAX} bytes, this one has {bytes}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// A character that names do not have.
    #[error("{found:?} can't stand in a name: expected letters, digits, '.', '_' or '-', the first a letter or digit")]
    Character {
        /// The first such character.
        found: char,
    },
}

fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: text.len() });
    }
    for (position, found) in text.chars().enumerate() {
        let inner = position > 0 && matches!(found, '.' | '_' | '-');
        if !found.is_ascii_alphanumeric() && !inner {
            return Err(NameError::Character { found });
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes a text that is a name: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most [`NAME_BYTES_MAX`] bytes.
            ///
            /// # Errors
            /// [`NameError`] says what can't stand in a name.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check_name(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.to_string()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a node: one computer of the cluster.
    NodeName
}
name! {
    /// The name of a package: an application or service program that the cluster keeps running.
    PackageName
}
name! {
    /// The name of a group of packages that can take over each other's work.
    GroupName
}

macro_rules! number {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub u64);

        impl $type {
            /// The next one; the largest value stays as it is.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// The place of a command in the cluster's one order, from 1 without gaps: what the API calls the log index.
    ///
    /// One Raft entry carries many commands, so this is not Raft's own index, which stays inside `server/src/raft`.
    Index
}
number! {
    /// Raft's number of a leader. Used for nothing but [`NodeLost`](crate::command::Command::NodeLost).
    Term
}
number! {
    /// Identifies a node for ever: the index of the entry that first registered it; never reused.
    NodeId
}
number! {
    /// Identifies a server in the Raft group for ever: 1 for the first one, else the index that added it; never reused.
    MemberId
}
number! {
    /// A daemon's stay: the index of the entry that registered it. A later one of the same node is larger.
    SessionId
}
number! {
    /// The number of a start or an activation, from one counter for the cluster; never reused. 0 is none.
    Epoch
}
number! {
    /// The version of one node's desired set; a daemon refuses an older one.
    Generation
}

macro_rules! place {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub u32);
    };
}

place! {
    /// A node's row in the state's table: dense, in the order of first registration, and never shown to anybody.
    NodeIx
}
place! {
    /// A package's row in the state's table: dense, given to another package once this one is gone.
    PackageIx
}
place! {
    /// A group's row in the state's table: dense, given to another group once this one is gone.
    GroupIx
}
