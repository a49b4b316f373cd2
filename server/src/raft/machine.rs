//! The state machine for openraft: committed entries go through `statemachine::apply`, readers get the state as it was.
//!
//! The state is behind an `Arc` that readers and the snapshot builder clone; apply changes it copy-on-write, so neither
//! ever waits for the other. Metrics and logging are here, outside of the pure crate.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{Stream, TryStreamExt as _};
use openraft::EntryPayload;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use statemachine::id::{Index, Term};
use statemachine::log::v1::Batch;
use statemachine::{Event, State};
use tokio::sync::watch;

use super::answer::Answer;
use super::codec;
use super::environment::{Workers, done_by};
use super::type_config::{Answers, BatchBytes, LogId, StoredMembership, TypeConfig, log_id, stored_log_id};
use crate::storage::{
    EventRecord, Facts, Fatal, Gap, Journal, LogId as StoredLogId, SnapshotDirectory, SnapshotHeader, StoredSnapshot,
};

/// After so long apply lets others run: heartbeats and renewals share its thread.
const APPLY_SLICE: Duration = Duration::from_millis(2);

/// What apply has made, for everybody else. Cheap to clone.
#[derive(Clone)]
pub struct Applied {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<Arc<State>>,
    index: watch::Sender<Index>,
    entry: watch::Sender<Option<StoredLogId>>,
}

