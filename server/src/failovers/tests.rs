//! Takeovers as the state machine tells them: its own events, through the journal.

use std::sync::Arc;

use super::*;
use crate::storage::journal::Facts;
use crate::storage::{Database, Fatal, FatalAction, Journal, Writer};
use statemachine::id::Index;

struct Kept {
    journal: Journal,
    writer: Writer,
    _folder: tempfile::TempDir,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.writer.stop();
    }
}

fn journal(records: Vec<EventRecord>) -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let database = Arc::new(Database::open(folder.path()).unwrap());
    let writer = Writer::start(database.clone(), Fatal::new(folder.path(), FatalAction::Keep)).unwrap();
    let journal = Journal::open(database, writer.clone()).unwrap();
    journal.append(records);
    Kept {
        journal,
        writer,
        _folder: folder,
    }
}

fn event(place: EventPlace, kind: &str, resource: &str, node: &str, cause: Option<EventPlace>) -> EventRecord {
    EventRecord {
        index: place.0,
        sequence: place.1,
        at_ms: place.0 * 100,
        wall_ms: 1_000_000 + place.0 * 100,
        resource: resource.to_owned(),
        kind: kind.to_owned(),
        node: Some(node.to_owned()),
        severity: "info".to_owned(),
        cause,
        text: format!("{kind} {resource} {node}"),
        facts: None,
    }
}

fn with(mut event: EventRecord, group: Option<&str>, epoch: u64, why: &str) -> EventRecord {
    event.facts = Some(Facts {
        group: group.map(str::to_owned),
        epoch: (epoch > 0).then_some(epoch),
        why: (!why.is_empty()).then(|| why.to_owned()),
        holds: epoch > 0,
        ..Facts::default()
    });
    event
}

/// A group's active one on n1, under epoch 1, is taken over by b on n2, under epoch 5, at these indexes.
fn takeover(at: u64) -> Vec<EventRecord> {
    let group = Some("g");
    vec![
        with(
            event((at, 0), "package-failed", "package:a", "n1", None),
            group,
            0,
            "signalled",
        ),
        with(
            event((at + 2, 0), "package-ended", "package:a", "n1", Some((at, 0))),
            group,
            1,
            "reported",
        ),
        with(
            event((at + 2, 1), "promoted", "package:b", "n2", Some((at + 2, 0))),
            group,
            5,
            "",
        ),
        // The other one's own story, in between.
        event((at + 3, 0), "became-active", "package:other", "n3", None),
        with(
            event((at + 7, 0), "became-active", "package:b", "n2", Some((at + 2, 1))),
            group,
            5,
            "",
        ),
    ]
}

fn only(mut page: FailoverPage) -> Failover {
    assert_eq!(page.failovers.len(), 1, "{page:#?}");
    page.failovers.remove(0)
}

fn stages(failover: &Failover) -> Vec<(&'static str, u64)> {
    let stage = |stage: &Stage| (stage.name.as_str(), failover.since_begin(stage.at_ms));
    failover.stages.iter().map(stage).collect()
}

#[test]
fn a_failed_program_is_told_from_its_failure_to_the_next_that_is_active() {
    let kept = journal(takeover(10));
    let told = only(read(&kept.journal, &FailoverFilter::default(), 20).unwrap());
    assert_eq!(
        (told.id, told.unit.as_str(), told.cause),
        ((12, 0), "group:g", Cause::Program)
    );
    assert_eq!((told.outcome.clone(), told.total_ms()), (Outcome::Done, Some(700)));
    assert_eq!(
        (told.from.package.as_str(), told.from.node.as_str(), told.from.epoch),
        ("a", "n1", 1)
    );
    assert_eq!(
        told.to.as_ref().map(|to| (to.package.as_str(), to.epoch)),
        Some(("b", 5))
    );
    assert_eq!(
        stages(&told),
        [("decided", 0), ("ended", 200), ("told", 200), ("active", 700)]
    );
    assert_eq!(one(&kept.journal, (12, 0)).unwrap(), Some(told));
    assert_eq!(one(&kept.journal, (12, 1)).unwrap(), None);
    assert_eq!(one(&kept.journal, (99, 0)).unwrap(), None);
}

