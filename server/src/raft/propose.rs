//! Proposals on their way into the log: gathered into batches, stamped by the leader, forwarded by everybody else.
//!
//! One Raft entry carries all that was waiting, and at most two such entries are in flight: measured fastest, because
//! while one is on the disks the next gathers. A follower sends its batch to the leader, one hop at most. What was
//! certainly not done is tried again within until its time is over; what may have been done only where the command
//! takes effect once however often it is proposed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use serde::{Deserialize, Serialize};
use statemachine::command::Command;
use statemachine::id::Term;
use statemachine::log::v1::Proposal;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::answer::{Answer, ProposeError};
use super::clock::{BootTime, wall_ms};
use super::codec;
use super::core::Core;
use super::leadership::Leadership;
use super::transport::{CallError, Lane, Target};
use super::type_config::{Answers, BatchBytes, CommittedLeaderId};

/// Proposals that may wait: what comes on top is refused with 429, so that the wait stays bounded.
const QUEUE_MAX: usize = 8192;
/// The same for what daemons and this server itself propose: a flood of requests at the API can't keep a lost node or a
/// failed package out of the log.
const URGENT_MAX: usize = 8192;
/// Entries in flight at once.
const IN_FLIGHT_MAX: usize = 2;
/// Proposals in one entry: applying them must not hold up heartbeats.
const BATCH_MAX: usize = 1024;
/// Bytes in one entry, unless a single proposal is larger.
const BATCH_BYTES_MAX: usize = 512 << 10;
/// The largest proposal: a cluster file of ten thousand packages fits.
const PROPOSAL_BYTES_MAX: usize = 16 << 20;
/// How long an answer may take once the entry is on its way; then its outcome is unknown.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// When to ask again where no leader is known.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Who may put a proposal in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Whoever leads.
    Anywhere,
    /// This server only, because it was forwarded here.
    Here,
    /// This server only, as leader of this term only.
    Term(Term),
}

/// A proposal that waits.
pub(super) struct Item {
    bytes: Bytes,
    scope: Scope,
    /// Takes effect once however often it is proposed.
    repeatable: bool,
    /// An earlier try of it may yet take effect: nobody may say any more that nothing was changed.
    perhaps_done: bool,
    deadline: Instant,
    reply: oneshot::Sender<Result<Answer, ProposeError>>,
}

impl Item {
    fn answer(self, answer: Result<Answer, ProposeError>) {
        let nothing_done = matches!(answer, Err(ProposeError::NoLeader { .. } | ProposeError::Overloaded));
        let answer = if nothing_done && self.perhaps_done {
            Err(ProposeError::Unknown)
        } else {
            answer
        };
        let _ = self.reply.send(answer);
    }
}

/// A forwarded batch.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forwarded {
    pub proposals: Vec<BatchBytes>,
}

/// The leader's answers, in the same order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answered {
    pub answers: Vec<Result<Answer, ProposeError>>,
}

/// Where proposals are put.
#[derive(Clone)]
pub(super) struct Proposals {
    queue: mpsc::Sender<Item>,
    urgent: mpsc::Sender<Item>,
}

/// Where they come out.
pub(super) struct Waiting {
    queue: mpsc::Receiver<Item>,
    urgent: mpsc::Receiver<Item>,
}

impl Proposals {
    pub(super) fn new() -> (Self, Waiting) {
        let (queue, items) = mpsc::channel(QUEUE_MAX);
        let (urgent, urgent_items) = mpsc::channel(URGENT_MAX);
        (
            Self { queue, urgent },
            Waiting {
                queue: items,
                urgent: urgent_items,
            },
        )
    }

