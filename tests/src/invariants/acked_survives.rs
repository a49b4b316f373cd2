//! I10 and a part of I9: what was acknowledged is there after any crash, and the order of answers is the log's order.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use crate::oracle::{Outcome, Write};

/// Answers whether a key was changed by the log after an index.
pub type ChangedAfter<'a> = &'a dyn Fn(&str, u64) -> anyhow::Result<bool>;

/// Where nobody can be asked any more: what is found instead of an acknowledged write counts as its loss.
pub const NOTHING_LATER: ChangedAfter<'static> = &|_, _| Ok(false);

/// Compares what writers were told with the attributes that are there now. Every key has one writer whose values grow.
///
/// # Errors
/// The acknowledged write that is missing, or the two answers whose indexes contradict their order.
pub fn check(writes: &[Write], now: &BTreeMap<String, String>, changed_after: ChangedAfter<'_>) -> anyhow::Result<()> {
    let mut by_key: BTreeMap<&str, Vec<&Write>> = BTreeMap::new();
    for write in writes {
        by_key.entry(&write.key).or_default().push(write);
    }
    for (key, writes) in by_key {
        check_key(key, &writes, now, changed_after)?;
    }
    check_order(writes)
}

fn check_key(
    key: &str,
    writes: &[&Write],
    now: &BTreeMap<String, String>,
    changed_after: ChangedAfter<'_>,
) -> anyhow::Result<()> {
    let acked = writes
        .iter()
        .filter(|w| matches!(w.outcome, Outcome::Done { .. }))
        .max_by_key(|w| w.value);
    let found: Option<u64> = now
        .get(key)
        .map(|text| {
            text.parse()
                .with_context(|| format!("I10: {key} holds {text:?}, which nobody wrote"))
        })
        .transpose()?;
    match (acked, found) {
        (Some(acked), None) => bail!("I10: {key} is gone, although {acked:?} was acknowledged"),
        (Some(acked), Some(found)) if found < acked.value => {
            let older = writes.iter().find(|write| write.value == found);
            // What was never answered may be done at any later time; but then the log has it behind what was acknowledged.
            if older.is_some_and(|write| write.outcome == Outcome::Unknown)
                && let Outcome::Done { index } = acked.outcome
                && changed_after(key, index)?
            {
                return Ok(());
            }
            bail!("I10: {key} is back at {found} by {older:?}, although {acked:?} was acknowledged")
        }
        (_, Some(found)) => {
            let write = writes.iter().find(|w| w.value == found);
            let refused = write.is_none_or(|w| matches!(w.outcome, Outcome::Refused { .. }));
            anyhow::ensure!(
                !refused,
                "I10: {key} holds {found}, which was refused or never written: {write:?}"
            );
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

/// What was answered before another request was sent has the smaller index, and no index was given twice.
fn check_order(writes: &[Write]) -> anyhow::Result<()> {
    let mut done: Vec<(u64, &Write)> = writes
        .iter()
        .filter_map(|w| match w.outcome {
            Outcome::Done { index } => Some((index, w)),
            Outcome::Refused { .. } | Outcome::Unknown => None,
        })
        .collect();
    done.sort_by_key(|(index, _)| *index);
    // From the end: the earliest answer among all writes with a larger index. It must not precede this one's sending.
    let mut earliest: Option<(u64, &Write)> = None;
    for (index, write) in done.iter().rev() {
        if let Some((_, later)) = earliest.filter(|(answered, _)| *answered < write.sent_ns) {
            bail!(
                "I9: index {index} of {write:?} is smaller than that of {later:?}, which was answered before it was sent"
            );
        }
        if earliest.is_none_or(|(answered, _)| write.answered_ns < answered) {
            earliest = Some((write.answered_ns, write));
        }
    }
    if let Some(pair) = done.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        bail!(
            "I10: index {} was given twice: {:?} and {:?}",
            pair[0].0,
            pair[0].1,
            pair[1].1
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(value: u64, sent_ns: u64, outcome: Outcome) -> Write {
        Write {
            key: "k".to_owned(),
            value,
            sent_ns,
            answered_ns: sent_ns + 5,
            outcome,
        }
    }

    fn now(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("k".to_owned(), value.to_owned())])
    }

    #[test]
    fn an_unknown_write_may_be_there_or_not() {
        let writes = [write(1, 0, Outcome::Done { index: 7 }), write(2, 10, Outcome::Unknown)];
        check(&writes, &now("1"), NOTHING_LATER).expect("the unknown one is not there");
        check(&writes, &now("2"), NOTHING_LATER).expect("the unknown one is there");
    }

    #[test]
    fn an_unknown_write_may_be_done_after_later_ones_but_not_instead_of_them() {
        let writes = [write(1, 0, Outcome::Unknown), write(2, 10, Outcome::Done { index: 8 })];
        check(&writes, &now("1"), &|_, index| Ok(index == 8)).expect("done behind the acknowledged one");
        assert!(check(&writes, &now("1"), NOTHING_LATER).is_err());
    }

    #[test]
    fn a_planted_loss_is_found() {
        let writes = [
            write(1, 0, Outcome::Done { index: 7 }),
            write(2, 10, Outcome::Done { index: 8 }),
        ];
        assert!(check(&writes, &now("1"), NOTHING_LATER).is_err());
        assert!(check(&writes, &BTreeMap::new(), NOTHING_LATER).is_err());
    }

    #[test]
    fn a_planted_refusal_that_took_effect_is_found() {
        assert!(
            check(
                &[write(1, 0, Outcome::Refused { status: 503 })],
                &now("1"),
                NOTHING_LATER
            )
            .is_err()
        );
    }

    #[test]
    fn a_planted_wrong_order_is_found() {
        let writes = [
            write(1, 0, Outcome::Done { index: 8 }),
            write(2, 10, Outcome::Done { index: 7 }),
        ];
        assert!(check(&writes, &now("2"), NOTHING_LATER).is_err());
    }

    #[test]
    fn a_planted_second_use_of_an_index_is_found() {
        let writes = [
            write(1, 0, Outcome::Done { index: 7 }),
            write(2, 1, Outcome::Done { index: 7 }),
        ];
        assert!(check(&writes, &now("2"), NOTHING_LATER).is_err());
    }
}
