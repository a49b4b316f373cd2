//! D10: the active node dies, and two leaders die after it within W. Each new leader waits anew, so that the takeover
//! comes no earlier than W after the last of them began to lead.

use std::time::Duration;

use anyhow::ensure;

use crate::story::{Story, WAIT, now_ns};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let (_, epoch) = story.bring("told", "n4")?;
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    story.cluster.node("n4").kill()?;
    let first = story.kill_server(&leader)?;
    let second = story.wait_leader_other_than(&leader, &others)?;
    drop(first);
    let killed_ns = now_ns();
    let down = story.kill_server(&second)?;
    let left = others.into_iter().find(|n| *n != second).unwrap_or(leader);
    let after = story.wait_moved(&left, "told", epoch)?;
    drop(down);
    let gap = Duration::from_nanos(story.interval(after)?.from_ns.saturating_sub(killed_ns));
    println!("  taken over {gap:?} after the second leader was killed");
    ensure!(gap >= WAIT, "taken over {gap:?} after the second leader was killed");
    Ok(())
}
