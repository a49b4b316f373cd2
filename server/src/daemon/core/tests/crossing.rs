//! What the manager and the daemon say to each other may cross: the model of the protocol (`docs/MODEL.md`) found these.

use super::*;

fn leaves(actions: &[DaemonAction]) -> Option<usize> {
    place_of(actions, |action| matches!(action, DaemonAction::Leave { .. }))
}

#[test]
fn a_promotion_that_crosses_the_report_of_the_end_starts_nothing() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "standby")]);
    running(&mut daemon, &key("p", 4), 4);
    let ended = Ended {
        cause: EndCause::Signalled,
        code: Some(9),
        detail: String::new(),
    };
    let now = START + 50 * MS;
    news(&mut daemon, now, &key("p", 4), 4, News::Ended(ended));
    assert!(
        daemon.reports.holds_end("p", 4),
        "the manager will release the instance of start 4, whatever its epoch is by then"
    );
    let actions = answer(&mut daemon, now, 2, vec![wanted("p", 4, 7, "active")]);
    assert_eq!(
        place_of(&actions, spawn),
        None,
        "it is released when the report arrives"
    );
    let actions = answer(&mut daemon, now + 200 * MS, 3, vec![wanted("p", 8, 8, "active")]);
    assert!(place_of(&actions, spawn).is_some(), "a new start is another instance");
}

#[test]
fn what_was_reported_as_never_started_is_not_started_by_a_later_daemon() {
    let mut daemon = serving();
    let mut delayed = wanted("p", 4, 4, "active");
    delayed.delay_ms = 10_000;
    answer(&mut daemon, START, 1, vec![delayed.clone()]);
    assert!(matches!(daemon.instances[&key("p", 4)].stage, Stage::Waiting { .. }));
    step(&mut daemon, START + 50 * MS, DaemonEvent::Stop);
    assert!(daemon.reports.holds_end("p", 4));
    let (mut later, _) = begin(Some(daemon.record()));
    delayed.delay_ms = 0;
    let actions = answer(&mut later, START + 60 * MS, 1, vec![delayed]);
    assert_eq!(
        place_of(&actions, spawn),
        None,
        "the report of its end may be taken after this answer"
    );
}

#[test]
fn a_session_whose_end_was_asked_for_is_never_continued() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, Vec::new());
    let actions = step(&mut daemon, START + 50 * MS, DaemonEvent::Stop);
    let asked = leaves(&actions).expect("nothing runs, so the end is asked for at once");
    let recorded = place_of(&actions, |action| matches!(action, DaemonAction::Record));
    assert!(
        recorded.is_some_and(|recorded| recorded < asked),
        "recorded before it is sent"
    );
    let record = daemon.record();
    assert_eq!(record.session, None);
    assert_eq!(record.ended, vec![9]);
    let (_, actions) = begin(Some(record));
    let names = actions
        .iter()
        .any(|action| matches!(action, DaemonAction::Register { request, .. } if request.ended == vec![9]));
    assert!(names, "a daemon that is killed before the answer came back begins anew");
}

/// A daemon whose session 9 was over, and which has session 12 now.
fn in_its_second_session() -> Daemon {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, Vec::new());
    let over = DaemonEvent::RenewFailed {
        session: 9,
        code: "session_ended".to_owned(),
    };
    step(&mut daemon, START + 50 * MS, over);
    let registered = Registered {
        cluster_id: "c".to_owned(),
        node: 1,
        session: 12,
        servers: Vec::new(),
    };
    step(
        &mut daemon,
        START + 60 * MS,
        DaemonEvent::Registered(Box::new(registered)),
    );
    assert_eq!(daemon.phase, Phase::Serving);
    daemon
}

#[test]
fn a_late_word_about_an_earlier_session_does_not_end_this_one() {
    let mut daemon = in_its_second_session();
    for late in [
        DaemonEvent::RenewFailed {
            session: 9,
            code: "session_ended".to_owned(),
        },
        DaemonEvent::ReportFailed {
            session: 9,
            code: "session_ended".to_owned(),
            detail: String::new(),
        },
    ] {
        step(&mut daemon, START + 70 * MS, late);
        assert_eq!(daemon.phase, Phase::Serving);
        assert!(daemon.has_session(12));
    }
}

#[test]
fn a_late_answer_to_an_earlier_sessions_report_does_not_stand_for_this_ones() {
    let mut daemon = in_its_second_session();
    answer(&mut daemon, START + 70 * MS, 2, vec![wanted("p", 4, 4, "active")]);
    running(&mut daemon, &key("p", 4), 4);
    assert!(!daemon.reports.is_empty());
    let sequence = daemon.reports.last();
    let late = |session| DaemonEvent::Reported {
        session,
        sequence,
        generation: 2,
    };
    step(&mut daemon, START + 90 * MS, late(9));
    assert!(!daemon.reports.is_empty(), "the report of session 12 was not taken yet");
    step(&mut daemon, START + 90 * MS, late(12));
    assert!(daemon.reports.is_empty());
}

#[test]
fn a_renewal_says_for_how_long_none_was_answered() {
    let unanswered = |actions: &[DaemonAction]| {
        actions.iter().find_map(|action| match action {
            DaemonAction::Renew { request, .. } => Some(request.unanswered_ms),
            _ => None,
        })
    };
    let mut daemon = serving();
    let mut now = START;
    let mut said = Vec::new();
    while said.len() < 40 {
        said.extend(unanswered(&step(&mut daemon, now, DaemonEvent::Tick)));
        now += 10 * MS;
    }
    assert!(said[0] < 100, "the first was sent when the session began");
    assert!(said.is_sorted());
    assert!(said[39] > 2_000, "{said:?}");
    answer(&mut daemon, now, 1, Vec::new());
    let later = now + 1_000 * MS;
    assert_eq!(unanswered(&step(&mut daemon, later, DaemonEvent::Tick)), Some(0));
}
