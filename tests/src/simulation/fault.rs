//! What is broken, when and for how long: drawn from the seed before anything runs, so that faults can be left out one by
//! one to find the smallest schedule that still fails.

use std::fmt;

use super::random::Random;
use super::world::MS;

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This host.
    Host(usize),
    /// Whoever leads then.
    Leader,
    /// A host where something is active then.
    Active,
}

/// A moment that a fault waits for, once its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A daemon has just been given time.
    RenewalAnswered,
    /// A leader has just proposed lost sessions.
    LostProposed,
    /// A daemon is about to make something active.
    Promotes,
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// So many messages in a thousand are lost.
    Loss(u64),
    /// So many in a thousand come twice.
    Twice(u64),
    /// Some take up to this long, and so overtake each other.
    Slow(u64),
    /// Nobody reaches a host, and it nobody.
    Isolate,
    /// It hears nobody.
    Deaf,
    /// Nobody hears it.
    Mute,
    /// Two halves that do not reach each other; a bit for each host.
    Halves(u64),
    /// Two halves with one host that reaches both.
    Bridge(u64),
    /// Each host reaches only its two neighbours.
    Ring,
    /// A daemon reaches no server of another host, while its own server does.
    DaemonCut,
    /// A server process is killed and started again.
    CrashServer,
    /// A host loses power.
    CrashHost,
    /// A daemon is killed; its parent starts it again.
    CrashDaemon,
    /// A planned restart of a daemon.
    RestartDaemon,
    /// A daemon leaves in order, and comes again.
    LeaveDaemon,
    /// A server process stands still.
    PauseServer,
    /// A daemon stands still.
    PauseDaemon,
    /// Supervisors and programs stand still.
    PauseSupervisors,
    /// All processes of a host stand still.
    PauseHost,
    /// A clock runs at another rate, in millionths.
    Rate(u64),
    /// Wall clocks jump about.
    WallJump,
    /// Syncs take up to this much longer.
    SlowDisk(u64),
    /// The next sync fails.
    FailSync,
    /// A supervisor is killed.
    KillSupervisor,
    /// A server refuses everything, for its queues are full.
    FullQueues,
    /// A daemon can't write its record.
    BrokenRecord,
    /// The leader hands over.
    HandOver,
}

impl Kind {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss(_) => "message loss",
            Self::Twice(_) => "message duplication",
            Self::Slow(_) => "message delay and reordering",
            Self::Isolate => "cut: host alone",
            Self::Deaf => "cut: one way in",
            Self::Mute => "cut: one way out",
            Self::Halves(_) => "cut: halves",
            Self::Bridge(_) => "cut: bridge",
            Self::Ring => "cut: ring",
            Self::DaemonCut => "cut: daemon from servers",
            Self::CrashServer => "server crash",
            Self::CrashHost => "power loss",
            Self::CrashDaemon => "daemon crash",
            Self::RestartDaemon => "planned restart",
            Self::LeaveDaemon => "daemon leaves",
            Self::PauseServer => "server pause",
            Self::PauseDaemon => "daemon pause",
            Self::PauseSupervisors => "supervisor pause",
            Self::PauseHost => "host pause",
            Self::Rate(_) => "clock rate",
            Self::WallJump => "wall clock jumps",
            Self::SlowDisk(_) => "slow disk",
            Self::FailSync => "failed sync",
            Self::KillSupervisor => "supervisor killed",
            Self::FullQueues => "full queues",
            Self::BrokenRecord => "record not writable",
            Self::HandOver => "hand-over",
        }
    }
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it begins, or begins to wait for its trigger.
    pub at_ns: u64,
    /// For how long.
    pub lasts_ns: u64,
    /// Whom it hits.
    pub target: Target,
    /// What breaks.
    pub kind: Kind,
    /// The moment that it waits for.
    pub trigger: Option<Trigger>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at_ns / MS, self.lasts_ns / MS);
        write!(f, "{at:>8} ms for {lasts:>6} ms: {:?} at {:?}", self.kind, self.target)?;
        match self.trigger {
            Some(trigger) => write!(f, " on {trigger:?}"),
            None => Ok(()),
        }
    }
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// It was drawn from.
    pub seed: u64,
    /// `T`.
    pub lease_ms: u64,
    /// Computers.
    pub hosts: usize,
    /// Of them with servers.
    pub servers: usize,
    /// Clients.
    pub clients: usize,
    /// Between two commands of a client.
    pub client_pause_ns: u64,
    /// What breaks.
    pub faults: Vec<Fault>,
    /// Faults are over.
    pub end_ns: u64,
    /// How far wall clocks jump.
    pub wall_jumps: u16,
}

