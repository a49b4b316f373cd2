//! D17: the power of every node goes at one instant under load. Only what was synced is on the disks then, and all that
//! was acknowledged is.

use std::time::Duration;

use tests::wait::pause;

use crate::story::{Story, refs};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    pause(Duration::from_millis(700), "the load runs");
    let nodes = story.nodes();
    story.cluster.cut_power(&refs(&nodes))?;
    story.cluster.restore_power(&refs(&nodes))?;
    story.cluster.wait_until_whole()
}
