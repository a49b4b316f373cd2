//! The leader's side of leases: who may go on, and who is surely gone.
//!
//! Renewals never go through the log. A renewal is answered after a quorum has confirmed this server's lead in a round
//! begun *after* the renewal arrived, and after all that older terms left over is applied; one round serves all that were
//! waiting when it began. On the answer the session's wait `W` starts anew, on this machine's boot clock. When it has
//! passed, the session is lost for certain: that alone is proposed, to this very term, and such a session is never
//! answered again. [`LeaseTable`] decides and knows no clock, no network and no log; [`Leases`] is the thin part around it.
//! `docs/SAFETY.md` numbers the rules that are named here.

mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use statemachine::command::Command;
use statemachine::id::{NodeId, SessionId, Term};
use statemachine::time::{Millis, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::raft::{BootTime, Leadership, RaftNode, ReadError};
use crate::timers::Timers;
use table::cluster_lease;
pub use table::{Decision, LeaseTable, Moment, Round};

/// Renewals that may wait for a round: more than the largest cluster has nodes.
const QUEUE_MAX: usize = 65_536;

/// What an answered renewal grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewalGrant {
    /// `T`, counted by the daemon from before it sent the renewal.
    pub lease: Millis,
    /// `G`: a soft stop begins this long before the deadline.
    pub soft: Millis,
    /// `R`: renew so often.
    pub renew: Millis,
    /// `Q`: try again after this where no answer came.
    pub retry: Millis,
}

/// Why a renewal is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewError {
    /// Another server leads, or none: a follower never answers itself (rule 2).
    #[error("this server does not lead")]
    NotLeader {
        /// The leader's peer address, where one is known.
        leader: Option<String>,
    },
    /// The session is over, or was proposed as lost (rule 5).
    #[error("this session is over")]
    SessionEnded,
    /// No majority confirmed the lead.
    #[error("no majority of the servers confirmed the renewal; try the next server")]
    NoQuorum,
    /// The node has been asking for long, and no answer reaches it.
    #[error(
        "no answer has reached this node for {unanswered_ms} ms, so its packages have stopped: its session is left to end"
    )]
    Unheard {
        /// For how long, by its own clock.
        unanswered_ms: u64,
    },
    /// More renewals wait than can be.
    #[error("too many renewals are waiting; try the next server")]
    Overloaded,
}

type Reply = oneshot::Sender<Result<RenewalGrant, RenewError>>;

/// A renewal on its way into the table.
struct Arrival {
    node: NodeId,
    session: SessionId,
    unanswered_ms: u64,
    reply: Reply,
}

impl Arrival {
    fn enter(self, table: &mut LeaseTable<Reply>) {
        table.on_arrival(self.node, self.session, self.unanswered_ms, self.reply);
    }
}

/// Renewals, as the leader answers them. Cheap to clone.
#[derive(Clone)]
pub struct Leases {
    raft: RaftNode,
    arrivals: mpsc::Sender<Arrival>,
    table: Table,
}

impl Leases {
    /// Starts the task that answers and sweeps; it ends with the server. Must be called on Raft's runtime.
    #[must_use]
    pub fn start(raft: RaftNode) -> Self {
        let (arrivals, queue) = mpsc::channel(QUEUE_MAX);
        let table = Arc::new(Mutex::new(LeaseTable::new()));
        let guarded = Arc::clone(&table);
        raft.set_hand_over_guard(move |state| {
            let within = Duration::from_millis(2 * Timers::of(cluster_lease(state)).renew_ms);
            lock(&guarded).may_hand_over(BootTime::now(), within, state)
        });
        raft.spawn(run(raft.clone(), queue, Arc::clone(&table)));
        Self { raft, arrivals, table }
    }

    /// Whether a node may register now. Only the leader knows who else is heard.
    #[must_use]
    pub fn admission(&self) -> Admission {
        if !self.raft.leadership().borrow().is_leader {
            let leader = self.raft.leader_address();
            return Admission::NotLeader { leader };
        }
        if lock(&self.table).may_register(BootTime::now(), &self.raft.state()) {
            Admission::Open
        } else {
            Admission::NotYet
        }
    }

    /// Answers a renewal as leader. A follower names the leader instead, and whoever asks passes the renewal on singly.
    ///
    /// `unanswered_ms` is for how long the node has heard no answer, by its own clock.
    ///
    /// # Errors
    /// [`RenewError`]; only [`RenewError::SessionEnded`] is final.
    pub async fn renew(
        &self,
        node: NodeId,
        session: SessionId,
        unanswered_ms: u64,
    ) -> Result<RenewalGrant, RenewError> {
        let not_leader = || RenewError::NotLeader {
            leader: self.raft.leader_address(),
        };
        if !self.raft.leadership().borrow().is_leader {
            return Err(not_leader());
        }
        let (reply, answer) = oneshot::channel();
        self.arrivals
            .try_send(Arrival {
                node,
                session,
                unanswered_ms,
                reply,
            })
            .map_err(|_| RenewError::Overloaded)?;
        let begun = tokio::time::Instant::now();
        let answer = match answer.await {
            Ok(Err(RenewError::NotLeader { .. })) | Err(_) => Err(not_leader()),
            Ok(answer) => answer,
        };
        let outcome = match &answer {
            Ok(_) => {
                self.raft.metrics().unanswered(Duration::from_millis(unanswered_ms));
                "granted"
            }
            Err(RenewError::NotLeader { .. }) => "not-leader",
            Err(RenewError::SessionEnded) => "session-ended",
            Err(RenewError::NoQuorum) => "no-quorum",
            Err(RenewError::Unheard { .. }) => "unheard",
            Err(RenewError::Overloaded) => "overloaded",
        };
        self.raft.metrics().renewed(outcome, begun.elapsed());
        answer
    }
}

