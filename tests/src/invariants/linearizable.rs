//! I9: commands and reads behave like one thing at a time.
//!
//! Two ways that share nothing. [`by_index`] believes the indexes that answers carry, and holds every answer to a
//! reference register that goes through the commands in their order. [`by_search`] believes only times and values, and
//! looks for an order by itself.

use std::collections::BTreeMap;

use super::findings::Findings;
use crate::history::{CHANGED, End, Function, Operation, Value};
use crate::linearizability::{Answer, Call, Step, search};

/// Operations of one key, beyond which the search is not tried.
const OPERATIONS_MAX: usize = 5_000;

/// What was answered before another operation was sent has no larger index, and no command shares one. What was read at
/// an index is what was written last at or before it.
pub fn by_index(operations: &[Operation]) -> Findings {
    let mut findings = in_order(operations);
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        keys.entry(&operation.key).or_default().push(operation);
    }
    for (key, of_key) in keys {
        findings.add(replay(key, &of_key));
    }
    findings
}

/// Whether it is a command: those have an index of their own.
fn is_command(operation: &Operation) -> bool {
    matches!(operation.f, Function::Write | Function::Cas)
}

/// Completed before means a smaller index; of a read, one that is not larger.
fn in_order(operations: &[Operation]) -> Findings {
    let mut findings = Findings::default();
    // A read at an index comes after the command of that index.
    let mut done: Vec<(u64, bool, u64, &Operation)> = operations
        .iter()
        .filter(|o| is_command(o) || o.f == Function::Read)
        .filter_map(|o| Some((o.index?, !is_command(o), o.done_ns()?, o)))
        .collect();
    done.sort_by_key(|(index, is_read, _, _)| (*index, *is_read));
    for pair in done.windows(2) {
        if pair[0].0 == pair[1].0 && !pair[0].1 && !pair[1].1 {
            findings.wrong(format!(
                "index {} was given twice: {:?}, {:?}",
                pair[0].0, pair[0].3, pair[1].3
            ));
        }
    }
    // From the end: the earliest answer among all that come later in the order. It must not precede this one's sending.
    let mut earliest: Option<(u64, (u64, bool), &Operation)> = None;
    let mut group: Option<(u64, (u64, bool), &Operation)> = None;
    let mut place = None;
    for (index, is_read, done_ns, operation) in done.iter().rev() {
        findings.look();
        if place != Some((*index, *is_read)) {
            // Reads of one index may stand in any order among themselves.
            earliest = [earliest, group].into_iter().flatten().min_by_key(|(done, _, _)| *done);
            (group, place) = (None, Some((*index, *is_read)));
        }
        if let Some((_, (later, _), other)) = earliest.filter(|(done, _, _)| *done < operation.sent_ns) {
            findings.wrong(format!(
                "index {index} of {operation:?} comes before index {later} of {other:?}, which was answered before it was sent"
            ));
        }
        if group.is_none_or(|(done, _, _)| *done_ns < done) {
            group = Some((*done_ns, (*index, *is_read), operation));
        }
    }
    findings
}

/// Goes through the commands of a key in the order of their indexes, and holds each answer to what the register then holds.
fn replay(key: &str, operations: &[&Operation]) -> Findings {
    let mut findings = Findings::default();
    let mut unknown: BTreeMap<&str, &Operation> = BTreeMap::new();
    let mut known: Vec<(u64, bool, &Operation)> = Vec::new();
    for operation in operations {
        match (operation.end, operation.index) {
            (End::Ok(_), Some(index)) if operation.f != Function::Again => {
                known.push((index, !is_command(operation), operation));
            }
            (End::Info, _) => {
                if let Some(value) = operation.written() {
                    unknown.insert(value, operation);
                }
            }
            _ => {}
        }
    }
    known.sort_by_key(|(index, is_read, _)| (*index, *is_read));
    let mut present: Option<&str> = None;
    for (index, _, operation) in known {
        findings.look();
        let seen = match &operation.value {
            Value::Swap(from, _) => Some(from.as_deref()),
            Value::One(value) if !is_command(operation) => Some(Some(value.as_str())),
            Value::Nothing(()) => Some(None),
            Value::One(_) => None,
        };
        // A write that nobody knows of may have come in between, once it was sent.
        let explained = |value: Option<&str>| {
            let wrote = value.and_then(|value| unknown.get(value));
            wrote.is_some_and(|o| operation.done_ns().is_none_or(|done| o.sent_ns < done))
        };
        if let Some(seen) = seen
            && seen != present
            && !explained(seen)
        {
            findings.wrong(format!(
                "{key} at index {index}: saw {seen:?}, but {present:?} was written last before that: {operation:?}"
            ));
        }
        if let Some(seen) = seen {
            // Once: what comes back after something else was written was applied twice.
            if seen != present
                && let Some(value) = seen
            {
                unknown.remove(value);
            }
            present = seen;
        }
        if is_command(operation) {
            present = operation.written();
        }
    }
    findings
}

