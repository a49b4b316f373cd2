//! Conditions (M6): what is read prints and reads back as the same, and says the same of every set of names.

use statemachine::rules::condition::{CONDITION_BYTES_MAX, Condition};

use super::{Target, Verdict};

/// The target.
pub(super) struct Conditions;

impl Target for Conditions {
    fn name(&self) -> &'static str {
        "condition"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        vec![
            "!pkg2".into(),
            "pkg1 | pkg2".into(),
            "(a & !b | \"orders-a\") & !(web.1 | 9_x)".into(),
        ]
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "!", "&", "|", "(", ")", "a", "\"b\"", "orders-a", "&&", "||", "\"", "((((((((", "!!!!!!!!",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok(Verdict::Refused);
        };
        let condition = match Condition::parse(text) {
            Ok(condition) => condition,
            Err(error) => {
                let columns = u32::try_from(text.chars().count())
                    .unwrap_or(u32::MAX)
                    .saturating_add(1);
                if error.column == 0 || error.column > columns {
                    return Err(format!("an error beyond the text's {columns} columns: {error}"));
                }
                return Ok(Verdict::Refused);
            }
        };
        if text.len() > CONDITION_BYTES_MAX {
            return Err(format!("{} bytes are accepted", text.len()));
        }
        let printed = condition.to_string();
        // Printing may put in blanks and so pass the bound on length, but says nothing else.
        if printed.len() <= CONDITION_BYTES_MAX && Condition::parse(&printed).as_ref() != Ok(&condition) {
            return Err(format!("printed it reads otherwise: {printed}"));
        }
        let names: Vec<&str> = condition.atoms().map(|(name, _)| name).collect();
        for known in [None, Some(true), Some(false)] {
            let early = condition.decided(|_| known);
            let holds = condition.holds(|name| known.unwrap_or(Some(&name) == names.first()));
            if early.is_some_and(|early| early != holds) {
                return Err(format!("decided as {early:?}, but it is {holds}: {printed}"));
            }
        }
        Ok(Verdict::Accepted)
    }
}
