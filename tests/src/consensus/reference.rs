//! The reference: one state machine that applies every committed command once, in order, and knows what each gave.
//!
//! It learns an entry from the first server that applies it. From then on the entry is what it is: every other server,
//! and every later run of the same one, must hold the same entry at that index, the same digest after that command, and
//! must have told its client the same result (I9, I10, I11, I12).

use std::collections::BTreeMap;

use server::raft::{Answer, Fact};
use server::storage::{EventRecord, LogEntry, Payload};
use statemachine::command::{Command, RequestId};
use statemachine::id::{Index, NodeId, SessionId, Term};
use statemachine::{Accepted, Applied, Outcome, State};

/// A whole state is checked after so many commands (I13).
const CHECK_EVERY: u64 = 64;

/// One command, as it was applied.
#[derive(Clone, Debug)]
pub struct Record {
    /// The idempotency key.
    pub request: Option<RequestId>,
    /// What came of it.
    pub outcome: Outcome,
    /// The digest after it.
    pub digest: u64,
    /// The log entry that carried it.
    pub entry: u64,
}

/// A session that a command has declared lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its node.
    pub node: NodeId,
    /// The session.
    pub session: SessionId,
    /// The term of the entry.
    pub term: Term,
}

/// See the module.
pub struct Reference {
    state: State,
    /// By log index: term, and a hash of what the entry says.
    entries: Vec<(u64, u64)>,
    /// By command index, beginning with 1.
    records: Vec<Record>,
    /// What the journals must hold: index and sequence of each event, and its kind.
    events: Vec<(u64, u32, &'static str)>,
    /// Keys of accepted commands, and where each took effect.
    effects: BTreeMap<RequestId, Index>,
}

impl Reference {
    /// Before anything is committed.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::new(),
            entries: Vec::new(),
            records: Vec::new(),
            events: Vec::new(),
            effects: BTreeMap::new(),
        }
    }

    /// The state after all that is known to be committed.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The last command.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.state.applied()
    }

    /// How many log entries are known.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// A command, as it was applied.
    #[must_use]
    pub fn record(&self, index: Index) -> Option<&Record> {
        self.records.get(usize::try_from(index.0.checked_sub(1)?).ok()?)
    }

    /// The next log entry, which a server has just applied.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn extend(&mut self, entry: &LogEntry) -> Result<Vec<Lost>, String> {
        let index = self.entries();
        if entry.id.index != index {
            return Err(format!("entry {} stands where {index} belongs", entry.id.index));
        }
        if self.entries.last().is_some_and(|(term, _)| *term > entry.id.term) {
            return Err(format!(
                "I12: the term of entry {index} is lower than that of the entry before"
            ));
        }
        self.entries.push(print(entry));
        let batch = server::raft::commands(entry).map_err(|error| format!("entry {index}: {error}"))?;
        let mut lost = Vec::new();
        for proposal in batch.iter().flat_map(|batch| batch.proposals.iter()) {
            let (at, wall_ms) = batch
                .as_ref()
                .map(|batch| (batch.at, batch.wall_ms))
                .unwrap_or_default();
            let entry = statemachine::Entry {
                index: self.state.applied().next(),
                term: Term(entry.id.term),
                at: at.max(self.state.at()),
                wall_ms,
                request: proposal.request.clone(),
                command: proposal.command.clone(),
            };
            lost.extend(self.losses(&entry));
            let applied = statemachine::apply(&mut self.state, &entry);
            self.keep(index, &entry, applied)?;
        }
        Ok(lost)
    }

    fn keep(&mut self, entry_index: u64, entry: &statemachine::Entry, applied: Applied) -> Result<(), String> {
        let repeated = matches!(applied.outcome, Ok(Accepted::Repeated { .. }));
        if let Some(request) = &entry.request
            && applied.outcome.is_ok()
            && !repeated
            && let Some(before) = self.effects.insert(request.clone(), entry.index)
        {
            return Err(format!(
                "I10: the request {request:?} took effect at {before} and again at {}",
                entry.index
            ));
        }
        let told = applied
            .events
            .iter()
            .map(|event| (event.id.index.0, event.id.sequence, event.kind_name()));
        self.events.extend(told);
        self.records.push(Record {
            request: entry.request.clone(),
            outcome: applied.outcome,
            digest: statemachine::digest(&self.state).0,
            entry: entry_index,
        });
        if entry.index.0.is_multiple_of(CHECK_EVERY) {
            statemachine::invariant::check(&self.state).map_err(|violation| format!("I13: {violation:?}"))?;
        }
        Ok(())
    }

    fn losses(&self, entry: &statemachine::Entry) -> Vec<Lost> {
        let Command::NodeLost { sessions, term } = &entry.command else {
            return Vec::new();
        };
        if *term != entry.term {
            return Vec::new();
        }
        let present = |(node, session): &&(NodeId, SessionId)| {
            self.state.node(*node).and_then(statemachine::node::Node::session) == Some(*session)
        };
        let lost = |(node, session): &(NodeId, SessionId)| Lost {
            node: *node,
            session: *session,
            term: *term,
        };
        sessions.iter().filter(present).map(lost).collect()
    }

    /// Whether a journal holds every event once, in order, and no other (I19, I20).
    ///
    /// # Errors
    /// In words, where it differs.
    pub fn compare_journal(&self, found: &[EventRecord]) -> Result<(), String> {
        for (at, expected) in self.events.iter().enumerate() {
            let found = found
                .get(at)
                .map(|found| (found.index, found.sequence, found.kind.as_str()));
            if found != Some(*expected) {
                return Err(format!(
                    "I20: event {at} of the journal is {found:?}, but it should be {expected:?}"
                ));
            }
        }
        match found.get(self.events.len()) {
            Some(more) => Err(format!(
                "I20: the journal has an event of command {} too many",
                more.index
            )),
            None => Ok(()),
        }
    }

    /// Whether a server's entry is the one that was committed at its index.
    ///
    /// # Errors
    /// In words, how it differs.
    pub fn compare_entry(&self, entry: &LogEntry) -> Result<(), String> {
        let known = usize::try_from(entry.id.index).ok().and_then(|at| self.entries.get(at));
        match known {
            Some(known) if *known != print(entry) => Err(format!(
                "I12: entry {} is of term {} here and says something else than the committed one of term {}",
                entry.id.index, entry.id.term, known.0
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a digest is the one after that command.
    ///
    /// # Errors
    /// In words, how it differs.
    pub fn compare_digest(&self, index: Index, digest: u64) -> Result<(), String> {
        if index.0 == 0 {
            return Ok(());
        }
        match self.record(index) {
            Some(record) if record.digest == digest => Ok(()),
            Some(record) => Err(format!(
                "I11: after command {index} the digest is {digest:016x}, elsewhere it was {:016x}",
                record.digest
            )),
            None => Err(format!(
                "I11: command {index} is said to be applied, but no server has applied it"
            )),
        }
    }

    /// Whether a client was told what the command really gave.
    ///
    /// # Errors
    /// In words, how it differs.
    pub fn compare_answer(&self, request: Option<&RequestId>, answer: &Answer) -> Result<(), String> {
        let Some(record) = self.record(answer.index) else {
            return Err(format!(
                "I10: {request:?} was acknowledged at {}, where nothing is applied",
                answer.index
            ));
        };
        if request.is_some() && record.request.as_ref() != request {
            return Err(format!(
                "I9: {request:?} was acknowledged at {}, where {:?} was applied",
                answer.index, record.request
            ));
        }
        let same = match (&answer.result, &record.outcome) {
            (Ok(fact), Ok(accepted)) => !matches!(accepted, Accepted::Repeated { .. }) && *fact == fact_of(accepted),
            (Err(refusal), Err(rejection)) => refusal.code == rejection.code() && refusal.text == rejection.to_string(),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        if same {
            return Ok(());
        }
        Err(format!(
            "I9: {request:?} was told {:?}, but command {} gave {:?}",
            answer.result, answer.index, record.outcome
        ))
    }
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

fn fact_of(accepted: &Accepted) -> Fact {
    match accepted {
        Accepted::Done => Fact::Done,
        Accepted::Registered { node, session } => Fact::Registered {
            node: *node,
            session: *session,
        },
        Accepted::MemberAdded { member } => Fact::MemberAdded { member: *member },
        Accepted::Repeated { first, .. } => fact_of(first),
    }
}

/// The term and a hash of what an entry says.
fn print(entry: &LogEntry) -> (u64, u64) {
    let (kind, bytes): (u64, &[u8]) = match &entry.payload {
        Payload::Blank => (0, &[]),
        Payload::Batch(bytes) => (1, bytes),
        Payload::Membership(bytes) => (2, bytes),
    };
    (entry.id.term, hash(kind, bytes))
}

/// A hash of bytes that is the same in every run (FNV-1a).
#[must_use]
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
