//! `GET /v1/watch`: the present state of what matches, then every change in the order of the log (M1), as server-sent
//! events that can be resumed at any server.
//!
//! There is no queue for a watcher. Each has a place in the journal and reads on from it when its client takes more, so
//! one that is slow or hangs costs its socket's buffer and holds up nobody. All wake from the one notification that
//! apply gives everybody.

mod follower;
mod message;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use schemars::JsonSchema;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Api, ApiError, Asked, ReadQuery, View, WithoutQuorum, X_INDEX, events, resources};
use crate::storage::EventFilter;
use follower::Follower;
use message::Messages;

/// Most that watch at one server: beyond it the operating system's limits come first.
const WATCHERS_MAX: usize = 10_000;
/// Readers of the database at once: the others wait, so that a crowd that catches up can't take all of the disk.
const READERS_MAX: usize = 4;
/// Most patterns of one watcher: each event is held against all of them.
const PATTERNS_MAX: usize = 32;
/// Longest value of one filter.
const FILTER_BYTES_MAX: usize = 512;

/// Who watches at this server.
pub(super) struct Watching {
    places: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    heard: follower::Heard,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(WATCHERS_MAX)),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            heard: follower::Heard::default(),
        }
    }
}

impl Watching {
    /// How many watch at this moment.
    pub(super) fn count(&self) -> u64 {
        WATCHERS_MAX.saturating_sub(self.places.available_permits()) as u64
    }
}

/// What is watched.
#[derive(Clone, Debug, Default, JsonSchema)]
#[allow(
    dead_code,
    reason = "describes the query, which is read by hand: `resource` may come again and again"
)]
pub struct WatchQuery {
    /// A glob, like `package:orders-*`; may be given several times. Without it everything is watched.
    resource: Vec<String>,
    /// Of events, like `promoted`, or of resources, like `package`.
    kind: Option<String>,
    /// Where.
    node: Option<String>,
    /// This grave at least; changes only.
    #[schemars(extend("enum" = ["info", "warning", "error"]))]
    severity: Option<String>,
    /// Part of the sentence; changes only.
    text: Option<String>,
    /// Goes on after this index, without the present state.
    after: Option<u64>,
}

/// What a request asks for.
struct Wanted {
    filter: EventFilter,
    after: Option<u64>,
}

/// `GET /v1/watch`.
pub async fn watch(
    State(api): State<Api>,
    headers: HeaderMap,
    Asked(pairs): Asked<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let wanted = wanted(&headers, &pairs)?;
    let place = Arc::clone(&api.inner.watching.places)
        .try_acquire_owned()
        .map_err(|_| ApiError::too_many_watchers(WATCHERS_MAX))?;
    match wanted.after {
        Some(after) => resume(&api, wanted.filter, after, place),
        None => begin(&api, wanted.filter, place).await,
    }
}

/// Goes on after an index, which this server may not have reached yet.
fn resume(api: &Api, filter: EventFilter, after: u64, place: OwnedSemaphorePermit) -> Result<Response, ApiError> {
    let oldest = api.raft().journal().oldest();
    if after.saturating_add(1) < oldest {
        return Err(ApiError::forgotten(after, oldest));
    }
    let mut opening = Messages::default();
    opening.comment("resumed");
    Ok(answer(after, Follower::new(api, filter, after, opening, place)))
}

async fn begin(api: &Api, filter: EventFilter, place: OwnedSemaphorePermit) -> Result<Response, ApiError> {
    let view = api.view(&ReadQuery::default(), WithoutQuorum::Stale).await?;
    let index = view.state.applied().0;
    let opening = opening(api, &view, &filter);
    Ok(answer(index, Follower::new(api, filter, index, opening, place)))
}

