//! D7: the leader is cut off from the other servers, and every daemon still sees all of them. Its renewals go unanswered,
//! the daemons go to the new leader, and nothing stops.
//!
//! With both roles on a node the cut of the servers would be one of its daemon too. So the leader's cut spares nothing
//! but its own daemon's way: what the old leader's node runs may stop, what the others run may not.

use std::time::Duration;

use anyhow::ensure;
use client::wire::node::Nodes;
use tests::cluster::FAILOVER_LIMIT;
use tests::network::rules;
use tests::wait::wait_for;

use crate::story::{Story, refs};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    story.bring("told", &others[0])?;
    let before = story.wait_all_active(&leader)?;
    let kept = before["told"];
    story
        .cluster
        .break_network(rules::cut(&[&leader], &refs(&others)), &[&leader])?;
    let new = story.wait_leader_other_than(&leader, &others)?;
    // Alone it can't confirm that it leads, and says so.
    let old = story.status(&leader)?;
    ensure!(
        old.stale && !old.quorate,
        "the old leader says that it is not quorate: {:?}",
        old.leader
    );
    // What the old leader's node ran is elsewhere only once its session is over; until then it still counts as active there.
    wait_for("the cut node to be declared down", FAILOVER_LIMIT, || {
        let nodes: Nodes = story
            .cluster
            .ask(story.at(&new).map_err(|error| format!("{error:#}"))?, "/v1/nodes")
            .map_err(|error| format!("{error:#}"))?;
        let cut = nodes.nodes.into_iter().find(|node| node.name == leader);
        match cut {
            Some(node) if node.state == "up" => Err(format!("{leader} is up")),
            Some(_) => Ok(()),
            None => Err(format!("{leader} is not known")),
        }
    })?;
    let after = story.wait_all_active(&new)?;
    ensure!(after["told"] == kept, "told went on: {before:?} then {after:?}");
    story.stays(Duration::from_secs(2), &new, &after)?;
    ensure!(
        story.cluster.network()?.dropped()? > 0,
        "the switch has dropped something"
    );
    Ok(())
}
