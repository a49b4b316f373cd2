//! `?index=I&wait=30s`: a read that is held until what it asks for has changed past I.
//!
//! Its own index counts, not the whole cluster's: the answer to the same question is made again when something was applied, and
//! compared. So that is right for every read, whatever it is made from, and the rest of the cluster may be as busy as it likes.
//! What this server knows is since when it has seen an answer as it is; where it has not seen it before, and more than I is applied, it
//! can't tell and answers at once, with the index to ask with from then on.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use statemachine::id::Index;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Api, ApiError, Asked, ReadQuery, X_INDEX, change};

/// So many reads are held at once: each makes its answer again when something changes.
const HELD_MAX: usize = 1_000;
/// Of so many questions it is known since when their answer is as it is.
const KNOWN_MAX: usize = 4_096;
/// An answer is made again no sooner than this after the last time…
const PAUSE_LEAST: Duration = Duration::from_millis(10);
/// …nor than so many times what it took to make: a long list takes a part of the server only.
const PAUSE_FACTOR: u32 = 4;
/// Where nothing is applied it is made again after this all the same: who leads, and what is stale, is not in the log.
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// The reads that are held, and since when answers are as they are.
pub(super) struct Holding {
    places: Semaphore,
    known: Mutex<BTreeMap<String, Known>>,
}

/// An answer, as it was last made.
struct Known {
    digest: u64,
    since: Index,
    asked: Instant,
}

impl Default for Holding {
    fn default() -> Self {
        Self {
            places: Semaphore::new(HELD_MAX),
            known: Mutex::default(),
        }
    }
}

impl Holding {
    /// Notes how the answer to a question is at an index, and returns since when it has been so.
    fn note(&self, question: &str, digest: u64, index: Index) -> Index {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Instant::now();
        if let Some(found) = known.get_mut(question) {
            found.asked = asked;
            // Of two that look at once the later one may be the first to say so.
            if found.digest != digest && index >= found.since {
                (found.digest, found.since) = (digest, index);
            }
            return if found.digest == digest { found.since } else { index };
        }
        if known.len() >= KNOWN_MAX {
            let oldest = known
                .iter()
                .min_by_key(|(_, known)| known.asked)
                .map(|(it, _)| it.clone());
            oldest.and_then(|it| known.remove(&it));
        }
        let since = index;
        known.insert(question.to_owned(), Known { digest, since, asked });
        since
    }
}

/// Holds a read that names an index. Lies around the handler of every read that answers with JSON.
pub(super) async fn hold(
    State(api): State<Api>,
    Asked(query): Asked<ReadQuery>,
    request: Request,
    next: Next,
) -> Response {
    match query.index {
        None => next.run(request).await,
        Some(after) => {
            // A read has no body.
            let (head, _) = request.into_parts();
            match held(&api, &query, Index(after), &head, next).await {
                Ok(response) => response,
                Err(error) => error.into_response(),
            }
        }
    }
}

async fn held(api: &Api, query: &ReadQuery, after: Index, head: &Parts, next: Next) -> Result<Response, ApiError> {
    let wait = query.wait.as_deref().map_or(Ok(Duration::ZERO), change::wait)?;
    let holding = &api.inner.holding;
    let _place = holding
        .places
        .try_acquire()
        .map_err(|_| ApiError::too_many_held(HELD_MAX))?;
    let question = question(&head.uri);
    let mut applied = api.raft().applied();
    let deadline = Instant::now() + wait;
    loop {
        applied.borrow_and_update();
        let begin = Instant::now();
        let (response, digest) = made(again(head), next.clone()).await?;
        let Some(index) = index_of(&response) else {
            return Ok(response);
        };
        let since = holding.note(&question, digest, index);
        let end = Instant::now();
        if since > after || end >= deadline {
            let mut response = response;
            response.headers_mut().insert(X_INDEX, HeaderValue::from(since.0));
            return Ok(response);
        }
        // Where time runs out the answer is made once more: so the last word is never older than the wait.
        let _ = tokio::time::timeout_at(deadline.min(end + PAUSE_MOST), applied.changed()).await;
        let pause = (end.duration_since(begin) * PAUSE_FACTOR).max(PAUSE_LEAST);
        tokio::time::sleep_until(deadline.min(end + pause)).await;
    }
}

/// What is asked, without how long to wait for it.
fn question(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let rest: Vec<&str> = query
        .split('&')
        .filter(|part| !part.starts_with("index=") && !part.starts_with("wait="))
        .collect();
    format!("{}?{}", uri.path(), rest.join("&"))
}

/// The same request once more.
fn again(head: &Parts) -> Request {
    Request::from_parts(head.clone(), Body::empty())
}

/// The answer, whole, and a digest of it.
async fn made(request: Request, next: Next) -> Result<(Response, u64), ApiError> {
    let (head, body) = next.run(request).await.into_parts();
    // It was made by a handler of this server, and is in memory as a whole already.
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|_| ApiError::overloaded())?;
    let mut hasher = DefaultHasher::new();
    head.status.as_u16().hash(&mut hasher);
    bytes.hash(&mut hasher);
    Ok((Response::from_parts(head, Body::from(bytes)), hasher.finish()))
}

/// The index of an answer; a refusal has none and is never held.
fn index_of(response: &Response) -> Option<Index> {
    response.headers().get(&X_INDEX)?.to_str().ok()?.parse().ok().map(Index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_old_as_it_was_first_seen() {
        let holding = Holding::default();
        assert_eq!(holding.note("/v1/nodes?", 1, Index(10)), Index(10));
        assert_eq!(holding.note("/v1/nodes?", 1, Index(20)), Index(10));
        assert_eq!(holding.note("/v1/packages?", 1, Index(21)), Index(21));
        assert_eq!(holding.note("/v1/nodes?", 2, Index(30)), Index(30));
        // Somebody who looked earlier and says so later.
        assert_eq!(holding.note("/v1/nodes?", 1, Index(25)), Index(25));
        assert_eq!(holding.note("/v1/nodes?", 2, Index(40)), Index(30));
    }

    #[test]
    fn what_is_known_is_bounded() {
        let holding = Holding::default();
        for number in 0..2 * KNOWN_MAX {
            holding.note(&number.to_string(), 0, Index(1));
        }
        let known = holding.known.lock().unwrap();
        assert_eq!(known.len(), KNOWN_MAX);
        assert!(known.contains_key(&(2 * KNOWN_MAX - 1).to_string()));
    }

    #[test]
    fn a_question_is_the_same_however_long_one_waits() {
        let of = |text: &str| question(&text.parse().unwrap());
        assert_eq!(of("/v1/nodes?index=3&wait=1s"), of("/v1/nodes"));
        assert_eq!(
            of("/v1/nodes?index=3&consistency=local&wait=1s"),
            of("/v1/nodes?consistency=local")
        );
        assert_ne!(of("/v1/nodes?consistency=local"), of("/v1/nodes"));
    }
}
