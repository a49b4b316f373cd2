//! D18: the power of the leader's node goes, and that of the other two a moment later; they come back in another order.

use std::time::Duration;

use tests::wait::pause;

use crate::story::{Story, refs};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    pause(Duration::from_millis(300), "the load runs");
    story.cluster.cut_power(&[&leader])?;
    story.wait_leader_other_than(&leader, &others)?;
    pause(Duration::from_millis(500), "the load goes on with two");
    story.cluster.cut_power(&refs(&others))?;
    // The one that has missed the most comes first: it must not lead before it has what the others acknowledged.
    story.cluster.restore_power(&[&leader])?;
    pause(Duration::from_millis(500), "it is alone");
    story.cluster.restore_power(&refs(&others))?;
    story.cluster.wait_until_whole()
}
