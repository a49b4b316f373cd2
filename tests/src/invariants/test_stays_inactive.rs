//! I14: an instance in test never has the active token and is never promoted.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Findings;
use super::sight::StateSight;
use crate::witness::{Kind, Record};

/// Looks at what programs in test wrote, and at every instance in test that a server showed.
pub fn check(records: &[Record], states: &[StateSight]) -> Findings {
    let mut findings = Findings::default();
    let mut in_test: BTreeMap<(&str, &str, i32), &Record> = BTreeMap::new();
    let mut epochs: BTreeSet<u64> = BTreeSet::new();
    for record in records {
        let key = (record.node.as_str(), record.package.as_str(), record.pid);
        match record.kind {
            Kind::Test => {
                findings.look();
                in_test.insert(key, record);
                epochs.insert(record.epoch);
            }
            // A process id may come back.
            Kind::Start => {
                in_test.remove(&key);
            }
            Kind::Active | Kind::Beat => {
                if let Some(test) = in_test.get(&key) {
                    findings.wrong(format!("it was in test ({test}) and became active: {record}"));
                } else if epochs.contains(&record.epoch) {
                    findings.wrong(format!(
                        "it is active under an epoch that was given for a test: {record}"
                    ));
                }
            }
            Kind::Standby | Kind::Inhibited | Kind::Overlap | Kind::Inactive | Kind::Exit => {}
        }
    }
    for state in states {
        for package in &state.packages {
            for instance in package.instances.iter().filter(|i| i.mode == "test") {
                findings.look();
                if instance.output == "released" || instance.wanted == "active" {
                    findings.wrong(format!(
                        "index {}: {} is in test: {instance:?}",
                        state.index, package.name
                    ));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::parse;

    fn checked(text: &str) -> Findings {
        check(&parse(text).expect("records"), &[])
    }

    #[test]
    fn a_test_that_stays_one_is_fine() {
        let findings = checked(
            "1 start u a n1 5 2\n2 test u a n1 5 2\n3 exit u a n1 5 2\n4 start u a n1 5 3\n5 active u a n1 5 3\n",
        );
        assert_eq!((findings.looked_at, findings.wrong), (1, vec![]));
    }

    #[test]
    fn a_planted_promotion_is_found() {
        assert_eq!(checked("1 test u a n1 5 2\n2 active u a n1 5 3\n").wrong.len(), 1);
    }

    #[test]
    fn a_planted_token_of_a_test_is_found() {
        assert_eq!(checked("1 test u a n1 5 2\n2 active u b n2 6 2\n").wrong.len(), 1);
    }
}