    /// Encodes a proposal here, on the caller's thread, and waits for its answer.
    pub(super) async fn propose(
        &self,
        proposal: &Proposal,
        scope: Scope,
        within: Duration,
    ) -> Result<Answer, ProposeError> {
        let bytes = codec::proposal(proposal).map_err(|error| ProposeError::Fatal {
            reason: error.to_string(),
        })?;
        if bytes.len() > PROPOSAL_BYTES_MAX {
            return Err(ProposeError::TooLarge {
                bytes: bytes.len(),
                bytes_max: PROPOSAL_BYTES_MAX,
            });
        }
        let answer = self.put(proposal, bytes, scope, within)?;
        answer.await.unwrap_or(Err(ProposeError::Unknown))
    }

    /// Queues a proposal that is encoded already.
    pub(super) fn put(
        &self,
        proposal: &Proposal,
        bytes: Bytes,
        scope: Scope,
        within: Duration,
    ) -> Result<oneshot::Receiver<Result<Answer, ProposeError>>, ProposeError> {
        let (reply, answer) = oneshot::channel();
        let item = Item {
            bytes,
            scope,
            repeatable: is_repeatable(proposal),
            perhaps_done: false,
            deadline: Instant::now() + within,
            reply,
        };
        let queue = if is_urgent(&proposal.command) {
            &self.urgent
        } else {
            &self.queue
        };
        match queue.try_send(item) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => Err(ProposeError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ProposeError::Fatal {
                reason: "it is shutting down".to_owned(),
            }),
        }
    }
}

/// Whether packages wait for it.
fn is_urgent(command: &Command) -> bool {
    matches!(
        command,
        Command::NodeLost { .. }
            | Command::Tick
            | Command::RegisterNode(_)
            | Command::Observe { .. }
            | Command::ExtendLease { .. }
            | Command::LeaveNode { .. }
    )
}

/// Whether proposing it twice does it once: it carries a key, or the state machine knows it by its own number.
fn is_repeatable(proposal: &Proposal) -> bool {
    proposal.request.is_some()
        || matches!(
            proposal.command,
            Command::Observe { .. } | Command::RegisterNode(_) | Command::Tick | Command::NodeLost { .. }
        )
}

/// What waits to be tried again, ahead of the queue.
#[derive(Default)]
struct Again {
    items: Mutex<VecDeque<Item>>,
    some: Notify,
}

impl Again {
    fn put(&self, items: Vec<Item>) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).extend(items);
        self.some.notify_one();
    }

    fn take(&self, count: usize) -> Vec<Item> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.min(items.len());
        items.drain(..count).collect()
    }
}

/// Runs until the queue is closed.
pub(super) async fn run(core: Arc<Core>, mut waiting: Waiting) {
    let again = Arc::new(Again::default());
    let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut leadership = core.leadership.subscribe();
    loop {
        // The place first: what arrives while both are taken goes into the next entry together.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Some(mut items) = gather(&mut waiting, &again).await else {
            return;
        };
        while !items.is_empty() {
            let now = *leadership.borrow_and_update();
            if now.ready {
                let (here, not) = split(items, |item| match item.scope {
                    Scope::Anywhere | Scope::Here => true,
                    Scope::Term(term) => term == now.term,
                });
                refuse(not);
                write(&core, &again, now, here, place);
                break;
            }
            // What may be proposed here alone and can't be: certainly not done, and said at once.
            let (anywhere, not) = split(items, |item| {
                item.scope == Scope::Anywhere || (now.is_leader && item.scope == Scope::Here)
            });
            refuse(not);
            items = anywhere;
            if items.is_empty() {
                break;
            }
            if let Some(leader) = now
                .leader
                .filter(|_| !now.is_leader)
                .and_then(|leader| core.target(leader))
            {
                forward(&core, &again, now, leader, items, place);
                break;
            }
            let Some(deadline) = items.iter().map(|item| item.deadline).min() else {
                break;
            };
            let changed = tokio::time::timeout_at(deadline, leadership.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                refuse(items);
                return;
            }
            let over = Instant::now();
            let (waiting, late) = split(items, |item| item.deadline > over);
            refuse(late);
            items = waiting;
        }
    }
}

