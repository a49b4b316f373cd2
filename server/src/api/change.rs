//! How a change is made: proposed once, and answered once the daemons have done it.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use client::wire::plan::Done;
use schemars::JsonSchema;
use serde::Deserialize;
use statemachine::command::{Command, RequestId};
use statemachine::id::Index;
use statemachine::log::v1::Proposal;
use statemachine::state::State;

use super::{Api, ApiError, Reply};
use crate::raft::Fact;

/// How long a change waits for its result where the request does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(60);
/// The longest wait that a request may ask for.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Longest idempotency key, in bytes: it is kept on every server for a day.
pub const KEY_BYTES_MAX: usize = 128;

/// What every change may carry: `Idempotency-Key`, `If-Match` and `wait`.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The idempotency key.
    pub request: Option<RequestId>,
    /// Refuse where the subject has changed since this index.
    pub expect: Option<Index>,
    /// How long to wait for the result; zero: answer 202 at once.
    pub wait: Duration,
}

/// How long a change waits for its result.
#[derive(Deserialize, JsonSchema)]
pub struct WaitQuery {
    /// `0`, or a duration like `30s`.
    #[schemars(regex(pattern = r"^(0|[0-9]{1,11}(ms|s|m|h|d))$"))]
    wait: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Terms {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let request = match parts.headers.get("idempotency-key") {
            None => None,
            Some(value) => {
                let key = value.to_str().unwrap_or_default();
                if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                    let detail = format!("Idempotency-Key: expected 1 to {KEY_BYTES_MAX} visible ASCII characters");
                    return Err(ApiError::malformed(detail));
                }
                Some(RequestId {
                    client: String::new(),
                    key: key.to_owned(),
                })
            }
        };
        let expect = match parts.headers.get("if-match") {
            None => None,
            Some(value) => {
                let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
                let index = text
                    .parse()
                    .map_err(|_| ApiError::malformed("If-Match: expected an index, as in X-Index"))?;
                Some(Index(index))
            }
        };
        // The common case, no query at all, costs nothing.
        let wait = match parts.uri.query() {
            None => WAIT_DEFAULT,
            Some(query) => {
                let query: WaitQuery = axum::extract::Query::try_from_uri(&parts.uri)
                    .map(|axum::extract::Query(query)| query)
                    .map_err(|_| ApiError::malformed(format!("{query}: expected wait=30s or wait=0")))?;
                query.wait.map_or(Ok(WAIT_DEFAULT), |text| wait(&text))?
            }
        };
        Ok(Self { request, expect, wait })
    }
}

/// Reads a wait: `0`, or a duration.
///
/// # Errors
/// 400 where it is neither.
pub fn wait(text: &str) -> Result<Duration, ApiError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let duration: client::wire::duration::DurationText = text
        .parse()
        .map_err(|error| ApiError::malformed(format!("wait: {error}")))?;
    Ok(Duration::from_millis(duration.ms).min(WAIT_MAX))
}

/// What became of a command in the log.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its index, or that of the first one with its idempotency key.
    pub index: Index,
    /// What it made.
    pub fact: Fact,
}

impl Api {
    /// Proposes a command and waits until it is applied. With `If-Match` it is refused where what it is about has changed since:
    /// the state machine compares, so nothing can come in between.
    ///
    /// # Errors
    /// The refusal of the state machine, 412 for `If-Match`, or why nothing is known of the outcome.
    pub async fn make(&self, terms: &Terms, command: Command) -> Result<Made, ApiError> {
        let command = match terms.expect {
            None => command,
            Some(since) => Command::IfUnchanged {
                since,
                command: Box::new(command),
            },
        };
        self.make_matching(terms, command).await
    }

    /// The same for a command that takes the index of `If-Match` itself, because it compares otherwise.
    ///
    /// # Errors
    /// As [`Api::make`].
    pub async fn make_matching(&self, terms: &Terms, command: Command) -> Result<Made, ApiError> {
        let answer = self
            .raft()
            .propose(Proposal {
                request: terms.request.clone(),
                command,
            })
            .await?;
        match answer.result {
            Ok(fact) => Ok(Made {
                index: answer.index,
                fact,
            }),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Makes a change whose result is there once it is applied.
    ///
    /// # Errors
    /// As [`Api::make`].
    pub async fn change(&self, terms: &Terms, command: Command, detail: String) -> Result<Reply<Done>, ApiError> {
        let made = self.make(terms, command).await?;
        Ok(Reply::ok(made.index, done(made.index, "done", detail)))
    }

    /// The same for a command that takes the index of `If-Match` itself.
    ///
    /// # Errors
    /// As [`Api::make`]; 412 where its subject has changed since.
    pub async fn change_matching(
        &self,
        terms: &Terms,
        command: Command,
        detail: String,
    ) -> Result<Reply<Done>, ApiError> {
        let made = self.make_matching(terms, command).await?;
        Ok(Reply::ok(made.index, done(made.index, "done", detail)))
    }

    /// Makes a change, and answers once `settled` says in the applied state what came of it.
    ///
    /// # Errors
    /// As [`Api::make`].
    pub async fn control(
        &self,
        terms: &Terms,
        command: Command,
        settled: impl Fn(&State) -> Settled,
    ) -> Result<Reply<Done>, ApiError> {
        let made = self.make(terms, command).await?;
        self.await_settled(made.index, terms.wait, settled).await
    }

    /// Waits for the result of the command at `index`.
    ///
    /// # Errors
    /// 409 where the result is a failure.
    pub async fn await_settled(
        &self,
        index: Index,
        wait: Duration,
        settled: impl Fn(&State) -> Settled,
    ) -> Result<Reply<Done>, ApiError> {
        if wait.is_zero() {
            let body = done(
                index,
                "pending",
                "accepted; the daemons do it now: ask the subject for its state".to_owned(),
            );
            return Ok(Reply {
                status: StatusCode::ACCEPTED,
                index,
                body,
            });
        }
        let deadline = tokio::time::Instant::now() + wait;
        let mut applied = self.raft().applied();
        loop {
            applied.borrow_and_update();
            let state = self.raft().state();
            // A proposal that was forwarded can be answered before this server has applied it.
            let waiting_for = if state.applied() < index {
                "this server has not yet applied it".to_owned()
            } else {
                match settled(&state) {
                    Settled::Done(detail) => return Ok(Reply::ok(index, done(index, "done", detail))),
                    Settled::Failed(detail) => {
                        return Err(ApiError::new(StatusCode::CONFLICT, "failed", detail));
                    }
                    Settled::Not(detail) => detail,
                }
            };
            let changed = tokio::time::timeout_at(deadline, applied.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                let detail = format!("accepted, but not so yet: {waiting_for}");
                return Ok(Reply {
                    status: StatusCode::ACCEPTED,
                    index,
                    body: done(index, "timeout", detail),
                });
            }
        }
    }
}

/// Whether what a control asked for is so.
pub enum Settled {
    /// It is so, in words.
    Done(String),
    /// It can't become so by itself, in words.
    Failed(String),
    /// Not yet, and what it waits for.
    Not(String),
}

/// For what is no command in the log: the servers among themselves.
///
/// # Errors
/// 400 for `If-Match`.
pub fn refuse_if_match(terms: &Terms) -> Result<(), ApiError> {
    match terms.expect {
        None => Ok(()),
        Some(_) => Err(ApiError::malformed(
            "what is asked of the servers themselves takes no If-Match; send the request without it",
        )),
    }
}

fn done(index: Index, outcome: &str, detail: String) -> Done {
    Done {
        index: index.0,
        outcome: outcome.to_owned(),
        detail,
        steps: Vec::new(),
    }
}
