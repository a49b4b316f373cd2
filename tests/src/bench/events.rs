//! `scripts/bench events`: how long questions to the journal take, by each field, over so many million events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use server::storage::{Database, EventFilter, EventRecord, Fatal, FatalAction, Journal, Retention, Writer};
use statemachine::id::Index;

use super::report::{Sample, machine, print_table, save};

/// What a question may take at the 99th percentile.
const MUST_MS: f64 = 50.0;
/// Events that are written between two looks at the disk.
const BATCH_EVENTS: u64 = 50_000;
/// Events that a question asks for, as the API does.
const LIMIT: usize = 100;
/// Packages and nodes of the cluster that the events tell of.
const PACKAGES: u64 = 2_000;
const NODES: u64 = 200;
/// One event in so many is of the rare package on the rare node.
const RARE: u64 = 100_003;
/// The first event's wall time, and the time between two.
const BEGIN_MS: u64 = 1_700_000_000_000;
const STEP_MS: u64 = 1_000;

fn record(index: u64) -> EventRecord {
    let rare = index.is_multiple_of(RARE);
    let (package, node) = if rare {
        ("rare".to_owned(), "n-rare".to_owned())
    } else {
        // Scattered, so that every thousand events are of many packages.
        let mixed = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        (
            format!("p{}", mixed % PACKAGES),
            format!("n{}", mixed / PACKAGES % NODES),
        )
    };
    EventRecord {
        index,
        sequence: 0,
        at_ms: index * STEP_MS,
        wall_ms: BEGIN_MS + index * STEP_MS,
        resource: format!("package:{package}"),
        kind: if rare { "gave-up" } else { "became-active" }.to_owned(),
        node: Some(node.clone()),
        severity: if rare { "error" } else { "info" }.to_owned(),
        cause: Some((index.saturating_sub(1), 0)),
        text: format!("{package} is active on {node} under epoch {index}"),
        facts: None,
    }
}

/// Writes so many events and asks each question so often.
///
/// # Errors
/// Where the journal can't be written or read.
pub fn run(events: u64, runs: usize) -> anyhow::Result<()> {
    let before = machine();
    let directory = std::env::temp_dir().join(format!("paceline-bench-events-{}", std::process::id()));
    let outcome = measure(&directory, events, runs, &before);
    std::fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    outcome
}

fn measure(directory: &std::path::Path, events: u64, runs: usize, before: &serde_json::Value) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let database = Arc::new(Database::open(directory)?);
    let writer = Writer::start(database.clone(), Fatal::new(directory, FatalAction::Keep))?;
    let retention = Retention {
        age: Duration::MAX,
        bytes: u64::MAX,
    };
    let journal = Journal::open_keeping(database.clone(), writer.clone(), retention)?;
    let began = Instant::now();
    for first in (1..=events).step_by(usize::try_from(BATCH_EVENTS)?) {
        journal.append((first..(first + BATCH_EVENTS).min(events + 1)).map(record).collect());
        runtime.block_on(journal.sync())?;
    }
    let wrote = began.elapsed();
    let bytes = directory_bytes(directory)?;
    eprintln!(
        "wrote {events} events in {:.0} s, {} MiB on disk",
        wrote.as_secs_f64(),
        bytes >> 20
    );
    drop(journal);
    let began = Instant::now();
    let journal = Journal::open_keeping(database.clone(), writer.clone(), retention)?;
    let opened = began.elapsed();

    let (mut cells, mut rows) = (Vec::new(), Vec::new());
    for (name, filter) in questions(events) {
        let (mut took, mut page) = (Vec::new(), None);
        for _ in 0..runs {
            let began = Instant::now();
            page = Some(journal.read(&filter, LIMIT)?);
            took.push(u64::try_from(began.elapsed().as_micros())?);
        }
        let (sample, page) = (Sample::new(took), page.context("no run")?);
        let ms = |per_mille| sample.per_mille(per_mille) as f64 / 1000.0;
        let more = page.next_before.or(page.next_after).is_some();
        cells.push(vec![
            name.to_owned(),
            page.events.len().to_string(),
            if more { "yes" } else { "no" }.to_owned(),
            format!("{:.2}", ms(500)),
            format!("{:.2}", ms(990)),
            if ms(990) < MUST_MS { "ok" } else { "TOO SLOW" }.to_owned(),
        ]);
        rows.push(json!({
            "question": name, "found": page.events.len(), "more": more, "p50_ms": ms(500), "p99_ms": ms(990), "must_ms": MUST_MS,
        }));
    }
    print_table(
        &format!(
            "one page of {LIMIT} over {events} events; the journal opened in {} ms",
            opened.as_millis()
        ),
        &["question", "found", "more", "p50 ms", "p99 ms", ""],
        &cells,
    );
    writer.stop();
    let report = json!({
        "bench": "events", "events": events, "runs": runs, "wrote_s": wrote.as_secs_f64(), "bytes": bytes,
        "opened_ms": u64::try_from(opened.as_millis())?, "before": before, "after": machine(), "rows": rows,
    });
    save("events", &report)
}

/// What is asked, and what it is called.
fn questions(events: u64) -> Vec<(&'static str, EventFilter)> {
    let middle = BEGIN_MS + events / 2 * STEP_MS;
    let ask = |name, change: fn(&mut EventFilter, u64, u64)| {
        let mut filter = EventFilter::default();
        change(&mut filter, events / 2, middle);
        (name, filter)
    };
    vec![
        ask("newest", |_, _, _| {}),
        ask("after the middle", |it, index, _| it.after = Some(Index(index))),
        ask("before the middle", |it, index, _| it.before = Some(Index(index))),
        ask("since the middle", |it, _, at| it.since_wall_ms = Some(at)),
        ask("a minute in the middle", |it, _, at| {
            it.since_wall_ms = Some(at);
            it.until_wall_ms = Some(at + 60_000);
        }),
        ask("resource, common", |it, _, _| {
            it.resources = vec!["package:p7".to_owned()]
        }),
        ask("resource, rare", |it, _, _| {
            it.resources = vec!["package:rare".to_owned()]
        }),
        ask("resource, glob", |it, _, _| {
            it.resources = vec!["package:ra*".to_owned()]
        }),
        ask("resource, none such", |it, _, _| {
            it.resources = vec!["package:none".to_owned()]
        }),
        ask("kind, rare", |it, _, _| it.kind = Some("gave-up".to_owned())),
        ask("node, rare", |it, _, _| it.node = Some("n-rare".to_owned())),
        ask("severity", |it, _, _| it.severity = Some("error".to_owned())),
        ask("text, common", |it, _, _| it.text = Some("epoch".to_owned())),
        ask("text, none such (a part is looked at)", |it, _, _| {
            it.text = Some("nothing like it".to_owned())
        }),
    ]
}

fn directory_bytes(directory: &std::path::Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(directory)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}
