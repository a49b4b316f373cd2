//! What stands in the log, and what servers say to each other.

use std::rc::Rc;

use statemachine::State;
use statemachine::log::v1::Proposal;
use statemachine::time::Timestamp;

/// What stands in a log entry.
#[derive(Debug)]
pub enum Payload {
    /// A leader's first entry.
    Blank,
    /// Proposals, stamped by the leader.
    Batch {
        /// Cluster time.
        at: Timestamp,
        /// The leader's wall clock.
        wall_ms: u64,
        /// Applied in order.
        proposals: Vec<Proposal>,
    },
}

/// One entry of the log.
#[derive(Debug)]
pub struct LogEntry {
    /// The term in which it was written.
    pub term: u64,
    /// What it holds.
    pub payload: Payload,
}

/// The state at an entry.
pub struct SnapshotData {
    /// The last entry in it.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The state after it.
    pub state: State,
}

/// What servers say to each other.
#[derive(Clone)]
pub enum RaftMessage {
    /// Asks for a vote, or whether one would be given.
    Vote {
        /// Of the candidate.
        term: u64,
        /// Its last entry: index and term.
        last: (u64, u64),
        /// Only a question.
        pre: bool,
        /// The former leader asked for it: nobody holds to that one.
        forced: bool,
    },
    /// Answers it.
    Voted {
        /// Of whoever answers, or the term that was asked about.
        term: u64,
        /// Whether.
        granted: bool,
        /// As in the question.
        pre: bool,
    },
    /// Entries, or none: then a heartbeat.
    Append {
        /// Of the leader.
        term: u64,
        /// The entry before the first: index and term.
        previous: (u64, u64),
        /// They.
        entries: Vec<Rc<LogEntry>>,
        /// What the leader knows to be committed.
        commit: u64,
        /// The newest round of confirmation.
        round: u64,
    },
    /// Answers it.
    Appended {
        /// Of whoever answers.
        term: u64,
        /// The log is that of the leader and durable up to here.
        matched: u64,
        /// The log does not go on where the leader thought: it may from here.
        hint: Option<u64>,
        /// That of the question.
        round: u64,
    },
    /// A state instead of entries.
    Snapshot {
        /// Of the leader.
        term: u64,
        /// It.
        data: Rc<SnapshotData>,
        /// The newest round of confirmation.
        round: u64,
    },
    /// The leader hands over: begin an election now.
    TimeoutNow {
        /// Of the leader.
        term: u64,
    },
}
