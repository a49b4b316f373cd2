//! I10: no command is applied twice. What is sent again under its idempotency key is answered as the first time, and leaves
//! the register alone; a value that comes back after another was written shows in I9.

use std::collections::BTreeMap;

use super::findings::Findings;
use crate::history::{End, Function, Operation};

/// Compares the answers to what was sent again with the first ones.
pub fn check(operations: &[Operation]) -> Findings {
    let mut first: BTreeMap<(&str, &str), (u64, &Operation)> = BTreeMap::new();
    for operation in operations {
        if operation.f != Function::Again
            && let (End::Ok(_), Some(index), Some(value)) = (operation.end, operation.index, operation.written())
        {
            first.insert((&operation.key, value), (index, operation));
        }
    }
    let mut findings = Findings::default();
    for again in operations.iter().filter(|o| o.f == Function::Again) {
        let (End::Ok(_), Some(index), Some(value)) = (again.end, again.index, again.written()) else {
            continue;
        };
        findings.look();
        match first.get(&(again.key.as_str(), value)) {
            Some((known, _)) if *known == index => {}
            known => findings.wrong(format!(
                "sent again under its idempotency key it was answered with index {index}: {again:?}; the first time: {known:?}"
            )),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Value;

    fn operation(f: Function, index: u64) -> Operation {
        Operation {
            process: 1,
            f,
            key: "k".to_owned(),
            value: Value::One("v".to_owned()),
            sent_ns: index,
            end: End::Ok(index + 1),
            index: Some(index),
            error: None,
        }
    }

    #[test]
    fn the_same_answer_is_fine_and_a_planted_second_index_is_found() {
        let history = [operation(Function::Write, 7), operation(Function::Again, 7)];
        assert_eq!((check(&history).looked_at, check(&history).wrong.len()), (1, 0));
        let twice = [operation(Function::Write, 7), operation(Function::Again, 8)];
        assert_eq!(check(&twice).wrong.len(), 1);
    }
}
