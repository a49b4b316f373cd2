//! What the model knows. Small integers throughout, because every bit may double the search.

use std::hash::{Hash, Hasher};

/// No deadline is armed.
pub const NEVER: u8 = 200;
/// An extended lease may still be granted.
pub const GRANTING: u8 = 100;

/// What the desired set says of the unit on a node. `start` 0: nothing is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Want {
    /// The epoch of its process.
    pub start: u8,
    /// The epoch of its mode.
    pub epoch: u8,
    /// Active, or standby.
    pub active: bool,
}

/// What a daemon is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// There is none.
    Down,
    /// In a session.
    Serving,
    /// The session is over: everything is to be killed and proven gone.
    Over,
    /// Nothing runs; a registration is on its way.
    Registering,
    /// It ends in order: nothing is started any more.
    Leaving,
}

/// What a process is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// There is none.
    Off,
    /// It runs and is not active.
    Standby,
    /// It is, or may be, active.
    Active,
}

/// What a process was asked and has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// To become active.
    Promote,
    /// To become standby.
    Demote,
}

/// The program of the unit on a node, with its supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The identity of the instance.
    pub start: u8,
    /// The highest epoch that it was told.
    pub epoch: u8,
    /// What it is.
    pub mode: Mode,
    /// What it was asked.
    pub asked: Asked,
    /// It is dead for certain after so many ticks; [`NEVER`] where no deadline is armed.
    pub left: u8,
}

/// Nothing runs.
pub const NO_PROCESS: Process = Process {
    start: 0,
    epoch: 0,
    mode: Mode::Off,
    asked: Asked::Nothing,
    left: NEVER,
};

/// A node's renewal on its way there or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// None, or lost.
    None,
    /// On its way to the leader, or waiting there.
    Sent,
    /// Answered, with the desired set of that moment.
    Answered {
        /// The desired set.
        want: Want,
        /// With the extended lease.
        extended: bool,
    },
    /// Answered: the session is over.
    Ended,
}

/// A node's report on its way. It may be delivered at any later time, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// None.
    None,
    /// Nothing is left of the instance of this start.
    Ended(u8),
    /// The instance has answered that it is standby under this epoch.
    Standby(u8),
}

/// A node: its daemon, its record and its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// What the daemon is at.
    pub daemon: Daemon,
    /// The session that it believes in.
    pub session: u8,
    /// Ticks until its lease ends.
    pub lease: u8,
    /// The newest desired set that it has.
    pub want: Want,
    /// The highest epoch in its record.
    pub mark: u8,
    /// The instance that it started last.
    pub start: u8,
    /// It has asked to leave, says its record.
    pub left_session: bool,
    /// The program.
    pub process: Process,
    /// A process that no record names: ticks until it is dead for certain, plus one. 0: none.
    pub orphan: u8,
    /// Its renewal.
    pub renewal: Renewal,
    /// Ticks since that was sent.
    pub age: u8,
    /// A daemon before this one sent it (only where such answers are taken).
    pub foreign: bool,
    /// Its report.
    pub report: Report,
    /// Its registration on its way: the session that it names, plus one. 0: none.
    pub registration: u8,
    /// Its leave on its way: the session. 0: none.
    pub leave: u8,
    /// How often its daemon came again.
    pub restarts: u8,
}

/// What the log says of a node and of its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The present or last session.
    pub session: u8,
    /// That session is present.
    pub up: bool,
    /// The instance's identity; 0: there is none.
    pub start: u8,
    /// The epoch of its mode.
    pub epoch: u8,
    /// That mode.
    pub active: bool,
    /// It holds the unit: nobody else may be active.
    pub holds: bool,
    /// It is to be stopped.
    pub stopping: bool,
    /// Its session is over, but it may still run.
    pub stranded: bool,
    /// An extended lease: 0 none, [`GRANTING`], else ticks until it is forgotten.
    pub extended: u8,
}

/// What the leaders know beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The present term.
    pub term: u8,
    /// What older terms left over is applied.
    pub ready: bool,
    /// Per node: ticks until its session is surely over.
    pub wait: [u8; 2],
    /// Per node: the session in a `NodeLost` that is in the log and not committed. 0: none.
    pub lost: [u8; 2],
    /// The same, proposed by an older term's leader.
    pub left_over: [bool; 2],
    /// A deposed leader has completed a round while it led (only where that is taken for good).
    pub old_round: bool,
    /// Waits that were handed over, and the term in which (only where that is done); 255: none.
    pub table: [u8; 2],
    /// The term in which they were handed over.
    pub table_term: u8,
}

