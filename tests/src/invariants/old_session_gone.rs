//! I6: no process of a session lives once a newer session of that node is registered.

use std::collections::{BTreeMap, BTreeSet};

use client::wire::event::Event;
use server::daemon::recording::{Line, What};

use super::activation_logged::epoch_in;
use super::findings::Findings;
use super::sight::{ProcessSight, Role};
use crate::witness::Record;

/// Compares what lived, by the programs' records and by `/proc`, with the sessions that the daemons recorded.
///
/// A session is named by the index at which it was registered, and every start has an event with its epoch: so a process
/// belongs to the last session that was registered before its start was decided.
pub fn check(records: &[Record], processes: &[ProcessSight], events: &[Event], lines: &[Line]) -> Findings {
    let starts = starts(events);
    let sessions = Sessions::read(lines);
    let mut findings = Findings::default();
    let mut told = BTreeSet::new();
    let mut look = |node: &str, package: &str, epoch: u64, pid: i32, at_ns: u64, what: &str| {
        let Some(start) = starts.get(&(package, node, epoch)) else {
            return;
        };
        findings.look();
        if let Some((session, since_ns)) = sessions.newer(node, *start).filter(|(_, since)| *since < at_ns)
            && told.insert((node.to_owned(), pid))
        {
            findings.wrong(format!(
                "process {pid} of {package} on {node} (epoch {epoch}, decided at index {start}) {what} {:.1} ms after session \
                 {session} was registered",
                (at_ns - since_ns) as f64 / 1e6
            ));
        }
    };
    // Of a process whose mode changed in place only the first epoch tells when it was started.
    let mut first: BTreeMap<(&str, &str, i32), u64> = BTreeMap::new();
    for record in records {
        let key = (record.node.as_str(), record.package.as_str(), record.pid);
        if record.kind == crate::witness::Kind::Start {
            first.insert(key, record.epoch);
        }
        if let Some(epoch) = first.get(&key) {
            look(&record.node, &record.package, *epoch, record.pid, record.at_ns, "wrote");
        }
    }
    for process in processes.iter().filter(|p| p.role == Role::Package) {
        look(
            &process.node,
            &process.package,
            process.epoch,
            process.pid,
            process.at_ns,
            "was alive",
        );
    }
    findings
}

/// The index at which each start was decided, by package, node and epoch.
fn starts(events: &[Event]) -> BTreeMap<(&str, &str, u64), u64> {
    let mut starts = BTreeMap::new();
    for event in events {
        if let (Some(package), Some(node), Some(epoch)) = (
            event.resource.strip_prefix("package:"),
            event.node.as_deref(),
            epoch_in(&event.text),
        ) {
            starts.entry((package, node, epoch)).or_insert(event.index);
        }
    }
    starts
}

/// Per node its sessions and when its daemon knew of them.
struct Sessions<'a>(BTreeMap<&'a str, BTreeMap<u64, u64>>);

impl<'a> Sessions<'a> {
    fn read(lines: &'a [Line]) -> Self {
        let mut sessions: BTreeMap<&str, BTreeMap<u64, u64>> = BTreeMap::new();
        for line in lines {
            if let What::Registered { session } = line.what {
                sessions
                    .entry(&line.node)
                    .or_default()
                    .entry(session)
                    .or_insert(line.at_ns);
            }
        }
        Self(sessions)
    }

    /// The first session that was registered after an index.
    fn newer(&self, node: &str, index: u64) -> Option<(u64, u64)> {
        let (session, since) = self.0.get(node)?.range(index.saturating_add(1)..).next()?;
        Some((*session, *since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::lease_covers::MS;
    use crate::invariants::planted::{event, line};
    use crate::witness::parse;

    fn checked(last_ms: u64) -> Findings {
        let records = parse(&format!("1 start u a n1 5 7\n{} standby u a n1 5 7\n", last_ms * MS)).expect("records");
        let events = [event(10, "placed", "a", "n1", "a starts on n1 as active under epoch 7")];
        let lines = [
            line("n1", 50, What::Registered { session: 9 }),
            line("n1", 200, What::Registered { session: 12 }),
        ];
        check(&records, &[], &events, &lines)
    }

    #[test]
    fn what_ended_before_the_new_session_is_fine() {
        assert_eq!(checked(199).wrong, Vec::<String>::new());
        assert_eq!(checked(199).looked_at, 2);
    }

    #[test]
    fn a_planted_survivor_is_found() {
        assert_eq!(checked(201).wrong.len(), 1);
    }

    #[test]
    fn a_planted_process_that_only_lives_is_found() {
        let events = [event(
            10,
            "placed",
            "a",
            "n1",
            "a starts on n1 as standby under epoch 7",
        )];
        let lines = [line("n1", 200, What::Registered { session: 12 })];
        let process = |at_ms: u64| ProcessSight {
            at_ns: at_ms * MS,
            pid: 5,
            began: 1,
            parent: 4,
            role: Role::Package,
            root: "/n1".into(),
            node: "n1".to_owned(),
            package: "a".to_owned(),
            epoch: 7,
            descriptors: 0,
            resident_kib: 0,
        };
        assert!(check(&[], &[process(199)], &events, &lines).wrong.is_empty());
        assert_eq!(check(&[], &[process(300)], &events, &lines).wrong.len(), 1);
    }
}
