//! I12 from outside: one leader a term as servers report it; what a server has committed and applied never goes back; and
//! I15 in part: no leader changes while nothing is broken.

use std::collections::BTreeMap;

use super::findings::Findings;
use super::sight::{Quiet, Sight};

/// Compares everything that servers said of themselves, in the order in which they said it.
pub fn check(sights: &[Sight]) -> Findings {
    let mut findings = Findings::default();
    let mut leaders: BTreeMap<u64, &Sight> = BTreeMap::new();
    let mut last: BTreeMap<(&str, i32), &Sight> = BTreeMap::new();
    let mut terms: BTreeMap<&str, &Sight> = BTreeMap::new();
    for sight in sights {
        findings.look();
        if sight.leader.is_some() && sight.term > 0 {
            let known = leaders.entry(sight.term).or_insert(sight);
            if known.leader != sight.leader {
                findings.wrong(format!("two leaders in term {}: {known:?}, {sight:?}", sight.term));
            }
        }
        if sight.process == 0 {
            continue;
        }
        // Across a restart what was applied may be behind, since it is applied anew; the term is on disk, and 0 until that
        // is read.
        if sight.term > 0
            && let Some(before) = terms.insert(&sight.node, sight)
            && before.term > sight.term
        {
            findings.wrong(format!("the term of {} went back: {before:?}, {sight:?}", sight.node));
        }
        if let Some(before) = last.insert((&sight.node, sight.process), sight) {
            let back =
                before.applied > sight.applied || before.committed > sight.committed || before.index > sight.index;
            if back {
                findings.wrong(format!("what {} has went back: {before:?}, {sight:?}", sight.node));
            }
        }
    }
    findings
}

/// No term changes while nothing is broken and a majority is healthy.
pub fn check_quiet(quiet: &[Quiet], sights: &[Sight]) -> Findings {
    let mut findings = Findings::default();
    let mut by_time: Vec<&Sight> = sights.iter().filter(|s| s.process != 0).collect();
    by_time.sort_by_key(|sight| sight.at_ns);
    for span in quiet {
        let first = by_time.partition_point(|s| s.asked_ns < span.from_ns);
        let within = by_time[first..].iter().take_while(|s| s.at_ns < span.until_ns);
        let mut began: Option<&Sight> = None;
        for sight in within.filter(|s| s.asked_ns >= span.from_ns) {
            findings.look();
            let before = *began.get_or_insert(sight);
            if before.term < sight.term {
                findings.wrong(format!(
                    "the leader changed while nothing was broken: {before:?}, {sight:?}"
                ));
                break;
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(node: &str, at_ns: u64, term: u64, leader: &str, applied: u64) -> Sight {
        Sight {
            node: node.to_owned(),
            process: 5,
            asked_ns: at_ns,
            at_ns: at_ns + 1,
            term,
            leader: Some(leader.to_owned()),
            index: applied,
            digest: String::new(),
            committed: applied,
            applied,
        }
    }

    #[test]
    fn a_planted_second_leader_is_found() {
        let sound = [
            sight("n1", 1, 3, "n1", 5),
            sight("n2", 2, 3, "n1", 4),
            sight("n2", 3, 4, "n2", 6),
        ];
        assert_eq!((check(&sound).looked_at, check(&sound).wrong.len()), (3, 0));
        assert_eq!(
            check(&[sight("n1", 1, 3, "n1", 5), sight("n2", 2, 3, "n2", 5)])
                .wrong
                .len(),
            1
        );
    }

    #[test]
    fn a_planted_step_back_is_found_but_not_after_a_restart() {
        let back = [sight("n1", 1, 3, "n1", 5), sight("n1", 2, 3, "n1", 4)];
        assert_eq!(check(&back).wrong.len(), 1);
        let mut anew = back.clone();
        anew[1].process = 6;
        assert!(check(&anew).wrong.is_empty());
        anew[1].term = 0;
        assert!(check(&anew).wrong.is_empty(), "its term is not read yet");
        anew[1].term = 2;
        assert_eq!(check(&anew).wrong.len(), 1, "a term is on disk");
    }

    #[test]
    fn a_planted_needless_change_of_leader_is_found() {
        let quiet = [Quiet {
            from_ns: 10,
            until_ns: 100,
        }];
        let calm = [
            sight("n1", 5, 2, "n1", 5),
            sight("n1", 20, 3, "n1", 5),
            sight("n2", 90, 3, "n1", 5),
        ];
        assert_eq!(
            (
                check_quiet(&quiet, &calm).looked_at,
                check_quiet(&quiet, &calm).wrong.len()
            ),
            (2, 0)
        );
        let restless = [sight("n1", 20, 3, "n1", 5), sight("n2", 90, 4, "n2", 5)];
        assert_eq!(check_quiet(&quiet, &restless).wrong.len(), 1);
    }
}
