//! D24: an operator moves the active instance again and again while one frame in ten is lost. Each stop is confirmed
//! before the next start, and epochs grow (I1 and I2 are checked at the end of each scenario).

use anyhow::ensure;
use tests::network::rules;

use crate::story::{Story, long, refs};

/// In hundred frames.
const LOST: u8 = 10;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let nodes = story.nodes();
    let moves = if long() { 100 } else { 4 };
    story.cluster.break_network(rules::lossy(&refs(&nodes), LOST), &[])?;
    let (mut last, mut places) = (0, 0);
    for number in 0..moves {
        let to = &nodes[number % nodes.len()];
        let (_, epoch) = story.bring("told", to)?;
        ensure!(epoch > last || places == 0, "epoch {epoch} after {last}");
        (last, places) = (epoch, places + 1);
    }
    ensure!(story.cluster.network()?.dropped()? > 0, "frames were lost");
    Ok(())
}
