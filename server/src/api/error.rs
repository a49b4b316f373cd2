//! Refusals on their way out: `application/problem+json` (RFC 9457) with a stable code and what to do next.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use client::wire::error::{FileError, Problem};

use crate::raft::{ProposeError, ReadError, Refusal};

/// Why a request is not done. Boxed: refusals are rare, and every handler's result carries room for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    status: StatusCode,
    problem: Problem,
    retry_after_s: Option<u32>,
}

impl ApiError {
    /// A refusal with a status and a stable code.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            problem: Problem::new(
                status.as_u16(),
                status.canonical_reason().unwrap_or("Error"),
                code,
                detail,
            ),
            retry_after_s: None,
        }))
    }

    /// 400: the request can't be understood.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 404, with the nearest of the names that there are.
    pub fn not_found<'a>(kind: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let nearest = client::nearest(name, names).map(ToOwned::to_owned);
        let hint = nearest
            .as_ref()
            .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        let mut error = Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no {kind} {name:?}{hint}"),
        );
        error.0.problem.nearest = nearest;
        error
    }

    /// 422 with every error of a file.
    pub fn invalid(detail: impl Into<String>, errors: Vec<FileError>) -> Self {
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        error.0.problem.errors = errors;
        error
    }

    /// 429: too much is asked at once.
    pub fn overloaded() -> Self {
        let detail = "this server has too much to do; nothing was changed: try again, or ask another server";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", detail);
        error.0.retry_after_s = Some(1);
        error
    }

    /// 410: what is asked for is no longer kept.
    pub fn forgotten(asked: u64, oldest: u64) -> Self {
        let detail = format!(
            "the events after {asked} are no longer all kept: the oldest index is {oldest}; ask for those after {}, or watch anew \
             without a place to begin with the present state",
            oldest.saturating_sub(1)
        );
        let mut error = Self::new(StatusCode::GONE, "forgotten", detail);
        error.0.problem.oldest = Some(oldest);
        error
    }

    /// 500: the journal of this server can't be read.
    pub fn unreadable_journal(error: String) -> Self {
        let detail = format!(
            "can't read the journal of this server: {error}; ask another server, and where it is damaged remove this \
             member (`paceline members remove`), delete its data directory and let it join anew"
        );
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage", detail)
    }

    /// 429: so many may watch at once.
    pub fn too_many_watchers(most: usize) -> Self {
        let detail = format!("{most} watch at this server already: try again later, or ask another server");
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", detail);
        error.0.retry_after_s = Some(5);
        error
    }

    /// 429: so many reads may be held at once.
    pub fn too_many_held(most: usize) -> Self {
        let detail = format!(
            "{most} reads are held at this server already: ask without `index`, ask another server, or use /v1/watch"
        );
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", detail);
        error.0.retry_after_s = Some(1);
        error
    }

    /// 503: no quorum can be reached from here.
    pub fn no_quorum(detail: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_quorum", detail);
        error.0.retry_after_s = Some(1);
        error
    }

    /// The same refusal, naming the leader.
    #[must_use]
    pub fn with_leader(mut self, leader: Option<String>) -> Self {
        self.0.problem.leader = leader;
        self
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code.as_str() {
            "not_found" => StatusCode::NOT_FOUND,
            "changed" => StatusCode::PRECONDITION_FAILED,
            "invalid" | "key_reused" => StatusCode::UNPROCESSABLE_ENTITY,
            "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "too_many" => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::CONFLICT,
        };
        let mut error = Self::new(status, refusal.code, refusal.text);
        error.0.problem.nearest = refusal.nearest;
        error
    }
}

impl From<ProposeError> for ApiError {
    fn from(error: ProposeError) -> Self {
        let text = error.to_string();
        match error {
            ProposeError::NoLeader { .. } => Self::no_quorum(text),
            ProposeError::Overloaded => {
                let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", text);
                error.0.retry_after_s = Some(1);
                error
            }
            ProposeError::Unknown => Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", text),
            ProposeError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text),
            ProposeError::Fatal { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", text),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        Self::no_quorum(format!("{error}; ask with ?consistency=local for this node's own copy"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Inner {
            status,
            problem,
            retry_after_s,
        } = *self.0;
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
