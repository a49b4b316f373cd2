//! How servers reach each other: a trait, so that a simulation can put its own network in place, and HTTP/1.1.
//!
//! Votes and heartbeats have connections of their own, so that no batch and no snapshot stands before them. Every call
//! has a time-out, connections that idle are dropped soon, and an error drops all connections of that lane: a
//! restarted server is never spoken to over a connection that its predecessor left half open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::StatusCode;

use crate::storage::StoredSnapshot;

/// The cluster that a message is for.
pub const HEADER_CLUSTER: &str = "x-paceline-cluster";
/// The member that a message is for; checked by the receiver.
pub const HEADER_MEMBER: &str = "x-paceline-member";
/// The vote under which a snapshot is sent: term, member, committed.
pub const HEADER_VOTE: &str = "x-paceline-vote";

/// Kept shorter than the receiver keeps it, so that a connection is not used while it is being closed.
const POOL_IDLE: Duration = Duration::from_secs(5);
/// Longest wait for a connection; a host that is off answers nothing.
const CONNECT_WAIT: Duration = Duration::from_millis(300);
/// What is sent and not acknowledged for so long, or nothing heard while an answer is waited for: the other host is gone.
/// Without it a snapshot to a host that went dark is waited for until its whole time is over.
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// A silent connection is probed so often.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A snapshot is read and sent in pieces of this size.
const SNAPSHOT_PIECE_BYTES: usize = 256 << 10;

/// Which connections a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Heartbeats, votes, read indexes.
    Urgent,
    /// Log entries.
    Log,
    /// Forwarded proposals and membership.
    Proposals,
    /// Snapshots.
    Snapshot,
}

/// Another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its member id; 0 for one that is not known yet.
    pub member: u64,
    /// Its addresses, tried in turn.
    pub addresses: Vec<String>,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection: nothing was sent.
    #[error("no connection to {address}: {reason}")]
    Unreachable {
        /// Which address.
        address: String,
        /// Why.
        reason: String,
    },
    /// It was received and not done.
    #[error("{address} refused: {reason}")]
    Refused {
        /// Which address.
        address: String,
        /// In its words.
        reason: String,
    },
    /// It may have been received and done.
    #[error("no answer from {address}: {reason}")]
    Unknown {
        /// Which address.
        address: String,
        /// Why.
        reason: String,
    },
}

