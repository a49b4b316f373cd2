//! Pure: who may go on, and who is surely gone. Knows no clock, no network and no log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use statemachine::State;
use statemachine::cluster::LeaseTail;
use statemachine::id::{NodeId, SessionId, Term};
use statemachine::time::{Millis, Timestamp};

use super::{RenewError, RenewalGrant};
use crate::raft::BootTime;
use crate::timers::{LEASE_DEFAULT, Timers, wait_of};

/// Sessions in one `NodeLost`: a room full of racks is one plan.
const LOST_MAX: usize = 4096;
/// A sweep that comes later than this after the one before means that this process stood still: renewals may lie unread.
const STALL: Duration = Duration::from_millis(250);
/// A proposal of lost sessions that has no effect by then is made again, in the same term.
const PROPOSE_AGAIN: Duration = Duration::from_millis(500);
/// An extended lease is granted so long after its command, in cluster time, and the cluster's own from then on. So the last
/// such grant has ended before the state forgets the extension, which is `2 T + 10 s` after the command: `W(T)` is less than
/// 1.23 T + 0.2 s, and cluster time is at most 10 % fast.
const EXTENSION_GRANTED_FOR: Millis = Millis(5000);

/// A round of confirmation, in the order in which they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Round(u64);

/// The decision on one renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    /// Whose renewal: what was given at its arrival.
    pub renewal: T,
    /// Whether it is granted.
    pub grant: Result<RenewalGrant, RenewError>,
}

/// Now, in all that decisions need of it.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// This machine's boot clock.
    pub boot: BootTime,
    /// Cluster time, as this leader counts it.
    pub at: Timestamp,
    /// The state, with all that was committed before the round began.
    pub state: &'a State,
}

/// Pure: which renewals are answered, and which sessions are lost. `T` is whatever names a renewal to the caller.
///
/// # Invariants
/// A renewal is granted only by a round that began after it arrived. A session that was returned by [`LeaseTable::sweep`]
/// is never granted again in the same term. Without a term nothing is granted and nobody is lost.
#[derive(Debug)]
pub struct LeaseTable<T> {
    reign: Option<Reign>,
    sessions: BTreeMap<SessionId, Entry>,
    proposed: BTreeMap<SessionId, BootTime>,
    arrived: Vec<Waiting<T>>,
    asked: BTreeMap<Round, Vec<Waiting<T>>>,
    next_round: u64,
    swept: Option<BootTime>,
    /// No session is lost before this: set after a stall of this process.
    not_before: BootTime,
}

#[derive(Clone, Copy, Debug)]
struct Reign {
    term: Term,
    since: BootTime,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When the session's lease has surely ended.
    lost_at: BootTime,
    /// When it was last answered here.
    answered: Option<BootTime>,
    /// Since when answers are given here of which the node says that none reaches it.
    unheard_since: Option<BootTime>,
}

impl Entry {
    /// Whether a node has asked and been answered here for so long, and heard nothing of it, that its session must be left to end.
    ///
    /// Where only answers are lost, every one of them would extend a lease of which the node never hears: what runs there
    /// stops, and nobody takes over. Not to answer is safe at any time. Only this leader's own answers count: after a time in
    /// which there was no leader at all every node has long been unanswered, and goes on.
    fn is_unheard(&mut self, unanswered_ms: u64, wait_ms: u64, now: BootTime) -> bool {
        if unanswered_ms <= wait_ms {
            self.unheard_since = None;
            return false;
        }
        let since = *self.unheard_since.get_or_insert(now);
        now.since(since) > Duration::from_millis(2 * wait_ms)
    }
}

#[derive(Debug)]
struct Waiting<T> {
    node: NodeId,
    session: SessionId,
    unanswered_ms: u64,
    renewal: T,
}

impl<T> LeaseTable<T> {
    /// A table of a server that does not lead.
    #[must_use]
    pub fn new() -> Self {
        Self {
            reign: None,
            sessions: BTreeMap::new(),
            proposed: BTreeMap::new(),
            arrived: Vec::new(),
            asked: BTreeMap::new(),
            next_round: 0,
            swept: None,
            not_before: BootTime(Duration::ZERO),
        }
    }

