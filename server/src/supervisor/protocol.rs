//! What daemon, supervisor and the namespace's init say to each other: one JSON object a line.
//!
//! The first connection is the supervisor's standard input, a socket pair made by the daemon that spawned it. Later
//! daemons connect to the socket `daemon` in the instance's directory. The newest connection is the daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// File in the instance's directory: what to run.
pub const SPEC_FILE: &str = "spec.json";
/// File in the instance's directory: what a later daemon must know to prove that nothing is left.
pub const STATE_FILE: &str = "state.json";
/// File in the instance's directory: the package's process id as the host sees it.
pub const PID_FILE: &str = "package.pid";
/// File in the instance's directory: what the package printed.
pub const OUTPUT_FILE: &str = "output.log";
/// Socket in the instance's directory: daemon to supervisor.
pub const DAEMON_SOCKET: &str = "daemon";
/// Socket in the instance's directory: package to supervisor.
pub const CONTROL_SOCKET: &str = "control";
/// Socket in the instance's directory: `sd_notify` messages of the package.
pub const NOTIFY_SOCKET: &str = "notify";
/// The longest path that a Unix socket's address can hold.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What a supervisor runs. A file and not arguments, because arguments can be read by every user of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The package's name.
    pub package: String,
    /// The node's name.
    pub node: String,
    /// The epoch of the instance's first process: its identity towards the manager.
    pub start: u64,
    /// The epoch under which this process starts: the fencing token.
    pub epoch: u64,
    /// `standby`, `active` or `test`.
    pub mode: String,
    /// The mode of the users' own of which the package is told instead of `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_mode: Option<String>,
    /// `released` or `inhibited`.
    pub output: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The whole environment, without what the supervisor adds.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub directory: Option<String>,
    /// When the kernel kills it, on CLOCK_BOOTTIME; none only where the package is to survive the loss of the quorum.
    pub deadline_ns: Option<u64>,
    /// When a soft stop begins.
    pub soft_ns: Option<u64>,
    /// From the request to stop to the kill.
    pub stop_timeout_ms: u64,
    /// The control group that was made for it.
    pub cgroup: Option<PathBuf>,
}

/// How the package's processes are held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// A process namespace: when its first process dies the kernel kills all others.
    Namespace,
    /// The same, by way of a user namespace, because the daemon has no privileges.
    UserNamespace,
    /// Neither is permitted here: a session of its own, and a supervisor that adopts orphans. A process that left the
    /// session is killed by the daemon after the deadline, not by the kernel at it.
    Group,
}

impl Containment {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::UserNamespace => "user_namespace",
            Self::Group => "group",
        }
    }

    /// Whether the kernel kills every descendant.
    #[must_use]
    pub const fn is_namespace(self) -> bool {
        match self {
            Self::Namespace | Self::UserNamespace => true,
            Self::Group => false,
        }
    }
}

/// A process that can't be mistaken for a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// As the host sees it.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

/// Daemon to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The supervisor is in the record: start the package.
    Go,
    /// The lease was renewed.
    Renew {
        /// When the kernel kills it.
        deadline_ns: u64,
        /// When a soft stop begins.
        soft_ns: u64,
    },
    /// Change the package's mode.
    Mode {
        /// To which.
        mode: String,
        /// With which output.
        output: String,
        /// Under which epoch. Recorded by the daemon before this was sent.
        epoch: u64,
        /// By this command; without one by the control socket.
        command: Option<Vec<String>>,
        /// How long the answer may take.
        timeout_ms: u64,
    },
    /// Tell the package its share of the node's resources, where it has a control socket.
    Shares {
        /// In the units of the node's capacity.
        shares: BTreeMap<String, u64>,
    },
    /// Tell the package of its changed definition: run its reload command beside it, in the changed environment. Answered
    /// by [`News::Reloaded`].
    Reload {
        /// Names the change; the supervisor runs the command for it once.
        revision: u64,
        /// Program and arguments.
        command: Vec<String>,
        /// The whole environment, as in [`Spec::env`]. What is run beside the package from then on has it too.
        env: BTreeMap<String, String>,
        /// Killed after that.
        timeout_ms: u64,
        /// From the request to stop to the kill, once the package has taken the change over.
        stop_timeout_ms: u64,
    },
    /// Run a program beside the package, inside its namespace.
    Run {
        /// Comes back with the answer.
        id: u64,
        /// Program and arguments.
        command: Vec<String>,
        /// Killed after that.
        timeout_ms: u64,
    },
    /// SIGTERM, and after the time SIGKILL.
    Stop {
        /// From the request to the kill.
        timeout_ms: u64,
    },
    /// SIGKILL.
    Kill,
    /// Answer with [`News::Hello`].
    Status,
}