impl Applied {
    /// Before anything is applied.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner {
            state: Mutex::new(Arc::new(State::new())),
            index: watch::Sender::new(Index(0)),
            entry: watch::Sender::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The state here and now.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.lock())
    }

    /// The last command applied.
    #[must_use]
    pub fn index(&self) -> watch::Receiver<Index> {
        self.inner.index.subscribe()
    }

    /// The last log entry applied.
    #[must_use]
    pub fn entry(&self) -> watch::Receiver<Option<StoredLogId>> {
        self.inner.entry.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<State>> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Applied {
    fn default() -> Self {
        Self::new()
    }
}

/// The adapter that openraft owns.
pub struct Machine {
    applied: Applied,
    journal: Journal,
    snapshots: SnapshotDirectory,
    fatal: Fatal,
    workers: Arc<dyn Workers>,
    last: Option<LogId>,
    membership: StoredMembership,
}

impl Machine {
    /// A machine that starts empty; openraft installs the newest snapshot and applies what follows it.
    #[must_use]
    pub fn new(
        applied: Applied,
        journal: Journal,
        snapshots: SnapshotDirectory,
        fatal: Fatal,
        workers: Arc<dyn Workers>,
    ) -> Self {
        Self {
            applied,
            journal,
            snapshots,
            fatal,
            workers,
            last: None,
            membership: StoredMembership::default(),
        }
    }

    async fn apply_batch(&self, at: &LogId, bytes: &BatchBytes) -> io::Result<Answers> {
        let Batch {
            at: stamped,
            wall_ms,
            proposals,
        } = codec::decode_batch(bytes).map_err(|error| {
            // Unknown means stop, never skip: a server that left it out would have another state than the others.
            self.stop(format!(
                "log entry {at} can't be applied: {error}; a newer version of paceline may have written it"
            ))
        })?;
        let term = Term(at.committed_leader_id().term);
        let mut answers = Vec::with_capacity(proposals.len());
        let mut proposals = proposals.into_iter().peekable();
        while proposals.peek().is_some() {
            let started = Instant::now();
            let mut records = Vec::new();
            let index = {
                let mut guard = self.applied.lock();
                let state = Arc::make_mut(&mut guard);
                for proposal in proposals.by_ref() {
                    let entry = statemachine::Entry {
                        index: state.applied().next(),
                        term,
                        // Two leaders' clocks may differ by a little; cluster time never goes back.
                        at: stamped.max(state.at()),
                        wall_ms,
                        request: proposal.request,
                        command: proposal.command,
                    };
                    let applied =
                        catch_unwind(AssertUnwindSafe(|| statemachine::apply(state, &entry))).map_err(|_| {
                            self.stop(format!(
                                "applying command {} of log entry {at} panicked: {:?}",
                                entry.index, entry.command
                            ))
                        })?;
                    records.extend(applied.events.iter().map(record));
                    answers.push(Answer::of(&applied));
                    if started.elapsed() > APPLY_SLICE {
                        break;
                    }
                }
                state.applied()
            };
            // Whoever waits for the index finds its events.
            self.journal.append(records);
            self.applied.inner.index.send_replace(index);
            if proposals.peek().is_some() {
                tokio::task::yield_now().await;
            }
        }
        Ok(Answers(answers))
    }

    fn stop(&self, reason: String) -> io::Error {
        self.fatal.stop(&reason);
        io::Error::other(reason)
    }
}

fn record(event: &Event) -> EventRecord {
    let statemachine::event::Facts {
        epoch,
        from,
        why,
        room_for,
        holds,
        stranded,
    } = event.facts();
    let facts = Facts {
        group: event.group.as_ref().map(|group| group.as_str().to_owned()),
        alone: event.alone,
        epoch: epoch.map(|epoch| epoch.0),
        from: from.map(|node| node.as_str().to_owned()),
        why: why.map(str::to_owned),
        room_for: room_for.map(|package| package.as_str().to_owned()),
        holds,
        stranded,
    };
    EventRecord {
        index: event.id.index.0,
        sequence: event.id.sequence,
        at_ms: event.at.0,
        wall_ms: event.wall_ms,
        resource: event.resource(),
        kind: event.kind_name().to_owned(),
        node: event.node().map(|node| node.as_str().to_owned()),
        severity: event.severity().as_str().to_owned(),
        cause: event.cause.map(|cause| (cause.index.0, cause.sequence)),
        text: event.text(),
        facts: facts.or_none(),
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = StoredSnapshot;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + Send,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let answers = match entry.payload {
                EntryPayload::Blank => Answers::default(),
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Answers::default()
                }
                EntryPayload::Normal(bytes) => self.apply_batch(&entry.log_id, &bytes).await?,
            };
            self.last = Some(entry.log_id);
            self.applied
                .inner
                .entry
                .send_replace(Some(stored_log_id(&entry.log_id)));
            if let Some(responder) = responder {
                responder.send(answers);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        Builder {
            state: self.applied.state(),
            last: self.last,
            membership: self.membership.clone(),
            snapshots: self.snapshots.clone(),
            journal: self.journal.clone(),
            workers: Arc::clone(&self.workers),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<TypeConfig>,
        snapshot: StoredSnapshot,
    ) -> Result<(), io::Error> {
        let snapshots = self.snapshots.clone();
        if !snapshots.holds(&snapshot) {
            // On disk before the snapshot is: a restart begins from that, and must know what its journal lacks.
            self.journal
                .add_gap(Gap {
                    first: self.applied.state().applied().next().0,
                    last: snapshot.header.command,
                })
                .await?;
            tracing::info!(
                from = self.applied.state().applied().0,
                to = snapshot.header.command,
                "took a snapshot from the leader: it no longer has the log in between"
            );
        }
        // A whole new state is made beside the present one, then swapped: nobody sees half of it.
        let (state, header) = done_by(&self.workers, move || -> io::Result<(State, SnapshotHeader)> {
            let body = snapshot.body().map_err(io::Error::other)?;
            let stored: statemachine::snapshot::v1::Snapshot =
                rmp_serde::from_slice(&body).map_err(io::Error::other)?;
            let state = statemachine::snapshot::from_stored(stored).map_err(io::Error::other)?;
            snapshots.take(&snapshot).map_err(io::Error::other)?;
            Ok((state, snapshot.header))
        })
        .await??;
        let index = state.applied();
        *self.applied.lock() = Arc::new(state);
        self.last = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.applied.inner.entry.send_replace(header.last());
        self.applied.inner.index.send_replace(index);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<TypeConfig, StoredSnapshot>>, io::Error> {
        match self.snapshots.newest().map_err(io::Error::other)? {
            Some(stored) => snapshot(stored).map(Some),
            None => Ok(None),
        }
    }
}

/// openraft's form of a stored snapshot.
///
/// # Errors
/// Where its header can't be understood.
pub fn snapshot(stored: StoredSnapshot) -> io::Result<SnapshotOf<TypeConfig, StoredSnapshot>> {
    let header = &stored.header;
    let membership = codec::decode_membership(&header.membership).map_err(io::Error::other)?;
    let at = header
        .membership_at
        .map(|(term, index)| log_id(StoredLogId { term, index }));
    let meta = SnapshotMetaOf::<TypeConfig> {
        last_log_id: header.last().map(log_id),
        last_membership: StoredMembership::new(at, membership),
    };
    Ok(SnapshotOf::<TypeConfig, StoredSnapshot> { meta, snapshot: stored })
}

/// Builds a snapshot of the state as it was when the builder was made, on a thread of its own.
pub struct Builder {
    state: Arc<State>,
    last: Option<LogId>,
    membership: StoredMembership,
    snapshots: SnapshotDirectory,
    journal: Journal,
    workers: Arc<dyn Workers>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = StoredSnapshot;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, StoredSnapshot>, io::Error> {
        let header = SnapshotHeader {
            last: self.last.as_ref().map(codec::wire_log_id),
            command: self.state.applied().0,
            membership_at: self.membership.log_id().as_ref().map(codec::wire_log_id),
            membership: codec::membership(self.membership.membership())
                .map_err(io::Error::other)?
                .to_vec(),
        };
        let (state, snapshots, journal) = (Arc::clone(&self.state), self.snapshots.clone(), self.journal.clone());
        // After a crash the log is replayed from the snapshot on: what came before it must be in the journal.
        journal.sync().await?;
        let stored = done_by(&self.workers, move || -> io::Result<StoredSnapshot> {
            let body = rmp_serde::to_vec_named(&statemachine::snapshot::to_stored(&state)).map_err(io::Error::other)?;
            let stored = snapshots.save(&header, &body).map_err(io::Error::other)?;
            journal.trim()?;
            Ok(stored)
        })
        .await??;
        snapshot(stored)
    }
}
