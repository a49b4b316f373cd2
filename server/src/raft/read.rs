//! Reads that claim to be current: one quorum round serves all that arrived before it began.

use std::sync::Arc;
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::answer::ReadError;
use super::codec;
use super::core::Core;
use super::transport::Lane;

/// Reads that may wait.
const QUEUE_MAX: usize = 16_384;
/// Rounds at once: a read that arrives while one is under way needs a later one, and need not wait for its end.
const ROUNDS_MAX: usize = 4;
/// How long a round may take.
const ROUND_WAIT: Duration = Duration::from_secs(1);
/// When to ask again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Who may confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadScope {
    /// Whoever leads.
    Anywhere,
    /// This server only, because the question was passed on to it.
    Here,
}

/// A read that waits for a quorum's confirmation.
pub(super) struct Reader {
    scope: ReadScope,
    deadline: Instant,
    reply: oneshot::Sender<Result<ReadPoint, ReadError>>,
}

/// What a quorum has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadPoint {
    /// The log index up to which a read must see; at or past the leader's own first entry.
    pub index: u64,
    /// The term whose leader it is.
    pub term: u64,
}

/// The leader's answer to `read_index`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadIndex {
    pub point: Result<ReadPoint, ReadError>,
}

/// Where reads are put.
#[derive(Clone)]
pub(super) struct Reads {
    queue: mpsc::Sender<Reader>,
}

impl Reads {
    pub(super) fn new() -> (Self, mpsc::Receiver<Reader>) {
        let (queue, readers) = mpsc::channel(QUEUE_MAX);
        (Self { queue }, readers)
    }

    /// What a read begun now must have seen.
    pub(super) async fn point(&self, scope: ReadScope, within: Duration) -> Result<ReadPoint, ReadError> {
        let (reply, answer) = oneshot::channel();
        let reader = Reader {
            scope,
            deadline: Instant::now() + within,
            reply,
        };
        self.queue.try_send(reader).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ReadError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ReadError::Fatal {
                reason: "it is shutting down".to_owned(),
            },
        })?;
        answer.await.unwrap_or(Err(ReadError::NoLeader {
            retry_after: RETRY_AFTER,
        }))
    }
}

/// Runs until the queue is closed.
pub(super) async fn run(core: Arc<Core>, mut queue: mpsc::Receiver<Reader>) {
    let places = Arc::new(Semaphore::new(ROUNDS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Some(first) = queue.recv().await else { return };
        let mut readers = vec![first];
        while let Ok(reader) = queue.try_recv() {
            readers.push(reader);
        }
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            serve(&core, readers).await;
            drop(place);
        });
    }
}

async fn serve(core: &Core, mut readers: Vec<Reader>) {
    let mut leadership = core.leadership.subscribe();
    loop {
        let now = *leadership.borrow_and_update();
        if !now.is_leader {
            let (anywhere, here) = readers
                .into_iter()
                .partition(|reader| reader.scope == ReadScope::Anywhere);
            answer(
                here,
                &Err(ReadError::NoLeader {
                    retry_after: RETRY_AFTER,
                }),
            );
            readers = anywhere;
        }
        let outcome = if now.is_leader {
            round(core).await
        } else if let Some(leader) = now.leader.and_then(|leader| core.target(leader)) {
            let asked = async {
                let body = codec::encode("read_index", &()).ok()?;
                let answer = core
                    .transport
                    .call(&leader, Lane::Urgent, "read_index", body, ROUND_WAIT)
                    .await
                    .ok()?;
                Some(codec::decode::<ReadIndex>("read_index", &answer).ok()?.point)
            };
            tokio::select! {
                answer = asked => answer.unwrap_or(Err(ReadError::NoLeader { retry_after: RETRY_AFTER })),
                _ = leadership.wait_for(|then| then.term != now.term || then.leader != now.leader) => continue,
            }
        } else {
            Err(ReadError::NoLeader {
                retry_after: RETRY_AFTER,
            })
        };
        if outcome.is_ok() {
            answer(readers, &outcome);
            return;
        }
        // Nothing is lost by asking again: a later round confirms these reads as well.
        let over = Instant::now();
        let (waiting, late): (Vec<_>, Vec<_>) = readers.into_iter().partition(|reader| reader.deadline > over);
        answer(late, &outcome);
        readers = waiting;
        let Some(deadline) = readers.iter().map(|reader| reader.deadline).min() else {
            return;
        };
        let pause = tokio::time::sleep(Duration::from_millis(10));
        tokio::select! {
            _ = leadership.changed() => {}
            () = pause => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

/// A quorum round begun now, as leader: the log index up to which reads that came before it must see.
async fn round(core: &Core) -> Result<ReadPoint, ReadError> {
    let no_leader = ReadError::NoLeader {
        retry_after: RETRY_AFTER,
    };
    let raft = core.raft().ok_or_else(|| no_leader.clone())?;
    match tokio::time::timeout(ROUND_WAIT, raft.get_read_linearizer(ReadPolicy::ReadIndex)).await {
        Ok(Ok(confirmed)) => {
            let id = confirmed.read_log_id();
            Ok(ReadPoint {
                index: id.index(),
                term: id.committed_leader_id().term,
            })
        }
        Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => Err(ReadError::NoQuorum),
        Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))) => Err(no_leader),
        Ok(Err(RaftError::Fatal(fatal))) => Err(ReadError::Fatal {
            reason: fatal.to_string(),
        }),
    }
}

fn answer(readers: Vec<Reader>, outcome: &Result<ReadPoint, ReadError>) {
    for reader in readers {
        let _ = reader.reply.send(outcome.clone());
    }
}
