//! Breaking a cluster at random for a long time: faults as data, chosen by a seed, and every invariant after each heal.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context;
use client::wire::node::Attributes;
use nix::sys::signal::Signal;

use crate::cluster::{Cluster, START_LIMIT};
use crate::invariants::acked_survives;
use crate::oracle::{Outcome, Writers};
use crate::wait::{pause, wait_for};

/// A pair that is told of changes of mode, a pair that is started anew, and a single package.
const FILE: &str = r#"
[[group]]
name = "told"
kind = "duplex"
standbys = 2
failovers = { attempts = 100, within = "1s" }

[[package]]
name = "told"
group = "told"
copies = 3
restart = { attempts = 100, within = "1s" }
run.command = [@WITNESS@, "--unit", "told"]

[[group]]
name = "started"
kind = "duplex"
failovers = { attempts = 100, within = "1s" }

[[package]]
name = "started"
group = "started"
copies = 2
restart = { attempts = 100, within = "1s" }
run.command = [@WITNESS@, "--unit", "started", "--way", "start"]

[[package]]
name = "single"
restart = { attempts = 100, within = "1s" }
run.command = [@WITNESS@]
"#;

/// Writers under way while things break.
const WRITERS: usize = 4;
/// Faults between two heals.
const FAULTS_A_ROUND: u32 = 4;