    /// This server knows that it leads in a term, since now: every session gets the whole wait (rule 4).
    pub fn lead(&mut self, term: Term, now: BootTime) {
        if self.reign.is_some_and(|reign| reign.term == term) {
            return;
        }
        self.reign = Some(Reign { term, since: now });
        self.sessions.clear();
        self.proposed.clear();
        self.swept = None;
        self.not_before = now;
    }

    /// This server does not lead any more: all that waits is told so.
    #[must_use]
    pub fn resign(&mut self) -> Vec<T> {
        self.reign = None;
        self.sessions.clear();
        self.proposed.clear();
        let asked = std::mem::take(&mut self.asked).into_values().flatten();
        std::mem::take(&mut self.arrived)
            .into_iter()
            .chain(asked)
            .map(|waiting| waiting.renewal)
            .collect()
    }

    /// The term in which this server leads.
    #[must_use]
    pub fn term(&self) -> Option<Term> {
        self.reign.map(|reign| reign.term)
    }

    /// Whether a node may register now.
    ///
    /// A leader that has just begun, and has heard of no session that the state calls up, may lead a cluster of which every
    /// machine was off. The first ones to be back would then be counted together with sessions that nobody has ended yet, and
    /// packages be placed before `min_nodes` are there. So they wait until one session is heard, or all are lost: twice the
    /// wait at most, because a longer lease of a planned restart is not worth waiting for.
    #[must_use]
    pub fn may_register(&self, now: BootTime, state: &State) -> bool {
        let Some(reign) = self.reign else { return true };
        let mut up = state.nodes().filter_map(statemachine::node::Node::session).peekable();
        let answered = |session: SessionId| {
            let entry = self.sessions.get(&session);
            entry.is_some_and(|entry| entry.answered.is_some())
        };
        let wait_ms = wait_of(cluster_lease(state)).0;
        up.peek().is_none() || up.any(answered) || now.since(reign.since) > Duration::from_millis(2 * wait_ms)
    }

    /// A renewal has arrived, from a node that has heard no answer for so long: only a round that begins after this may
    /// answer it.
    pub fn on_arrival(&mut self, node: NodeId, session: SessionId, unanswered_ms: u64, renewal: T) {
        self.arrived.push(Waiting {
            node,
            session,
            unanswered_ms,
            renewal,
        });
    }

    /// A round begins now, for all that has arrived; none where nothing waits.
    #[must_use]
    pub fn begin_round(&mut self) -> Option<Round> {
        if self.arrived.is_empty() {
            return None;
        }
        let round = Round(self.next_round);
        self.next_round = self.next_round.saturating_add(1);
        self.asked.insert(round, std::mem::take(&mut self.arrived));
        Some(round)
    }

    /// A quorum has confirmed the lead of `term` in this round, and the moment's state has all that older terms left over.
    #[must_use]
    pub fn on_round_confirmed(&mut self, round: Round, term: Term, now: Moment<'_>) -> Vec<Decision<T>> {
        let waiting = self.asked.remove(&round).unwrap_or_default();
        let leads = self.term() == Some(term);
        waiting
            .into_iter()
            .map(|waiting| {
                let grant = if leads {
                    self.grant(&waiting, now)
                } else {
                    Err(RenewError::NotLeader { leader: None })
                };
                Decision {
                    renewal: waiting.renewal,
                    grant,
                }
            })
            .collect()
    }

    /// No quorum has confirmed this round.
    #[must_use]
    pub fn on_round_failed(&mut self, round: Round) -> Vec<Decision<T>> {
        let waiting = self.asked.remove(&round).unwrap_or_default();
        waiting
            .into_iter()
            .map(|waiting| Decision {
                renewal: waiting.renewal,
                grant: Err(RenewError::NoQuorum),
            })
            .collect()
    }

    fn grant(&mut self, waiting: &Waiting<T>, now: Moment<'_>) -> Result<RenewalGrant, RenewError> {
        let Waiting { node, session, .. } = *waiting;
        let Moment { boot, at, state } = now;
        let row = state.node(node).filter(|row| row.session() == Some(session));
        let Some(row) = row.filter(|_| !self.proposed.contains_key(&session)) else {
            return Err(RenewError::SessionEnded);
        };
        let usual = Timers::of(cluster_lease(state));
        let lease = match row.extended {
            Some(extended) if may_still_extend(extended, at) => extended.lease.max(Millis(usual.lease_ms)),
            Some(_) | None => Millis(usual.lease_ms),
        };
        let entry = self.seen(session, boot, state);
        if entry.is_unheard(waiting.unanswered_ms, usual.wait_ms, boot) {
            return Err(RenewError::Unheard {
                unanswered_ms: waiting.unanswered_ms,
            });
        }
        // Never earlier than before: a longer lease that was answered may still be armed.
        entry.lost_at = entry.lost_at.max(boot.plus(wait(lease)));
        entry.answered = Some(boot);
        Ok(RenewalGrant {
            lease,
            soft: Millis(usual.soft_ms),
            renew: Millis(usual.renew_ms),
            retry: Millis(usual.retry_ms),
        })
    }

