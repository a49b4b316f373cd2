//! The public API of a node without a server: every request is passed on to one, and its answer back, as it comes (M3).
//!
//! It runs on a thread of its own beside the daemon, and the daemon does not depend on it: whatever clients do here, leases
//! are renewed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use client::wire::daemon::Apis;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::ApiError;
use crate::config::{Config, Role};
use crate::http::{self, Bounds};

/// Largest body that is passed on: that of the API.
const BODY_BYTES_MAX: usize = 16 << 20;
/// To be connected to a server, before the next one is tried.
const CONNECT_WAIT: Duration = Duration::from_millis(500);
/// For a server to say which servers there are.
const ASK_WAIT: Duration = Duration::from_secs(2);
/// The list of servers is asked for again after this.
const LIST_KEPT: Duration = Duration::from_secs(20);
/// Between two attempts to listen.
const LISTEN_PAUSE: Duration = Duration::from_secs(2);
/// Descriptors of a daemon that are left to clients: the daemon's own come first.
const DESCRIPTORS: usize = 4_096;
/// Of one connection each, so they are neither passed on nor back. The length is that of the body as it is sent.
const OF_A_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::CONTENT_LENGTH,
];

/// Passes requests on.
#[derive(Clone)]
struct Forwarder {
    http: reqwest::Client,
    /// Peer addresses of servers, from the node file.
    join: Arc<Vec<String>>,
    known: Arc<Mutex<Known>>,
}

/// The API addresses of the cluster's servers.
#[derive(Debug, Default)]
struct Known {
    apis: Vec<String>,
    asked: Option<Instant>,
}

/// Serves the API on a node that has a daemon and no server. Elsewhere it does nothing.
///
/// # Errors
/// Where the thread can't be started.
pub fn start(config: &Config) -> anyhow::Result<()> {
    if config.votes() || !config.has(Role::Daemon) {
        return Ok(());
    }
    let (address, join) = (config.api, config.join.clone());
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_WAIT)
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .no_proxy()
        .build()?;
    let forwarder = Forwarder {
        http,
        join: Arc::new(join),
        known: Arc::default(),
    };
    let routes = Router::new()
        .route("/metrics", get(no_metrics))
        .fallback(pass_on)
        .with_state(forwarder);
    std::thread::Builder::new().name("forward".to_owned()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "can't start the runtime that passes requests on"),
        };
        runtime.block_on(async move {
            // Packages run whether or not this address is free.
            let listener = loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => break listener,
                    Err(error) => tracing::error!(%error, %address, "can't listen; trying again"),
                }
                tokio::time::sleep(LISTEN_PAUSE).await;
            };
            http::serve(listener, routes, Bounds::api(DESCRIPTORS), CancellationToken::new()).await;
        });
    })?;
    Ok(())
}

/// Figures of another node under this one's name would mislead.
async fn no_metrics() -> ApiError {
    let detail = "this node has no server, and so no figures of its own; ask the servers for theirs";
    ApiError::new(StatusCode::NOT_FOUND, "not_found", detail)
}

async fn pass_on(State(forwarder): State<Forwarder>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes, or broke off; nothing was changed");
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).into_response();
    };
    let target = head.uri.path_and_query().map_or("/", |it| it.as_str());
    for api in forwarder.apis().await {
        let sent = forwarder
            .http
            .request(head.method.clone(), format!("http://{api}{target}"))
            .headers(passed(&head.headers))
            .body(body.clone())
            .send()
            .await;
        match sent {
            Ok(answer) => {
                forwarder.prefer(&api);
                return back(answer);
            }
            Err(error) if error.is_connect() || head.method == Method::GET => {
                tracing::debug!(api, %error, "a server could not be asked; trying the next one");
            }
            // It may have arrived, so it is not for this node to say that it did not.
            Err(error) => {
                let detail = format!(
                    "the server {api} broke off ({error}): it may or may not have been done; send it again with the same \
                     Idempotency-Key"
                );
                return ApiError::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", detail).into_response();
            }
        }
    }
    forwarder.forget();
    let detail = format!(
        "this node passes requests on, and none of the servers {} can be reached from it; nothing was changed",
        forwarder.join.join(", ")
    );
    ApiError::no_quorum(detail).into_response()
}

impl Forwarder {
    /// Where servers have their API, the one that answered last first.
    async fn apis(&self) -> Vec<String> {
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.asked.is_some_and(|at| at.elapsed() < LIST_KEPT) {
                return known.apis.clone();
            }
        }
        for server in self.join.iter() {
            let url = format!("http://{server}/daemon/v1/apis");
            let Ok(answer) = self.http.get(url).timeout(ASK_WAIT).send().await else {
                continue;
            };
            if let Ok(told) = answer.json::<Apis>().await
                && !told.apis.is_empty()
            {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                let first = known.apis.first().cloned();
                known.apis = told.apis;
                known.asked = Some(Instant::now());
                if let Some(place) = first.and_then(|first| known.apis.iter().position(|it| *it == first)) {
                    known.apis.rotate_left(place);
                }
                return known.apis.clone();
            }
        }
        // The configured ones may all be down while others run.
        self.known.lock().unwrap_or_else(PoisonError::into_inner).apis.clone()
    }

    fn prefer(&self, api: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = known.apis.iter().position(|it| it == api) {
            known.apis.rotate_left(place);
        }
    }

    fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).asked = None;
    }
}

/// The header without what is of one connection only.
fn passed(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    for name in &OF_A_CONNECTION {
        passed.remove(name);
    }
    passed
}

/// The answer, piece by piece as it comes: a stream stays one.
fn back(answer: reqwest::Response) -> Response {
    let (status, headers) = (answer.status(), passed(answer.headers()));
    let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
