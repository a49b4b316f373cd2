//! Why a text is refused, and where.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{ERRORS_MAX, RULE_ACTIONS_MAX, RULE_DEPTH_MAX, RULES_BYTES_MAX, RULES_MAX};
use crate::id::NameError;

/// A place in a text, as editors count: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// One error of a text of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {kind}{}", nearest_words(.nearest.as_deref()))]
pub struct RuleError {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    #[source]
    pub kind: RuleErrorKind,
    /// The nearest valid name.
    pub nearest: Option<String>,
}

fn nearest_words(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| alloc::format!("; did you mean {name:?}?"))
}

/// What is wrong with rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleErrorKind {
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What can stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// A character that rules do not have.
    #[error("{found} can't stand here: {hint}")]
    Character {
        /// The characters.
        found: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// A quotation mark that has no partner on its line.
    #[error("expected '\"' at the end of this text, on the same line")]
    Unclosed,
    /// A name that can't be one.
    #[error("{0}")]
    Name(NameError),
    /// A number that is too large.
    #[error("{text} is too large: expected a number up to {}", u64::MAX)]
    Number {
        /// The digits.
        text: String,
    },
    /// Nothing has this name.
    #[error("there is no {what} {name:?}{}", expected_words(.expected))]
    Unknown {
        /// What kind of name it is.
        what: String,
        /// The name.
        name: String,
        /// What can stand here; empty where that is too much to say.
        expected: String,
    },
    /// It is a word of rules, and nothing stands behind it yet.
    #[error("{what} is not supported by this version yet{}", expected_words(.expected))]
    Unsupported {
        /// What.
        what: String,
        /// What can stand here; empty where nothing can.
        expected: String,
    },
    /// The two sides of a comparison do not go together.
    #[error("{text}")]
    Type {
        /// What does not, and what was expected.
        text: String,
    },
    /// The text is too long.
    #[error("rules have at most {RULES_BYTES_MAX} bytes, these have {bytes}")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// There are too many rules.
    #[error("there are at most {RULES_MAX} rules")]
    TooMany,
    /// A rule has too many actions.
    #[error("a rule has at most {RULE_ACTIONS_MAX} actions, this one has {actions}: make several of it")]
    TooManyActions {
        /// How many it has.
        actions: usize,
    },
    /// It nests too deep.
    #[error("blocks, parentheses and '!' nest at most {RULE_DEPTH_MAX} deep")]
    TooDeep,
    /// There are more errors than are shown.
    #[error("there are {more} more errors: mend these first")]
    More {
        /// How many.
        more: usize,
    },
}

fn expected_words(expected: &str) -> String {
    if expected.is_empty() {
        return String::new();
    }
    alloc::format!(": expected {expected}")
}

/// All errors in the order of their places, no more than are shown.
pub(super) fn in_order(mut errors: Vec<RuleError>) -> Vec<RuleError> {
    errors.sort_by_key(|error| error.place);
    errors.dedup();
    let more = errors.len().saturating_sub(ERRORS_MAX);
    if more > 0 {
        errors.truncate(ERRORS_MAX);
        let place = errors.last().map_or(Place { line: 1, column: 1 }, |last| last.place);
        errors.push(RuleError {
            place,
            kind: RuleErrorKind::More { more },
            nearest: None,
        });
    }
    errors
}