/// Looks for an order of each key's operations by times and values alone. Stale reads take no part.
pub fn by_search(operations: &[Operation]) -> Findings {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        keys.entry(&operation.key).or_default().push(operation);
    }
    let mut findings = Findings::default();
    for (key, of_key) in keys {
        let calls = calls(&of_key);
        if calls.len() > OPERATIONS_MAX {
            continue;
        }
        match search(&calls) {
            Answer::Linearizable => findings.looked_at += calls.len(),
            // Not looked at is seen in the count; nothing is claimed.
            Answer::Undecided => {}
            Answer::NotLinearizable { longest } => {
                findings.looked_at += calls.len();
                let at = longest.last().map(|place| calls[*place]);
                findings.wrong(format!(
                    "no order of the {} operations on {key} explains what was read; the longest beginning has {} and ends with {at:?}",
                    calls.len(),
                    longest.len()
                ));
            }
        }
    }
    findings
}

/// The operations of a key as the search wants them.
fn calls(operations: &[&Operation]) -> Vec<Call> {
    let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
    let mut observed: Vec<&str> = Vec::new();
    let mut refused_until = 0;
    for operation in operations {
        for value in values(operation) {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            numbers.entry(value).or_insert(next);
        }
        match (&operation.value, operation.end, operation.f) {
            (Value::One(value), End::Ok(_), Function::Read) => observed.push(value),
            (Value::Swap(Some(from), _), End::Ok(_), _) => observed.push(from),
            (Value::Swap(..), End::Fail(at), _) if operation.error.as_deref() == Some(CHANGED) => {
                refused_until = refused_until.max(at)
            }
            _ => {}
        }
    }
    observed.sort_unstable();
    let number = |value: &Option<String>| value.as_deref().and_then(|value| numbers.get(value).copied());
    let mut calls = Vec::new();
    for operation in operations {
        let step = match (operation.f, &operation.value) {
            (Function::Read, Value::One(value)) => Step::Read(numbers.get(value.as_str()).copied()),
            (Function::Read, Value::Nothing(())) => Step::Read(None),
            (Function::Write, Value::One(value)) => {
                Step::Write(numbers.get(value.as_str()).copied().unwrap_or(u32::MAX))
            }
            (Function::Cas, Value::Swap(from, to)) => {
                if operation.error.as_deref() == Some(CHANGED) {
                    Step::NotSwapped(number(from))
                } else {
                    Step::Swap(number(from), numbers.get(to.as_str()).copied().unwrap_or(u32::MAX))
                }
            }
            _ => continue,
        };
        let done_ns = match (operation.end, step) {
            (End::Ok(at), _) | (End::Fail(at), Step::NotSwapped(_)) => Some(at),
            (End::Fail(_), _) => continue,
            (End::Info, Step::Read(_)) => continue,
            (End::Info, _) => {
                // Nobody saw it, and no refusal could have come from it: whether it happened makes no difference.
                let seen = operation
                    .written()
                    .is_some_and(|value| observed.binary_search(&value).is_ok());
                if !seen && operation.sent_ns > refused_until {
                    continue;
                }
                None
            }
        };
        calls.push(Call {
            sent_ns: operation.sent_ns,
            done_ns,
            step,
        });
    }
    calls
}

