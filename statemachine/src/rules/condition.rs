//! Conditions (M6): where a package may run, as a boolean expression over the names of packages and groups.
//!
//! A name is true on a node where that package, or any member of that group, runs. What a name stands for is the
//! caller's: a condition knows no package, and asks a closure. It is bounded in length and depth when it is read, so
//! that looking at it needs no bound of its own.

mod error;
mod expression;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

pub use error::{ConditionError, ConditionErrorKind};
pub use expression::{Atom, Expression, Polarity};

/// Longest condition, in bytes: some forty names, and a person can still read it.
pub const CONDITION_BYTES_MAX: usize = 1_024;
/// How deep parentheses and negations may nest: reading, printing and deciding go down that far.
pub const CONDITION_DEPTH_MAX: u32 = 32;

/// A condition as it was read. Cheap to clone.
///
/// # Invariants
/// Each name in it is a valid name, and printing and reading it again gives an equal condition.
#[derive(Clone, PartialEq, Eq)]
pub struct Condition(Arc<Expression<Arc<str>>>);

impl Condition {
    /// Reads a condition: names, quoted or not, `!`, `&`, `|` and parentheses; `!` binds most, then `&`, then `|`.
    ///
    /// # Errors
    /// The first place that can't be read, with its column and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        parser::parse(text).map(|expression| Self(Arc::new(expression)))
    }

    /// The expression itself, for who wants to put numbers in place of names by [`Expression::map`].
    #[must_use]
    pub fn expression(&self) -> &Expression<Arc<str>> {
        &self.0
    }

    /// Whether it holds where exactly these names are true.
    pub fn holds(&self, mut is_true: impl FnMut(&str) -> bool) -> bool {
        self.0.holds(&mut |name| is_true(name))
    }

    /// Whether it holds whatever the names turn out to be of which nothing is known; none where that depends on them.
    pub fn decided(&self, mut known: impl FnMut(&str) -> Option<bool>) -> Option<bool> {
        self.0.decided(&mut |name| known(name))
    }

    /// The smallest part that is the reason why it does not hold; none where it holds.
    pub fn failing(&self, mut is_true: impl FnMut(&str) -> bool) -> Option<&Expression<Arc<str>>> {
        self.0.failing(&mut |name| is_true(name))
    }

    /// Its names from left to right, each as often as it is written, with the sign that it stands under.
    #[must_use]
    pub fn atoms(&self) -> Atoms<'_> {
        Atoms(self.0.atoms().into_iter())
    }

    /// Whether it can't hold where this name is true, whatever else is: exclusion is symmetric (M6).
    #[must_use]
    pub fn excludes(&self, name: &str) -> bool {
        self.decided(|other| (other == name).then_some(true)) == Some(false)
    }

    /// Whether it can't hold where this name is false, whatever else is.
    #[must_use]
    pub fn requires(&self, name: &str) -> bool {
        self.decided(|other| (other == name).then_some(false)) == Some(false)
    }
}

/// The names of a condition: see [`Condition::atoms`].
#[derive(Debug)]
pub struct Atoms<'a>(alloc::vec::IntoIter<Atom<'a, Arc<str>>>);

impl<'a> Iterator for Atoms<'a> {
    type Item = (&'a str, Polarity);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|atom| (&**atom.name, atom.polarity))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({self})")
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Condition {
    type Error = ConditionError;

    fn try_from(text: String) -> Result<Self, ConditionError> {
        Self::parse(&text)
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.to_string()
    }
}
