//! D1: the daemon of the active node is killed alone. Packages go on until their deadline; the parent restarts the daemon
//! before it, and it continues the session with the same processes.

use std::time::Duration;

use anyhow::ensure;
use tests::processes::Process;

use crate::story::Story;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    story.bring("told", "n4")?;
    let before = story.wait_all_active("n1")?;
    let processes = pids(story, "n4");
    ensure!(!processes.is_empty(), "n4 runs something");
    let index = story.index()?;
    story
        .at("n4")?
        .processes_of("serve-daemon")
        .iter()
        .for_each(Process::kill);
    story.stays(Duration::from_secs(3), "n1", &before)?;
    ensure!(pids(story, "n4") == processes, "the processes are the same");
    story.nobody_lost_since(index)
}

fn pids(story: &Story, node: &str) -> Vec<i32> {
    let mut pids: Vec<i32> = ["told-1", "told-2", "told-3", "started-1", "started-2", "single"]
        .iter()
        .flat_map(|package| story.cluster.package_processes(package))
        .filter(|p| p.variable("PACELINE_NODE") == Some(node))
        .map(|p| p.pid)
        .collect();
    pids.sort_unstable();
    pids
}