/// What is done to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL to a package's process.
    KillPackage(&'static str),
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
    /// Starts what was killed.
    StartNode(&'static str),
    /// An operator moves the active member.
    Promote(&'static str),
    /// Nothing, for so many milliseconds.
    Wait(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A small random source that gives the same faults for the same seed on every machine (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        let n = self.below(choices.len() as u64);
        choices[usize::try_from(n).unwrap_or(0)]
    }
}

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const PACKAGES: [&str; 6] = ["told-1", "told-2", "told-3", "started-1", "started-2", "single"];

/// The next fault.
pub fn choose(random: &mut Random) -> Fault {
    let node = random.one_of(&NODES);
    let pause_ms = 50 + random.below(4_000);
    match random.below(16) {
        0..=2 => Fault::KillPackage(random.one_of(&PACKAGES)),
        3 | 4 => Fault::KillNode(node),
        5 | 6 => Fault::KillServer(node),
        7 | 8 => Fault::KillDaemon(node),
        9 => Fault::KillSupervisors(node),
        10 => Fault::KillAllServers,
        11 => Fault::PauseNode(node, pause_ms),
        12 => Fault::PauseDaemon(node, pause_ms),
        13 => Fault::PauseServer(node, pause_ms),
        14 => Fault::StartNode(node),
        _ if random.below(2) == 0 => Fault::Promote(random.one_of(&PACKAGES[..5])),
        _ => Fault::Wait(random.below(2_000)),
    }
}

/// Breaks a cluster until the time is over.
///
/// # Errors
/// The invariant that is broken, or that the cluster does not heal; the seed and the faults are printed as they are done.
pub fn run(seed: u64, span: Duration) -> anyhow::Result<()> {
    println!("seed {seed}, {} minutes", span.as_secs() / 60);
    let begin = Instant::now();
    let mut random = Random::new(seed);
    let mut cluster = Cluster::start("nemesis", 3)?;
    cluster.apply(FILE)?;
    let (mut rounds, mut acked) = (0_u64, 0_usize);
    while begin.elapsed() < span {
        rounds += 1;
        acked += one_round(&mut cluster, &mut random).with_context(|| format!("seed {seed}, round {rounds}"))?;
        println!(
            "round {rounds} healed after {} s; {acked} writes acknowledged so far",
            begin.elapsed().as_secs()
        );
    }
    let takeovers = crate::witness::intervals(&cluster.witnessed()?).len();
    println!("{rounds} rounds, {takeovers} activations, {acked} acknowledged writes, every invariant held");
    cluster.finish()
}

/// Some faults under load, a heal, every check. Answers how many writes were acknowledged.
fn one_round(cluster: &mut Cluster, random: &mut Random) -> anyhow::Result<usize> {
    let servers: Vec<_> = cluster.nodes().iter().map(crate::node::Node::api).collect();
    // Attributes of a round belong to a node, and values begin at 1 again: clear what the round before left.
    let node = random.one_of(&NODES);
    clear_attributes(cluster, node)?;
    let writers = Writers::start(WRITERS, &servers, node);
    for _ in 0..FAULTS_A_ROUND {
        let fault = choose(random);
        println!("  {fault}");
        inflict(cluster, &fault)?;
        pause(Duration::from_millis(random.below(1_500)), "faults may overlap or not");
    }
    for name in NODES {
        if cluster.node(name).processes_of("serve").is_empty() {
            cluster.node(name).kill()?;
            cluster.node(name).start()?;
        }
    }
    let whole = cluster.wait_until_whole();
    let writes = writers.stop();
    whole?;
    wait_for("one active instance of each unit", START_LIMIT, || {
        for unit in [&PACKAGES[..3], &PACKAGES[3..5], &PACKAGES[5..]] {
            let active = unit.iter().filter(|p| cluster.running(p, "active").is_ok()).count();
            if active != 1 {
                let said: Vec<_> = unit.iter().map(|p| cluster.package(p).map(|p| p.reason)).collect();
                return Err(format!("{unit:?}: {active} active: {said:?}"));
            }
        }
        Ok(())
    })?;
    for server in cluster.nodes() {
        let now: Attributes = cluster.ask(server, &format!("/v1/nodes/{node}/attributes"))?;
        acked_survives::check(&writes, &now.attributes)?;
    }
    cluster.check()?;
    Ok(writes
        .iter()
        .filter(|w| matches!(w.outcome, Outcome::Done { .. }))
        .count())
}

fn clear_attributes(cluster: &Cluster, node: &str) -> anyhow::Result<()> {
    let now: Attributes = cluster.get(&format!("/v1/nodes/{node}/attributes"))?;
    for key in now.attributes.keys() {
        cluster.change("DELETE", &format!("/v1/nodes/{node}/attributes/{key}"), "")?;
    }
    Ok(())
}

fn inflict(cluster: &mut Cluster, fault: &Fault) -> anyhow::Result<()> {
    let kill = |cluster: &mut Cluster, node: &str, word: &str| {
        cluster
            .node(node)
            .processes_of(word)
            .iter()
            .for_each(crate::processes::Process::kill);
    };
    match fault {
        Fault::KillPackage(name) => cluster
            .package_processes(name)
            .iter()
            .take(1)
            .for_each(crate::processes::Process::kill),
        Fault::KillNode(node) => cluster.node(node).kill()?,
        Fault::KillServer(node) => kill(cluster, node, "serve-server"),
        Fault::KillDaemon(node) => kill(cluster, node, "serve-daemon"),
        Fault::KillSupervisors(node) => kill(cluster, node, "supervise"),
        Fault::KillAllServers => NODES.iter().for_each(|node| kill(cluster, node, "serve-server")),
        Fault::PauseNode(node, ms) => paused(&cluster.node(node).processes(), *ms),
        Fault::PauseDaemon(node, ms) => paused(&cluster.node(node).processes_of("serve-daemon"), *ms),
        Fault::PauseServer(node, ms) => paused(&cluster.node(node).processes_of("serve-server"), *ms),
        Fault::StartNode(node) => {
            if cluster.node(node).processes_of("serve").is_empty() {
                cluster.node(node).kill()?;
                cluster.node(node).start()?;
            }
        }
        Fault::Promote(package) => {
            // It may be refused, or cut off by a fault: an operator's request among faults has no promised outcome.
            let path = format!("/v1/packages/{package}/promote?wait=0");
            let _ = cluster
                .nodes()
                .iter()
                .any(|node| cluster.send(node, "POST", &path, "{}").is_ok_and(|a| a.status < 500));
        }
        Fault::Wait(ms) => pause(Duration::from_millis(*ms), "a fault may have time to show"),
    }
    Ok(())
}

/// Stops processes and lets them go on later: they find out that time has passed without them.
fn paused(processes: &[crate::processes::Process], ms: u64) {
    processes.iter().for_each(|p| p.signal(Signal::SIGSTOP));
    pause(Duration::from_millis(ms), "nothing of this node runs");
    processes.iter().for_each(|p| p.signal(Signal::SIGCONT));
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
}
