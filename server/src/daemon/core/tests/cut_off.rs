//! What a daemon that could not reach a leader for a while must get right.

use client::wire::daemon::StoppingInstance;

use super::*;

/// Found by the simulation (seed 11): placed and stopped again while the node was cut off, the package was never heard of
/// here, so nobody reported its end, and it stayed "stopping" until the node's session ended.
#[test]
fn the_end_of_what_was_never_heard_of_is_reported_and_it_never_starts() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, Vec::new());
    let due = daemon.next_renewal_ns;
    let actions = step(&mut daemon, due, DaemonEvent::Tick);
    let stopping = StoppingInstance {
        package: "p".to_owned(),
        start: 4,
    };
    let answered = Renewed {
        stopping: vec![stopping],
        ..renewed(last_nonce(&actions).unwrap(), 2, Vec::new())
    };
    let event = DaemonEvent::Renewed {
        server: "a:1".to_owned(),
        answer: Box::new(answered),
    };
    let actions = step(&mut daemon, due, event);
    let recorded = place_of(&actions, |action| matches!(action, DaemonAction::Record)).expect("a record");
    let reported = place_of(
        &actions,
        |action| matches!(action, DaemonAction::Report { request, .. } if request.observations[0].state == "ended"),
    );
    assert!(reported.expect("a report") > recorded);
    let actions = answer(&mut daemon, START + 300 * MS, 3, vec![wanted("p", 4, 4, "active")]);
    assert!(place_of(&actions, spawn).is_none());
}

/// Found by the simulation (seed 7): servers without a leader answered hints, each hint made a renewal that nobody answered,
/// each of those moved the daemon to the next server, which had a hint too.
#[test]
fn hints_do_not_make_renewals_more_often_while_none_is_answered() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, Vec::new());
    let mut renewals = 0;
    for millisecond in 0..400 {
        let now = START + 200 * MS + millisecond * MS;
        let actions = step(&mut daemon, now, DaemonEvent::Hint { generation: 9 });
        renewals += usize::from(last_nonce(&actions).is_some());
    }
    assert!((2..=8).contains(&renewals), "{renewals} renewals in 400 ms");
}