    /// The sessions whose lease has surely ended by now. They are to be proposed as lost in this term, and are never
    /// answered again. What was returned and is still in the state after `PROPOSE_AGAIN` is returned again.
    #[must_use]
    pub fn sweep(&mut self, now: BootTime, state: &State) -> Vec<(NodeId, SessionId)> {
        if self.reign.is_none() {
            return Vec::new();
        }
        if self.swept.is_some_and(|swept| now.since(swept) > STALL) {
            // Renewals that came while this process stood still may lie unread; to wait longer is always safe.
            self.not_before = now.plus(Duration::from_millis(cluster_lease(state).0 / 2));
        }
        let mut present = BTreeSet::new();
        let mut lost = Vec::new();
        for (node, session) in state.nodes().filter_map(|node| Some((node.id, node.session()?))) {
            present.insert(session);
            let lost_at = self.seen(session, now, state).lost_at;
            let due = match self.proposed.get(&session) {
                Some(proposed) => now.since(*proposed) > PROPOSE_AGAIN,
                None => now > lost_at && now >= self.not_before,
            };
            if due && lost.len() < LOST_MAX {
                lost.push((node, session));
            }
        }
        self.swept = Some(now);
        self.sessions.retain(|session, _| present.contains(session));
        self.proposed.retain(|session, _| present.contains(session));
        self.proposed.extend(lost.iter().map(|(_, session)| (*session, now)));
        lost
    }

    /// A session's entry. One that is seen for the first time may have been answered by the leader before, until the moment
    /// in which this one knew that it leads, and with the longest lease that may still be out (rule 4).
    fn seen(&mut self, session: SessionId, now: BootTime, state: &State) -> &mut Entry {
        let from = self
            .reign
            .filter(|_| self.swept.is_none())
            .map_or(now, |reign| reign.since);
        let high = state
            .cluster()
            .map_or(LEASE_DEFAULT, |cluster| cluster.lease_high.max(cluster.spec.lease));
        self.sessions.entry(session).or_insert_with(|| Entry {
            lost_at: from.plus(wait(high)),
            answered: None,
            unheard_since: None,
        })
    }

    /// Whether the lead may be handed over without stopping packages: every session that is up was answered within
    /// `within` (rule 13).
    ///
    /// # Errors
    /// In words, which session was not.
    pub fn may_hand_over(&self, now: BootTime, within: Duration, state: &State) -> Result<(), String> {
        for node in state.nodes() {
            let Some(session) = node.session() else { continue };
            if self.proposed.contains_key(&session) {
                continue;
            }
            let answered = self.sessions.get(&session).and_then(|entry| entry.answered);
            if answered.is_none_or(|answered| now.since(answered) > within) {
                return Err(format!(
                    "{} has not renewed its lease within {} ms: handing over the lead now could stop its packages; ask again",
                    node.name,
                    within.as_millis()
                ));
            }
        }
        Ok(())
    }
}

impl<T> Default for LeaseTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The lease that the cluster's definition sets.
pub(super) fn cluster_lease(state: &State) -> Millis {
    state.cluster().map_or(LEASE_DEFAULT, |cluster| cluster.spec.lease)
}

/// Whether the extension was made so lately that the lease may be granted.
fn may_still_extend(extended: LeaseTail, at: Timestamp) -> bool {
    // When the command was applied: `LeaseTail::from_now` counts from there.
    let kept = LeaseTail::from_now(extended.lease, Timestamp(0)).until;
    let made = Timestamp(extended.until.0.saturating_sub(kept.0));
    at.since(made) <= EXTENSION_GRANTED_FOR
}

/// `W` of a lease.
fn wait(lease: Millis) -> Duration {
    Duration::from_millis(wait_of(lease).0)
}

#[cfg(test)]
mod tests;
