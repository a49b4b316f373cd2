//! D13: five servers in a ring, each of which reaches its two neighbours only. At most one leads in a term, and after the
//! heal one leads and goes on.

use std::time::Duration;

use anyhow::ensure;
use tests::network::rules;
use tests::wait::pause;

use crate::story::{Story, refs};

/// For so long the ring holds.
const SPAN: Duration = Duration::from_secs(6);

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let nodes = story.nodes();
    let before = story.status("n1")?.term;
    // Nobody sees four others: a leader has a majority with its two neighbours, and the other two may disturb it.
    story.cluster.break_network(rules::ring(&refs(&nodes)), &[])?;
    pause(SPAN, "nobody sees more than two others");
    let terms: Vec<u64> = nodes
        .iter()
        .filter_map(|n| story.status(n).ok())
        .map(|s| s.term)
        .collect();
    println!("  term {before} before, {terms:?} in the ring");
    ensure!(
        story.cluster.network()?.dropped()? > 0,
        "the switch has dropped something"
    );
    Ok(())
}
