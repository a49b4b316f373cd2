//! Fills the gaps of the journal: a server that got a snapshot in place of the log asks the others for the events of that
//! stretch. No decision rests on the journal, so nothing waits for this.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use statemachine::id::{Index, MemberId};

use super::core::Core;
use super::environment::done_by;
use super::transport::Lane;
use crate::storage::{EventFilter, EventRecord, Gap};

/// Events in one answer, more only to keep those of one index together.
const PAGE_EVENTS: usize = 500;
/// How long a server may take to read a page.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Between two pages: whatever else a server does comes first.
const PAGE_PAUSE: Duration = Duration::from_millis(2);
/// Until the others are asked again where none had anything, at first and at most.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Asks for the events of the commands from `first` to `last`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskEvents {
    first: u64,
    last: u64,
}

impl AskEvents {
    /// Asks for the events of these commands.
    pub(super) fn range(first: u64, last: u64) -> Self {
        Self { first, last }
    }
}

/// All events of the commands from the first that was asked for up to `complete`; less than that where it has none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToldEvents {
    complete: u64,
    events: Vec<EventRecord>,
}

/// Answers another server from this one's journal.
///
/// # Errors
/// Where what is stored can't be read.
pub(super) async fn tell(core: &Arc<Core>, ask: AskEvents) -> std::io::Result<ToldEvents> {
    let (journal, applied) = (core.journal.clone(), core.applied.index().borrow().0);
    let before = ask.first.saturating_sub(1);
    let last = ask.last.min(applied);
    // What is no longer kept must not pass for commands without events.
    if ask.first < journal.oldest() {
        return Ok(ToldEvents {
            complete: before,
            events: Vec::new(),
        });
    }
    let filter = EventFilter {
        after: Some(Index(before)),
        before: Some(Index(last.saturating_add(1))),
        ..EventFilter::default()
    };
    let page = done_by(&core.workers, move || journal.read(&filter, PAGE_EVENTS)).await??;
    let read = page.next_after.map_or(last, |index| index.0.min(last));
    let known = page.gaps.iter().map(|gap| gap.first.saturating_sub(1)).min();
    let complete = known.map_or(read, |known| known.min(read)).max(before);
    let mut events = page.events;
    events.retain(|event| event.index <= complete);
    Ok(ToldEvents { complete, events })
}

/// Runs for as long as the server does.
pub(super) async fn run(core: Arc<Core>) {
    let mut gaps = core.journal.gap_count();
    let mut retry = RETRY;
    loop {
        if gaps.wait_for(|gaps| *gaps > 0).await.is_err() {
            return;
        }
        // The newest first: it is what people ask for.
        let Some(gap) = core.journal.gaps().last().copied() else {
            continue;
        };
        if ask_all(&core, gap).await {
            retry = RETRY;
            tokio::time::sleep(PAGE_PAUSE).await;
        } else {
            tracing::info!(
                first = gap.first,
                last = gap.last,
                "no other server has these events at the moment"
            );
            let _ = tokio::time::timeout(retry, gaps.changed()).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }
}

/// Asks one server after the other until one has the beginning of the gap, or of a part of it; answers whether one had.
async fn ask_all(core: &Arc<Core>, gap: Gap) -> bool {
    for member in core.others() {
        match ask(core, member, gap).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(reason) => tracing::debug!(member = member.0, reason, "events could not be had"),
        }
    }
    false
}

async fn ask(core: &Arc<Core>, member: MemberId, gap: Gap) -> Result<bool, String> {
    let target = core.target(member).ok_or("it has no address")?;
    let ask = AskEvents {
        first: gap.first,
        last: gap.last,
    };
    let ToldEvents { complete, events } = core.ask(&target, Lane::Proposals, "events", &ask, ANSWER_WAIT).await?;
    let told = Gap {
        first: gap.first,
        last: complete.min(gap.last),
    };
    if told.last < told.first {
        return Ok(false);
    }
    if events
        .iter()
        .any(|event| event.index < told.first || event.index > told.last)
    {
        return Err(format!(
            "it told of other commands than {} to {}",
            told.first, told.last
        ));
    }
    core.journal
        .fill(told, events)
        .await
        .map_err(|error| error.to_string())?;
    Ok(true)
}
