//! The log of the cluster: every event in one order.

use std::time::Duration;

use axum::extract::State;
use client::wire::event::Events;
use schemars::JsonSchema;
use serde::Deserialize;
use statemachine::id::Index;

use super::{Answered, Api, ApiError, Asked, ReadQuery, Reply, WithoutQuorum, change, convert};
use crate::storage::journal::EventFilter;

/// How many events a page holds where the request does not say.
const LIMIT_DEFAULT: usize = 100;
/// The largest page that a request may ask for.
const LIMIT_MAX: usize = 10_000;

/// Which events are asked for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct EventsQuery {
    /// Only those with a larger index.
    after: Option<u64>,
    /// Only those with a smaller index.
    before: Option<u64>,
    /// Only those since this time, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// Only those until this time, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    until: Option<String>,
    /// A glob: `package:orders-*`.
    resource: Option<String>,
    /// Of events, like `promoted`, or of resources, like `package`.
    kind: Option<String>,
    /// Where.
    node: Option<String>,
    /// How grave.
    #[schemars(extend("enum" = ["info", "warning", "error"]))]
    severity: Option<String>,
    /// Part of the sentence.
    text: Option<String>,
    /// Most events of a page.
    limit: Option<usize>,
    /// Hold the answer until there is at least one such event.
    #[schemars(regex(pattern = r"^(0|[0-9]{1,11}(ms|s|m|h|d))$"))]
    wait: Option<String>,
    /// `linearizable` (the default) or `local`.
    #[schemars(extend("enum" = ["linearizable", "local"]))]
    consistency: Option<String>,
}

/// `GET /v1/events`: oldest first. Without `after` and `since`, the newest ones.
pub async fn events(State(api): State<Api>, Asked(query): Asked<EventsQuery>) -> Answered<Events> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let wait = query
        .wait
        .as_deref()
        .map(change::wait)
        .transpose()?
        .unwrap_or(Duration::ZERO);
    let filter = filter(&query)?;
    let oldest = api.raft().journal().oldest();
    // 0 asks for all that there is.
    if let Some(after) = query
        .after
        .filter(|after| *after > 0 && after.saturating_add(1) < oldest)
    {
        return Err(ApiError::forgotten(after, oldest));
    }
    let deadline = tokio::time::Instant::now() + wait;
    let read = ReadQuery::with(query.consistency.clone());
    let mut applied = api.raft().applied();
    let mut view = api.view(&read, WithoutQuorum::Stale).await?;
    loop {
        applied.borrow_and_update();
        let page = read_page(&api, &filter, limit).await?;
        let over = tokio::time::Instant::now() >= deadline;
        if !page.events.is_empty() || over {
            let body = Events {
                events: page.events.iter().map(convert::event).collect(),
                next_after: page.next_after.filter(|_| page.more).map(|index| index.0),
                next_before: page.next_before.map(|index| index.0),
                stale: view.stale,
                missing: page.gaps.iter().map(convert::missing_events).collect(),
            };
            return Ok(Reply::ok(view.state.applied(), body));
        }
        let _ = tokio::time::timeout_at(deadline, applied.changed()).await;
        view.state = api.raft().state();
    }
}

/// The journal is on disk: reading it must not hold up the API's thread.
async fn read_page(
    api: &Api,
    filter: &EventFilter,
    limit: usize,
) -> Result<crate::storage::journal::EventPage, ApiError> {
    let (journal, filter) = (api.raft().journal().clone(), filter.clone());
    tokio::task::spawn_blocking(move || journal.read(&filter, limit))
        .await
        .map_err(|error| error.to_string())
        .and_then(|read| read.map_err(|error| error.to_string()))
        .map_err(unreadable)
}

/// The journal of this server can't be read.
pub(super) fn unreadable(error: String) -> ApiError {
    let detail = format!(
        "can't read the journal of this server: {error}; ask another server, and where it is damaged remove this \
         member (`paceline members remove`), delete its data directory and let it join anew"
    );
    ApiError::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "storage", detail)
}

fn filter(query: &EventsQuery) -> Result<EventFilter, ApiError> {
    check_severity(query.severity.as_deref())?;
    Ok(EventFilter {
        after: query.after.map(Index),
        before: query.before.map(Index),
        since_wall_ms: time("since", query.since.as_deref())?,
        until_wall_ms: time("until", query.until.as_deref())?,
        resources: query.resource.iter().cloned().collect(),
        kind: query.kind.clone(),
        kinds: Vec::new(),
        node: query.node.clone(),
        severity: query.severity.clone(),
        text: query.text.clone(),
    })
}

/// Refuses a severity that there is not.
pub(super) fn check_severity(severity: Option<&str>) -> Result<(), ApiError> {
    match severity {
        Some(other) if !["info", "warning", "error"].contains(&other) => Err(ApiError::malformed(format!(
            "severity={other}: expected info, warning or error"
        ))),
        _ => Ok(()),
    }
}

/// A time of a query, in milliseconds since 1970.
pub(super) fn time(key: &str, text: Option<&str>) -> Result<Option<u64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| ApiError::malformed(format!("{key}={text}: expected a time like 2026-11-23T03:00:00Z")))?;
    Ok(Some(u64::try_from(time.as_millisecond()).unwrap_or(0)))
}
