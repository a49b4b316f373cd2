//! What a seed decides before a run begins, and what may be broken on purpose.

use std::time::Duration;

use server::raft::RaftTuning;
use server::storage::FatalAction;
use server::timers::{LEASE_DEFAULT, Timers};
use statemachine::time::Millis;

use super::random::Random;

/// A fault built in on purpose, to show that the checks would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The disk says that something is durable when it is only written.
    CallbackBeforeDurable,
    /// A server answers reads from what it has, without a quorum round.
    ReadWithoutRound,
    /// Whoever believes to lead answers renewals, without a quorum round.
    RenewalWithoutRound,
    /// Followers that can't be reached count as if they had stored what they were sent.
    FalseQuorum,
}

impl Plant {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("callback-before-durable", Self::CallbackBeforeDurable),
        ("read-without-round", Self::ReadWithoutRound),
        ("renewal-without-round", Self::RenewalWithoutRound),
        ("false-quorum", Self::FalseQuorum),
    ];

    /// Of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, plant)| plant)
    }
}

/// Whom faults hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody.
    All,
    /// One server at a time that does not lead: then the leader must never change, whoever comes and goes (I15).
    Minority,
    /// The leader alone, one after the other, with time between them: then no lease may end by it.
    Leader,
}

impl Scope {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 3] = [
        ("all", Self::All),
        ("minority", Self::Minority),
        ("leader", Self::Leader),
    ];

    /// Of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, scope)| scope)
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Decides everything.
    pub seed: u64,
    /// How long faults come.
    pub faults_for: Duration,
    /// What is broken on purpose.
    pub plant: Option<Plant>,
    /// Servers at the start.
    pub servers: usize,
    /// Whether one of them is a witness.
    pub witness: bool,
    /// Clients that write and read.
    pub clients: usize,
    /// Nodes whose daemons renew.
    pub daemons: usize,
    /// The cluster's lease.
    pub lease: Millis,
    /// A message takes at least and at most so long when nothing is wrong.
    pub delay: (Duration, Duration),
    /// A sync takes at least and at most so long when nothing is wrong.
    pub sync: (Duration, Duration),
    /// Messages lost, of ten thousand.
    pub loss: u64,
    /// Messages that come twice, of ten thousand.
    pub doubled: u64,
    /// Rates of the servers' and the daemons' clocks differ from true time by at most so many parts in a million.
    pub clock_error: u64,
    /// Between two commands of a client, at most.
    pub think: Duration,
    /// A snapshot is made after so many entries.
    pub snapshot_entries: u64,
    /// And so many are kept behind it.
    pub kept_entries: u64,
    /// Whom faults hit.
    pub scope: Scope,
    /// Between two faults, at most.
    pub fault_pause: Duration,
    /// Whether every event is printed.
    pub print: bool,
}

/// The largest error of a clock's rate that the lease allows for.
const CLOCK_ERROR_MAX: u64 = 100_000;

impl Settings {
    /// What the seed makes of it.
    #[must_use]
    pub fn of(seed: u64, faults_for: Duration) -> Self {
        let mut random = Random::new(seed ^ 0x5eed_0001);
        let slow_network = random.chance(2500);
        let slow_disk = random.chance(2500);
        let micros = Duration::from_micros;
        let scopes = [
            Scope::All,
            Scope::All,
            Scope::All,
            Scope::All,
            Scope::Minority,
            Scope::Leader,
        ];
        let scope = scopes[random.index(6)];
        // Another lease than a new cluster's makes the lead go round once, for the sake of Raft's timers.
        let lease = if scope == Scope::All {
            [1000, 1000, 1000, 2000][random.index(4)]
        } else {
            1000
        };
        Self {
            seed,
            faults_for,
            plant: None,
            servers: [3, 3, 5, 4][random.index(4)],
            // A witness gives the lead away, so the lead may change without a fault.
            witness: scope == Scope::All && random.chance(2500),
            clients: usize::try_from(random.between(2, 8)).unwrap_or(4),
            daemons: usize::try_from(random.between(2, 5)).unwrap_or(3),
            lease: Millis(lease),
            delay: if slow_network {
                (micros(1000), micros(8000))
            } else {
                (micros(50), micros(1500))
            },
            sync: if slow_disk {
                (micros(2000), micros(15_000))
            } else {
                (micros(100), micros(2500))
            },
            loss: [0, 0, 20, 200][random.index(4)],
            doubled: [0, 20, 200][random.index(3)],
            clock_error: [0, 200, CLOCK_ERROR_MAX / 2, CLOCK_ERROR_MAX][random.index(4)],
            think: Duration::from_millis(random.between(2, 60)),
            snapshot_entries: random.between(100, 400),
            kept_entries: random.between(10, 80),
            fault_pause: Duration::from_millis([400, 1000, 2500, 5000][random.index(4)]),
            scope,
            print: false,
        }
    }

    /// The same with faults of this scope only, and nothing else for which the lead would change.
    #[must_use]
    pub fn narrowed_to(mut self, scope: Scope) -> Self {
        self.scope = scope;
        if scope != Scope::All {
            self.lease = LEASE_DEFAULT;
            self.witness = false;
        }
        self
    }

    /// What servers are tuned to.
    #[must_use]
    pub fn tuning(&self) -> RaftTuning {
        RaftTuning {
            // As a server does that has not been told of another lease yet.
            timers: Timers::of(LEASE_DEFAULT),
            on_fatal: FatalAction::Keep,
            snapshot_entries: self.snapshot_entries,
            kept_entries: self.kept_entries,
            journal: Default::default(),
        }
    }
}
