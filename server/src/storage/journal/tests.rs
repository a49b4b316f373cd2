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
