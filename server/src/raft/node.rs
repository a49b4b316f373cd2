//! The handle that everybody else holds, and what is behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use openraft::type_config::async_runtime::watch::WatchReceiver as _;
use statemachine::State;
use statemachine::command::{Command, RequestId};
use statemachine::id::{Index, MemberId, NodeName, Term};
use statemachine::log::v1::Proposal;
use statemachine::time::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, ProposeError, ReadError};
use super::clock::{BootTime, ClusterClock};
use super::leadership::{self, Leadership};
use super::log_store::LogStore;
use super::machine::{Applied, Machine};
use super::network::Network;
use super::propose::{self, Proposals, Scope};
use super::read::{self, ReadScope, Reads};
use super::transport::{HttpTransport, PeerTransport, Target};
use super::types::{Peer, Raft};
use super::{join, member, routes, timer};
use crate::storage::{
    Backend, Database, Fatal, FatalAction, Identity, IdentityError, Journal, Log, OpenError, Phase, SnapshotDirectory,
    SnapshotFileError, Writer,
};
use crate::timers::{LEASE_DEFAULT, TimerError, Timers};

/// A snapshot is made after so many log entries: a restart replays no more than these.
const SNAPSHOT_ENTRIES: u64 = 20_000;
/// And after so many commands, because one entry may hold a thousand.
const SNAPSHOT_COMMANDS: u64 = 200_000;
/// So many entries are kept behind a snapshot, for followers that were away for a while.
const KEPT_ENTRIES: u64 = 5_000;
/// A follower further behind than this gets a snapshot in place of the log.
const LAG_ENTRIES: u64 = 40_000;
/// A purge is worth its range deletion from so many entries on.
const PURGE_ENTRIES_MIN: u64 = 256;
/// Log entries in one message to a follower; its bytes are bounded too.
const PAYLOAD_ENTRIES: u64 = 256;
/// A read waits so long for this server to apply what it must see.
const APPLY_WAIT: Duration = Duration::from_secs(5);
/// Added to the time of an election when waiting for a leader.
const ELECTION_SLACK: Duration = Duration::from_millis(300);

/// What a server needs to know of itself.
#[derive(Clone, Debug)]
pub struct RaftOptions {
    /// Where everything is kept; the servers' part is in `server/`.
    pub data_dir: PathBuf,
    /// The node's name.
    pub name: String,
    /// Where peers reach this server, tried in turn.
    pub peer: Vec<String>,
    /// Where its API is.
    pub api: String,
    /// Members to ask for admission; empty only where the cluster is first bootstrapped.
    pub join: Vec<String>,
}

/// What tests and simulations set; a server takes [`RaftTuning::usual`].
#[derive(Clone, Copy, Debug)]
pub struct RaftTuning {
    /// Raft's timers.
    pub timers: Timers,
    /// What stopping for good means.
    pub on_fatal: FatalAction,
    /// A snapshot is made after so many log entries.
    pub snapshot_entries: u64,
    /// So many entries are kept behind a snapshot.
    pub kept_entries: u64,
}

