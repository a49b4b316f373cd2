//! D23: the wall clock of each node steps by a day, forth and back. Nothing happens: no wall clock decides anything.

use std::time::Duration;

use crate::story::Story;

const DAY: i64 = 24 * 60 * 60;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let before = story.wait_all_active("n1")?;
    let index = story.index()?;
    let term = story.status("n1")?.term;
    for node in story.nodes() {
        for step in [DAY, -DAY, 0] {
            story.cluster.shim(&node)?.clock(step)?;
            story.stays(Duration::from_millis(400), "n1", &before)?;
        }
    }
    // All differ from each other at once.
    for (node, days) in story.nodes().iter().zip(-1..) {
        story.cluster.shim(node)?.clock(days * DAY)?;
    }
    story.stays(Duration::from_secs(1), "n1", &before)?;
    for node in story.nodes() {
        story.cluster.shim(&node)?.clock(0)?;
    }
    anyhow::ensure!(story.status("n1")?.term == term, "nobody else leads");
    story.nobody_lost_since(index)
}
