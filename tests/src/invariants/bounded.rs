//! I16 from outside: servers, daemons and parents keep within bounds of descriptors and memory.

use std::collections::BTreeMap;

use super::findings::Findings;
use super::sight::{ProcessSight, Role};

/// What one process may use in the clusters of the tests, which are small. A leak passes it soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Open descriptors.
    pub descriptors: usize,
    /// Resident memory in KiB.
    pub resident_kib: u64,
}

/// The bounds of a process of each kind: a server has at most some four thousand
/// connections of clients and a thousand of peers beside its store; the others have no clients.
#[must_use]
pub fn bounds(role: Role) -> Option<Bounds> {
    let (descriptors, mebibytes) = match role {
        Role::Server => (8_192, 768),
        Role::Daemon => (512, 128),
        Role::Parent => (64, 64),
        Role::Supervisor | Role::Init | Role::Package => return None,
    };
    Some(Bounds {
        descriptors,
        resident_kib: mebibytes * 1_024,
    })
}

/// Holds every process to its bounds; tells of each the worst sight.
pub fn check(processes: &[ProcessSight]) -> Findings {
    let mut findings = Findings::default();
    let mut worst: BTreeMap<(i32, u64), &ProcessSight> = BTreeMap::new();
    for process in processes {
        let Some(bounds) = bounds(process.role) else { continue };
        findings.look();
        if process.descriptors > bounds.descriptors || process.resident_kib > bounds.resident_kib {
            worst
                .entry((process.pid, process.began))
                .and_modify(|known| {
                    if process.resident_kib > known.resident_kib {
                        *known = process;
                    }
                })
                .or_insert(process);
        }
    }
    for process in worst.into_values() {
        findings.wrong(format!(
            "a {:?} may have {:?}: {process:?}",
            process.role,
            bounds(process.role)
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(descriptors: usize, resident_kib: u64) -> ProcessSight {
        ProcessSight {
            at_ns: 1,
            pid: 1,
            began: 1,
            parent: 0,
            role: Role::Daemon,
            root: "/n1".into(),
            node: String::new(),
            package: String::new(),
            epoch: 0,
            descriptors,
            resident_kib,
        }
    }

    #[test]
    fn a_small_process_is_fine_and_a_planted_leak_is_found() {
        assert_eq!(
            (
                check(&[sight(20, 20_000)]).looked_at,
                check(&[sight(20, 20_000)]).wrong.len()
            ),
            (1, 0)
        );
        assert_eq!(check(&[sight(20, 20_000), sight(5_000, 20_000)]).wrong.len(), 1);
        assert_eq!(check(&[sight(20, 9_000_000), sight(20, 9_500_000)]).wrong.len(), 1);
    }
}