fn values(operation: &Operation) -> Vec<&str> {
    match &operation.value {
        Value::Nothing(()) => Vec::new(),
        Value::One(value) => vec![value],
        Value::Swap(from, to) => from.iter().map(String::as_str).chain([to.as_str()]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(f: Function, value: Value, index: u64, sent_ns: u64, done_ns: u64) -> Operation {
        Operation {
            process: 1,
            f,
            key: "k".to_owned(),
            value,
            sent_ns,
            end: End::Ok(done_ns),
            index: Some(index),
            error: None,
        }
    }

    fn write(value: &str, index: u64, sent_ns: u64, done_ns: u64) -> Operation {
        operation(Function::Write, Value::One(value.to_owned()), index, sent_ns, done_ns)
    }

    fn read(value: Option<&str>, index: u64, sent_ns: u64, done_ns: u64) -> Operation {
        let value = Value::read(value.map(ToOwned::to_owned));
        operation(Function::Read, value, index, sent_ns, done_ns)
    }

    fn swap(from: Option<&str>, to: &str, index: u64, sent_ns: u64, done_ns: u64) -> Operation {
        let value = Value::Swap(from.map(ToOwned::to_owned), to.to_owned());
        operation(Function::Cas, value, index, sent_ns, done_ns)
    }

    fn ended(mut operation: Operation, end: End) -> Operation {
        operation.end = end;
        operation.index = None;
        operation.error = matches!(end, End::Fail(_)).then(|| CHANGED.to_owned());
        operation
    }

    /// (wrong by index, wrong by search)
    fn wrong(operations: &[Operation]) -> (bool, bool) {
        let (index, search) = (by_index(operations), by_search(operations));
        assert!(index.looked_at > 0 && search.looked_at > 0);
        (!index.wrong.is_empty(), !search.wrong.is_empty())
    }

    #[test]
    fn a_sound_history_is_sound_both_ways() {
        let history = [
            read(None, 5, 0, 1),
            write("1", 6, 2, 9),
            read(None, 5, 3, 4),
            swap(Some("1"), "2", 7, 10, 12),
            ended(swap(Some("1"), "3", 0, 10, 12), End::Fail(14)),
            read(Some("2"), 7, 15, 16),
        ];
        assert_eq!(
            wrong(&history),
            (false, false),
            "{:?} {:?}",
            by_index(&history),
            by_search(&history)
        );
    }

    #[test]
    fn a_planted_stale_read_is_found_both_ways() {
        let history = [write("1", 6, 0, 1), write("2", 7, 2, 3), read(Some("1"), 6, 4, 5)];
        assert_eq!(wrong(&history), (true, true));
    }

    #[test]
    fn a_planted_result_that_the_index_contradicts_is_found() {
        let history = [write("1", 6, 0, 9), write("2", 7, 0, 9), read(Some("1"), 8, 4, 9)];
        // By times alone 2, then 1, then the read would be an order.
        assert_eq!(wrong(&history), (true, false));
    }

    #[test]
    fn a_planted_second_swap_is_found_both_ways() {
        let history = [
            write("1", 6, 0, 1),
            swap(Some("1"), "2", 7, 2, 9),
            swap(Some("1"), "3", 8, 2, 9),
        ];
        assert_eq!(wrong(&history), (true, true));
    }

    #[test]
    fn a_planted_shared_index_is_found() {
        assert!(!by_index(&[write("1", 6, 0, 9), write("2", 6, 0, 9)]).wrong.is_empty());
    }

    #[test]
    fn a_planted_needless_refusal_is_found() {
        let history = [
            write("1", 6, 0, 1),
            ended(swap(Some("1"), "2", 0, 2, 3), End::Fail(3)),
            read(Some("1"), 6, 4, 5),
        ];
        assert!(!by_search(&history).wrong.is_empty());
    }

    #[test]
    fn an_unknown_write_explains_what_is_read_after_it_was_sent() {
        let late = [
            write("1", 6, 0, 1),
            ended(write("2", 0, 2, 0), End::Info),
            read(Some("2"), 9, 8, 9),
        ];
        assert_eq!(wrong(&late), (false, false));
        let early = [
            write("1", 6, 0, 1),
            read(Some("2"), 9, 2, 3),
            ended(write("2", 0, 4, 0), End::Info),
        ];
        assert_eq!(wrong(&early), (true, true));
    }
}
