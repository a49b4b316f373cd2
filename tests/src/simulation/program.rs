//! The programs: what each does from its start on is drawn when it is started.

use super::world::{MS, World};

/// What a program or its namespace does.
#[derive(Clone, Debug)]
pub enum ProgramEvent {
    /// It was executed.
    Started,
    /// It could not be.
    NotStarted,
    /// It connected to its control socket.
    Connected,
    /// It answered a change of mode, or its command ended.
    Answer {
        /// Of which epoch.
        epoch: u64,
        /// It said no.
        fails: bool,
    },
    /// A program beside it ended.
    Ran {
        /// Which.
        id: u64,
        /// Not with 0.
        fails: bool,
    },
    /// Its main process ended.
    Exited,
    /// It ends by itself, unless it has become good since.
    Crashes,
    /// The kernel has killed all that was left.
    Killed,
}

/// How one process of a program behaves.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Its supervisor can't be spawned.
    pub fails_to_spawn: bool,
    /// It can't be executed.
    pub fails_to_start: bool,
    /// From "go" to its execution.
    pub start_ns: u64,
    /// From there to its connection.
    pub ready_ns: u64,
    /// It uses the control socket.
    pub connects: bool,
    /// It never answers a change of mode.
    pub hangs: bool,
    /// It refuses changes of mode.
    pub refuses_mode: bool,
    /// It lets SIGTERM pass.
    pub ignores_stop: bool,
    /// Children of it outlive their parent.
    pub forks: bool,
    /// Its probe fails.
    pub fails_probes: bool,
    /// From a question to its answer.
    pub answer_ns: u64,
    /// From SIGTERM to its end.
    pub stop_ns: u64,
    /// It ends by itself.
    pub crashes_after_ns: Option<u64>,
}

impl World {
    /// Draws how the next process of a package behaves. Once faults are over all programs are good.
    pub fn behaviour(&mut self, package: &str) -> Behaviour {
        let lease_ns = self.lease_ns;
        let connects = package != "p5" && package != "p6";
        let random = &mut self.random;
        let mut good = Behaviour {
            start_ns: random.between(MS / 2, 5 * MS),
            ready_ns: random.between(MS / 2, 20 * MS),
            connects,
            answer_ns: random.between(MS / 10, 5 * MS),
            stop_ns: random.between(MS / 10, 20 * MS),
            ..Behaviour::default()
        };
        if self.healing || random.chance(700) {
            return good;
        }
        match random.below(10) {
            0 => good.start_ns = random.below(lease_ns * 2),
            1 => good.hangs = true,
            2 => good.refuses_mode = true,
            3 | 4 => good.ignores_stop = true,
            5 => good.forks = true,
            6 => good.fails_probes = true,
            7 => good.answer_ns = random.below(lease_ns * 3),
            8 => good.fails_to_start = random.chance(500),
            _ => good.fails_to_spawn = random.chance(300),
        }
        if random.chance(200) {
            good.crashes_after_ns = Some(random.about(lease_ns * 30));
        }
        good
    }
}
