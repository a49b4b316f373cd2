//! What a run of the checks found, and on how much it looked: a check without evidence proves nothing and must be seen.

use std::fmt;

use anyhow::bail;

use super::findings::Findings;

/// Something that may never happen, and happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number in `docs/SAFETY.md`.
    pub invariant: &'static str,
    /// What was found, with everything that is needed to find it again.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.text)
    }
}

/// One check that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The invariant that it is for.
    pub invariant: &'static str,
    /// What was looked at.
    pub what: &'static str,
    /// How many of them.
    pub count: usize,
}

/// What came of all checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Everything that is wrong.
    pub violations: Vec<Violation>,
    /// Every check for which there was evidence.
    pub checked: Vec<Checked>,
}

impl Verdict {
    /// Notes a check and what came of it. A check that looked at nothing does not count as made.
    pub fn note(&mut self, invariant: &'static str, what: &'static str, findings: Findings) {
        let Findings { looked_at, wrong } = findings;
        if looked_at > 0 {
            self.checked.push(Checked {
                invariant,
                what,
                count: looked_at,
            });
        }
        let violations = wrong.into_iter().map(|text| {
            // Some checks name their invariant themselves.
            let own = text.strip_prefix(invariant).and_then(|rest| rest.strip_prefix(": "));
            let text = own.map_or(text.clone(), ToOwned::to_owned);
            Violation { invariant, text }
        });
        self.violations.extend(violations);
    }

    /// On how much an invariant was checked; 0: not at all.
    #[must_use]
    pub fn count(&self, invariant: &str) -> usize {
        let of_it = self.checked.iter().filter(|c| c.invariant == invariant);
        of_it.map(|c| c.count).sum()
    }

    /// Demands that these invariants were checked on something: a run that had nothing to look at has shown nothing.
    ///
    /// # Errors
    /// Names those that were not checked, and lists those that were.
    pub fn demand(&self, invariants: &[&str]) -> anyhow::Result<()> {
        let missing: Vec<&str> = invariants.iter().copied().filter(|i| self.count(i) == 0).collect();
        if missing.is_empty() {
            return Ok(());
        }
        bail!("nothing was there to check {} on; checked: {self}", missing.join(", "))
    }

    /// The verdict of a run that is to be sound.
    ///
    /// # Errors
    /// Every violation, one a line.
    pub fn sound(self) -> anyhow::Result<Self> {
        if self.violations.is_empty() {
            return Ok(self);
        }
        let lines: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        bail!("{}", lines.join("\n"))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = self
            .checked
            .iter()
            .map(|c| format!("{} {} {}", c.invariant, c.count, c.what));
        f.write_str(&checks.collect::<Vec<_>>().join(", "))?;
        if self.violations.is_empty() {
            f.write_str("; every invariant held")
        } else {
            write!(f, "; {} violations", self.violations.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_at_does_not_count_as_checked() {
        let mut verdict = Verdict::default();
        verdict.note("I1", "intervals", Findings::of(0, Ok(())));
        verdict.note("I2", "intervals", Findings::of(3, Ok(())));
        verdict.demand(&["I2"]).expect("three were looked at");
        assert!(verdict.demand(&["I1", "I2"]).is_err());
        assert_eq!(verdict.to_string(), "I2 3 intervals; every invariant held");
    }

    #[test]
    fn a_violation_is_not_sound() {
        let mut verdict = Verdict::default();
        verdict.note(
            "I1",
            "intervals",
            Findings::of(2, Err(anyhow::anyhow!("I1: two at once"))),
        );
        let error = verdict.sound().expect_err("a violation").to_string();
        assert_eq!(error, "I1: two at once");
    }
}
