//! What every server is held to after each of its steps.

use server::raft::RaftNode;
use statemachine::id::{Index, MemberId, SessionId, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::host::Moment;
use super::plan::Scope;
use super::reference::Lost;
use super::simulation::{Event, Simulation};
/// What was seen of one run of a server.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The last command.
    pub applied: Index,
    /// Log entries up to here were compared.
    compared: u64,
    /// Raft's own numbers.
    committed: u64,
    /// The term in which it led last.
    led: Term,
    /// Who votes, as it knows.
    voters: BTreeSet<MemberId>,
}

/// What was seen of all of them.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Who led in a term (I12).
    leaders: BTreeMap<Term, MemberId>,
    /// Until when each session may be active: the deadline that its last answer allows, by true time.
    deadlines: BTreeMap<SessionId, Moment>,
    /// Sessions declared lost, and when that was first applied.
    lost: BTreeMap<SessionId, Moment>,
}

/// A server that wants to be started again is up after this.
const AGAIN: Duration = Duration::from_millis(30);
/// `K`: how long after a deadline the last process of a package may live, in nanoseconds.
const KILL: Moment = server::timers::KILL_MS * 1_000_000;

impl Watch {
    /// How many terms had a leader.
    #[must_use]
    pub fn leaders(&self) -> u64 {
        self.leaders.len() as u64
    }

    /// The newest term that had one.
    #[must_use]
    pub fn newest_term(&self) -> Term {
        self.leaders.last_key_value().map_or(Term(0), |(term, _)| *term)
    }
}

impl Simulation {
    /// Looks at a server that has just done its share of this moment.
    pub(super) fn look_at(&mut self, number: usize) {
        let Some(power) = &self.servers[number].power else {
            return;
        };
        if let Some(reason) = power.run.failed() {
            self.server_failed(number, &reason);
            return;
        }
        if power.run.starts_again() {
            self.report.count("server started again for other timers");
            self.crash(number);
            self.plan(AGAIN, Event::Start(number));
            return;
        }
        let Some(node) = power.run.node() else { return };
        if let Err(text) = self.look_at_node(number, &node) {
            self.violated(&format!("{}: {text}", self.servers[number].name));
        }
    }

    /// Every failure of a server must have a reason that the faults gave it (I18).
    fn server_failed(&mut self, number: usize, reason: &str) {
        let name = self.servers[number].name.clone();
        let gone = self.reference.state().cluster().is_some()
            && self.servers[number].runs > 2
            && self.member_of(number).is_none();
        if self.faults.was_asked_to_remove(number) && gone {
            // It was removed while it was off, and says so.
            self.removed(number);
        } else if self.faults.explains_failure(number) {
            self.report.count("server stopped itself");
            self.crash(number);
            self.plan_restart(number);
        } else {
            self.violated(&format!("{name} has stopped without a cause: {reason}"));
        }
    }

    fn look_at_node(&mut self, number: usize, node: &RaftNode) -> Result<(), String> {
        let state = node.state();
        let applied = state.applied();
        let leadership = *node.leadership().borrow();
        let Some(power) = &mut self.servers[number].power else {
            return Ok(());
        };
        let seen = &mut power.seen;
        if leadership.is_leader && seen.led != leadership.term {
            seen.led = leadership.term;
            let member = node.member().unwrap_or(MemberId(0));
            if let Some(other) = self.watch.leaders.insert(leadership.term, member)
                && other != member
            {
                return Err(format!(
                    "I12: it leads in term {}, but member {other} did already",
                    leadership.term.0
                ));
            }
            if self.settings.scope == Scope::Minority && self.faults.has_begun() {
                return Err(format!(
                    "I15: it leads in term {} although the leader before was never disturbed",
                    leadership.term.0
                ));
            }
            self.faults.leader_changed(number);
            self.note("leads", number, leadership.term.0, &[]);
        }
        if applied == self.seen(number).applied {
            return Ok(());
        }
        if applied < self.seen(number).applied {
            return Err(format!(
                "I12: applied went back from {} to {applied}",
                self.seen(number).applied
            ));
        }
        let status = node.status();
        if status.committed < self.seen(number).committed {
            return Err(format!(
                "I12: committed went back from {} to {}",
                self.seen(number).committed,
                status.committed
            ));
        }
        if let Some(power) = &mut self.servers[number].power {
            power.seen.committed = status.committed;
            power.seen.voters = status.voters;
        }
        self.learn(number, applied)?;
        self.reference.compare_digest(applied, statemachine::digest(&state).0)?;
        self.compare_entries(number, applied)?;
        if let Some(power) = &mut self.servers[number].power {
            power.seen.applied = applied;
        }
        Ok(())
    }

    fn seen(&self, number: usize) -> Seen {
        self.servers[number]
            .power
            .as_ref()
            .map(|power| power.seen.clone())
            .unwrap_or_default()
    }

