//! What is behind the handle: everything that is opened once, and the tasks around Raft.

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use openraft::type_config::async_runtime::watch::WatchReceiver as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use statemachine::State;
use statemachine::command::{Command, RequestId};
use statemachine::id::{MemberId, NodeName, Term};
use statemachine::log::v1::Proposal;
use statemachine::time::Millis;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, ProposeError, ReadError};
use super::clock::ClusterClock;
use super::environment::{Environment, Workers, done_by};
use super::leadership::{self, Leadership};
use super::log_store::LogStore;
use super::machine::{Applied, Machine};
use super::network::Network;
use super::options::{RaftOptions, RaftTuning, StartError};
use super::propose::{self, Proposals, Scope};
use super::read::{self, ReadScope, Reads};
use super::transport::{Lane, PeerTransport, Target};
use super::type_config::{Peer, Raft};
use super::{backfill, codec, member, relinquish, retime, timer};
use crate::metrics::Metrics;
use crate::storage::{
    Backend, Fatal, Identity, IdentityError, Journal, LeaseNote, Log, Phase, SnapshotDirectory, Writer,
};
use crate::timers::Timers;

/// And after so many commands, because one entry may hold a thousand.
const SNAPSHOT_COMMANDS: u64 = 200_000;
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

/// Asked before the lead is handed over.
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
    pub workers: Arc<dyn Workers>,
    pub leadership: watch::Sender<Leadership>,
    pub proposals: Proposals,
    pub reads: Reads,
    pub metrics: Metrics,
    /// The highest index that was ever reported as committed.
    pub committed: AtomicU64,
    pub identity: Mutex<Option<Identity>>,
    /// One change of the membership at a time.
    pub changing: tokio::sync::Mutex<()>,
    pub hand_over_guard: OnceLock<Guard>,
    pub stopping: CancellationToken,
    /// Set once this process is to end and to be started again.
    pub start_again: CancellationToken,
    timers: Timers,
    raft: OnceLock<Raft>,
    queues: Mutex<Option<(propose::Waiting, mpsc::Receiver<read::Reader>)>>,
}

impl Core {
    /// On this machine where no other environment is given.
    pub(super) fn open(
        options: RaftOptions,
        tuning: RaftTuning,
        environment: Option<Environment>,
    ) -> Result<Self, StartError> {
        NodeName::new(&options.name)
            .map_err(|error| StartError::Options(format!("name {:?}: {error}", options.name)))?;
        let directory = options.data_dir.join("server");
        Identity::check_directory(&directory)?;
        Identity::check_owner(&directory, &options.name)?;
        let io = |source| StartError::Log {
            path: directory.clone(),
            source,
        };
        std::fs::create_dir_all(&directory).map_err(io)?;
        let fatal = Fatal::new(&options.data_dir, tuning.on_fatal);
        fatal.report_last_run();
        let Environment {
            transport,
            backend,
            writer,
            workers,
        } = match environment {
            Some(environment) => environment,
            None => Environment::of_this_machine(&directory, &fatal)?,
        };
        // Whoever opens it sets the timers; a server that was told of another lease remembers that.
        let timers = LeaseNote::read(backend.as_ref())
            .map_err(io)?
            .map_or(tuning.timers, |lease| Timers::of(Millis(lease)));
        let identity = Identity::load(&directory, backend.as_ref(), &options.name)?;
        let log = Log::open(Arc::clone(&backend), writer.clone()).map_err(io)?;
        let journal = Journal::open_keeping(Arc::clone(&backend), writer.clone(), tuning.journal).map_err(io)?;
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
            transport,
            workers,
            leadership: watch::Sender::new(Leadership::default()),
            proposals,
            reads,
            metrics: Metrics::new(),
            committed: AtomicU64::new(0),
            identity: Mutex::new(identity),
            changing: tokio::sync::Mutex::new(()),
            hand_over_guard: OnceLock::new(),
            stopping: CancellationToken::new(),
            start_again: CancellationToken::new(),
            timers,
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
            Arc::clone(&self.workers),
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
        self.spawn(backfill::run(Arc::clone(self)));
        self.spawn(relinquish::run(Arc::clone(self)));
        self.spawn(retime::run(Arc::clone(self)));
        Ok(())
    }

    fn raft_config(&self, cluster_id: &str) -> Result<openraft::Config, StartError> {
        let timers = &self.timers;
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
            // A follower that comes back with less than it had acknowledged would otherwise be passed over for ever, while it
            // votes. Its own disk is asked first (`storage/synced.rs`); what gets past that is sent again.
            allow_log_reversion: Some(true),
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

    /// What is reported as committed: a new leader says less at first than the one before it, and yet nothing that was
    /// committed ever ceases to be.
    pub(super) fn note_committed(&self, index: u64) -> u64 {
        self.committed.fetch_max(index, Ordering::Relaxed).max(index)
    }

    pub(super) fn raft(&self) -> Option<&Raft> {
        self.raft.get()
    }

    /// The timers that Raft runs with here.
    pub(super) fn timers(&self) -> Timers {
        self.timers
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Saves who this server is, durably.
    pub(super) async fn set_identity(self: &Arc<Self>, identity: Identity) -> Result<(), StartError> {
        identity.save_in_log(&self.directory, &self.writer).await?;
        let (saved, directory) = (identity.clone(), self.directory.clone());
        done_by(&self.workers, move || saved.save_in_file(&directory))
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

    /// The members of the cluster but this one.
    pub(super) fn others(&self) -> Vec<MemberId> {
        let own = self.identity().map(|identity| identity.member);
        let state = self.applied.state();
        let members = state.members().map(|member| member.id);
        members.filter(|member| Some(member.0) != own).collect()
    }

    /// Asks another server and waits for its answer.
    ///
    /// # Errors
    /// In words, why there is none.
    pub(super) async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        to: &Target,
        lane: Lane,
        method: &'static str,
        request: &Q,
        wait: Duration,
    ) -> Result<A, String> {
        let body = codec::encode(method, request).map_err(|error| error.to_string())?;
        let call = self.transport.call(to, lane, method, body, wait);
        let answer = call.await.map_err(|error| error.to_string())?;
        codec::decode(method, &answer).map_err(|error| error.to_string())
    }

    /// How long to wait for a leader: one election with a split vote, and a little.
    pub(super) fn leader_wait(&self) -> Duration {
        Duration::from_millis(self.timers.election_split_vote_ms()) + ELECTION_SLACK
    }

    /// A quorum round begun after this call, as leader: the term that it confirms, once all that was committed before is
    /// applied here.
    pub(super) async fn confirm_leadership(&self) -> Result<Term, ReadError> {
        self.check_read()?;
        let point = self.reads.point(ReadScope::Here, Duration::ZERO).await?;
        self.wait_applied(point.index).await?;
        Ok(Term(point.term))
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

    pub(super) fn check(&self) -> Result<(), ProposeError> {
        self.fatal.reason().map_or(Ok(()), |reason| {
            Err(ProposeError::Fatal {
                reason: reason.to_owned(),
            })
        })
    }

    pub(super) fn check_read(&self) -> Result<(), ReadError> {
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
