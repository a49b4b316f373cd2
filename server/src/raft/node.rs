//! The handle that everybody else holds.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use openraft::type_config::async_runtime::watch::WatchReceiver as _;
use statemachine::State;
use statemachine::command::Command;
use statemachine::id::{Index, MemberId, Term};
use statemachine::log::v1::Proposal;
use statemachine::time::Timestamp;
use tokio::sync::watch;

use super::answer::{Answer, ProposeError, ReadError};
use super::clock::BootTime;
use super::core::Core;
use super::environment::{Environment, done_by};
use super::leadership::Leadership;
use super::options::{RaftOptions, RaftTuning, StartError};
use super::propose::Scope;
use super::read::ReadScope;
use super::{join, member, relinquish, routes};
use crate::metrics::Metrics;
use crate::storage::{DiskPace, Journal, Phase};
use crate::timers::Timers;

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
        Self::begin(Core::open(options, tuning, None)?).await
    }

    /// As [`RaftNode::open_tuned`], on another network and another disk than this machine's.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open_in(
        environment: Environment,
        options: RaftOptions,
        tuning: RaftTuning,
    ) -> Result<Self, StartError> {
        tuning.timers.check()?;
        Self::begin(Core::open(options, tuning, Some(environment))?).await
    }

    async fn begin(core: Core) -> Result<Self, StartError> {
        let core = Arc::new(core);
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

    /// What is counted while this server works.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.core.metrics
    }

    /// How fast the disk is that the log is on.
    #[must_use]
    pub fn disk(&self) -> &DiskPace {
        self.core.writer.pace()
    }

    /// Raft's timers, as they were at the start.
    #[must_use]
    pub fn timers(&self) -> Timers {
        self.core.timers()
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
        self.propose_in(&proposal, Scope::Anywhere).await
    }

    /// Puts a command in the log as leader of this term and no other: never forwarded, never queued into another term.
    ///
    /// # Errors
    /// [`ProposeError`].
    pub async fn propose_in_term(&self, command: Command, term: Term) -> Result<Answer, ProposeError> {
        let proposal = Proposal { request: None, command };
        self.propose_in(&proposal, Scope::Term(term)).await
    }

    async fn propose_in(&self, proposal: &Proposal, scope: Scope) -> Result<Answer, ProposeError> {
        self.core.check()?;
        let begun = tokio::time::Instant::now();
        let wait = self.core.leader_wait();
        let answer = self.core.proposals.propose(proposal, scope, wait).await;
        let outcome = match &answer {
            Ok(answer) if answer.result.is_ok() => "accepted",
            Ok(_) => "refused",
            Err(ProposeError::NoLeader { .. }) => "no-leader",
            Err(ProposeError::Overloaded) => "overloaded",
            Err(ProposeError::Unknown) => "unknown",
            Err(ProposeError::TooLarge { .. } | ProposeError::Fatal { .. }) => "failed",
        };
        self.core.metrics.proposed(outcome, begun.elapsed());
        answer
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
        self.core.confirm_leadership().await
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
        status.committed = self.core.note_committed(
            metrics
                .cluster_committed
                .as_ref()
                .max(metrics.local_committed.as_ref())
                .map_or(0, |id| id.index()),
        );
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

    /// Resolves once this process is to end in order and to be started again at once: the lease was changed, and Raft takes
    /// its timers only at the start.
    pub fn starts_again(&self) -> impl Future<Output = ()> + Send + 'static {
        self.core.start_again.clone().cancelled_owned()
    }

    /// Gives the lead away, where this server has it, before it ends. Tried for `within`; then an election must do.
    pub async fn relinquish(&self, within: Duration) {
        relinquish::before_the_end(&self.core, within).await;
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
        let _ = done_by(&self.core.workers, move || {
            core.writer.stop();
            core.backend.close();
        })
        .await;
    }
}
