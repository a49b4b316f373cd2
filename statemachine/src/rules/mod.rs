//! What people write down for the manager to keep or to do: conditions (M6) and rules (M5).
//!
//! ```text
//! text -> lexer -> parser -> ast -> checker (who is there? Names) -> RuleSet, or every error of the text
//!     event of an entry -> RuleSet::matching -> evaluator (what holds? Facts) -> actions
//! ```
//!
//! Everything in here is a pure function of a text and of a view of the facts. Nothing in here sees the state, and
//! nothing in here does anything: `apply` carries actions out as it carries out a person's command. Length, depth and
//! number are bounded when a text is read, so that looking at rules needs no count of steps.

mod ast;
mod checker;
pub mod condition;
mod error;
mod evaluator;
mod lexer;
mod parser;
mod program;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use checker::{Names, Unchecked, check};
pub use error::{Place, RuleError, RuleErrorKind};
pub use evaluator::{Facts, Value, evaluate};
pub use program::{Action, Attribute, Rule, RuleSet};
pub use vocabulary::{Kind, Trigger};

/// Longest text of rules, in bytes: it is parsed whenever a definition changes.
pub const RULES_BYTES_MAX: usize = 65_536;
/// Rules in a text at most: an entry may look at many of them.
pub const RULES_MAX: usize = 1_024;
/// Actions that one rule may have at most: what cuts off a cascade must leave room for a whole rule.
pub const RULE_ACTIONS_MAX: usize = 256;
/// How deep blocks, parentheses and negations may nest: reading and evaluating go down that far.
pub const RULE_DEPTH_MAX: u32 = 32;
/// Errors that are shown at most: a text that is no rules at all would have thousands.
pub const ERRORS_MAX: usize = 100;