impl RaftTuning {
    /// The timers of the default lease.
    ///
    /// # Errors
    /// Never with the default lease; the type is that of [`Timers::derive`].
    pub fn usual() -> Result<Self, TimerError> {
        Ok(Self {
            timers: Timers::derive(LEASE_DEFAULT)?,
            on_fatal: FatalAction::Exit,
            snapshot_entries: SNAPSHOT_ENTRIES,
            kept_entries: KEPT_ENTRIES,
        })
    }
}

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory belongs to somebody else or is incomplete.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The database refuses.
    #[error("{error}{}", source_text(error))]
    Database {
        /// What it says.
        #[from]
        error: OpenError,
    },
    /// The snapshots refuse.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFileError),
    /// The log can't be read.
    #[error("the log in {path} can't be used: {source}")]
    Log {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Raft does not start on what is stored.
    #[error("Raft does not start on what is stored: {0}")]
    Raft(String),
    /// The timers break an inequality.
    #[error(transparent)]
    Timers(#[from] TimerError),
    /// The cluster does not let this server in.
    #[error("the cluster does not let {name} in: {reason}")]
    Refused {
        /// The node's name.
        name: String,
        /// In its words.
        reason: String,
    },
    /// The options don't fit together.
    #[error("{0}")]
    Options(String),
}

fn source_text(error: &OpenError) -> String {
    std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"))
}

/// What a server knows of its Raft group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftStatus {
    /// Which member this is, once it is one.
    pub member: Option<MemberId>,
    /// The newest term.
    pub term: Term,
    /// Its leader, where one is known.
    pub leader: Option<MemberId>,
    /// Raft's last log index known to be committed.
    pub committed: u64,
    /// Raft's last log index applied here.
    pub applied: u64,
    /// Who votes.
    pub voters: BTreeSet<MemberId>,
    /// Who only listens.
    pub learners: BTreeSet<MemberId>,
    /// Log entries that each of the others lacks, where this server leads.
    pub lag: BTreeMap<MemberId, u64>,
    /// Why this server has stopped for good.
    pub fatal: Option<String>,
}

/// A server's part in the Raft group. Cheap to clone; may be used from any runtime.
#[derive(Clone)]
pub struct RaftNode {
    pub(super) core: Arc<Core>,
}

type Guard = Box<dyn Fn(&State) -> Result<(), String> + Send + Sync>;

pub(super) struct Core {
    pub options: RaftOptions,
    pub tuning: RaftTuning,
    pub directory: PathBuf,
    pub fatal: Fatal,
    pub backend: Arc<dyn Backend>,
    pub writer: Writer,
    pub log: Log,
    pub journal: Journal,
    pub snapshots: SnapshotDirectory,
    pub applied: Applied,
    pub clock: ClusterClock,
    pub transport: Arc<dyn PeerTransport>,
    pub leadership: watch::Sender<Leadership>,
    pub proposals: Proposals,
    pub reads: Reads,
    pub identity: Mutex<Option<Identity>>,
    /// One change of the membership at a time.
    pub changing: tokio::sync::Mutex<()>,
    pub hand_over_guard: OnceLock<Guard>,
    pub stopping: CancellationToken,
    raft: OnceLock<Raft>,
    queues: Mutex<Option<(propose::Waiting, mpsc::Receiver<read::Reader>)>>,
}

impl RaftNode {
    /// Opens what is stored and, where this server is a member already, takes part. Must be called on the runtime that
    /// is to do Raft's work; then serve [`RaftNode::peer_routes`] and call [`RaftNode::join`].
    ///
    /// # Errors
    /// [`StartError`] says what was found; nothing is overwritten then.
    pub async fn open(options: RaftOptions) -> Result<Self, StartError> {
        Self::open_tuned(options, RaftTuning::usual()?).await
    }

