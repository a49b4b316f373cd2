//! Pages, gaps, and what a restart finds.

use super::*;
use crate::storage::{Database, Fatal, FatalAction};

pub(super) fn record(index: u64, sequence: u32, text: &str) -> EventRecord {
    EventRecord {
        index,
        sequence,
        at_ms: index,
        wall_ms: 1000 + index,
        resource: format!("package:p{}", index % 2),
        kind: "test".to_owned(),
        node: None,
        severity: "info".to_owned(),
        cause: None,
        text: text.to_owned(),
        facts: None,
    }
}

pub(super) fn journal(folder: &std::path::Path) -> (Journal, Arc<Database>, Writer) {
    let database = Arc::new(Database::open(folder).unwrap());
    let writer = Writer::start(database.clone(), Fatal::new(folder, FatalAction::Keep)).unwrap();
    (
        Journal::open(database.clone(), writer.clone()).unwrap(),
        database,
        writer,
    )
}

#[test]
fn pages_keep_an_index_together_and_go_on_where_they_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _, writer) = journal(folder.path());
    journal.append(vec![
        record(1, 0, "a"),
        record(2, 0, "b"),
        record(2, 1, "c"),
        record(2, 2, "d"),
    ]);
    journal.append(vec![record(5, 0, "e")]);
    let first = journal
        .read(
            &EventFilter {
                after: Some(Index(0)),
                ..EventFilter::default()
            },
            2,
        )
        .unwrap();
    assert_eq!(
        first.events.iter().map(|e| e.text.as_str()).collect::<Vec<_>>(),
        ["a", "b", "c", "d"]
    );
    assert_eq!((first.more, first.next_after), (true, Some(Index(2))));
    let second = journal
        .read(
            &EventFilter {
                after: first.next_after,
                ..EventFilter::default()
            },
            2,
        )
        .unwrap();
    assert_eq!((second.events.len(), second.more), (1, false));
    let newest = journal.read(&EventFilter::default(), 1).unwrap();
    assert_eq!(newest.events[0].text, "e");
    assert_eq!(journal.event(2, 1).unwrap().unwrap().text, "c");
    assert_eq!(journal.event(3, 0).unwrap(), None);
    let glob = EventFilter {
        after: Some(Index(0)),
        resources: vec!["*p0".to_owned()],
        ..EventFilter::default()
    };
    assert_eq!(journal.read(&glob, 10).unwrap().events.len(), 3);
    writer.stop();
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_gaps_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (first, database, writer) = journal(folder.path());
    first.append(vec![record(1, 0, "a")]);
    first.add_gap(Gap { first: 2, last: 8 }).await.unwrap();
    first.append(vec![record(9, 0, "b")]);
    writer.stop();
    database.close();
    let (again, _, writer) = journal(folder.path());
    let page = again
        .read(
            &EventFilter {
                after: Some(Index(0)),
                ..EventFilter::default()
            },
            10,
        )
        .unwrap();
    assert_eq!(
        (page.events.len(), page.gaps.as_slice()),
        (2, [Gap { first: 2, last: 8 }].as_slice())
    );
    let late = again
        .read(
            &EventFilter {
                after: Some(Index(8)),
                ..EventFilter::default()
            },
            10,
        )
        .unwrap();
    assert_eq!((late.events.len(), late.gaps.len()), (1, 0));
    assert_eq!(again.last_index(), 9);
    writer.stop();
}

#[tokio::test]
async fn a_gap_is_filled_piece_by_piece_and_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _, writer) = journal(folder.path());
    journal.append(vec![record(1, 0, "a")]);
    journal.add_gap(Gap { first: 2, last: 8 }).await.unwrap();
    journal.append(vec![record(9, 0, "z")]);
    let all = EventFilter {
        after: Some(Index(0)),
        ..EventFilter::default()
    };
    journal
        .fill(Gap { first: 2, last: 4 }, vec![record(2, 0, "b"), record(4, 0, "c")])
        .await
        .unwrap();
    assert_eq!(journal.gaps(), [Gap { first: 5, last: 8 }]);
    // Filled twice, as after a crash between the two writes.
    journal
        .fill(Gap { first: 4, last: 6 }, vec![record(4, 0, "c"), record(6, 0, "d")])
        .await
        .unwrap();
    journal.fill(Gap { first: 7, last: 20 }, vec![]).await.unwrap();
    assert_eq!(journal.gaps(), []);
    let page = journal.read(&all, 10).unwrap();
    assert_eq!(
        page.events.iter().map(|e| e.text.as_str()).collect::<Vec<_>>(),
        ["a", "b", "c", "d", "z"]
    );
    writer.stop();
}

#[test]
fn what_is_left_of_a_gap() {
    let gap = Gap { first: 5, last: 10 };
    let left = |first, last| {
        gap.without(Gap { first, last })
            .map(|gap| (gap.first, gap.last))
            .collect::<Vec<_>>()
    };
    assert_eq!(left(1, 4), [(5, 10)]);
    assert_eq!(left(11, 12), [(5, 10)]);
    assert_eq!(left(1, 5), [(6, 10)]);
    assert_eq!(left(7, 8), [(5, 6), (9, 10)]);
    assert_eq!(left(5, 10), []);
    assert_eq!(left(8, 20), [(5, 7)]);
}

/// Some thousands of events, in blocks, of which every hundredth concerns n7.
fn many(journal: &Journal, from: u64, to: u64) {
    for index in from..=to {
        let rare = index % 3000 == 7;
        journal.append(vec![EventRecord {
            resource: if rare {
                "node:n7".to_owned()
            } else {
                format!("package:p{}", index % 5)
            },
            kind: if rare {
                "node-lost".to_owned()
            } else {
                "placed".to_owned()
            },
            node: rare.then(|| "n7".to_owned()),
            severity: if rare { "error".to_owned() } else { "info".to_owned() },
            ..record(index, 0, "text")
        }]);
    }
}

