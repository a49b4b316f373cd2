//! What packages say of themselves and what the node's resources are: told once, newest only, and again in a new session.

use client::wire::daemon::{InstanceSaid, Report, ResourceObservation};

use super::*;
use crate::supervisor::protocol::Words;

fn reports(actions: &[DaemonAction]) -> Vec<Report> {
    let reports = actions.iter().filter_map(|action| match action {
        DaemonAction::Report { request, .. } => Some(request.clone()),
        _ => None,
    });
    reports.collect()
}

/// The renewal that is under way is answered: this is needed.
fn needed(daemon: &mut Daemon, generation: u64, watch: &[&str]) -> Vec<DaemonAction> {
    let due = daemon.next_renewal_ns;
    let actions = step(daemon, due, DaemonEvent::Tick);
    let answered = Renewed {
        watch: watch.iter().map(ToString::to_string).collect(),
        ..renewed(last_nonce(&actions).unwrap(), generation, Vec::new())
    };
    let event = DaemonEvent::Renewed {
        server: "a:1".to_owned(),
        answer: Box::new(answered),
    };
    step(daemon, due, event)
}

fn looked(daemon: &mut Daemon, name: &str, up: bool) -> Vec<DaemonAction> {
    let condition = Condition {
        up,
        detail: format!("it is {up}"),
    };
    let now = daemon.next_renewal_ns;
    step(
        daemon,
        now,
        DaemonEvent::Looked(BTreeMap::from([(name.to_owned(), condition)])),
    )
}

fn seen(name: &str, up: bool) -> ResourceObservation {
    ResourceObservation {
        resource: name.to_owned(),
        up,
        detail: format!("it is {up}"),
    }
}

fn answered(daemon: &mut Daemon, sequence: u64) -> Vec<DaemonAction> {
    let now = daemon.next_renewal_ns;
    let event = DaemonEvent::Reported {
        session: 9,
        sequence,
        generation: 1,
    };
    step(daemon, now, event)
}

#[test]
fn a_resource_is_looked_at_once_it_is_needed_and_told_when_it_changes() {
    let mut daemon = serving();
    let actions = needed(&mut daemon, 1, &["lan:eth1"]);
    let names = actions.iter().find_map(|action| match action {
        DaemonAction::Watch { names } => Some(names.clone()),
        _ => None,
    });
    assert_eq!(names, Some(std::collections::BTreeSet::from(["lan:eth1".to_owned()])));
    assert!(
        reports(&looked(&mut daemon, "lan:eth9", true)).is_empty(),
        "nobody asked"
    );
    let first = reports(&looked(&mut daemon, "lan:eth1", true));
    assert_eq!(first[0].resources, [seen("lan:eth1", true)]);
    // Two changes while the report is under way: the newest state follows, and no state that is known.
    looked(&mut daemon, "lan:eth1", false);
    looked(&mut daemon, "lan:eth1", true);
    looked(&mut daemon, "lan:eth1", false);
    let second = reports(&answered(&mut daemon, first[0].sequence));
    assert_eq!(second[0].resources, [seen("lan:eth1", false)]);
    assert!(reports(&answered(&mut daemon, second[0].sequence)).is_empty());
    // What the manager forgot meanwhile is told again.
    let actions = needed(&mut daemon, 2, &["lan:eth1", "disk:/data"]);
    assert_eq!(reports(&actions)[0].resources, [seen("lan:eth1", false)]);
}

#[test]
fn words_reach_the_manager_at_once_and_then_not_in_each_others_heels() {
    let mut daemon = serving();
    let actions = answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "standby")]);
    assert!(place_of(&actions, spawn).is_some());
    let p = key("p", 4);
    running(&mut daemon, &p, 4);
    let says = |daemon: &mut Daemon, now: u64, score: i64| {
        let words = Words {
            score: Some(score),
            busy: score > 5,
        };
        news(daemon, now, &p, 4, News::Said(words))
    };
    let now = daemon.lease.deadline_ns() - 800 * MS;
    let last = daemon.reports.last();
    answered(&mut daemon, last);
    let first = reports(&says(&mut daemon, now, 1));
    let told = |score: i64| InstanceSaid {
        package: "p".to_owned(),
        start: 4,
        score: Some(score),
        busy: score > 5,
    };
    assert_eq!(first[0].said, [told(1)]);
    answered(&mut daemon, first[0].sequence);
    for score in 2..9 {
        assert!(reports(&says(&mut daemon, now + 10 * MS, score)).is_empty());
    }
    assert!(daemon.next_ns(now + 10 * MS).is_some_and(|due| due <= now + 1_000 * MS));
    let later = step(&mut daemon, now + 1_000 * MS, DaemonEvent::Tick);
    assert_eq!(reports(&later)[0].said, [told(8)], "the newest only");
}