    /// As [`RaftNode::open`], with other timers.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open_tuned(options: RaftOptions, tuning: RaftTuning) -> Result<Self, StartError> {
        tuning.timers.check()?;
        let core = Arc::new(Core::open(options, tuning)?);
        let node = Self { core };
        if let Some(identity) = node.core.identity()
            && !matches!(identity.phase, Phase::Joining { .. })
        {
            node.core.start_raft(&identity).await?;
        }
        Ok(node)
    }

    /// Takes part for the first time: creates the cluster, or asks to be let in and waits until this server votes. A server
    /// that is a member already returns at once. The peer routes must be served meanwhile.
    ///
    /// # Errors
    /// [`StartError::Refused`] in the cluster's words.
    pub async fn join(&self) -> Result<(), StartError> {
        join::run(&self.core).await
    }

    /// The state as it is applied here and now.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.core.applied.state()
    }

    /// The last command applied here.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Index> {
        self.core.applied.index()
    }

    /// Who leads.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.core.leadership.subscribe()
    }

    /// The event journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.core.journal
    }

    /// Raft's timers, as they were at the start.
    #[must_use]
    pub fn timers(&self) -> Timers {
        self.core.tuning.timers
    }

    /// The cluster's id, once this server belongs to one.
    #[must_use]
    pub fn cluster_id(&self) -> Option<String> {
        self.core
            .identity()
            .map(|identity| identity.cluster_id)
            .filter(|id| !id.is_empty())
    }

    /// Which member this is, once it is one.
    #[must_use]
    pub fn member(&self) -> Option<MemberId> {
        self.core
            .identity()
            .filter(|identity| identity.member != 0)
            .map(|identity| MemberId(identity.member))
    }

    /// The leader's first peer address, where a leader is known.
    #[must_use]
    pub fn leader_address(&self) -> Option<String> {
        let leader = self.core.leadership.borrow().leader?;
        self.core.target(leader)?.addresses.into_iter().next()
    }

    /// Puts a command in the log, from any server, and waits until it is applied by the leader.
    ///
    /// # Errors
    /// [`ProposeError`] keeps "not done" apart from "not known".
    pub async fn propose(&self, proposal: Proposal) -> Result<Answer, ProposeError> {
        self.core.check()?;
        self.core
            .proposals
            .propose(&proposal, Scope::Anywhere, self.core.leader_wait())
            .await
    }

    /// Puts a command in the log as leader of this term and no other: never forwarded, never queued into another term.
    ///
    /// # Errors
    /// [`ProposeError`].
    pub async fn propose_in_term(&self, command: Command, term: Term) -> Result<Answer, ProposeError> {
        self.core.check()?;
        let proposal = Proposal { request: None, command };
        self.core
            .proposals
            .propose(&proposal, Scope::Term(term), self.core.leader_wait())
            .await
    }

    /// Returns once everything that was acknowledged before this call is applied here: a quorum round begun after it.
    ///
    /// # Errors
    /// [`ReadError`] where nobody can confirm it.
    pub async fn read_barrier(&self) -> Result<(), ReadError> {
        self.core.check_read()?;
        let point = self
            .core
            .reads
            .point(ReadScope::Anywhere, self.core.leader_wait())
            .await?;
        self.core.wait_applied(point.index).await
    }

    /// A quorum round begun after this call, as leader: the term that it confirms, once all that older terms left over is
    /// applied here.
    ///
    /// # Errors
    /// [`ReadError`] where this server does not lead or reaches no majority.
    pub async fn confirm_leadership(&self) -> Result<Term, ReadError> {
        self.core.check_read()?;
        let point = self.core.reads.point(ReadScope::Here, Duration::ZERO).await?;
        self.core.wait_applied(point.index).await?;
        Ok(Term(point.term))
    }

    /// Cluster time, where this server leads in that term and may act.
    #[must_use]
    pub fn cluster_time(&self, term: Term) -> Option<Timestamp> {
        self.core.clock.now(term, BootTime::now())
    }

    /// Runs a task on this server's behalf, until it shuts down. A panic in it ends the server.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.core.spawn(work);
    }

    /// What this server knows of its Raft group.
    #[must_use]
    pub fn status(&self) -> RaftStatus {
        let leadership = *self.core.leadership.borrow();
        let mut status = RaftStatus {
            member: self.member(),
            term: leadership.term,
            leader: leadership.leader,
            fatal: self.core.fatal.reason().map(ToOwned::to_owned),
            ..RaftStatus::default()
        };
        let Some(raft) = self.core.raft() else { return status };
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        status.voters = membership.voter_ids().map(MemberId).collect();
        status.learners = membership.learner_ids().map(MemberId).collect();
        status.committed = metrics
            .cluster_committed
            .as_ref()
            .max(metrics.local_committed.as_ref())
            .map_or(0, |id| id.index());
        status.applied = metrics.last_applied.as_ref().map_or(0, |id| id.index());
        let last = metrics.last_log_index.unwrap_or(0);
        for (member, matched) in metrics.replication.iter().flatten() {
            let has = matched.as_ref().map_or(0, |id| id.index());
            status.lag.insert(MemberId(*member), last.saturating_sub(has));
        }
        status
    }

    /// Resolves once this server has stopped for good, with the reason.
    pub fn failed(&self) -> impl Future<Output = String> + Send + 'static {
        let fatal = self.core.fatal.clone();
        let mut changed = fatal.watch();
        async move {
            let _ = changed.wait_for(|stopped| *stopped).await;
            fatal.reason().unwrap_or("it was shut down").to_owned()
        }
    }

    /// What other servers ask of this one, under `/peer/v1`.
    pub fn peer_routes(&self) -> Router {
        routes::routes(Arc::clone(&self.core))
    }

    /// Lets a server leave the Raft group for good: it votes no more, and its id is never used again.
    ///
    /// # Errors
    /// In words, what stands against it.
    pub async fn remove_member(&self, member: MemberId) -> Result<Index, member::MemberError> {
        member::remove(&self.core, member).await
    }

    /// Hands the lead over, to any that is caught up where none is named.
    ///
    /// # Errors
    /// In words, what stands against it.
    pub async fn transfer_leader(&self, to: Option<MemberId>) -> Result<(), member::MemberError> {
        member::hand_over(&self.core, to).await
    }

    /// Asked before the lead is handed over: refuses while a node might lose its lease by it.
    pub fn set_hand_over_guard(&self, guard: impl Fn(&State) -> Result<(), String> + Send + Sync + 'static) {
        let _ = self.core.hand_over_guard.set(Box::new(guard));
    }

    /// Takes part no more, and closes all files, so that they can be opened again.
    pub async fn shutdown(&self) {
        self.core.stopping.cancel();
        if let Some(raft) = self.core.raft() {
            let _ = raft.shutdown().await;
        }
        let core = Arc::clone(&self.core);
        let _ = tokio::task::spawn_blocking(move || {
            core.writer.stop();
            core.backend.close();
        })
        .await;
    }
}