/// Whether a registration is taken now: see [`LeaseTable::may_register`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is.
    Open,
    /// It is not yet: whether other nodes still run is not known.
    NotYet,
    /// Another server leads, or none.
    NotLeader {
        /// The leader's peer address, where one is known.
        leader: Option<String>,
    },
}

type Table = Arc<Mutex<LeaseTable<Reply>>>;

fn lock(table: &Table) -> MutexGuard<'_, LeaseTable<Reply>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that wakes the leader's side of leases is in this one list.
async fn run(raft: RaftNode, mut queue: mpsc::Receiver<Arrival>, table: Table) {
    let mut leadership = raft.leadership();
    let (confirmed, mut rounds) = mpsc::channel::<(Round, Result<Term, ReadError>)>(4);
    let mut under_way = false;
    let mut next_sweep = tokio::time::Instant::now();
    follow(&table, *leadership.borrow_and_update());
    loop {
        tokio::select! {
            // A change of leader and the end of a round come before more work.
            biased;
            changed = leadership.changed() => {
                if changed.is_err() { return }
                follow(&table, *leadership.borrow_and_update());
            }
            Some((round, outcome)) = rounds.recv() => {
                under_way = false;
                answer(&raft, &table, round, outcome);
            }
            arrival = queue.recv() => {
                let Some(arrival) = arrival else { return };
                let mut table = lock(&table);
                arrival.enter(&mut table);
                while let Ok(arrival) = queue.try_recv() {
                    arrival.enter(&mut table);
                }
            }
            () = tokio::time::sleep_until(next_sweep) => {
                let nodes = sweep(&raft, &table, *leadership.borrow());
                next_sweep = tokio::time::Instant::now() + sweep_pause(nodes);
            }
        }
        if !under_way && let Some(round) = begin(&table) {
            under_way = true;
            let (raft, confirmed) = (raft.clone(), confirmed.clone());
            tokio::spawn(async move {
                let outcome = raft.confirm_leadership().await;
                let _ = confirmed.send((round, outcome)).await;
            });
        }
    }
}

fn begin(table: &Table) -> Option<Round> {
    lock(table).begin_round()
}

fn follow(table: &Table, now: Leadership) {
    let mut table = lock(table);
    if now.is_leader {
        table.lead(now.term, BootTime::now());
    } else if table.term().is_some() {
        for reply in table.resign() {
            let _ = reply.send(Err(RenewError::NotLeader { leader: None }));
        }
    }
}

fn answer(raft: &RaftNode, table: &Table, round: Round, outcome: Result<Term, ReadError>) {
    let decisions = match outcome {
        Ok(term) => {
            let (state, boot) = (raft.state(), BootTime::now());
            let at = raft.cluster_time(term).unwrap_or(Timestamp(u64::MAX));
            lock(table).on_round_confirmed(
                round,
                term,
                Moment {
                    boot,
                    at,
                    state: &state,
                },
            )
        }
        Err(_) => lock(table).on_round_failed(round),
    };
    for Decision { renewal, grant } in decisions {
        let _ = renewal.send(grant);
    }
}

/// A sweep looks at every node: so often that a small cluster notices a loss at once, and a large one still has time for
/// other work.
fn sweep_pause(nodes: usize) -> Duration {
    Duration::from_millis((nodes as u64 / 100).clamp(10, 100))
}

/// Proposes the sessions that are surely lost, in one entry, to this term and no other (rule 5). Answers how many nodes
/// there are.
fn sweep(raft: &RaftNode, table: &Table, now: Leadership) -> usize {
    if !now.ready {
        return 0;
    }
    let state = raft.state();
    let nodes = state.nodes().count();
    let lost = {
        let mut table = lock(table);
        if table.term() != Some(now.term) {
            return nodes;
        }
        table.sweep(BootTime::now(), &state)
    };
    if lost.is_empty() {
        return nodes;
    }
    tracing::warn!(sessions = ?lost, term = now.term.0, "the leases of these sessions have ended");
    let raft = raft.clone();
    tokio::spawn(async move {
        let command = Command::NodeLost {
            sessions: lost,
            term: now.term,
        };
        if let Err(error) = raft.propose_in_term(command, now.term).await {
            // A later sweep of this term proposes them again; the next leader finds them itself.
            tracing::warn!(%error, "lost sessions could not be recorded yet");
        }
    });
    nodes
}
