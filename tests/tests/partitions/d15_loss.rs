//! D15: three in ten frames are lost in every direction. What is asked may take long; no promise is broken, and a node is
//! declared lost only after W without an answered renewal, which the check of I5 holds against the daemons' recordings.

use std::time::Duration;

use anyhow::ensure;
use tests::network::rules;
use tests::wait::pause;

use crate::story::{Story, refs, span};

/// In hundred frames.
const LOST: u8 = 30;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let nodes = story.nodes();
    let before = story.status("n1")?.term;
    story.cluster.break_network(rules::lossy(&refs(&nodes), LOST), &[])?;
    pause(
        span(Duration::from_secs(5), Duration::from_secs(300)),
        "frames are lost",
    );
    let dropped = story.cluster.network()?.dropped()?;
    ensure!(dropped > 100, "only {dropped} frames were lost");
    story.cluster.mend_network()?;
    let after = story.status("n1")?.term;
    println!("  {dropped} frames lost, term {before} before, {after} after");
    Ok(())
}
