//! One watcher: a place in the journal, and what is sent next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use statemachine::id::Index;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::super::Api;
use super::message::Messages;
use crate::raft::RaftNode;
use crate::storage::{EventFilter, Tail};

/// Events that are sent together: some hundred KiB of memory for a watcher that is behind, no more.
const PAGE_EVENTS: usize = 256;
/// Where nothing happens something is said this often, so that both sides notice a connection that is dead.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// A quorum was heard this lately: need not be asked again. All watchers of a server share the question.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
/// How long a quorum may take to answer.
const QUORUM_WAIT: Duration = Duration::from_secs(3);
/// How long events that this server lacks are waited for before the watcher is sent to another server.
const GAP_WAIT: Duration = Duration::from_secs(5);

/// When a quorum was last heard by any watcher of this server.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Option<Instant>>>);

impl Heard {
    /// Whether a quorum is there. A watcher at a server that is cut off would wait for changes that happen elsewhere.
    async fn quorum(&self, raft: &RaftNode) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < HEARD_WITHIN) {
            return true;
        }
        let there = matches!(tokio::time::timeout(QUORUM_WAIT, raft.read_barrier()).await, Ok(Ok(())));
        if there {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        there
    }
}

/// A watcher.
pub(super) struct Follower {
    raft: RaftNode,
    filter: Arc<EventFilter>,
    /// Everything up to this index was sent or did not pass.
    after: u64,
    applied: watch::Receiver<Index>,
    opening: Option<Messages>,
    ended: bool,
    heard: Heard,
    readers: Arc<Semaphore>,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    pub(super) fn new(
        api: &Api,
        filter: EventFilter,
        after: u64,
        opening: Messages,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let watching = &api.inner.watching;
        Self {
            raft: api.raft().clone(),
            filter: Arc::new(filter),
            after,
            applied: api.raft().applied(),
            opening: Some(opening),
            ended: false,
            heard: watching.heard.clone(),
            readers: Arc::clone(&watching.readers),
            _place: place,
        }
    }

    /// What the client gets, piece by piece, each made only when the client has room for it.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
        futures_util::stream::unfold(self, |mut follower| async move {
            let messages = follower.next().await?;
            Some((Ok(messages.into_bytes()), follower))
        })
    }

    async fn next(&mut self) -> Option<Messages> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        if self.ended {
            return None;
        }
        let mut alive_at = Instant::now() + ALIVE_EVERY;
        loop {
            let applied = self.applied.borrow_and_update().0;
            if applied > self.after {
                if let Some(messages) = self.read(applied).await {
                    return Some(messages);
                }
                continue;
            }
            tokio::select! {
                changed = self.applied.changed() => changed.ok()?,
                () = tokio::time::sleep_until(alive_at) => {
                    if !self.heard.quorum(&self.raft).await {
                        return Some(self.elsewhere("no quorum can be reached from this server".to_owned()));
                    }
                    // What the quorum knew has been applied here meanwhile: it comes first.
                    if self.applied.borrow().0 <= self.after {
                        let mut messages = Messages::default();
                        messages.place(self.after);
                        return Some(messages);
                    }
                    alive_at = Instant::now() + ALIVE_EVERY;
                }
            }
        }
    }

    /// The next events that pass, up to what is applied; none where none did.
    async fn read(&mut self, applied: u64) -> Option<Messages> {
        let tail = match self.tail(applied).await {
            Ok(tail) => tail,
            Err(error) => return Some(self.elsewhere(format!("can't read the journal of this server: {error}"))),
        };
        let mut messages = Messages::default();
        match tail {
            Tail::Events { events, upto } => {
                self.after = upto;
                if events.is_empty() {
                    return None;
                }
                messages.changes(&events);
                Some(messages)
            }
            Tail::Missing(_) => {
                let mut gaps = self.raft.journal().gap_count();
                let mut waited = false;
                let until = Instant::now() + GAP_WAIT;
                // Filled bit by bit: every bit is a reason to look again.
                while !waited {
                    waited = tokio::time::timeout_at(until, gaps.changed()).await.is_err();
                    match self.tail(applied).await {
                        Ok(Tail::Missing(_)) => {}
                        Ok(_) => return None,
                        Err(error) => return Some(self.elsewhere(error)),
                    }
                }
                Some(self.elsewhere("this server lacks events that it is still asking the others for".to_owned()))
            }
            Tail::Forgotten { oldest } => {
                self.ended = true;
                messages.forgotten(oldest);
                Some(messages)
            }
        }
    }

    async fn tail(&self, applied: u64) -> Result<Tail, String> {
        let journal = self.raft.journal();
        if journal.in_memory(self.after) {
            return journal
                .follow(self.after, applied, &self.filter, PAGE_EVENTS)
                .map_err(|error| error.to_string());
        }
        let reader = Arc::clone(&self.readers).acquire_owned().await;
        let (journal, filter, after) = (journal.clone(), Arc::clone(&self.filter), self.after);
        tokio::task::spawn_blocking(move || {
            let _reader = reader;
            journal.follow(after, applied, &filter, PAGE_EVENTS)
        })
        .await
        .map_err(|error| error.to_string())
        .and_then(|read| read.map_err(|error| error.to_string()))
    }

    fn elsewhere(&mut self, why: String) -> Messages {
        self.ended = true;
        let mut messages = Messages::default();
        messages.elsewhere(why);
        messages
    }
}
