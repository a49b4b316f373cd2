//! What can be done to a cluster, as data, and the choice of it by chance.

use std::fmt;

use super::random::Random;
use super::{NODES, PACKAGES};

/// What is done to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL to a package's process.
    KillPackage(&'static str),
    /// SIGSTOP to a package's process for so many milliseconds.
    PausePackage(&'static str, u64),
    /// SIGKILL to everything of a node; it is started again at the heal or by a later fault.
    KillNode(&'static str),
    /// SIGKILL to the server process alone.
    KillServer(&'static str),
    /// SIGKILL to the daemon alone.
    KillDaemon(&'static str),
    /// SIGKILL to all supervisors of a node.
    KillSupervisors(&'static str),
    /// SIGKILL to all server processes at once.
    KillAllServers,
    /// SIGSTOP to everything of a node for so many milliseconds.
    PauseNode(&'static str, u64),
    /// SIGSTOP to the daemon alone.
    PauseDaemon(&'static str, u64),
    /// SIGSTOP to the server process alone.
    PauseServer(&'static str, u64),
    /// SIGSTOP to all supervisors of a node.
    PauseSupervisors(&'static str, u64),
    /// Starts what was killed.
    StartNode(&'static str),
    /// An operator moves the active member.
    Promote(&'static str),
    /// An operator has the active member become a standby.
    Demote(&'static str),
    /// An operator puts a node in maintenance for so many milliseconds.
    Maintain(&'static str, u64),
    /// An operator stops the whole cluster and starts it again at once.
    StopCluster,
    /// An operator has packages moved to where they would rather be.
    Rebalance,
    /// An operator applies another definition of the pairs: one is told, the other restarted, standbys first.
    Redefine,
    /// A service that a package needs is down on a node for so many milliseconds.
    LoseNeed(&'static str, u64),
    /// A node reaches nobody and is reached by nobody, clients aside.
    Isolate(&'static str),
    /// The leader is isolated.
    IsolateLeader,
    /// Two nodes do not reach each other: the third is the bridge.
    CutPair(&'static str, &'static str),
    /// Requests of the first to the second are lost.
    LoseRequests(&'static str, &'static str),
    /// Answers of the first to the second are lost.
    LoseReplies(&'static str, &'static str),
    /// So many in a hundred frames are lost everywhere.
    LoseFrames(u8),
    /// The cable of a node is pulled for so many milliseconds.
    LinkDown(&'static str, u64),
    /// A node gets no more than so many kbit a second.
    SlowLink(&'static str, u32),
    /// The network is whole again.
    MendNetwork,
    /// The power of a node goes; it is back at the heal or by a later fault.
    PowerCut(&'static str),
    /// The power of all nodes goes at once, and is back at once.
    PowerCutAll,
    /// A node's disk is full until the heal.
    FillDisk(&'static str),
    /// Each fsync of a node takes so many milliseconds until the heal.
    SlowSync(&'static str, u32),
    /// Each fsync of a node's server fails until the heal.
    FailSync(&'static str),
    /// A node's wall clock steps by so many seconds.
    StepClock(&'static str, i64),
    /// Nothing, for so many milliseconds.
    Wait(u64),
}

impl Fault {
    /// Its name without where and how much: what the report counts by.
    #[must_use]
    pub fn kind(&self) -> String {
        let text = self.to_string();
        text.split('(').next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What came of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there, or was.
    Installed,
    /// It could not be done here, and why.
    Skipped(String),
    /// It was tried, and nobody knows what it did.
    Indeterminate(String),
}

/// The next fault.
pub fn choose(random: &mut Random) -> Fault {
    let node = random.one_of(&NODES);
    let other = {
        let others: Vec<&'static str> = NODES.into_iter().filter(|n| *n != node).collect();
        random.one_of(&others)
    };
    let package = random.one_of(&PACKAGES);
    let pause_ms = 50 + random.below(4_000);
    match random.below(47) {
        0..=2 => Fault::KillPackage(package),
        3 => Fault::PausePackage(package, pause_ms),
        4 | 5 => Fault::KillNode(node),
        6 | 7 => Fault::KillServer(node),
        8 | 9 => Fault::KillDaemon(node),
        10 => Fault::KillSupervisors(node),
        11 => Fault::KillAllServers,
        12 | 13 => Fault::PauseNode(node, pause_ms),
        14 => Fault::PauseDaemon(node, pause_ms),
        15 => Fault::PauseServer(node, pause_ms),
        16 => Fault::PauseSupervisors(node, pause_ms),
        17 | 18 => Fault::StartNode(node),
        19 => Fault::Promote(random.one_of(&PACKAGES[..5])),
        20 | 21 => Fault::Isolate(node),
        22 | 23 => Fault::IsolateLeader,
        24 => Fault::CutPair(node, other),
        25 => Fault::LoseRequests(node, other),
        26 => Fault::LoseReplies(node, other),
        27 => Fault::LoseFrames(random.one_of(&[5, 10, 30])),
        28 => Fault::LinkDown(node, pause_ms),
        29 => Fault::SlowLink(node, random.one_of(&[100, 1_000])),
        30 | 31 => Fault::MendNetwork,
        32 | 33 => Fault::PowerCut(node),
        34 => Fault::PowerCutAll,
        35 => Fault::FillDisk(node),
        36 => Fault::SlowSync(node, random.one_of(&[20, 100, 500])),
        37 => Fault::FailSync(node),
        38 => Fault::StepClock(node, random.one_of(&[-86_400, -60, 60, 86_400])),
        39 => Fault::Demote(random.one_of(&PACKAGES[..5])),
        40 => Fault::Maintain(node, pause_ms),
        41 => Fault::StopCluster,
        42 => Fault::Rebalance,
        43 | 44 => Fault::Redefine,
        45 => Fault::LoseNeed(node, pause_ms),
        _ => Fault::Wait(random.below(2_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let faults = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| choose(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
    }

    #[test]
    fn a_kind_is_a_name() {
        assert_eq!(Fault::KillNode("n1").kind(), "KillNode");
        assert_eq!(Fault::MendNetwork.kind(), "MendNetwork");
    }
}
