//! The public API: the table of all routes, and what every handler shares.
//!
//! It runs on a runtime of its own, apart from Raft, peers and daemons, so that a flood of requests can't lose a lease.
//! **Invariant:** nothing here decides; a change is a proposal, a read is a look at the state that was applied.

pub mod change;
pub mod cluster;
pub mod config;
pub mod convert;
pub mod daemon;
pub mod definition;
pub mod error;
pub mod events;
pub mod extract;
pub mod failovers;
mod held;
pub mod members;
pub mod metrics;
pub mod nodes;
pub mod openapi;
pub mod operation;
pub mod packages;
pub mod plan;
pub mod protocol;
pub mod resources;
pub mod rules;
pub mod status;
pub mod table;
pub mod watch;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statemachine::id::Index;
use statemachine::state::State;

use crate::config::Config;
use crate::raft::RaftNode;
use crate::storage::Journal;
pub use error::ApiError;
pub use extract::{Asked, BODY_BYTES_MAX, Body, Path, Raw};

/// Carries the index of an answer.
const X_INDEX: HeaderName = HeaderName::from_static("x-index");

/// How long a read waits for a quorum before it is refused, or answered from the node's own copy.
const READ_WAIT: Duration = Duration::from_secs(2);

/// What every handler may use.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    raft: RaftNode,
    config: Config,
    watching: watch::Watching,
    holding: held::Holding,
    counting: metrics::Counting,
}

/// The state that an answer is made from.
pub struct View {
    /// It.
    pub state: Arc<State>,
    /// Whether no quorum confirmed that it is current.
    pub stale: bool,
}

/// How a read is to be answered.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct ReadQuery {
    /// `linearizable` (the default) or `local`.
    #[schemars(extend("enum" = ["linearizable", "local"]))]
    consistency: Option<String>,
    /// Hold the answer until what is asked for has changed past this index: the `X-Index` of an earlier answer.
    index: Option<u64>,
    /// For so long; the answer comes then, changed or not. Without it the answer is not held.
    #[schemars(regex(pattern = r"^(0|[0-9]{1,11}(ms|s|m|h|d))$"))]
    wait: Option<String>,
}

impl ReadQuery {
    /// A read with this consistency.
    #[must_use]
    pub fn with(consistency: Option<String>) -> Self {
        Self {
            consistency,
            ..Self::default()
        }
    }
}

/// Whether a read may be answered without a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutQuorum {
    /// It is refused with 503.
    Refuse,
    /// It is answered from the node's own copy, marked stale.
    Stale,
}

impl Api {
    /// The API of the server whose Raft node this is.
    pub fn new(raft: RaftNode, config: Config) -> Self {
        Self {
            inner: Arc::new(Inner {
                raft,
                config,
                watching: watch::Watching::default(),
                holding: held::Holding::default(),
                counting: metrics::Counting::default(),
            }),
        }
    }

    /// The Raft node.
    pub fn raft(&self) -> &RaftNode {
        &self.inner.raft
    }

    /// This node's settings.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The state to answer from: confirmed by a quorum round begun after now, unless the request asks otherwise.
    ///
    /// # Errors
    /// 400 for an unknown consistency, 503 without a quorum where that is to be refused.
    pub async fn view(&self, query: &ReadQuery, without: WithoutQuorum) -> Result<View, ApiError> {
        match query.consistency.as_deref() {
            None | Some("linearizable") => {}
            Some("local") => {
                return Ok(View {
                    state: self.raft().state(),
                    stale: true,
                });
            }
            Some(other) => {
                let detail = format!("consistency={other}: expected \"linearizable\" or \"local\"");
                return Err(ApiError::malformed(detail));
            }
        }
        match (
            tokio::time::timeout(READ_WAIT, self.raft().read_barrier()).await,
            without,
        ) {
            (Ok(Ok(())), _) => Ok(View {
                state: self.raft().state(),
                stale: false,
            }),
            (_, WithoutQuorum::Stale) => Ok(View {
                state: self.raft().state(),
                stale: true,
            }),
            (Ok(Err(error)), WithoutQuorum::Refuse) => Err(error.into()),
            (Err(_), WithoutQuorum::Refuse) => Err(ApiError::no_quorum(
                "no quorum confirmed this read in time; ask again, or ask with ?consistency=local for this node's own copy",
            )),
        }
    }

    /// What is read from the journal, which is on disk: that must not hold up the API's thread.
    ///
    /// # Errors
    /// 500 where it can't be read.
    pub async fn from_journal<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Journal) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let journal = self.raft().journal().clone();
        tokio::task::spawn_blocking(move || read(&journal))
            .await
            .map_err(|error| error.to_string())
            .and_then(|read| read.map_err(|error| error.to_string()))
            .map_err(ApiError::unreadable_journal)
    }

    /// Refuses an index whose successors are no longer all kept; 0 asks for all that there is.
    ///
    /// # Errors
    /// 410 with the oldest index.
    pub fn check_kept(&self, after: Option<u64>) -> Result<(), ApiError> {
        let oldest = self.raft().journal().oldest();
        match after.filter(|after| *after > 0 && after.saturating_add(1) < oldest) {
            Some(after) => Err(ApiError::forgotten(after, oldest)),
            None => Ok(()),
        }
    }

    /// The name of the leader's node, where one is known.
    pub fn leader_name(&self, state: &State) -> Option<String> {
        let leader = self.raft().leadership().borrow().leader?;
        state
            .members()
            .find(|member| member.id == leader)
            .map(|member| member.name.as_str().to_owned())
    }
}

/// A JSON answer that carries `X-Index`.
pub struct Reply<T> {
    /// The status.
    pub status: StatusCode,
    /// The index that the answer was made at, or that the change has.
    pub index: Index,
    /// The body.
    pub body: T,
}

impl<T> Reply<T> {
    /// 200.
    pub fn ok(index: Index, body: T) -> Self {
        Self {
            status: StatusCode::OK,
            index,
            body,
        }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        response.headers_mut().insert(X_INDEX, HeaderValue::from(self.index.0));
        response
    }
}

/// What every read answers with.
pub type Answered<T> = Result<Reply<T>, ApiError>;

/// The router of the public API, made from [`table::operations`].
pub fn routes(api: Api) -> Router {
    table::operations()
        .into_iter()
        .fold(Router::new(), |router, operation| {
            let handler = if operation.can_be_held() {
                let hold = axum::middleware::from_fn_with_state(api.clone(), held::hold);
                operation.handler.layer(hold)
            } else {
                operation.handler
            };
            router.route(operation.path, handler)
        })
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::middleware::from_fn(extract::one_meaning))
        .layer(axum::middleware::from_fn_with_state(api.clone(), metrics::count))
        .with_state(api)
}

async fn no_such_path(uri: axum::http::Uri) -> ApiError {
    let detail = format!(
        "there is no {}; the API's requests are described in docs/API.md",
        uri.path()
    );
    ApiError::new(StatusCode::NOT_FOUND, "not_found", detail)
}

async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{} does not take {method}", uri.path()),
    )
}
