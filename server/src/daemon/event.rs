//! All that wakes the daemon, and all that it can do: two closed lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use client::wire::daemon::{Extend, Leave, Register, Registered, Renew, Renewed, Report};
use client::wire::definition::ProbeDefinition;

use super::core::Condition;
use super::instance::InstanceKey;
use crate::supervisor::protocol::{News, Order, ProcessId, Spec};

/// Everything that wakes the daemon.
#[derive(Clone, Debug)]
pub enum DaemonEvent {
    /// A time has come.
    Tick,
    /// A registration was accepted.
    Registered(Box<Registered>),
    /// A registration was not, or nobody answered.
    RegisterFailed {
        /// The server's code; `unreachable` where there was no answer.
        code: String,
        /// For people.
        detail: String,
    },
    /// A renewal was answered.
    Renewed {
        /// By whom.
        server: String,
        /// With what.
        answer: Box<Renewed>,
    },
    /// A renewal was refused, or its server can't be reached.
    RenewFailed {
        /// The session that was to be renewed.
        session: u64,
        /// See above.
        code: String,
    },
    /// A report was recorded.
    Reported {
        /// The session that it was about: the numbers begin anew with each.
        session: u64,
        /// Which.
        sequence: u64,
        /// Of the desired set afterwards.
        generation: u64,
    },
    /// A report was not, as far as is known.
    ReportFailed {
        /// The session that it was about.
        session: u64,
        /// See above.
        code: String,
        /// For people.
        detail: String,
    },
    /// The lease was extended for a planned restart.
    Extended,
    /// It was not.
    ExtendFailed,
    /// The session was ended in order, or could not be.
    Left,
    /// A server has a desired set of this generation.
    Hint {
        /// Which.
        generation: u64,
    },
    /// A supervisor was spawned and waits for "go".
    Spawned {
        /// Whose.
        key: InstanceKey,
        /// The supervisor.
        supervisor: ProcessId,
        /// The control group that was made.
        cgroup: Option<PathBuf>,
    },
    /// A supervisor could not be spawned; nothing runs.
    SpawnFailed {
        /// Whose.
        key: InstanceKey,
        /// Why.
        error: String,
    },
    /// A supervisor spoke.
    News {
        /// Whose.
        key: InstanceKey,
        /// The epoch under which its process was started.
        process: u64,
        /// What it said.
        news: News,
    },
    /// A supervisor is gone without a word, and it is proven that nothing else is left.
    Gone {
        /// Whose.
        key: InstanceKey,
        /// The epoch under which its process was started.
        process: u64,
    },
    /// A probe over the network has its answer.
    Probed {
        /// Whose.
        key: InstanceKey,
        /// Which question.
        serial: u64,
        /// What is wrong.
        error: Option<String>,
    },
    /// Links, disks and services of this node were looked at; those that are another way than they were.
    Looked(BTreeMap<String, Condition>),
    /// The node's load was measured.
    Measured(BTreeMap<String, u64>),
    /// Stop everything in order and leave.
    Stop,
    /// Let everything run on: another daemon follows at once.
    Restart,
}

/// Everything that the daemon does. Performed in order; one that fails ends the daemon, so nothing after it is done.
#[derive(Clone, Debug, PartialEq)]
pub enum DaemonAction {
    /// Write the record. Stands before everything that it must be true for.
    Record,
    /// Look at these links, disks and services from now on.
    Watch {
        /// As packages name them: `lan:eth1`, `disk:/data`, `service:db`.
        names: BTreeSet<String>,
    },
    /// Spawn a supervisor; it waits for "go".
    Spawn {
        /// Whose.
        key: InstanceKey,
        /// What to run.
        spec: Box<Spec>,
    },
    /// Tell a supervisor.
    Order {
        /// Whose.
        key: InstanceKey,
        /// What.
        order: Order,
    },
    /// Connect to the supervisor that an earlier daemon spawned.
    Adopt {
        /// Whose.
        key: InstanceKey,
        /// The epoch under which its process was started.
        process: u64,
        /// The recorded supervisor: another one is not believed.
        supervisor: Option<ProcessId>,
        /// Its control group.
        cgroup: Option<PathBuf>,
    },
    /// Ask over the network whether a package works.
    Probe {
        /// Whose.
        key: InstanceKey,
        /// Which question.
        serial: u64,
        /// How.
        probe: ProbeDefinition,
    },
    /// Ask a server for a session.
    Register {
        /// Which server.
        server: String,
        /// What.
        request: Box<Register>,
    },
    /// Ask a server for time.
    Renew {
        /// Which server.
        server: String,
        /// What.
        request: Renew,
    },
    /// Tell a server what was seen.
    Report {
        /// Which server.
        server: String,
        /// What.
        request: Report,
    },
    /// Ask for a longer lease.
    Extend {
        /// Which server.
        server: String,
        /// What.
        request: Extend,
    },
    /// End the session in order.
    Leave {
        /// Which server.
        server: String,
        /// What.
        request: Leave,
    },
    /// Reset the machine: the lease ended under a package with `on_quorum_loss = "reset"`.
    Reset {
        /// Which package demands it.
        package: String,
        /// Packages of which something is still there: they could not be killed.
        left: Vec<String>,
    },
    /// End this process.
    Exit,
}
