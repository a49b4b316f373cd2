//! D8: the leader and the active instance are cut off together. The instance stops by T + K, and the majority starts after
//! W.

use std::time::Duration;

use anyhow::ensure;
use tests::network::rules;

use crate::story::{KILL, LEASE, Story, WAIT, now_ns, refs};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    let (_, epoch) = story.bring("told", &leader)?;
    story
        .cluster
        .break_network(rules::cut(&[&leader], &refs(&others)), &[&leader])?;
    let cut_ns = now_ns();
    let new = story.wait_leader_other_than(&leader, &others)?;
    let after = story.wait_moved(&new, "told", epoch)?;
    story.gone_within(epoch, cut_ns, LEASE + KILL)?;
    let (old, taken) = (story.interval(epoch)?, story.interval(after)?);
    let gap = Duration::from_nanos(taken.from_ns.saturating_sub(cut_ns));
    println!(
        "  gone {:?} and taken over {gap:?} after the cut",
        Duration::from_nanos(old.until_ns.saturating_sub(cut_ns))
    );
    // A new leader waits W for all from the moment it leads.
    ensure!(gap >= WAIT, "taken over {gap:?} after the cut");
    Ok(())
}