/// Supervisor to daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// The first line of each connection.
    Hello(Hello),
    /// The program was executed.
    Started {
        /// As the host sees it.
        package_pid: i32,
        /// How its processes are held together.
        containment: Containment,
    },
    /// The program could not be executed; [`News::Ended`] follows.
    NotStarted {
        /// Why, with what to do.
        error: String,
    },
    /// The package said that it is ready.
    Ready,
    /// The package connected to the control socket, or its last connection closed.
    Connected(bool),
    /// The package was told of a mode and answered, or did not in time.
    Answered {
        /// Of which epoch.
        epoch: u64,
        /// What went wrong.
        error: Option<String>,
    },
    /// What the package says of itself has changed; it follows each [`News::Hello`] too, where it has said anything.
    Said(Words),
    /// A program that [`Order::Run`] asked for has ended.
    Ran {
        /// That of the order.
        id: u64,
        /// What went wrong; none: it exited with 0.
        error: Option<String>,
    },
    /// A reload command has ended.
    Reloaded {
        /// That of the order.
        revision: u64,
        /// What went wrong; none: it exited with 0.
        error: Option<String>,
    },
    /// Nothing of the package is left; the supervisor ends.
    Ended(Ended),
}

/// What a package says of itself on its control socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// How fit it is to be promoted; negative: not at all. None: it has not said.
    pub score: Option<i64>,
    /// Whether it is busy.
    pub busy: bool,
}

/// What a supervisor is at, for a daemon that has just connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The supervisor.
    pub supervisor: ProcessId,
    /// How the package's processes are held together; none before the start.
    pub containment: Option<Containment>,
    /// The package's main process, once it runs.
    pub package_pid: Option<i32>,
    /// The epoch that it was last told *and answered*.
    pub epoch: u64,
    /// The mode of that epoch.
    pub mode: String,
    /// It said that it is ready.
    pub ready: bool,
    /// It is connected to the control socket.
    pub connected: bool,
    /// A stop is under way.
    pub stopping: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub cause: EndCause,
    /// The exit code or the signal.
    pub code: Option<i32>,
    /// For people.
    pub detail: String,
}

/// Why an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// The daemon asked for it.
    Requested,
    /// It exited by itself.
    Exited,
    /// A signal that nobody here sent ended it.
    Signalled,
    /// It could not be executed.
    NotStarted,
    /// The lease ran out.
    LeaseEnded,
}

/// What the state file holds: written before the package is forked and after it is proven gone, never in between,
/// because a supervisor that waits for a disk can't be killed and would hold its package past the deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// The supervisor.
    pub supervisor: ProcessId,
    /// The first process of the namespace.
    pub init: ProcessId,
    /// How the package's processes are held together.
    pub containment: Containment,
    /// Once it has ended.
    pub ended: Option<Ended>,
}

/// Supervisor to init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InitOrder {
    /// Fork and execute; id 0 is the package itself.
    Launch(Launch),
}

/// A program to execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) id: u64,
    pub(super) command: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) directory: Option<String>,
    /// The control group of the package's own processes.
    pub(super) cgroup: Option<PathBuf>,
    /// The host's process id is written here before the program is executed.
    pub(super) pid_file: Option<PathBuf>,
}

/// Init to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InitNews {
    /// Tied to the supervisor's life: may be told to start.
    Ready,
    /// Executed.
    Launched { id: u64, pid: i32 },
    /// Not executed.
    Refused { id: u64, error: String },
    /// Reaped.
    Exited {
        id: u64,
        code: Option<i32>,
        signal: Option<i32>,
    },
}