/// The whole state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Both nodes.
    pub nodes: [Node; 2],
    /// What the log says of them.
    pub rows: [Row; 2],
    /// What the leaders know.
    pub leader: Leader,
    /// The last epoch that was given out.
    pub epoch: u8,
    /// The highest epoch that ever was active.
    pub used: u8,
    /// An epoch became active that was not larger than all before.
    pub reused: bool,
}

impl State {
    /// Both nodes are in their first session, the unit is to run on the first under the first epoch, and nothing runs yet.
    #[must_use]
    pub fn first(wait: u8) -> Self {
        let node = Node {
            daemon: Daemon::Serving,
            session: 1,
            lease: 0,
            want: Want::default(),
            mark: 0,
            start: 0,
            left_session: false,
            process: NO_PROCESS,
            orphan: 0,
            renewal: Renewal::None,
            age: 0,
            foreign: false,
            report: Report::None,
            registration: 0,
            leave: 0,
            restarts: 0,
        };
        let row = Row {
            session: 1,
            up: true,
            start: 0,
            epoch: 0,
            active: false,
            holds: false,
            stopping: false,
            stranded: false,
            extended: 0,
        };
        let holder = Row {
            start: 1,
            epoch: 1,
            active: true,
            holds: true,
            ..row
        };
        Self {
            nodes: [node; 2],
            rows: [holder, row],
            leader: Leader {
                term: 1,
                ready: true,
                wait: [wait; 2],
                lost: [0; 2],
                left_over: [false; 2],
                old_round: false,
                table: [255; 2],
                table_term: 0,
            },
            epoch: 1,
            used: 0,
            reused: false,
        }
    }

    /// How many instances are active at this instant.
    #[must_use]
    pub fn actives(&self) -> usize {
        let actives = |node: &Node| usize::from(node.process.mode == Mode::Active) + usize::from(node.orphan > 0);
        self.nodes.iter().map(actives).sum()
    }

    /// An instance is active from now on: its epoch must be larger than all before.
    pub fn activated(&mut self, epoch: u8) {
        if epoch <= self.used {
            self.reused = true;
        }
        self.used = self.used.max(epoch);
    }
}

/// One slice for the hasher: it is asked millions of times, and a call for each field costs more than the search.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut words = [0_u64; 12];
        for (place, node) in self.nodes.iter().enumerate() {
            let Process {
                start,
                epoch,
                mode,
                asked,
                left,
            } = node.process;
            let (renewal, want) = match node.renewal {
                Renewal::None => (0, Want::default()),
                Renewal::Sent => (1, Want::default()),
                Renewal::Ended => (2, Want::default()),
                Renewal::Answered { want, extended } => (3 + u8::from(extended), want),
            };
            let (report, reported) = match node.report {
                Report::None => (0, 0),
                Report::Ended(start) => (1, start),
                Report::Standby(epoch) => (2, epoch),
            };
            let flags = u8::from(node.foreign) << 3
                | u8::from(node.left_session)
                | u8::from(node.want.active) << 1
                | u8::from(want.active) << 2;
            let row = &self.rows[place];
            let marks = [
                row.up,
                row.active,
                row.holds,
                row.stopping,
                row.stranded,
                self.leader.left_over[place],
            ];
            let marks = marks.iter().fold(0, |sum, flag| sum << 1 | u8::from(*flag));
            words[place * 5] = word([
                node.daemon as u8,
                node.session,
                node.lease,
                node.mark,
                node.start,
                flags,
                node.orphan,
                node.age,
            ]);
            words[place * 5 + 1] = word([
                node.want.start,
                node.want.epoch,
                start,
                epoch,
                mode as u8,
                asked as u8,
                left,
                node.restarts,
            ]);
            words[place * 5 + 2] = word([
                renewal,
                want.start,
                want.epoch,
                report,
                reported,
                node.registration,
                node.leave,
                0,
            ]);
            words[place * 5 + 3] = word([row.session, row.start, row.epoch, marks, row.extended, 0, 0, 0]);
            words[place * 5 + 4] = word([
                self.leader.wait[place],
                self.leader.lost[place],
                self.leader.table[place],
                0,
                0,
                0,
                0,
                0,
            ]);
        }
        let Leader {
            term,
            ready,
            old_round,
            table_term,
            ..
        } = self.leader;
        words[10] = word([
            term,
            u8::from(ready),
            u8::from(old_round),
            table_term,
            self.epoch,
            self.used,
            u8::from(self.reused),
            0,
        ]);
        for part in words {
            hasher.write_u64(part);
        }
    }
}

fn word(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}
