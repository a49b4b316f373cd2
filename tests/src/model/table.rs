//! What searches found, as a table and as a story.

use std::fmt::Write as _;

use super::checks::{Check, Expected};
use super::run::{Found, search};

/// Searches as a check asks for. Where a fault is expected one thread looks for it, so that its way is the shortest.
#[must_use]
pub fn perform(check: &Check) -> Found {
    let threads = match check.expected {
        Expected::Holds { .. } => 2,
        Expected::Breaks => 1,
    };
    search(check.model, threads)
}

/// Whether a search found what it must.
///
/// # Errors
/// In words, what it found instead.
pub fn judge(check: &Check, found: &Found) -> Result<(), String> {
    let Check { name, expected, .. } = check;
    match (expected, &found.fault) {
        (Expected::Breaks, Some(_)) => Ok(()),
        (Expected::Breaks, None) => Err(format!(
            "{name}: no fault in {} states: the model does not see what this rule is for, or the rule is not needed",
            found.states
        )),
        (Expected::Holds { .. }, Some(_)) => Err(format!("{name}: a fault with all rules\n{}", story(check, found))),
        (Expected::Holds { states }, None) => {
            if !found.complete {
                Err(format!("{name}: the search ended before it had seen every state"))
            } else if found.states < *states {
                let now = found.states;
                Err(format!(
                    "{name}: only {now} states, {states} before: the model has lost some of what can happen"
                ))
            } else if !found.witnessed {
                Err(format!("{name}: no takeover was seen: the search shows nothing"))
            } else {
                Ok(())
            }
        }
    }
}

/// The head of the table.
pub const HEAD: &str = "| search | what | states | steps | depth | result | time |\n|---|---|---|---|---|---|---|";

/// A line of the table.
#[must_use]
pub fn line(check: &Check, found: &Found) -> String {
    let result = match &found.fault {
        Some(fault) => format!("**breaks** in {} steps", fault.story.len()),
        None if found.complete => "holds".to_owned(),
        None => "not complete".to_owned(),
    };
    format!(
        "| `{}` | {} | {} | {} | {} | {result} | {:.1} s |",
        check.name,
        check.about,
        grouped(found.states),
        grouped(found.steps),
        found.depth,
        found.time.as_secs_f32()
    )
}

/// The shortest way to the fault, a step a line.
#[must_use]
pub fn story(check: &Check, found: &Found) -> String {
    let Some(fault) = &found.fault else {
        return format!("{}: no fault in {} states\n", check.name, grouped(found.states));
    };
    let mut text = format!(
        "{} ({}); not true any more: {}\n",
        check.name, check.about, fault.promise
    );
    for (number, step) in fault.story.iter().enumerate() {
        let _ = writeln!(text, "{:3}. {step}", number + 1);
    }
    text
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
