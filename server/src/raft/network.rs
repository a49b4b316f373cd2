//! openraft's messages over a [`PeerTransport`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{self, Append, Appended, AskVote, Transfer, Transferred, Voted};
use super::transport::{CallError, Lane, PeerTransport, Target};
use super::type_config::{BatchBytes, Peer, TypeConfig, Vote};
use crate::storage::{LogEntry, StoredSnapshot};

/// An append waits at least so long: it includes the follower's fsync, and openraft's own limit is made for heartbeats.
const APPEND_WAIT_MIN: Duration = Duration::from_secs(1);
/// A snapshot may take so long, and a second more for each [`SNAPSHOT_BYTES_PER_SECOND`].
const SNAPSHOT_WAIT: Duration = Duration::from_secs(30);
/// The slowest network that a snapshot is sent over.
const SNAPSHOT_BYTES_PER_SECOND: u64 = 1 << 20;
/// How often an unreachable server is tried again: soon at first, because it may just be starting.
const BACKOFF_MS: [u64; 5] = [10, 20, 50, 100, 200];

/// Makes a client for each server.
pub struct Network {
    transport: Arc<dyn PeerTransport>,
}

impl Network {
    /// Over this transport.
    #[must_use]
    pub fn new(transport: Arc<dyn PeerTransport>) -> Self {
        Self { transport }
    }

    fn client(&self, target: u64, peer: &Peer, lane: Lane) -> Client {
        let target = Target {
            member: target,
            addresses: peer.addresses.clone(),
        };
        Client {
            transport: Arc::clone(&self.transport),
            target,
            lane,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, peer: &Peer) -> Client {
        self.client(target, peer, Lane::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, peer: &Peer) -> Client {
        self.client(target, peer, Lane::Urgent)
    }

    async fn new_snapshot_client(&mut self, target: u64, peer: &Peer) -> Client {
        self.client(target, peer, Lane::Snapshot)
    }
}

/// Speaks with one server.
pub struct Client {
    transport: Arc<dyn PeerTransport>,
    target: Target,
    lane: Lane,
}

impl Client {
    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        lane: Lane,
        method: &'static str,
        request: &Q,
        wait: Duration,
    ) -> Result<A, RPCError<TypeConfig>> {
        let body = codec::encode(method, request).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        let answer = self
            .transport
            .call(&self.target, lane, method, body, wait)
            .await
            .map_err(rpc_error)?;
        codec::decode(method, &answer).map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }

    async fn ask_vote(
        &self,
        method: &'static str,
        request: VoteRequest<TypeConfig>,
        option: &RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let ask = AskVote {
            vote: codec::wire_vote(&request.vote),
            last: request.last_log_id.as_ref().map(codec::wire_log_id),
            transfer: request.leadership_transfer,
        };
        let Voted { vote, granted, last } = self.call(Lane::Urgent, method, &ask, option.hard_ttl()).await?;
        Ok(VoteResponse::new(
            codec::from_wire_vote(vote),
            last.map(codec::from_wire_log_id),
            granted,
        ))
    }
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = StoredSnapshot;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let heartbeat = request.entries.is_empty();
        let wait = if heartbeat {
            option.hard_ttl()
        } else {
            option.hard_ttl().max(APPEND_WAIT_MIN)
        };
        let entries = request.entries.into_iter().map(|entry| {
            let stored = codec::stored_entry(entry).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
            Ok((stored.id.index, BatchBytes(stored.encode())))
        });
        let append = Append {
            vote: codec::wire_vote(&request.vote),
            previous: request.prev_log_id.as_ref().map(codec::wire_log_id),
            committed: request.leader_commit.as_ref().map(codec::wire_log_id),
            entries: entries.collect::<Result<_, RPCError<TypeConfig>>>()?,
        };
        Ok(match self.call(self.lane, "append", &append, wait).await? {
            Appended::Success => AppendEntriesResponse::Success,
            Appended::Partial(upto) => AppendEntriesResponse::PartialSuccess(upto.map(codec::from_wire_log_id)),
            Appended::Conflict => AppendEntriesResponse::Conflict,
            Appended::HigherVote(vote) => AppendEntriesResponse::HigherVote(codec::from_wire_vote(vote)),
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_vote("vote", request, &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_vote("pre_vote", request, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, StoredSnapshot>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let (term, member, committed) = codec::wire_vote(&vote);
        let wait = SNAPSHOT_WAIT + Duration::from_secs(snapshot.snapshot.length / SNAPSHOT_BYTES_PER_SECOND);
        let sent = self.transport.send_snapshot(
            &self.target,
            format!("{term}.{member}.{committed}"),
            snapshot.snapshot,
            wait,
        );
        let answer = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            answer = sent => answer,
        };
        let answer = answer.map_err(|error| match error {
            CallError::Unknown { .. } => StreamingError::Network(NetworkError::new(&error)),
            CallError::Unreachable { .. } | CallError::Refused { .. } => {
                StreamingError::Unreachable(Unreachable::new(&error))
            }
        })?;
        let vote = codec::decode("snapshot", &answer)
            .map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))?;
        Ok(SnapshotResponse::new(codec::from_wire_vote(vote)))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let transfer = Transfer {
            from: codec::wire_vote(request.from_leader()),
            to: *request.to_node_id(),
            last: request.last_log_id().map(codec::wire_log_id),
        };
        let log_id = |id: Option<codec::WireLogId>| id.map(codec::from_wire_log_id);
        Ok(
            match self
                .call(Lane::Urgent, "transfer", &transfer, option.hard_ttl())
                .await?
            {
                Transferred::Done => Ok(()),
                Transferred::VoteChanged(expected, actual) => Err(TransferLeaderError::VoteChanged {
                    expected: codec::from_wire_vote(expected),
                    actual: codec::from_wire_vote(actual),
                }),
                Transferred::LogNotFlushed(expected, actual) => Err(TransferLeaderError::LogNotFlushed {
                    expected: log_id(expected),
                    actual: log_id(actual),
                }),
            },
        )
    }

    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF_MS[BACKOFF_MS.len() - 1];
        Some(Backoff::new(
            BACKOFF_MS
                .into_iter()
                .chain(std::iter::repeat(last))
                .map(Duration::from_millis),
        ))
    }
}

/// Only what may have been received is worth an immediate repetition; all else waits.
fn rpc_error(error: CallError) -> RPCError<TypeConfig> {
    match &error {
        CallError::Unknown { .. } => RPCError::Network(NetworkError::new(&error)),
        CallError::Unreachable { .. } | CallError::Refused { .. } => RPCError::Unreachable(Unreachable::new(&error)),
    }
}

/// An append as openraft takes it.
///
/// # Errors
/// Where an entry can't be understood.
pub fn append_request(append: Append) -> Result<AppendEntriesRequest<TypeConfig>, codec::CodecError> {
    let entries = append.entries.into_iter().map(|(index, BatchBytes(bytes))| {
        let bytes: Bytes = bytes;
        let stored = LogEntry::decode(index, &bytes).map_err(|error| codec::CodecError::Shape {
            what: "a log entry",
            text: error.to_string(),
        })?;
        codec::entry(stored)
    });
    Ok(AppendEntriesRequest {
        vote: codec::from_wire_vote(append.vote),
        prev_log_id: append.previous.map(codec::from_wire_log_id),
        leader_commit: append.committed.map(codec::from_wire_log_id),
        entries: entries.collect::<Result<_, _>>()?,
    })
}