fn indexes(page: &EventPage) -> Vec<u64> {
    page.events.iter().map(|event| event.index).collect()
}

#[tokio::test]
async fn rare_events_are_found_by_every_field_forward_and_backward_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, database, writer) = journal(folder.path());
    many(&first, 1, 20_000);
    first.sync().await.unwrap();
    let expected: Vec<u64> = (0..7).map(|it| it * 3000 + 7).collect();
    let check = |journal: &Journal| {
        for filter in [
            EventFilter {
                resources: vec!["node:*".to_owned()],
                ..EventFilter::default()
            },
            EventFilter {
                kind: Some("node-lost".to_owned()),
                ..EventFilter::default()
            },
            EventFilter {
                kind: Some("node".to_owned()),
                ..EventFilter::default()
            },
            EventFilter {
                node: Some("n7".to_owned()),
                ..EventFilter::default()
            },
            EventFilter {
                severity: Some("warning".to_owned()),
                ..EventFilter::default()
            },
        ] {
            assert_eq!(indexes(&journal.read(&filter, 100).unwrap()), expected, "{filter:?}");
            let from_start = EventFilter {
                after: Some(Index(0)),
                ..filter.clone()
            };
            assert_eq!(
                indexes(&journal.read(&from_start, 100).unwrap()),
                expected,
                "{filter:?}"
            );
            // Page by page, from the newest backward.
            let (mut all, mut before) = (Vec::new(), None);
            loop {
                let page = journal
                    .read(
                        &EventFilter {
                            before,
                            ..filter.clone()
                        },
                        2,
                    )
                    .unwrap();
                all.splice(0..0, indexes(&page));
                before = page.next_before;
                if before.is_none() {
                    break;
                }
            }
            assert_eq!(all, expected, "{filter:?}");
        }
        let times = EventFilter {
            since_wall_ms: Some(1000 + 9000),
            until_wall_ms: Some(1000 + 9002),
            ..EventFilter::default()
        };
        assert_eq!(indexes(&journal.read(&times, 100).unwrap()), [9000, 9001, 9002]);
    };
    check(&first);
    writer.stop();
    drop((first, database));
    let (again, _, writer) = journal(folder.path());
    check(&again);
    // The log is replayed from the last snapshot on, and then goes on.
    many(&again, 19_000, 21_500);
    let all = EventFilter {
        after: Some(Index(18_990)),
        ..EventFilter::default()
    };
    assert_eq!(
        indexes(&again.read(&all, 10_000).unwrap()),
        (18_991..=21_500).collect::<Vec<_>>()
    );
    writer.stop();
}

#[tokio::test]
async fn what_is_beyond_the_bounds_goes_and_is_told_to_be_gone() {
    let folder = tempfile::tempdir().unwrap();
    let database = Arc::new(Database::open(folder.path()).unwrap());
    let writer = Writer::start(database.clone(), Fatal::new(folder.path(), FatalAction::Keep)).unwrap();
    let retention = Retention {
        age: std::time::Duration::from_secs(3),
        bytes: u64::MAX,
    };
    let journal = Journal::open_keeping(database.clone(), writer.clone(), retention).unwrap();
    many(&journal, 1, 8_000);
    journal.sync().await.unwrap();
    journal.trim().unwrap();
    let oldest = journal.oldest();
    // One event a millisecond: three seconds are three thousand, and whole blocks only are dropped.
    assert!((3_000..=5_000).contains(&oldest), "{oldest}");
    let all = EventFilter {
        after: Some(Index(0)),
        ..EventFilter::default()
    };
    assert_eq!(
        journal.follow(oldest - 2, 8_000, &all, 5).unwrap(),
        Tail::Forgotten { oldest }
    );
    assert!(matches!(
        journal.follow(oldest - 1, 8_000, &all, 5).unwrap(),
        Tail::Events { .. }
    ));
    journal.sync().await.unwrap();
    drop(journal);
    let again = Journal::open_keeping(database, writer.clone(), retention).unwrap();
    assert_eq!(again.oldest(), oldest);
    assert_eq!(indexes(&again.read(&all, 1).unwrap()), [oldest]);
    writer.stop();
}

#[test]
fn an_event_of_a_version_without_facts_is_read_and_one_with_nothing_to_say_is_written_like_it() {
    #[derive(serde::Serialize)]
    struct Before<'a> {
        index: u64,
        sequence: u32,
        at_ms: u64,
        wall_ms: u64,
        resource: &'a str,
        kind: &'a str,
        node: Option<&'a str>,
        severity: &'a str,
        cause: Option<(u64, u32)>,
        text: &'a str,
    }
    let mut value = vec![FORMAT];
    let before = Before {
        index: 3,
        sequence: 1,
        at_ms: 3,
        wall_ms: 1003,
        resource: "package:p1",
        kind: "test",
        node: None,
        severity: "info",
        cause: None,
        text: "a",
    };
    rmp_serde::encode::write_named(&mut value, &before).unwrap();
    let now = record(3, 1, "a");
    assert_eq!(decode(&value).unwrap(), now);
    assert_eq!(encode(&now).unwrap(), value);
    let said = EventRecord {
        facts: Some(Facts {
            epoch: Some(7),
            holds: true,
            ..Facts::default()
        }),
        ..now
    };
    assert_eq!(decode(&encode(&said).unwrap()).unwrap(), said);
}
