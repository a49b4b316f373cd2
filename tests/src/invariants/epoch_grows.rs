//! I2: active intervals of one unit carry strictly growing epochs; none twice, not even on one node after a restart.

use std::collections::BTreeMap;

use anyhow::bail;

use crate::witness::Interval;

/// Checks intervals that are in order of their start.
///
/// # Errors
/// The two intervals whose epochs do not grow.
pub fn check(intervals: &[Interval]) -> anyhow::Result<()> {
    let mut last: BTreeMap<&str, &Interval> = BTreeMap::new();
    let mut seen: BTreeMap<u64, &Interval> = BTreeMap::new();
    for next in intervals {
        if let Some(before) = last.insert(&next.unit, next)
            && before.epoch >= next.epoch
        {
            bail!(
                "I2: epoch {} came after epoch {}: {before:?}, then {next:?}",
                next.epoch,
                before.epoch
            );
        }
        // One counter serves the whole cluster, so that no two units share an epoch either.
        if let Some(other) = seen.insert(next.epoch, next) {
            bail!("I2: epoch {} was used twice: {other:?} and {next:?}", next.epoch);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::{intervals, parse};

    fn check_text(text: &str) -> anyhow::Result<()> {
        check(&intervals(&parse(text)?))
    }

    #[test]
    fn growing_epochs_are_fine() {
        check_text("1 active u a n1 5 2\n2 inactive u a n1 5 2\n3 active u b n2 6 3\n").expect("they grow");
    }

    #[test]
    fn a_planted_old_epoch_is_found() {
        assert!(check_text("1 active u a n1 5 4\n2 inactive u a n1 5 4\n3 active u b n2 6 3\n").is_err());
    }

    #[test]
    fn a_planted_epoch_of_another_unit_is_found() {
        assert!(check_text("1 active u a n1 5 4\n3 active v b n2 6 4\n").is_err());
    }
}