impl Core {
    fn open(options: RaftOptions, tuning: RaftTuning) -> Result<Self, StartError> {
        NodeName::new(&options.name)
            .map_err(|error| StartError::Options(format!("name {:?}: {error}", options.name)))?;
        let directory = options.data_dir.join("server");
        Identity::check_directory(&directory)?;
        let io = |source| StartError::Log {
            path: directory.clone(),
            source,
        };
        std::fs::create_dir_all(&directory).map_err(io)?;
        let fatal = Fatal::new(&options.data_dir, tuning.on_fatal);
        fatal.report_last_run();
        let backend: Arc<dyn Backend> = Arc::new(Database::open(&directory.join("db"))?);
        let identity = Identity::load(&directory, backend.as_ref(), &options.name)?;
        let writer = Writer::start(Arc::clone(&backend), fatal.clone()).map_err(io)?;
        let log = Log::open(Arc::clone(&backend), writer.clone()).map_err(io)?;
        let journal = Journal::open(Arc::clone(&backend), writer.clone()).map_err(io)?;
        let snapshots = SnapshotDirectory::open(&directory.join("snapshots"))?;
        // openraft would make up an empty snapshot in its place.
        let covered = snapshots
            .newest()?
            .and_then(|newest| newest.header.last())
            .map(|last| last.index);
        if let Some(purged) = log.purged()
            && covered.is_none_or(|covered| covered < purged.index)
        {
            let found = covered.map_or("no snapshot".to_owned(), |covered| {
                format!("the newest snapshot reaches to {covered}")
            });
            let text = format!(
                "the log begins after entry {}, but {found}: a server that has lost what it acknowledged must not vote; remove this \
                 member (`paceline members remove {}`), delete {}, and let it join anew",
                purged.index,
                options.name,
                directory.display()
            );
            return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidData, text)));
        }
        if let Some(Identity {
            phase: Phase::Member,
            member: 1,
            ..
        }) = &identity
            && log.last().is_none()
        {
            let identity = identity.clone().ok_or_else(|| StartError::Options(String::new()))?;
            return Err(IdentityError::LogMissing {
                path: directory,
                member: identity.member,
                cluster: identity.cluster_id,
                name: identity.name,
            }
            .into());
        }
        let (proposals, items) = Proposals::new();
        let (reads, readers) = Reads::new();
        Ok(Self {
            options,
            tuning,
            directory,
            fatal,
            backend,
            writer,
            log,
            journal,
            snapshots,
            applied: Applied::new(),
            clock: ClusterClock::default(),
            transport: Arc::new(HttpTransport::default()),
            leadership: watch::Sender::new(Leadership::default()),
            proposals,
            reads,
            identity: Mutex::new(identity),
            changing: tokio::sync::Mutex::new(()),
            hand_over_guard: OnceLock::new(),
            stopping: CancellationToken::new(),
            raft: OnceLock::new(),
            queues: Mutex::new(Some((items, readers))),
        })
    }

    /// Starts Raft as this member, and the tasks around it.
    pub(super) async fn start_raft(self: &Arc<Self>, identity: &Identity) -> Result<(), StartError> {
        self.transport.set_cluster(&identity.cluster_id);
        let machine = Machine::new(
            self.applied.clone(),
            self.journal.clone(),
            self.snapshots.clone(),
            self.fatal.clone(),
        );
        let raft = Raft::new(
            identity.member,
            Arc::new(self.raft_config(&identity.cluster_id)?),
            Network::new(Arc::clone(&self.transport)),
            LogStore::new(self.log.clone()),
            machine,
        )
        .await
        .map_err(|error| StartError::Raft(error.to_string()))?;
        let _ = self.raft.set(raft.clone());
        let following = leadership::follow(
            raft,
            MemberId(identity.member),
            self.applied.clone(),
            self.clock.clone(),
            self.fatal.clone(),
            self.leadership.clone(),
        );
        self.spawn(following);
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((items, readers)) = queues {
            self.spawn(propose::run(Arc::clone(self), items));
            self.spawn(read::run(Arc::clone(self), readers));
        }
        self.spawn(timer::run(Arc::clone(self)));
        self.spawn(snapshots(Arc::clone(self)));
        self.spawn(member::tidy(Arc::clone(self)));
        Ok(())
    }

    fn raft_config(&self, cluster_id: &str) -> Result<openraft::Config, StartError> {
        let timers = &self.tuning.timers;
        let config = openraft::Config {
            cluster_name: cluster_id.to_owned(),
            heartbeat_interval: timers.heartbeat_ms,
            election_timeout_min: timers.election_min_ms,
            election_timeout_max: timers.election_max_ms,
            enable_pre_vote: Some(true),
            // A leader that restarts in its own term would forget which sessions it has proposed as lost, and might
            // answer them again (rule 5 of docs/SAFETY.md). It stands for election like everybody else.
            enable_leader_restore: Some(false),
            max_payload_entries: PAYLOAD_ENTRIES,
            replication_lag_threshold: LAG_ENTRIES,
            snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(self.tuning.snapshot_entries),
            max_in_snapshot_log_to_keep: self.tuning.kept_entries,
            purge_batch_size: (self.tuning.snapshot_entries / 4).clamp(1, PURGE_ENTRIES_MIN),
            api_channel_size: Some(8192),
            notification_channel_size: Some(8192),
            ..openraft::Config::default()
        };
        config
            .validate()
            .map_err(|error| StartError::Options(format!("Raft's timers are refused: {error}")))
    }

    /// Runs until the server shuts down. A panic in it ends the server: half of one would be worse than none.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (stopping, fatal) = (self.stopping.clone(), self.fatal.clone());
        tokio::spawn(async move {
            let mut task = tokio::spawn(work);
            tokio::select! {
                ended = &mut task => if let Err(error) = ended && error.is_panic() {
                    fatal.stop(&format!("a task of this server panicked: {error}"));
                },
                () = stopping.cancelled() => task.abort(),
            }
        });
    }

    pub(super) fn raft(&self) -> Option<&Raft> {
        self.raft.get()
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Saves who this server is, durably.
    pub(super) async fn set_identity(self: &Arc<Self>, identity: Identity) -> Result<(), StartError> {
        let core = Arc::clone(self);
        let saved = identity.clone();
        tokio::task::spawn_blocking(move || saved.save(&core.directory, &core.writer))
            .await
            .map_err(|error| StartError::Raft(error.to_string()))??;
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
        Ok(())
    }

    /// How to reach a member: as the Raft group knows it, else as the state does.
    pub(super) fn target(&self, member: MemberId) -> Option<Target> {
        let known = self.raft().and_then(|raft| {
            let metrics = raft.server_metrics();
            let metrics = metrics.borrow_watched();
            metrics
                .membership_config
                .membership()
                .get_node(&member.0)
                .map(|peer: &Peer| peer.addresses.clone())
        });
        let addresses = known.or_else(|| {
            self.applied
                .state()
                .members()
                .find(|known| known.id == member)
                .map(|known| known.peer.clone())
        })?;
        Some(Target {
            member: member.0,
            addresses,
        })
    }

    /// How long to wait for a leader: one election with a split vote, and a little.
    pub(super) fn leader_wait(&self) -> Duration {
        Duration::from_millis(self.tuning.timers.election_split_vote_ms()) + ELECTION_SLACK
    }

    pub(super) async fn wait_applied(&self, index: u64) -> Result<(), ReadError> {
        let mut entry = self.applied.entry();
        let applied = entry.wait_for(|entry| entry.is_some_and(|entry| entry.index >= index));
        match tokio::time::timeout(APPLY_WAIT, applied).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ReadError::NoLeader {
                retry_after: Duration::from_millis(500),
            }),
        }
    }

    /// The first command of a cluster, proposed again until it is in the log.
    pub(super) async fn create_cluster(&self, identity: &Identity) -> Result<(), StartError> {
        let name = NodeName::new(&identity.name).map_err(|error| StartError::Options(error.to_string()))?;
        let create = Proposal {
            request: Some(RequestId {
                client: "bootstrap".to_owned(),
                key: identity.cluster_id.clone(),
            }),
            command: Command::CreateCluster {
                id: identity.cluster_id.clone(),
                member: name,
                peer: self.options.peer.clone(),
                api: self.options.api.clone(),
            },
        };
        loop {
            if self.applied.state().cluster().is_some() {
                return Ok(());
            }
            match self
                .proposals
                .propose(&create, Scope::Anywhere, self.leader_wait())
                .await
            {
                Ok(Answer { result: Ok(_), .. }) => return Ok(()),
                Ok(Answer {
                    result: Err(refusal), ..
                }) if self.applied.state().cluster().is_none() => {
                    return Err(StartError::Refused {
                        name: identity.name.clone(),
                        reason: refusal.text,
                    });
                }
                Ok(_) => return Ok(()),
                Err(ProposeError::Fatal { reason }) => return Err(StartError::Raft(reason)),
                Err(error) => tracing::info!(%error, "the cluster is not created yet"),
            }
        }
    }

    fn check(&self) -> Result<(), ProposeError> {
        self.fatal.reason().map_or(Ok(()), |reason| {
            Err(ProposeError::Fatal {
                reason: reason.to_owned(),
            })
        })
    }

    fn check_read(&self) -> Result<(), ReadError> {
        self.fatal.reason().map_or(Ok(()), |reason| {
            Err(ReadError::Fatal {
                reason: reason.to_owned(),
            })
        })
    }
}

/// Asks for a snapshot whenever many commands were applied since the last one; openraft itself counts entries.
async fn snapshots(core: Arc<Core>) {
    let mut applied = core.applied.index();
    let covered = core
        .snapshots
        .newest()
        .ok()
        .flatten()
        .map_or(0, |newest| newest.header.command);
    let mut next = covered.saturating_add(SNAPSHOT_COMMANDS);
    while let Ok(index) = applied.wait_for(|index| index.0 >= next).await.map(|index| index.0) {
        next = index.saturating_add(SNAPSHOT_COMMANDS);
        if let Some(raft) = core.raft()
            && let Err(error) = raft.trigger().snapshot().await
        {
            tracing::warn!(%error, "no snapshot could be asked for");
        }
    }
}
