//! Why a text is not a condition.

use alloc::string::String;

use super::{CONDITION_BYTES_MAX, CONDITION_DEPTH_MAX};
use crate::id::NameError;

/// Why a text is not a condition, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {kind}")]
pub struct ConditionError {
    /// The first character that does not fit, counted in characters from 1.
    pub column: u32,
    /// What is wrong there.
    #[source]
    pub kind: ConditionErrorKind,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionErrorKind {
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What can stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// `&&` or `||`.
    #[error("a condition has one {operator:?}, not two: those belong to rules")]
    Doubled {
        /// Which operator.
        operator: char,
    },
    /// A name that can't be one.
    #[error("{0}")]
    Name(NameError),
    /// A quotation mark that has no partner.
    #[error("expected '\"' at the end of this name")]
    Unclosed,
    /// It is longer than a condition may be.
    #[error("a condition has at most {CONDITION_BYTES_MAX} bytes, this one has {bytes}: make a group of some names")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// It nests deeper than a condition may.
    #[error("parentheses and '!' nest at most {CONDITION_DEPTH_MAX} deep")]
    TooDeep,
}
