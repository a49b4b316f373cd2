//! Serving HTTP/1.1 and HTTP/2 on one listener, within bounds.
//!
//! Whoever connects costs a descriptor and some memory before a single byte is understood. So each listener has a limit
//! on connections, in all and by address; one that says nothing in time is closed; and where all places are taken the
//! one that has been silent longest makes room. A flood of idle connections thus ends its own and nobody else's.

mod places;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use places::Places;

/// A client that has not sent the whole header of its first request by then is cut off.
const HEADER_WAIT: Duration = Duration::from_secs(10);
/// A connection on which nothing is asked is closed after this. An answer that is not fetched within it is lost, too.
const IDLE_WAIT: Duration = Duration::from_secs(120);
/// How long to wait after a failed accept (too many open files): retrying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Most bytes of a request's header (method, path, query and all lines): longer ones are answered with 431.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// Most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 64;
/// An HTTP/2 client that does not answer a ping within this is gone.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Most connections to the public API: each costs a descriptor and some tens of KiB.
const API_CONNECTIONS_MAX: usize = 10_000;
/// Most connections to one listener for servers and daemons: many times what the largest cluster needs.
const PEER_CONNECTIONS_MAX: usize = 2_048;
/// Descriptors that are never given to connections: the store's files, other servers, logs.
const DESCRIPTORS_KEPT: usize = 512;

/// What one listener allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// Of these from one address.
    pub from_one_address: usize,
}

impl Bounds {
    /// Of the public API: no one address can take more than half of it.
    #[must_use]
    pub fn api(descriptors: usize) -> Self {
        let connections = API_CONNECTIONS_MAX
            .min(descriptors.saturating_sub(DESCRIPTORS_KEPT) / 2)
            .max(64);
        Self {
            connections,
            from_one_address: connections / 2,
        }
    }

    /// Of a listener for servers and daemons. One address may have it all: several nodes can stand behind it.
    #[must_use]
    pub fn peers(descriptors: usize) -> Self {
        let connections = PEER_CONNECTIONS_MAX
            .min(descriptors.saturating_sub(DESCRIPTORS_KEPT) / 8)
            .max(64);
        Self {
            connections,
            from_one_address: connections,
        }
    }
}

/// Lets this process have as many descriptors as it may, and says how many that are.
pub fn raise_descriptor_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1024;
    };
    let limit = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        hard
    } else {
        soft
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Answers requests with `routes` until `stop`.
pub async fn serve(listener: TcpListener, routes: Router, bounds: Bounds, stop: CancellationToken) {
    let builder = builder();
    let places = Places::new(bounds);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(address.ip()) else {
            tracing::debug!(%address, "all connections are busy: one more was closed at once");
            continue;
        };
        // Answers are small: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let (routes, seen) = (routes.clone(), place.connection());
        let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (routes, request_seen) = (routes.clone(), seen.begin());
            async move {
                let answer = routes.oneshot(request.map(Body::new)).await;
                answer.map(|answer| {
                    request_seen.answered(answer.status());
                    request_seen.follow(answer)
                })
            }
        });
        let (builder, stop) = (builder.clone(), stop.clone());
        tokio::spawn(async move {
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                () = place.must_go(HEADER_WAIT, IDLE_WAIT) => {}
                () = stop.cancelled() => {}
            }
            drop(place);
        });
        // Whoever had to make room leaves before the next comes in: a crowd at the door must not hold more descriptors
        // than there are places.
        tokio::task::yield_now().await;
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    builder
}
