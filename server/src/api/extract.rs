//! What handlers take from a request: path, query and body, each refused as a problem where it can't be understood.
//!
//! A body is read within a time and within a budget that all requests share: senders that are slow or many can't use
//! up the memory of a server.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::ApiError;

/// Largest body of a request: a cluster file of ten thousand packages fits.
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// A body has to be here within this.
const BODY_WAIT: Duration = Duration::from_secs(10);
/// A body of up to this size is always taken in: all that daemons send, and nearly all that people do.
const BODY_BYTES_FREE: usize = 16 << 10;
/// What larger bodies may take up together while they arrive.
const BODIES_BYTES_MAX: usize = 128 << 20;

static BUDGET: Semaphore = Semaphore::const_new(BODIES_BYTES_MAX);

/// What stands in the path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|rejection| ApiError::malformed(format!("the path: {}", rejection.body_text())))
    }
}

/// A query string.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| ApiError::malformed(rejection.body_text()))
    }
}

/// A JSON body. No body at all is taken as `null`.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let bytes = read(request).await?;
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        // A list would be taken for the fields of an object in their order.
        if text.trim_ascii_start().first() == Some(&b'[') {
            return Err(ApiError::malformed("the body: a list where an object is expected"));
        }
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| ApiError::malformed(format!("the body: {error}")))
    }
}

/// A body as it came.
pub struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        read(request).await.map(Self)
    }
}

async fn read(request: Request) -> Result<Bytes, ApiError> {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let deadline = tokio::time::Instant::now() + BODY_WAIT;
    let mut pieces = request.into_body().into_data_stream();
    let mut whole = BytesMut::new();
    // Held until the body is whole: from then on the handler has it, and handlers are few and quick.
    let mut held: Option<SemaphorePermit<'static>> = None;
    loop {
        let piece = tokio::time::timeout_at(deadline, pieces.next())
            .await
            .map_err(|_| too_slow())?;
        let Some(piece) = piece else { return Ok(whole.freeze()) };
        let piece = piece.map_err(|error| ApiError::malformed(format!("the body broke off: {error}")))?;
        let length = whole.len() + piece.len();
        if length > BODY_BYTES_MAX {
            return Err(too_large());
        }
        if length > BODY_BYTES_FREE {
            let more = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let permit = BUDGET.try_acquire_many(more).map_err(|_| ApiError::overloaded())?;
            match &mut held {
                None => held = Some(permit),
                Some(held) => held.merge(permit),
            }
        }
        whole.extend_from_slice(&piece);
    }
}

fn too_large() -> ApiError {
    let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes: define fewer packages at a time");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

fn too_slow() -> ApiError {
    let detail = format!(
        "the body was not here within {} s; nothing was changed: send it again",
        BODY_WAIT.as_secs()
    );
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail)
}

/// Refuses what two programs on the way could read as two different requests.
pub async fn one_meaning(request: Request, next: axum::middleware::Next) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    let headers = request.headers();
    if headers.get_all(header::HOST).iter().nth(1).is_some() {
        return ApiError::malformed("the request has more than one Host").into_response();
    }
    if headers.contains_key(header::CONTENT_LENGTH) && headers.contains_key(header::TRANSFER_ENCODING) {
        return ApiError::malformed("the request has both Content-Length and Transfer-Encoding").into_response();
    }
    next.run(request).await
}
