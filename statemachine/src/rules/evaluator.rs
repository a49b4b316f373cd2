//! What a rule wants, by the facts of now.

use alloc::vec::Vec;

use super::ast::Comparison;
use super::program::{Action, Attribute, Condition, Operand, Rule, Statement};

/// What rules can see of the cluster: nothing else.
pub trait Facts {
    /// An attribute of a resource; none where it has none now, and then no comparison with it holds.
    fn value(&self, name: &str, attribute: &Attribute) -> Option<Value<'_>>;
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A word, a name or a text.
    Word(&'a str),
    /// A number.
    Number(u64),
}

/// All that a rule wants, in order. The whole rule sees the same facts: its own actions change none of them.
pub fn evaluate<'r>(rule: &'r Rule, facts: &impl Facts) -> Vec<&'r Action> {
    let mut actions = Vec::new();
    run(&rule.body, facts, &mut actions);
    actions
}

fn run<'r>(statements: &'r [Statement], facts: &impl Facts, actions: &mut Vec<&'r Action>) {
    for statement in statements {
        match statement {
            Statement::Act(action) => actions.push(action),
            Statement::If {
                condition,
                then,
                otherwise,
            } => {
                let taken = if holds(condition, facts) { then } else { otherwise };
                run(taken, facts, actions);
            }
        }
    }
}

fn holds(condition: &Condition, facts: &impl Facts) -> bool {
    match condition {
        Condition::Any(parts) => parts.iter().any(|part| holds(part, facts)),
        Condition::All(parts) => parts.iter().all(|part| holds(part, facts)),
        Condition::Not(inner) => !holds(inner, facts),
        Condition::Compare {
            left,
            comparison,
            right,
        } => match (value(left, facts), value(right, facts)) {
            (Some(left), Some(right)) => compare(left, *comparison, right),
            (None, _) | (_, None) => false,
        },
    }
}

fn value<'a>(operand: &'a Operand, facts: &'a impl Facts) -> Option<Value<'a>> {
    match operand {
        Operand::Attribute { name, attribute } => facts.value(name, attribute),
        Operand::Word(word) => Some(Value::Word(word)),
        Operand::Number(number) => Some(Value::Number(*number)),
    }
}

/// A text is compared with a number where it is one.
fn compare(left: Value<'_>, comparison: Comparison, right: Value<'_>) -> bool {
    let ordering = match (left, right) {
        (Value::Word(left), Value::Word(right)) if !comparison.is_order() => left.cmp(right),
        (left, right) => match (number(left), number(right)) {
            (Some(left), Some(right)) => left.cmp(&right),
            (None, _) | (_, None) => return false,
        },
    };
    match comparison {
        Comparison::Equal => ordering.is_eq(),
        Comparison::Unequal => ordering.is_ne(),
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
    }
}

fn number(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Number(number) => Some(number),
        Value::Word(text) => text.trim().parse().ok(),
    }
}
