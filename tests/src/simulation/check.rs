//! What must never happen, looked at while it happens. Names and numbers are those of `docs/SAFETY.md`.
//!
//! The reference is one more state machine that gets each entry when the first server knows it to be committed. What the
//! programs see comes from the simulated kernels, in true time, exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use server::raft::Answer;
use server::timers::{CLOCK_ERROR_PERCENT, KILL_MS};
use statemachine::command::{Command, Mode, Output};
use statemachine::event::EventKind;
use statemachine::id::{Epoch, Term};
use statemachine::{Applied, Digest, Entry, State};

use super::consensus::{LogEntry, Payload, SnapshotData};
use super::world::MS;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number.
    pub invariant: &'static str,
    /// What was found.
    pub text: String,
    /// When, in true time.
    pub at_ns: u64,
}

/// Applies what one log entry holds, as `server/src/raft/machine.rs` does.
pub fn apply_entry(state: &mut State, entry: &LogEntry, keys_ignored: bool) -> Vec<Applied> {
    let Payload::Batch { at, wall_ms, proposals } = &entry.payload else {
        return Vec::new();
    };
    let mut all = Vec::with_capacity(proposals.len());
    for proposal in proposals {
        let entry = Entry {
            index: state.applied().next(),
            term: Term(entry.term),
            at: (*at).max(state.at()),
            wall_ms: *wall_ms,
            request: proposal.request.clone().filter(|_| !keys_ignored),
            command: proposal.command.clone(),
        };
        all.push(statemachine::apply(state, &entry));
    }
    all
}

/// One committed entry of the reference.
struct Committed {
    entry: Rc<LogEntry>,
    digest: Digest,
}

/// An instance that counts as active.
#[derive(Clone, Debug)]
struct Active {
    host: usize,
    package: String,
    unit: String,
    epoch: u64,
    session: u64,
    since_ns: u64,
}

/// What the lease of a session came to.
#[derive(Clone, Copy, Debug, Default)]
struct LeaseSeen {
    /// The latest sending of a renewal that was answered.
    sent_ns: u64,
    /// The lease of the answer to it.
    lease_ns: u64,
    /// No process of the session may live beyond this.
    bound_ns: u64,
}

/// What a process that is told to be active has to show.
pub struct Claim {
    /// The host.
    pub host: usize,
    /// The supervisor.
    pub supervisor: u64,
    /// The package.
    pub package: String,
    /// The epoch.
    pub epoch: u64,
    /// The session in which it was started.
    pub session: u64,
    /// A deadline is armed.
    pub armed: bool,
    /// The epoch is in the record.
    pub recorded: bool,
}

/// The reference and all that was seen.
pub struct Checks {
    /// The true time.
    pub now: u64,
    /// The first violation.
    pub violation: Option<Violation>,
    /// The reference's state.
    pub state: State,
    committed: Vec<Committed>,
    results: Vec<Answer>,
    activations: BTreeMap<(String, u64), String>,
    keys: BTreeSet<(String, String)>,
    instances: BTreeMap<String, (u64, String)>,
    leaders: BTreeMap<u64, usize>,
    positions: Vec<u64>,
    active: BTreeMap<u64, Active>,
    started: BTreeSet<(String, u64)>,
    last_epoch: BTreeMap<String, u64>,
    leases: BTreeMap<u64, LeaseSeen>,
    acknowledged: u64,
    /// Instances that the reference has just given up: nothing of them may live.
    pub released: Vec<(String, u64, String)>,
    /// Sessions that have just begun, by node: nothing of an earlier one may live there.
    pub registered: Vec<(String, u64)>,
    /// Takeovers: promotions and active starts after the first.
    pub failovers: u64,
    /// Sessions that were lost.
    pub lost: u64,
    /// Snapshots that were turned into bytes and back.
    snapshots: u64,
    keys_ignored: bool,
}