#[test]
fn until_it_is_active_it_is_under_way_and_what_it_waits_for_is_said() {
    let mut events = takeover(10);
    events.truncate(2);
    let kept = journal(events);
    let read = || only(read(&kept.journal, &FailoverFilter::default(), 20).unwrap());
    assert_eq!(read().outcome, Outcome::UnderWay(None));
    let waits = event((12, 1), "waiting", "package:b", "n2", None);
    kept.journal.append(vec![with(waits, Some("g"), 0, "no-node")]);
    assert_eq!(
        read().outcome,
        Outcome::UnderWay(Some("waiting package:b n2".to_owned()))
    );
    let gone = event((20, 0), "gave-up", "package:b", "n2", None);
    kept.journal.append(vec![with(gone, Some("g"), 0, "failed")]);
    assert_eq!(read().outcome, Outcome::Failed("gave-up package:b n2".to_owned()));
}

#[test]
fn a_restart_in_place_and_a_stop_that_was_wanted_are_none() {
    let mut events = takeover(10);
    // The same package on the same node, by the same command.
    events[2] = with(
        event((12, 1), "restarted", "package:a", "n1", Some((12, 0))),
        Some("g"),
        5,
        "",
    );
    events.push(with(
        event((30, 0), "stop-wished", "package:b", "n2", None),
        Some("g"),
        0,
        "",
    ));
    events.push(with(
        event((30, 1), "stopping", "package:b", "n2", Some((30, 0))),
        Some("g"),
        0,
        "stopped",
    ));
    events.push(with(
        event((31, 0), "package-ended", "package:b", "n2", Some((30, 1))),
        Some("g"),
        5,
        "reported",
    ));
    events.push(event((32, 0), "node-resumed", "node:n2", "n2", None));
    let kept = journal(events);
    let page = read(&kept.journal, &FailoverFilter::default(), 20).unwrap();
    assert_eq!(page, FailoverPage::default());
}

#[test]
fn a_drain_is_planned_and_begins_where_somebody_asked() {
    let kept = journal(vec![
        event((4, 0), "node-drained", "node:n1", "n1", None),
        with(
            event((4, 1), "stopping", "package:a", "n1", Some((4, 0))),
            None,
            0,
            "drained",
        ),
        with(
            event((6, 0), "package-ended", "package:a", "n1", Some((4, 1))),
            None,
            1,
            "reported",
        ),
        with(event((6, 1), "moved", "package:a", "n2", Some((6, 0))), None, 5, ""),
        with(
            event((9, 0), "became-active", "package:a", "n2", Some((6, 1))),
            None,
            5,
            "",
        ),
    ]);
    let told = only(read(&kept.journal, &FailoverFilter::default(), 20).unwrap());
    assert_eq!((told.cause, told.cause.is_planned()), (Cause::Drained, true));
    assert_eq!(
        (told.because.as_str(), told.unit.as_str()),
        ("node-drained node:n1 n1", "package:a")
    );
    assert_eq!(
        stages(&told),
        [
            ("detected", 0),
            ("decided", 0),
            ("ended", 200),
            ("told", 200),
            ("active", 500)
        ]
    );
}

#[test]
fn what_was_stopped_for_it_is_listed_and_its_own_heir_may_fail() {
    let mut events = vec![
        event((4, 0), "node-lost", "node:n1", "n1", None),
        with(
            event((4, 1), "package-ended", "package:a", "n1", Some((4, 0))),
            None,
            1,
            "lease-ended",
        ),
    ];
    let mut victim = event((4, 2), "stopping", "package:batch", "n3", None);
    victim.facts = Some(Facts {
        why: Some("preempted".to_owned()),
        room_for: Some("a".to_owned()),
        ..Facts::default()
    });
    events.push(victim);
    events.push(with(
        event((8, 0), "moved", "package:a", "n3", Some((4, 1))),
        None,
        6,
        "",
    ));
    // It ends there before it is active, and starts at a third place.
    events.push(with(
        event((9, 0), "package-failed", "package:a", "n3", None),
        None,
        0,
        "exited",
    ));
    events.push(with(
        event((9, 1), "package-ended", "package:a", "n3", Some((9, 0))),
        None,
        6,
        "reported",
    ));
    events.push(with(
        event((9, 2), "moved", "package:a", "n2", Some((9, 1))),
        None,
        7,
        "",
    ));
    events.push(with(
        event((11, 0), "became-active", "package:a", "n2", Some((9, 2))),
        None,
        7,
        "",
    ));
    let kept = journal(events);
    let page = read(&kept.journal, &FailoverFilter::default(), 20).unwrap();
    let [first, second] = page.failovers.as_slice() else {
        panic!("{page:#?}")
    };
    assert_eq!(
        first.outcome,
        Outcome::Failed("a had ended on n3 before it was active".to_owned())
    );
    assert_eq!((first.cause, first.displaced.len()), (Cause::NodeLost, 1));
    assert_eq!(
        (first.displaced[0].package.as_str(), first.displaced[0].node.as_str()),
        ("batch", "n3")
    );
    assert_eq!((second.cause, second.total_ms()), (Cause::Program, Some(200)));
    assert!(second.displaced.is_empty());
}

