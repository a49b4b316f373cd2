//! I21, and the kernel's part of every stop: a process of a package, and the first process of its namespace, never outlive
//! their supervisor, at whatever instant that was killed.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Findings;
use super::sight::{ProcessSight, Role};

/// Parents between a process and its supervisor, beyond which the search ends.
const GENERATIONS_MAX: usize = 64;

/// Follows the parents of each process in each look. What is orphaned in one look may be about to die; what still is in
/// the next one was left behind.
pub fn check(processes: &[ProcessSight]) -> Findings {
    let mut findings = Findings::default();
    let mut before: BTreeSet<(i32, u64)> = BTreeSet::new();
    for look in processes.chunk_by(|a, b| a.at_ns == b.at_ns) {
        let by_pid: BTreeMap<i32, &ProcessSight> = look.iter().map(|p| (p.pid, p)).collect();
        let mut orphaned = BTreeSet::new();
        for process in look.iter().filter(|p| matches!(p.role, Role::Package | Role::Init)) {
            findings.look();
            if is_supervised(process, &by_pid) {
                continue;
            }
            let name = (process.pid, process.began);
            orphaned.insert(name);
            if before.contains(&name) {
                findings.wrong(format!("it has outlived its supervisor: {process:?}"));
            }
        }
        before = orphaned;
    }
    findings
}

fn is_supervised(process: &ProcessSight, by_pid: &BTreeMap<i32, &ProcessSight>) -> bool {
    let mut parent = process.parent;
    for _ in 0..GENERATIONS_MAX {
        match by_pid.get(&parent) {
            Some(found) if found.role == Role::Supervisor => return true,
            Some(found) => parent = found.parent,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(at_ns: u64, pid: i32, parent: i32, role: Role) -> ProcessSight {
        ProcessSight {
            at_ns,
            pid,
            began: 1,
            parent,
            role,
            root: "/n1".into(),
            node: "n1".to_owned(),
            package: "a".to_owned(),
            epoch: 7,
            descriptors: 0,
            resident_kib: 0,
        }
    }

    fn tree(at_ns: u64) -> [ProcessSight; 4] {
        [
            sight(at_ns, 10, 1, Role::Supervisor),
            sight(at_ns, 11, 10, Role::Init),
            sight(at_ns, 12, 11, Role::Package),
            sight(at_ns, 13, 12, Role::Package),
        ]
    }

    #[test]
    fn a_whole_tree_is_fine() {
        let findings = check(&[tree(1), tree(2)].concat());
        assert_eq!((findings.looked_at, findings.wrong), (6, vec![]));
    }

    #[test]
    fn what_dies_with_its_supervisor_is_fine() {
        assert!(check(&[&tree(1)[..], &tree(2)[1..]].concat()).wrong.is_empty());
    }

    #[test]
    fn a_planted_orphan_is_found() {
        let mut orphans = [&tree(2)[1..], &tree(3)[1..]].concat();
        orphans
            .iter_mut()
            .filter(|p| p.role == Role::Init)
            .for_each(|p| p.parent = 1);
        assert_eq!(check(&orphans).wrong.len(), 3);
    }
}