    /// Takes over into the reference what this server is the first to apply.
    fn learn(&mut self, number: usize, applied: Index) -> Result<(), String> {
        while self.reference.applied() < applied {
            let index = self.reference.entries();
            let entry = self.servers[number].disk.appended(index);
            let entry = entry.ok_or(format!(
                "I12: it has applied command {applied}, but nobody has applied log entry {index} and it is not in its log"
            ))?;
            self.quorum_holds(number, index, entry.id.term)?;
            let lost = self.reference.extend(&entry)?;
            self.note("commit", number, index, &[]);
            for lost in lost {
                self.lost(lost)?;
            }
        }
        Ok(())
    }

    /// I12: what is committed is on a quorum of disks.
    fn quorum_holds(&mut self, number: usize, index: u64, term: u64) -> Result<(), String> {
        let voters = self.seen(number).voters;
        // While the membership changes two majorities count, and who votes is known a moment later.
        if voters.is_empty() || self.watch_membership_changes(&voters) {
            return Ok(());
        }
        let holds = |server: &super::simulation::Server| server.disk.durable_term(index) == Some(term);
        let held = self
            .servers
            .iter()
            .enumerate()
            .filter(|(at, server)| self.member_of(*at).is_some_and(|member| voters.contains(&member)) && holds(server))
            .count();
        if held > voters.len() / 2 {
            return Ok(());
        }
        Err(format!(
            "I12: log entry {index} of term {term} is applied, but is durable on {held} of {} voters only",
            voters.len()
        ))
    }

    /// Whether servers differ in who votes, or one of the voters is not known by its id yet.
    fn watch_membership_changes(&self, voters: &BTreeSet<MemberId>) -> bool {
        let differs = |server: &super::simulation::Server| {
            let Some(power) = &server.power else { return false };
            !power.seen.voters.is_empty() && power.seen.voters != *voters
        };
        let known: BTreeSet<MemberId> = (0..self.servers.len()).filter_map(|at| self.member_of(at)).collect();
        let joins = |server: &super::simulation::Server| {
            !server.removed && server.power.as_ref().is_some_and(|power| !power.run.has_joined())
        };
        self.servers.iter().any(joins)
            || self.servers.iter().any(differs)
            || !voters.is_subset(&known)
            || self.faults.membership_changes()
    }

    /// The member id of a server, once it has one.
    #[must_use]
    pub fn member_of(&self, number: usize) -> Option<MemberId> {
        let name = &self.servers[number].name;
        let member = self
            .reference
            .state()
            .members()
            .find(|member| member.name.as_str() == name)?;
        Some(member.id)
    }

    fn compare_entries(&mut self, number: usize, applied: Index) -> Result<(), String> {
        let Some(last) = self.reference.record(applied).map(|record| record.entry) else {
            return Ok(());
        };
        for index in self.seen(number).compared..=last {
            if let Some(entry) = self.servers[number].disk.appended(index) {
                self.reference.compare_entry(&entry)?;
            }
        }
        if let Some(power) = &mut self.servers[number].power {
            power.seen.compared = last + 1;
        }
        Ok(())
    }

    /// I5: nobody is declared lost while it may be active.
    fn lost(&mut self, lost: Lost) -> Result<(), String> {
        self.report.lost += 1;
        self.watch.lost.entry(lost.session).or_insert(self.now);
        self.note("lost", 0, lost.session.0, &[]);
        let Some(deadline) = self.watch.deadlines.get(&lost.session) else {
            return Ok(());
        };
        if self.now > deadline + KILL {
            return Ok(());
        }
        Err(format!(
            "I5: session {} of node {} is declared lost in term {}, but its last answered renewal lets it be active for another {} us",
            lost.session.0,
            lost.node.0,
            lost.term.0,
            (deadline + KILL - self.now) / 1000
        ))
    }

    /// A renewal that was sent at `sent` is granted: its session may be active until `deadline`, by true time.
    pub(super) fn granted(&mut self, session: SessionId, sent: Moment, deadline: Moment) {
        self.report.renewals += 1;
        if let Some(lost) = self.watch.lost.get(&session)
            && *lost < sent
        {
            let text = format!(
                "rule 5: session {} was declared lost at {:.6} s, and its renewal of {} us later is granted",
                session.0,
                Duration::from_nanos(*lost).as_secs_f64(),
                (sent - lost) / 1000
            );
            self.violated(&text);
        }
        if let Some(lost) = self.watch.lost.get(&session)
            && self.now <= deadline
            && *lost <= deadline + KILL
        {
            let text = format!(
                "I5: session {} was declared lost before its granted lease had ended",
                session.0
            );
            self.violated(&text);
        }
        let known = self.watch.deadlines.entry(session).or_insert(deadline);
        *known = deadline.max(*known);
    }
}