/// Carries messages among servers.
pub trait PeerTransport: Send + Sync + 'static {
    /// Sends a message and returns the answer.
    fn call(
        &self,
        to: &Target,
        lane: Lane,
        method: &'static str,
        body: Bytes,
        wait: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>>;

    /// Sends a snapshot and returns the answer.
    fn send_snapshot(
        &self,
        to: &Target,
        vote: String,
        snapshot: StoredSnapshot,
        wait: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>>;

    /// Says to which cluster this server belongs: every message carries it.
    fn set_cluster(&self, id: &str);
}

/// HTTP/1.1 with kept connections.
#[derive(Clone, Default)]
pub struct HttpTransport {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    cluster: RwLock<String>,
    lines: Mutex<BTreeMap<(u64, String, Lane), Line>>,
}

#[derive(Clone)]
struct Line {
    client: reqwest::Client,
    /// Which address is used: the next one after an error.
    turn: usize,
}

impl HttpTransport {
    /// The connections to a server on a lane, made where there are none.
    fn line(&self, to: &Target, lane: Lane) -> Result<(reqwest::Client, String), CallError> {
        let mut lines = self.inner.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = match lines.entry(key(to, lane)) {
            std::collections::btree_map::Entry::Occupied(line) => line.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => place.insert(Line {
                client: client(lane)?,
                turn: 0,
            }),
        };
        let address = to
            .addresses
            .get(line.turn % to.addresses.len().max(1))
            .cloned()
            .unwrap_or_default();
        Ok((line.client.clone(), address))
    }

    /// Drops the connections after an error and turns to the next address.
    fn failed(&self, to: &Target, lane: Lane) {
        let mut lines = self.inner.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(&key(to, lane))
            && let Ok(client) = client(lane)
        {
            line.client = client;
            line.turn = line.turn.wrapping_add(1);
        }
    }

    fn post(
        &self,
        to: &Target,
        lane: Lane,
        method: &str,
        wait: Duration,
    ) -> Result<(reqwest::RequestBuilder, String), CallError> {
        let (client, address) = self.line(to, lane)?;
        let cluster = self
            .inner
            .cluster
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let request = client
            .post(format!("http://{address}/peer/v1/{method}"))
            .header(HEADER_CLUSTER, cluster)
            .header(HEADER_MEMBER, to.member.to_string())
            .timeout(wait);
        Ok((request, address))
    }

    async fn finish(
        self,
        request: reqwest::RequestBuilder,
        address: String,
        to: Target,
        lane: Lane,
    ) -> Result<Bytes, CallError> {
        // Dropped by its caller before the end (a time-out of openraft's): the connection is dropped with it.
        let outcome = answer(request, &address).await;
        if matches!(outcome, Err(CallError::Unreachable { .. } | CallError::Unknown { .. })) {
            self.failed(&to, lane);
        }
        outcome
    }
}

impl PeerTransport for HttpTransport {
    fn call(
        &self,
        to: &Target,
        lane: Lane,
        method: &'static str,
        body: Bytes,
        wait: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let this = self.clone();
        let to = to.clone();
        Box::pin(async move {
            let (request, address) = this.post(&to, lane, method, wait)?;
            this.finish(request.body(body), address, to, lane).await
        })
    }

    fn send_snapshot(
        &self,
        to: &Target,
        vote: String,
        snapshot: StoredSnapshot,
        wait: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let this = self.clone();
        let to = to.clone();
        Box::pin(async move {
            let (request, address) = this.post(&to, Lane::Snapshot, "snapshot", wait)?;
            let pieces = futures_util::stream::try_unfold(0, move |offset| {
                let snapshot = snapshot.clone();
                async move {
                    let piece = tokio::task::spawn_blocking(move || {
                        let mut buffer = vec![0; SNAPSHOT_PIECE_BYTES];
                        let read = snapshot.read_at(offset, &mut buffer)?;
                        buffer.truncate(read);
                        Ok::<_, std::io::Error>(buffer)
                    })
                    .await
                    .map_err(std::io::Error::other)??;
                    let next = offset + piece.len() as u64;
                    Ok::<_, std::io::Error>((!piece.is_empty()).then_some((Bytes::from(piece), next)))
                }
            });
            let request = request
                .header(HEADER_VOTE, vote)
                .body(reqwest::Body::wrap_stream(pieces));
            this.finish(request, address, to, Lane::Snapshot).await
        })
    }

    fn set_cluster(&self, id: &str) {
        id.clone_into(&mut self.inner.cluster.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn key(to: &Target, lane: Lane) -> (u64, String, Lane) {
    (to.member, to.addresses.first().cloned().unwrap_or_default(), lane)
}

fn client(lane: Lane) -> Result<reqwest::Client, CallError> {
    let idle = match lane {
        Lane::Urgent | Lane::Log => 4,
        Lane::Proposals => 4,
        Lane::Snapshot => 1,
    };
    reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_WAIT)
        .tcp_user_timeout(DEAD_AFTER)
        .tcp_keepalive(PROBE_EVERY)
        .tcp_keepalive_interval(PROBE_EVERY)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(idle)
        .build()
        .map_err(|error| CallError::Unreachable {
            address: String::new(),
            reason: error.to_string(),
        })
}

async fn answer(request: reqwest::RequestBuilder, address: &str) -> Result<Bytes, CallError> {
    let unknown = |error: &reqwest::Error| CallError::Unknown {
        address: address.to_owned(),
        reason: in_words(error),
    };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => {
            return Err(CallError::Unreachable {
                address: address.to_owned(),
                reason: in_words(&error),
            });
        }
        Err(error) => return Err(unknown(&error)),
    };
    let status = response.status();
    let body = response.bytes().await.map_err(|error| unknown(&error))?;
    if status == StatusCode::OK {
        return Ok(body);
    }
    Err(CallError::Refused {
        address: address.to_owned(),
        reason: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// An error with all that caused it: reqwest says only "error sending request" by itself.
fn in_words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
