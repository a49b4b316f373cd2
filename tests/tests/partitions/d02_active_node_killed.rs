//! D2: every process of the active node is killed and nothing is restarted. Another node takes over after W.

use std::time::Duration;

use crate::story::{Story, now_ns};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    // Not the leader: what an election costs is D8's matter.
    let node = story.other_servers(&leader).remove(0);
    let (_, epoch) = story.bring("told", &node)?;
    story.cluster.node(&node).kill()?;
    let dead_ns = now_ns();
    let taken = story.wait_moved(&leader, "told", epoch)?;
    let (old, new) = (story.interval(epoch)?, story.interval(taken)?);
    let gap = Duration::from_nanos(new.from_ns.saturating_sub(old.until_ns));
    println!(
        "  takeover {gap:?} after the last beat, {:?} after the kill",
        Duration::from_nanos(new.from_ns - dead_ns)
    );
    story.waited(epoch, taken)
}