async fn gather(waiting: &mut Waiting, again: &Again) -> Option<Vec<Item>> {
    let mut items = again.take(BATCH_MAX);
    if items.is_empty() {
        tokio::select! {
            biased;
            item = waiting.urgent.recv() => items.push(item?),
            () = again.some.notified() => items = again.take(BATCH_MAX),
            item = waiting.queue.recv() => items.push(item?),
        }
    }
    let mut bytes: usize = items.iter().map(|item| item.bytes.len()).sum();
    while items.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
        let Ok(item) = waiting.urgent.try_recv().or_else(|_| waiting.queue.try_recv()) else {
            break;
        };
        bytes += item.bytes.len();
        items.push(item);
    }
    // Whoever has stopped waiting asked for nothing that was begun.
    items.retain(|item| !item.reply.is_closed());
    Some(items)
}

fn split(items: Vec<Item>, keep: impl Fn(&Item) -> bool) -> (Vec<Item>, Vec<Item>) {
    items.into_iter().partition(keep)
}

fn refuse(items: Vec<Item>) {
    for item in items {
        item.answer(Err(ProposeError::NoLeader {
            retry_after: RETRY_AFTER,
        }));
    }
}

/// Puts one entry in the log as leader of this term and no other.
fn write(core: &Arc<Core>, again: &Arc<Again>, now: Leadership, items: Vec<Item>, place: OwnedSemaphorePermit) {
    if items.is_empty() {
        return;
    }
    let Some(at) = core.clock.now(now.term, BootTime::now()) else {
        again.put(items);
        return;
    };
    let Some(raft) = core.raft().cloned() else {
        refuse(items);
        return;
    };
    let bytes: Vec<Bytes> = items.iter().map(|item| item.bytes.clone()).collect();
    let batch = codec::batch(at, wall_ms(), &bytes);
    let again = Arc::clone(again);
    tokio::spawn(async move {
        let _place = place;
        let (responder, done) = ProgressResponder::complete_only();
        let write = raft
            .write(batch)
            .with_leader(CommittedLeaderId::from(now.term.0))
            .responder(responder);
        if write.await.is_err() {
            refuse(items);
            return;
        }
        match tokio::time::timeout(ANSWER_WAIT, done).await {
            Ok(Ok(Ok(response))) => {
                let Answers(answers) = response.data;
                settle(items, answers.into_iter().map(Ok).collect(), &again);
            }
            // Refused before it was appended.
            Ok(Ok(Err(ClientWriteError::ForwardToLeader(_) | ClientWriteError::PreconditionFailed(_)))) => {
                retry(items, &again, Sent::No).await;
            }
            Ok(Ok(Err(_)) | Err(_)) => retry(items, &again, Sent::Perhaps).await,
            Err(_) => give_up(items),
        }
    });
}

/// Sends a batch to the leader; gives up on it as soon as another one leads.
fn forward(
    core: &Arc<Core>,
    again: &Arc<Again>,
    now: Leadership,
    leader: Target,
    items: Vec<Item>,
    place: OwnedSemaphorePermit,
) {
    let forwarded = Forwarded {
        proposals: items.iter().map(|item| BatchBytes(item.bytes.clone())).collect(),
    };
    let (core, again) = (Arc::clone(core), Arc::clone(again));
    tokio::spawn(async move {
        let _place = place;
        let Ok(body) = codec::encode("propose", &forwarded) else {
            refuse(items);
            return;
        };
        let call = core
            .transport
            .call(&leader, Lane::Proposals, "propose", body, ANSWER_WAIT);
        let mut leadership = core.leadership.subscribe();
        let outcome = tokio::select! {
            outcome = call => outcome,
            // No answer will come from a leader that no longer leads.
            _ = leadership.wait_for(|then| then.term != now.term || then.leader != now.leader) => {
                Err(CallError::Unknown { address: String::new(), reason: "another server leads now".to_owned() })
            }
        };
        match outcome.map(|answer| codec::decode::<Answered>("propose", &answer)) {
            Ok(Ok(Answered { answers })) => settle(items, answers, &again),
            Ok(Err(_)) | Err(CallError::Unknown { .. }) => retry(items, &again, Sent::Perhaps).await,
            Err(CallError::Unreachable { .. } | CallError::Refused { .. }) => retry(items, &again, Sent::No).await,
        }
    });
}