impl Checks {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(servers: usize, keys_ignored: bool) -> Self {
        Self {
            now: 0,
            violation: None,
            state: State::new(),
            committed: Vec::new(),
            results: Vec::new(),
            activations: BTreeMap::new(),
            keys: BTreeSet::new(),
            instances: BTreeMap::new(),
            leaders: BTreeMap::new(),
            positions: vec![0; servers],
            active: BTreeMap::new(),
            started: BTreeSet::new(),
            last_epoch: BTreeMap::new(),
            leases: BTreeMap::new(),
            acknowledged: 0,
            released: Vec::new(),
            registered: Vec::new(),
            failovers: 0,
            lost: 0,
            snapshots: 0,
            keys_ignored,
        }
    }

    /// Says that an invariant is broken; only the first counts.
    pub fn broken(&mut self, invariant: &'static str, text: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation {
                invariant,
                text,
                at_ns: self.now,
            });
        }
    }

    /// How many entries are committed.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.committed.len() as u64
    }

    /// A server knows that an entry is committed. True: it is the first to know.
    pub fn commits_entry(&mut self, server: usize, index: u64, entry: &Rc<LogEntry>) -> bool {
        let place = index as usize - 1;
        if let Some(known) = self.committed.get(place) {
            if !Rc::ptr_eq(&known.entry, entry) {
                let (was, is) = (known.entry.term, entry.term);
                let text = format!("entry {index} of term {was} was committed; s{server} commits another of term {is}");
                self.broken("I12", text);
            }
            return false;
        }
        if place != self.committed.len() {
            let text = format!("s{server} commits entry {index}, and {} were", self.committed.len());
            self.broken("I12", text);
            return false;
        }
        let applied = apply_entry(&mut self.state, entry, self.keys_ignored);
        let digest = statemachine::digest(&self.state);
        self.committed.push(Committed {
            entry: Rc::clone(entry),
            digest,
        });
        if let Payload::Batch { proposals, .. } = &entry.payload {
            for (proposal, applied) in proposals.iter().zip(&applied) {
                self.results.push(Answer::of(applied));
                let effective = applied.outcome.is_ok() && !self.results.last().is_some_and(|answer| answer.repeated);
                if let (Some(request), true) = (&proposal.request, effective)
                    && !self.keys.insert((request.client.clone(), request.key.clone()))
                {
                    let text = format!("{} {} took effect twice", request.client, request.key);
                    self.broken("I10", text);
                }
                if let (Command::NodeLost { sessions, .. }, true) = (&proposal.command, effective) {
                    for (_, session) in sessions {
                        self.lost_session(session.0, applied);
                    }
                }
            }
        }
        self.look_at(&applied);
        true
    }

    fn lost_session(&mut self, session: u64, applied: &Applied) {
        let accepted = applied
            .events
            .iter()
            .any(|event| matches!(&event.kind, EventKind::NodeLost { session: lost, .. } if lost.0 == session));
        if !accepted {
            return;
        }
        self.lost += 1;
        let seen = self.leases.get(&session).copied().unwrap_or_default();
        let earliest = seen.sent_ns + seen.lease_ns + KILL_MS * MS;
        if seen.lease_ns > 0 && self.now <= earliest {
            let text = format!(
                "session {session} is lost at {}, but a renewal sent at {} gave it time until {earliest}",
                self.now, seen.sent_ns
            );
            self.broken("I5", text);
        }
    }

    fn look_at(&mut self, applied: &[Applied]) {
        if applied
            .iter()
            .all(|applied| applied.events.is_empty() && applied.effects.is_empty())
        {
            return;
        }
        if let Err(violation) = statemachine::invariant::check(&self.state) {
            self.broken("I13", violation.to_string());
        }
        let mut present = BTreeMap::new();
        for package in self.state.packages() {
            let Some(instance) = &package.instance else { continue };
            let Some(node) = self.state.node_at(instance.node) else {
                continue;
            };
            let (name, node) = (package.name().as_str(), node.name.as_str());
            if instance.holds_unit() {
                self.activations
                    .entry((name.to_owned(), instance.epoch.0))
                    .or_insert_with(|| node.to_owned());
            }
            present.insert(name.to_owned(), (instance.start.0, node.to_owned()));
        }
        for (package, (start, node)) in &self.instances {
            if present.get(package).map(|(start, _)| start) != Some(start) {
                self.released.push((package.clone(), *start, node.clone()));
            }
        }
        self.instances = present;
        for event in applied.iter().flat_map(|applied| &applied.events) {
            match &event.kind {
                EventKind::NodeRegistered { node, session, .. } => {
                    self.registered.push((node.as_str().to_owned(), session.0));
                }
                EventKind::Promoted { .. } => self.failovers += 1,
                EventKind::Started {
                    package,
                    mode: Mode::Active,
                    epoch: Epoch(epoch),
                    output: None | Some(Output::Released),
                    ..
                } if !self.started.contains(&(package.as_str().to_owned(), *epoch)) => {
                    let text = format!("the journal says that {package} became active as {epoch}; nobody saw it");
                    self.broken("I20", text);
                }
                _ => {}
            }
        }
    }

    /// A server has applied an entry.
    pub fn applied(&mut self, server: usize, index: u64, digest: Digest) {
        let expected = self.committed.get(index as usize - 1).map(|committed| committed.digest);
        if expected != Some(digest) {
            let text = format!("s{server} has digest {digest} after entry {index}, the reference {expected:?}");
            self.broken("I11", text);
        }
        if index != self.positions[server] + 1 && self.positions[server] != 0 {
            let text = format!("s{server} applied entry {index} after {}", self.positions[server]);
            self.broken("I12", text);
        }
        self.positions[server] = index;
    }

    /// A server has taken a snapshot instead of entries.
    pub fn installed(&mut self, server: usize, data: &SnapshotData) {
        let digest = statemachine::digest(&data.state);
        let expected = self
            .committed
            .get(data.index as usize - 1)
            .map(|committed| committed.digest);
        if expected != Some(digest) {
            let text = format!(
                "s{server} installs digest {digest} of entry {}, the reference {expected:?}",
                data.index
            );
            self.broken("I11", text);
        }
        self.positions[server] = data.index;
    }

    /// A server process starts anew from its disk.
    pub fn restarted(&mut self, server: usize, applied: u64) {
        self.positions[server] = applied;
    }

    /// A state as it is after a way through bytes-to-be: every other snapshot takes that way.
    pub fn through_snapshot(&mut self, state: &State) -> State {
        self.snapshots += 1;
        if self.snapshots.is_multiple_of(2) {
            return state.clone();
        }
        match statemachine::snapshot::from_stored(statemachine::snapshot::to_stored(state)) {
            Ok(state) => state,
            Err(error) => {
                self.broken("I11", format!("a snapshot can't be read back: {error}"));
                state.clone()
            }
        }
    }

    /// A server believes that it was elected.
    pub fn leads(&mut self, server: usize, term: u64) {
        let other = *self.leaders.entry(term).or_insert(server);
        if other != server {
            self.broken("I12", format!("s{other} and s{server} both lead in term {term}"));
        }
    }

    /// A client was answered. `begun` is what had been acknowledged to anybody when it asked.
    pub fn acknowledged(&mut self, begun: u64, answer: &Answer) {
        let index = answer.index.0;
        let Some(result) = (index as usize)
            .checked_sub(1)
            .and_then(|place| self.results.get(place))
        else {
            return self.broken("I10", format!("command {index} was acknowledged and is not committed"));
        };
        if !answer.repeated && result != answer {
            let text = format!("command {index} was answered {answer:?}, the reference gave {result:?}");
            return self.broken("I9", text);
        }
        if !answer.repeated && index <= begun {
            let text = format!("command {index} was asked for after {begun} had been acknowledged");
            return self.broken("I9", text);
        }
        self.acknowledged = self.acknowledged.max(index);
    }

    /// The newest index that anybody was told of.
    #[must_use]
    pub fn newest_acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// A daemon takes an answer to a renewal.
    pub fn renewed(&mut self, session: u64, sent_ns: u64, lease_ns: u64) {
        let seen = self.leases.entry(session).or_default();
        let slowest = lease_ns * 100 / (100 - CLOCK_ERROR_PERCENT);
        seen.bound_ns = seen.bound_ns.max(sent_ns + slowest + KILL_MS * MS);
        if sent_ns + lease_ns >= seen.sent_ns + seen.lease_ns {
            (seen.sent_ns, seen.lease_ns) = (sent_ns, lease_ns);
        }
    }

    /// Until when a session's processes may live.
    #[must_use]
    pub fn bound_ns(&self, session: u64) -> u64 {
        self.leases.get(&session).map_or(0, |seen| seen.bound_ns)
    }

    /// A process is executed: its node must have heard from a quorum within its lease.
    pub fn starts(&mut self, host: usize, package: &str, session: u64) {
        let until = self.bound_ns(session);
        if self.now > until {
            let text = format!(
                "{package} starts on n{host} at {}; its lease ended by {until}",
                self.now
            );
            self.broken("I7", text);
        }
    }

    /// An instance counts as active from now on.
    pub fn becomes_active(&mut self, claim: Claim) {
        let Claim {
            host,
            supervisor,
            package,
            epoch,
            session,
            armed,
            recorded,
        } = claim;
        let unit = unit_of(&package);
        if !armed || !recorded {
            let text = format!("{package} is active on n{host} as {epoch}: armed {armed}, recorded {recorded}");
            self.broken("I22", text);
        }
        match self.activations.get(&(package.clone(), epoch)) {
            Some(node) if *node == format!("n{host}") => {}
            other => {
                let text = format!("{package} is active on n{host} as {epoch}; the log says {other:?}");
                self.broken("I3", text);
            }
        }
        if !self.started.insert((package.clone(), epoch)) {
            self.broken(
                "I2",
                format!("{package} is active as {epoch} a second time, on n{host}"),
            );
        }
        if let Some(last) = self.last_epoch.insert(unit.clone(), epoch)
            && epoch <= last
        {
            let text = format!("{unit}: {package} is active on n{host} as {epoch} after {last}");
            self.broken("I2", text);
        }
        let other = self
            .active
            .iter()
            .find(|(id, active)| active.unit == unit && **id != supervisor)
            .map(|(_, active)| active.clone());
        if let Some(other) = other {
            let text = format!(
                "{package} is active on n{host} as {epoch} while {} is on n{} as {} since {}",
                other.package, other.host, other.epoch, other.since_ns
            );
            self.broken("I1", text);
        }
        let since_ns = self.now;
        self.active.insert(
            supervisor,
            Active {
                host,
                package,
                unit,
                epoch,
                session,
                since_ns,
            },
        );
    }

    /// Nothing of an instance is left.
    pub fn becomes_inactive(&mut self, supervisor: u64) {
        let Some(active) = self.active.remove(&supervisor) else {
            return;
        };
        let bound = self.bound_ns(active.session);
        if self.now > bound {
            let text = format!(
                "{} was active on n{} as {} until {}; its lease allowed {bound}",
                active.package, active.host, active.epoch, self.now
            );
            self.broken("I4", text);
        }
    }

    /// Instances that count as active now: unit, package, host, epoch.
    pub fn actives(&self) -> impl Iterator<Item = (&str, &str, usize, u64)> {
        self.active
            .values()
            .map(|active| (active.unit.as_str(), active.package.as_str(), active.host, active.epoch))
    }
}

/// The unit of a package: its group, or itself.
#[must_use]
pub fn unit_of(package: &str) -> String {
    match package {
        "p0" | "p1" | "p2" => "g0".to_owned(),
        "p3" | "p4" => "g1".to_owned(),
        other => other.to_owned(),
    }
}
