//! `on_quorum_loss = "reset"`: when the node is reset, and when not.

use super::*;

/// The lease's end in these tests: a renewal is sent with the registration, and the one that is answered `Q` after it.
const DEADLINE: u64 = START + (25 + 1_000) * MS;

fn with_package() -> Daemon {
    let mut daemon = serving();
    let mut demanding = wanted("p", 4, 4, "active");
    demanding.reset = true;
    answer(&mut daemon, START, 1, vec![demanding, wanted("q", 5, 5, "active")]);
    running(&mut daemon, &key("p", 4), 4);
    running(&mut daemon, &key("q", 5), 5);
    assert_eq!(daemon.lease.deadline_ns(), DEADLINE);
    daemon
}

fn ended(daemon: &mut Daemon, now_ns: u64, package: &str, epoch: u64, cause: EndCause) -> Vec<DaemonAction> {
    let ended = Ended {
        cause,
        code: None,
        detail: String::new(),
    };
    news(daemon, now_ns, &key(package, epoch), epoch, News::Ended(ended))
}

fn resets(actions: &[DaemonAction]) -> Option<&Vec<String>> {
    actions.iter().find_map(|action| match action {
        DaemonAction::Reset { package, left } => {
            assert_eq!(package, "p");
            Some(left)
        }
        _ => None,
    })
}

#[test]
fn once_after_the_deadline_when_all_packages_are_gone() {
    let mut daemon = with_package();
    let soft = DEADLINE - 100 * MS;
    assert_eq!(resets(&ended(&mut daemon, soft, "p", 4, EndCause::LeaseEnded)), None);
    assert_eq!(resets(&step(&mut daemon, DEADLINE - 1, DaemonEvent::Tick)), None);
    assert_eq!(
        resets(&step(&mut daemon, DEADLINE, DaemonEvent::Tick)),
        None,
        "another package is not gone yet"
    );
    let gone = DaemonEvent::Gone {
        key: key("q", 5),
        process: 5,
    };
    let actions = step(&mut daemon, DEADLINE + 5 * MS, gone);
    assert_eq!(resets(&actions), Some(&Vec::new()));
    assert_eq!(
        resets(&step(&mut daemon, DEADLINE + 3_000 * MS, DaemonEvent::Tick)),
        None
    );
}

#[test]
fn what_can_not_be_killed_does_not_keep_it_from_that() {
    let mut daemon = with_package();
    assert_eq!(resets(&step(&mut daemon, DEADLINE, DaemonEvent::Tick)), None);
    let grace = daemon.next_ns(DEADLINE + 999 * MS);
    assert!(
        grace.is_some_and(|at| at <= DEADLINE + 1_000 * MS),
        "the daemon wakes for it"
    );
    let actions = step(&mut daemon, DEADLINE + 1_000 * MS, DaemonEvent::Tick);
    assert_eq!(resets(&actions), Some(&vec!["p".to_owned(), "q".to_owned()]));
    assert_eq!(
        resets(&step(&mut daemon, DEADLINE + 5_000 * MS, DaemonEvent::Tick)),
        None,
        "once, where the way to do it does not work"
    );
}

#[test]
fn a_node_that_is_told_that_it_was_declared_down_is_reset_too() {
    let mut daemon = with_package();
    let told = DaemonEvent::RenewFailed {
        session: 9,
        code: "session_ended".to_owned(),
    };
    step(&mut daemon, DEADLINE + 400 * MS, told);
    for (package, epoch) in [("p", 4), ("q", 5)] {
        let gone = DaemonEvent::Gone {
            key: key(package, epoch),
            process: epoch,
        };
        let actions = step(&mut daemon, DEADLINE + 410 * MS, gone);
        assert_eq!(resets(&actions).is_some(), package == "q", "{package}");
    }
}

#[test]
fn not_where_a_quorum_is_heard_again_in_time() {
    let mut daemon = with_package();
    ended(&mut daemon, DEADLINE - 100 * MS, "p", 4, EndCause::LeaseEnded);
    answer(&mut daemon, DEADLINE - 50 * MS, 0, Vec::new());
    for after in 0..50 {
        let now = DEADLINE + after * 10 * MS;
        assert_eq!(resets(&step(&mut daemon, now, DaemonEvent::Tick)), None);
    }
}

#[test]
fn not_where_it_was_stopped_as_asked() {
    let mut daemon = with_package();
    answer(&mut daemon, START + 100 * MS, 2, vec![wanted("q", 5, 5, "active")]);
    ended(&mut daemon, START + 200 * MS, "p", 4, EndCause::Requested);
    let actions = step(&mut daemon, DEADLINE + 2_000 * MS, DaemonEvent::Tick);
    assert_eq!(resets(&actions), None);
}

#[test]
fn not_while_the_node_is_shut_down() {
    let mut daemon = with_package();
    step(&mut daemon, START + 100 * MS, DaemonEvent::Stop);
    ended(&mut daemon, DEADLINE - 100 * MS, "p", 4, EndCause::LeaseEnded);
    let actions = step(&mut daemon, DEADLINE + 2_000 * MS, DaemonEvent::Tick);
    assert_eq!(resets(&actions), None);
}

#[test]
fn a_daemon_that_begins_after_it_waits_whether_a_quorum_answers() {
    let record = with_package().record();
    let begin_with = || {
        let (mut daemon, _) = begin(Some(record.clone()));
        ended(&mut daemon, START, "p", 4, EndCause::LeaseEnded);
        ended(&mut daemon, START, "q", 5, EndCause::LeaseEnded);
        daemon
    };
    let mut unheard = begin_with();
    assert_eq!(resets(&step(&mut unheard, START + 999 * MS, DaemonEvent::Tick)), None);
    assert!(resets(&step(&mut unheard, START + 1_000 * MS, DaemonEvent::Tick)).is_some());
    let mut heard = begin_with();
    answer(&mut heard, START + 500 * MS, 0, Vec::new());
    assert_eq!(resets(&step(&mut heard, START + 1_600 * MS, DaemonEvent::Tick)), None);
}
