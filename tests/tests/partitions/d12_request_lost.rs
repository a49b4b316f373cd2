//! D12: nothing that the active node sends arrives, while all that is sent to it does. For the leader it is dead, as in D2.

use tests::network::{Lost, Rule};

use crate::story::{KILL, LEASE, Story, now_ns};

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
    story.waited(epoch, after)
}
