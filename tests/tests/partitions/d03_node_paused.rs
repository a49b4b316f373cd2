//! D3: everything of the active node is stopped by a signal for 3 W, and then goes on. Its packages are dead at their
//! deadline, and not one beat comes after.

use anyhow::ensure;
use nix::sys::signal::Signal;
use tests::processes::Process;
use tests::wait::pause;

use crate::story::{KILL, LEASE, Story, WAIT, now_ns};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let node = story.other_servers(&leader).remove(0);
    let (_, epoch) = story.bring("told", &node)?;
    let processes = story.at(&node)?.processes();
    ensure!(processes.len() > 4, "{} processes on {node}", processes.len());
    let signal = |what| processes.iter().for_each(|p: &Process| p.signal(what));
    signal(Signal::SIGSTOP);
    let stopped_ns = now_ns();
    pause(WAIT * 3, "nothing of this node runs");
    let gone = story
        .cluster
        .package_processes("told-1")
        .iter()
        .chain(&story.cluster.package_processes("told-2"))
        .chain(&story.cluster.package_processes("told-3"))
        .filter(|p| p.variable("PACELINE_NODE") == Some(&node))
        .count();
    let taken = story.epochs(&leader);
    signal(Signal::SIGCONT);
    ensure!(gone == 0, "{gone} processes of told are still on {node}");
    let taken = taken.map_err(anyhow::Error::msg)?;
    ensure!(
        taken.get("told").is_some_and(|e| *e > epoch),
        "nobody took over: {taken:?}"
    );
    story.gone_within(epoch, stopped_ns, LEASE + KILL)
}
