//! D12: nothing that the active node sends arrives, while all that is sent to it does. For the leader it is dead, as in D2.

use std::time::Duration;

use anyhow::ensure;
use tests::network::{Lost, Rule};

use crate::story::{KILL, LEASE, Story, WAIT, now_ns};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let node = story.other_servers(&leader).remove(0);
    let (_, epoch) = story.bring("told", &node)?;
    let rules: Vec<Rule> = story
        .other_servers(&node)
        .iter()
        .map(|to| Rule::new(&node, to, Lost::Requests))
        .collect();
    story.cluster.break_network(rules, &[&node])?;
    let cut_ns = now_ns();
    let after = story.wait_moved(&leader, "told", epoch)?;
    story.gone_within(epoch, cut_ns, LEASE + KILL)?;
    let gap = Duration::from_nanos(story.interval(after)?.from_ns.saturating_sub(cut_ns));
    ensure!(
        gap + Duration::from_millis(200) > WAIT,
        "taken over {gap:?} after the cut"
    );
    Ok(())
}