#[test]
fn a_stranded_one_is_one_story_until_it_is_confirmed_wherever_a_page_begins() {
    let stranded = with(
        event((4, 1), "package-stranded", "package:a", "n1", Some((4, 0))),
        None,
        1,
        "",
    );
    let mut ended = with(
        event((50, 1), "package-ended", "package:a", "n1", Some((50, 0))),
        None,
        1,
        "confirmed",
    );
    ended.facts.as_mut().unwrap().stranded = true;
    let kept = journal(vec![
        event((4, 0), "node-lost", "node:n1", "n1", None),
        stranded,
        event((50, 0), "node-confirmed-down", "node:n1", "n1", None),
        ended,
        with(event((50, 2), "moved", "package:a", "n2", Some((50, 1))), None, 7, ""),
        with(
            event((51, 0), "became-active", "package:a", "n2", Some((50, 2))),
            None,
            7,
            "",
        ),
    ]);
    let told = only(read(&kept.journal, &FailoverFilter::default(), 20).unwrap());
    assert_eq!((told.id, told.cause), ((4, 1), Cause::NodeLost));
    assert_eq!(
        stages(&told),
        [
            ("decided", 0),
            ("stranded", 0),
            ("ended", 4600),
            ("told", 4600),
            ("active", 4700)
        ]
    );
    let later = FailoverFilter {
        after: Some(Index(10)),
        ..FailoverFilter::default()
    };
    assert_eq!(read(&kept.journal, &later, 20).unwrap().failovers, []);
}

#[test]
fn pages_meet_whichever_way_they_are_read_and_filters_hold() {
    let kept = journal((0..700).flat_map(|at| takeover(10 + at * 20)).collect());
    let all: Vec<u64> = (0..700).map(|at| 12 + at * 20).collect();
    let places = |page: &FailoverPage| page.failovers.iter().map(|it| it.id.0).collect::<Vec<_>>();
    let (mut forward, mut after) = (Vec::new(), Some(Index(0)));
    while let Some(place) = after {
        let filter = FailoverFilter {
            after: Some(place),
            ..FailoverFilter::default()
        };
        let page = read(&kept.journal, &filter, 33).unwrap();
        assert!(page.failovers.len() <= 33);
        forward.extend(places(&page));
        after = page.next_after;
    }
    assert_eq!(forward, all);
    let (mut backward, mut filter) = (Vec::new(), FailoverFilter::default());
    loop {
        let page = read(&kept.journal, &filter, 33).unwrap();
        assert!(page.failovers.iter().all(|it| it.outcome == Outcome::Done));
        backward.splice(0..0, places(&page));
        filter.before = page.next_before;
        if filter.before.is_none() {
            break;
        }
    }
    assert_eq!(backward, all);
    let count = |filter: FailoverFilter| read(&kept.journal, &filter, 5).unwrap().failovers.len();
    let named = |name: &str| Some(name.to_owned());
    for (filter, expected) in [
        (
            FailoverFilter {
                package: named("b"),
                ..Default::default()
            },
            5,
        ),
        (
            FailoverFilter {
                package: named("other"),
                ..Default::default()
            },
            0,
        ),
        (
            FailoverFilter {
                group: named("g"),
                ..Default::default()
            },
            5,
        ),
        (
            FailoverFilter {
                node: named("n3"),
                ..Default::default()
            },
            0,
        ),
        (
            FailoverFilter {
                node: named("n2"),
                until_wall_ms: Some(1_000_000 + 3_200),
                ..Default::default()
            },
            2,
        ),
        (
            FailoverFilter {
                since_wall_ms: Some(1_000_000 + 100 * (all[697])),
                ..Default::default()
            },
            3,
        ),
    ] {
        assert_eq!(count(filter.clone()), expected, "{filter:?}");
    }
}
