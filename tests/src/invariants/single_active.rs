//! I1: no two instances of one unit are active at one instant.

use std::collections::BTreeMap;

use anyhow::bail;

use crate::witness::{Interval, Kind, Record, intervals};

/// Compares all active intervals of each unit, and believes the kernel's lock where a process was killed between two
/// beats.
///
/// # Errors
/// The two instances that were active at once.
pub fn check(records: &[Record]) -> anyhow::Result<()> {
    if let Some(record) = records.iter().find(|r| r.kind == Kind::Overlap) {
        bail!(
            "I1: another process held the lock of unit {} as this one became active: {record}",
            record.unit
        );
    }
    let mut latest: BTreeMap<String, Interval> = BTreeMap::new();
    for next in intervals(records) {
        if let Some(before) = latest.get(&next.unit)
            && before.until_ns > next.from_ns
        {
            let overlap_ms = (before.until_ns - next.from_ns) as f64 / 1e6;
            bail!("I1: two were active at once for at least {overlap_ms:.3} ms: {before:?} and {next:?}");
        }
        let until = latest.get(&next.unit).map_or(0, |before| before.until_ns);
        if next.until_ns >= until {
            latest.insert(next.unit.clone(), next);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::parse;

    #[test]
    fn one_after_another_is_fine() {
        let text = "1 active u a n1 5 2\n4 inactive u a n1 5 2\n4 active u b n2 6 3\n9 beat u b n2 6 3\n";
        check(&parse(text).expect("records")).expect("no overlap");
    }

    #[test]
    fn a_planted_overlap_is_found() {
        let text = "1 active u a n1 5 2\n4 active u b n2 6 3\n5 beat u a n1 5 2\n9 beat u b n2 6 3\n";
        assert!(check(&parse(text).expect("records")).is_err());
    }

    #[test]
    fn two_units_do_not_disturb_each_other() {
        let text = "1 active u a n1 5 2\n4 active v b n2 6 3\n5 beat u a n1 5 2\n9 beat v b n2 6 3\n";
        check(&parse(text).expect("records")).expect("two units");
    }

    #[test]
    fn a_held_lock_is_believed() {
        let text = "1 active u a n1 5 2\n4 active u b n2 6 3\n4 overlap u b n2 6 3\n";
        assert!(check(&parse(text).expect("records")).is_err());
    }
}