/// The present state of what matches.
fn opening(api: &Api, view: &View, filter: &EventFilter) -> Messages {
    let index = view.state.applied().0;
    let mut opening = Messages::default();
    let mut told = 0;
    for resource in resources::all(api, view) {
        let on_node = filter.node.is_none() || filter.node == resource.node;
        // A kind of events restricts the changes and leaves the state whole.
        let of_kind = filter
            .kind
            .as_ref()
            .is_none_or(|kind| !resources::is_kind(kind) || *kind == resource.kind);
        if on_node && of_kind && filter.wants(&resource.id) {
            opening.state(index, resource);
            told += 1;
        }
    }
    opening.current(index, told, view.stale);
    opening
}

fn answer(index: u64, follower: Follower) -> Response {
    let mut response = Response::new(Body::from_stream(follower.stream()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_INDEX, HeaderValue::from(index));
    response
}

/// Reads the query. What is not known is refused: a filter that is misspelled must not pass for none.
fn wanted(headers: &HeaderMap, pairs: &[(String, String)]) -> Result<Wanted, ApiError> {
    let mut filter = EventFilter::default();
    let mut after = headers
        .get("last-event-id")
        .map(|value| index("Last-Event-ID", value.to_str().unwrap_or_default()))
        .transpose()?;
    for (key, value) in pairs {
        if value.len() > FILTER_BYTES_MAX {
            let detail = format!("{key} is longer than {FILTER_BYTES_MAX} bytes");
            return Err(ApiError::malformed(detail));
        }
        let single = match key.as_str() {
            "resource" => {
                filter.resources.push(value.clone());
                continue;
            }
            // Where both are given the header wins: a browser repeats the first address when it resumes.
            "after" => {
                let asked = index("after", value)?;
                after = after.or(Some(asked));
                continue;
            }
            "kind" => &mut filter.kind,
            "node" => &mut filter.node,
            "severity" => &mut filter.severity,
            "text" => &mut filter.text,
            other => {
                let detail = format!("{other}={value}: expected resource, kind, node, severity, text or after");
                return Err(ApiError::malformed(detail));
            }
        };
        if single.replace(value.clone()).is_some() {
            return Err(ApiError::malformed(format!("{key} is given twice")));
        }
    }
    if filter.resources.len() > PATTERNS_MAX {
        let detail = format!("{} patterns: at most {PATTERNS_MAX} are taken", filter.resources.len());
        return Err(ApiError::malformed(detail));
    }
    events::check_severity(filter.severity.as_deref())?;
    Ok(Wanted { filter, after })
}

fn index(what: &str, text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        let detail = format!("{what}: {text:?}: expected the index of an event, like 17");
        ApiError::new(StatusCode::BAD_REQUEST, "malformed", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)], last: Option<&'static str>) -> Result<Wanted, ApiError> {
        let mut headers = HeaderMap::new();
        if let Some(last) = last {
            headers.insert("last-event-id", HeaderValue::from_static(last));
        }
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        wanted(&headers, &pairs)
    }

    #[test]
    fn patterns_add_up_and_the_header_wins() {
        let wanted = asked(
            &[("resource", "package:*"), ("resource", "node:n1"), ("after", "3")],
            Some("9"),
        )
        .unwrap();
        assert!(wanted.filter.wants("package:a") && wanted.filter.wants("node:n1") && !wanted.filter.wants("node:n2"));
        assert_eq!(wanted.after, Some(9));
        assert_eq!(asked(&[], None).unwrap().after, None);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for pairs in [
            [("resources", "a")],
            [("after", "-1")],
            [("after", "now")],
            [("severity", "loud")],
        ] {
            assert!(asked(&pairs, None).is_err(), "{pairs:?}");
        }
        assert!(asked(&[("kind", "a"), ("kind", "b")], None).is_err());
        assert!(asked(&[], Some("x")).is_err());
        assert!(asked(&[("text", "a"); 1], Some("")).is_err());
        let many = vec![("resource", "a"); PATTERNS_MAX + 1];
        assert!(asked(&many, None).is_err());
    }
}
