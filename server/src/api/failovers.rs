//! One record for each takeover, from its cause to its end.

use axum::extract::State;
use axum::http::StatusCode;
use client::wire::failover::{Failover, Failovers};
use schemars::JsonSchema;
use serde::Deserialize;
use statemachine::id::Index;

use super::{Answered, Api, ApiError, Asked, Path, ReadQuery, Reply, WithoutQuorum, convert, events};
use crate::failovers::{self, EventPlace, FailoverFilter};

/// How many takeovers a page holds where the request does not say.
const LIMIT_DEFAULT: usize = 20;
/// The largest page that a request may ask for.
const LIMIT_MAX: usize = 1_000;

/// Which takeovers are asked for. Indexes and times are those of the event with which one begins.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct FailoversQuery {
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
    /// From or to this package.
    package: Option<String>,
    /// Of this group.
    group: Option<String>,
    /// From or to this node.
    node: Option<String>,
    /// Most of a page.
    limit: Option<usize>,
    /// `linearizable` (the default) or `local`.
    #[schemars(extend("enum" = ["linearizable", "local"]))]
    consistency: Option<String>,
}

/// `GET /v1/failovers`: oldest first. Without `after` and `since`, the newest ones.
pub async fn list(State(api): State<Api>, Asked(query): Asked<FailoversQuery>) -> Answered<Failovers> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let filter = FailoverFilter {
        after: query.after.map(Index),
        before: query.before.map(Index),
        since_wall_ms: events::time("since", query.since.as_deref())?,
        until_wall_ms: events::time("until", query.until.as_deref())?,
        package: query.package.clone(),
        group: query.group.clone(),
        node: query.node.clone(),
    };
    api.check_kept(query.after)?;
    let view = api
        .view(&ReadQuery::with(query.consistency.clone()), WithoutQuorum::Stale)
        .await?;
    let page = api
        .from_journal(move |journal| failovers::read(journal, &filter, limit))
        .await?;
    let body = Failovers {
        failovers: page.failovers.iter().map(convert::failover).collect(),
        next_after: page.next_after.map(|index| index.0),
        next_before: page.next_before.map(|index| index.0),
        stale: view.stale,
        missing: page.gaps.iter().map(convert::missing_events).collect(),
    };
    Ok(Reply::ok(view.state.applied(), body))
}

/// `GET /v1/failovers/{id}`.
pub async fn one(State(api): State<Api>, Path(id): Path<String>, Asked(query): Asked<ReadQuery>) -> Answered<Failover> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let none = || {
        let detail = format!("there is no takeover {id}: `paceline failovers` lists those that are kept");
        ApiError::new(StatusCode::NOT_FOUND, "not_found", detail)
    };
    let place = place(&id).ok_or_else(none)?;
    let found = api.from_journal(move |journal| failovers::one(journal, place)).await?;
    let found = found.ok_or_else(none)?;
    Ok(Reply::ok(view.state.applied(), convert::failover(&found)))
}

fn place(id: &str) -> Option<EventPlace> {
    let (index, sequence) = id.split_once('.')?;
    Some((index.parse().ok()?, sequence.parse().ok()?))
}