/// Hands out answers; what the leader did not do is tried again.
fn settle(items: Vec<Item>, answers: Vec<Result<Answer, ProposeError>>, again: &Arc<Again>) {
    if answers.len() != items.len() {
        give_up(items);
        return;
    }
    let mut undone = Vec::new();
    for (mut item, answer) in items.into_iter().zip(answers) {
        item.perhaps_done |= matches!(answer, Err(ProposeError::Unknown));
        match answer {
            Err(ProposeError::NoLeader { .. }) if item.scope == Scope::Anywhere => undone.push(item),
            Err(ProposeError::Unknown) if item.scope == Scope::Anywhere && item.repeatable => undone.push(item),
            answer => item.answer(answer),
        }
    }
    if !undone.is_empty() {
        let again = Arc::clone(again);
        tokio::spawn(async move { retry(undone, &again, Sent::No).await });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    No,
    Perhaps,
}

/// Puts back what may be tried again and has time left; answers the rest.
async fn retry(mut items: Vec<Item>, again: &Again, sent: Sent) {
    /// Long enough not to spin while a leader is being found, short beside any election.
    const PAUSE: Duration = Duration::from_millis(5);
    for item in &mut items {
        item.perhaps_done |= sent == Sent::Perhaps;
    }
    let now = Instant::now();
    let (back, over) = split(items, |item| {
        item.deadline > now + PAUSE && item.scope == Scope::Anywhere && (sent == Sent::No || item.repeatable)
    });
    match sent {
        Sent::No => refuse(over),
        Sent::Perhaps => give_up(over),
    }
    if !back.is_empty() {
        tokio::time::sleep(PAUSE).await;
        again.put(back);
    }
}

fn give_up(items: Vec<Item>) {
    for item in items {
        item.answer(Err(ProposeError::Unknown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(repeatable: bool) -> (Item, oneshot::Receiver<Result<Answer, ProposeError>>) {
        let (reply, answer) = oneshot::channel();
        let item = Item {
            bytes: Bytes::new(),
            scope: Scope::Anywhere,
            repeatable,
            perhaps_done: false,
            deadline: Instant::now() + Duration::from_secs(5),
            reply,
        };
        (item, answer)
    }

    /// Seen by the nemesis: a write was refused with "nothing was changed", and was there later.
    #[tokio::test]
    async fn what_may_have_been_done_once_is_never_refused_as_undone() {
        let again = Again::default();
        let (sent, answer) = item(true);
        retry(vec![sent], &again, Sent::Perhaps).await;
        refuse(again.take(1));
        assert!(matches!(answer.await, Ok(Err(ProposeError::Unknown))));

        let (unsent, answer) = item(true);
        retry(vec![unsent], &again, Sent::No).await;
        refuse(again.take(1));
        assert!(matches!(answer.await, Ok(Err(ProposeError::NoLeader { .. }))));

        let (passed_on, answer) = item(true);
        let again = Arc::new(again);
        settle(vec![passed_on], vec![Err(ProposeError::Unknown)], &again);
        let back = tokio::time::timeout(Duration::from_secs(5), async {
            loop {
                again.some.notified().await;
                let back = again.take(1);
                if !back.is_empty() {
                    return back;
                }
            }
        });
        settle(back.await.unwrap(), vec![Err(ProposeError::Overloaded)], &again);
        assert!(matches!(answer.await, Ok(Err(ProposeError::Unknown))));
    }
}
