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
    api.check_kept(query.after)?;
    let deadline = tokio::time::Instant::now() + wait;
    let read = ReadQuery::with(query.consistency.clone());
    let mut applied = api.raft().applied();
    let mut view = api.view(&read, WithoutQuorum::Stale).await?;
    loop {
        applied.borrow_and_update();
        let wanted = filter.clone();
        let page = api.from_journal(move |journal| journal.read(&wanted, limit)).await?;
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