/// Leases and how often each is drawn.
const LEASES: [u64; 12] = [
    200, 500, 1_000, 1_000, 1_000, 2_000, 2_000, 5_000, 5_000, 10_000, 10_000, 30_000,
];

impl Plan {
    /// Draws a run.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed, 4);
        let lease_ms = random.pick(&LEASES);
        let servers = if random.chance(200) { 5 } else { 3 };
        let hosts = random.between(3, 6).max(servers as u64) as usize;
        let lease_ns = lease_ms * MS;
        let mut plan = Self {
            seed,
            lease_ms,
            hosts,
            servers,
            clients: 3,
            client_pause_ns: lease_ns * random.between(2, 12),
            faults: Vec::new(),
            end_ns: lease_ns * random.between(100, 200),
            wall_jumps: 0,
        };
        let between = lease_ns * random.between(2, 8);
        let mut at_ns = lease_ns * random.between(5, 20);
        // Nothing begins so late that it can't end before the faults are over.
        while at_ns + lease_ns < plan.end_ns {
            let fault = plan.draw_fault(&mut random, at_ns);
            plan.wall_jumps += u16::from(fault.kind == Kind::WallJump);
            plan.faults.push(fault);
            at_ns += random.about(between);
        }
        plan
    }

    fn draw_fault(&self, random: &mut Random, at_ns: u64) -> Fault {
        let lease_ns = self.lease_ms * MS;
        let all = (1u64 << self.hosts) - 1;
        let kind = match random.below(44) {
            0 | 1 => Kind::Loss(random.between(20, 500)),
            2 => Kind::Twice(random.between(50, 500)),
            3..=5 => Kind::Slow(random.between(lease_ns / 10, lease_ns * 3 / 2)),
            6..=8 => Kind::Isolate,
            9 => Kind::Deaf,
            10 => Kind::Mute,
            11..=12 => Kind::Halves(random.between(1, all - 1)),
            13 => Kind::Bridge(random.between(1, all - 1)),
            14 => Kind::Ring,
            15..=16 => Kind::DaemonCut,
            17..=19 => Kind::CrashServer,
            20..=21 => Kind::CrashHost,
            22..=24 => Kind::CrashDaemon,
            25 => Kind::RestartDaemon,
            26 => Kind::LeaveDaemon,
            27..=28 => Kind::PauseServer,
            29..=30 => Kind::PauseDaemon,
            31..=32 => Kind::PauseSupervisors,
            33..=34 => Kind::PauseHost,
            35..=36 => Kind::Rate(random.pick(&[900_000, 950_000, 1_000_000, 1_100_000])),
            37 => Kind::WallJump,
            38 => Kind::SlowDisk(random.between(lease_ns / 50, lease_ns)),
            39 => Kind::FailSync,
            40 => Kind::KillSupervisor,
            41 => Kind::FullQueues,
            42 => Kind::BrokenRecord,
            _ => Kind::HandOver,
        };
        let target = match random.below(10) {
            0..=2 => Target::Leader,
            3..=5 => Target::Active,
            _ => Target::Host(random.index(self.hosts)),
        };
        let trigger = random
            .chance(250)
            .then(|| random.pick(&[Trigger::RenewalAnswered, Trigger::LostProposed, Trigger::Promotes]));
        // From an instant to ten times W.
        let lasts_ns = random.about(lease_ns * 2).min(lease_ns * 12);
        Fault {
            at_ns,
            lasts_ns,
            target,
            kind,
            trigger,
        }
    }
}
