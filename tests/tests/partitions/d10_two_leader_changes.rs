//! D10: the active node dies, and two leaders die after it within W. Each new leader waits anew, so that the takeover
//! comes no earlier than W after the last of them began to lead.

use std::time::Duration;

use anyhow::ensure;
use tests::processes::Process;

use crate::story::{Story, WAIT, now_ns};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    let (node, third) = (others[0].clone(), others[1].clone());
    let (_, epoch) = story.bring("told", &node)?;
    // Its daemon and packages go for good; its server stays, so that two servers can be killed in turn.
    let doomed: Vec<Process> = story
        .at(&node)?
        .processes()
        .into_iter()
        .filter(|p| !p.is_command("paceline", "serve-server"))
        .collect();
    doomed.iter().for_each(Process::kill);
    story
        .at(&leader)?
        .processes_of("serve-server")
        .iter()
        .for_each(Process::kill);
    let second = story.wait_leader_other_than(&leader, &[third.clone()])?;
    story
        .at(&second)?
        .processes_of("serve-server")
        .iter()
        .for_each(Process::kill);
    let killed_ns = now_ns();
    let after = story
        .wait_all_active(&third)
        .or_else(|_| story.wait_all_active(&leader))?;
    ensure!(after["told"] > epoch, "told has moved: {after:?}");
    let taken = story.interval(after["told"])?;
    let gap = Duration::from_nanos(taken.from_ns.saturating_sub(killed_ns));
    println!("  taken over {gap:?} after the second leader was killed");
    ensure!(gap >= WAIT, "taken over {gap:?} after the second leader was killed");
    Ok(())
}
