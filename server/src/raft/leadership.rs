//! Who leads, as this server knows it, and since when it may act as leader itself.

use std::time::Duration;

use openraft::ServerState;
use openraft::type_config::async_runtime::watch::WatchReceiver as _;
use openraft::vote::RaftLeaderId as _;
use statemachine::id::{MemberId, Term};
use tokio::sync::watch;
use tokio::time::Instant;

use super::clock::{BootTime, ClusterClock};
use super::machine::Applied;
use super::type_config::Raft;
use crate::storage::Fatal;

/// Who leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Leadership {
    /// The newest term that this server knows of.
    pub term: Term,
    /// Its leader, where one is known.
    pub leader: Option<MemberId>,
    /// Whether that is this server.
    pub is_leader: bool,
    /// Whether this server leads and has applied its own first entry of the term, and so all that older terms left
    /// over: only then it stamps, answers and sweeps.
    pub ready: bool,
}

/// The times at which a server that leads looks at itself.
pub(super) struct Reign {
    leadership: watch::Receiver<Leadership>,
    led: Option<(Term, Instant)>,
}

impl Reign {
    /// Follows who leads.
    pub(super) fn watch(leadership: watch::Receiver<Leadership>) -> Self {
        Self { leadership, led: None }
    }

    /// Waits until this server leads and has done so for `pause` since it was last asked; answers how long it has led. None
    /// once the server ends.
    pub(super) async fn next_look(&mut self, pause: Duration) -> Option<Duration> {
        loop {
            let term = self.leadership.wait_for(|now| now.ready).await.ok()?.term;
            let since = match self.led {
                Some((known, since)) if known == term => since,
                Some(_) | None => Instant::now(),
            };
            self.led = Some((term, since));
            let changed = self.leadership.wait_for(|then| then.term != term || !then.ready);
            match tokio::time::timeout(pause, changed)
                .await
                .map(|changed| changed.is_ok())
            {
                Ok(true) => self.led = None,
                Ok(false) => return None,
                Err(_) => return Some(since.elapsed()),
            }
        }
    }
}

/// Follows openraft's metrics until it stops: tells who leads, starts the cluster clock, and ends the process when the
/// library has failed.
pub(super) async fn follow(
    raft: Raft,
    member: MemberId,
    applied: Applied,
    clock: ClusterClock,
    fatal: Fatal,
    told: watch::Sender<Leadership>,
) {
    let mut servers = raft.server_metrics();
    let mut metrics = raft.metrics();
    let mut entry = applied.entry();
    let mut took_over = None;
    loop {
        if let Err(error) = &metrics.borrow_and_update().running_state {
            if !matches!(error, openraft::errors::Fatal::Stopped) {
                fatal.stop(&format!("the Raft library has stopped: {error}"));
            }
            told.send_if_modified(|told| std::mem::take(told) != Leadership::default());
            return;
        }
        let now = {
            let server = servers.borrow_and_update();
            let term = Term(server.vote.leader_id.term());
            let is_leader = server.state == ServerState::Leader && server.current_leader == Some(member.0);
            let applied_term = entry.borrow_and_update().map(|entry| entry.term);
            let ready = is_leader && applied_term == Some(term.0);
            Leadership {
                term,
                leader: server.current_leader.map(MemberId),
                is_leader,
                ready,
            }
        };
        match (now.is_leader, took_over) {
            (true, Some((term, _))) if term == now.term => {}
            (true, _) => took_over = Some((now.term, BootTime::now())),
            (false, _) => took_over = None,
        }
        if now.ready
            && let Some((term, since)) = took_over
        {
            clock.take_over(term, applied.state().at(), since);
        }
        told.send_if_modified(|told| {
            let changed = *told != now;
            if changed && (told.leader, told.term) != (now.leader, now.term) {
                tracing::info!(term = now.term.0, leader = ?now.leader.map(|leader| leader.0), here = now.is_leader, "who leads has changed");
            }
            *told = now;
            changed
        });
        let waits_for_entry = now.is_leader && !now.ready;
        let gone = tokio::select! {
            changed = servers.changed() => changed.is_err(),
            changed = metrics.changed() => changed.is_err(),
            changed = entry.changed(), if waits_for_entry => changed.is_err(),
        };
        // Where the library has failed, all its channels close at once: the beginning of the loop says why it did.
        if gone && metrics.borrow_and_update().running_state.is_ok() {
            told.send_if_modified(|told| std::mem::take(told) != Leadership::default());
            return;
        }
    }
}
