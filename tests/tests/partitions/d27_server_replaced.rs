//! D27: a server dies for good under load, is removed, and another takes its place. No acknowledged write is lost, and there
//! are never two quorums.

use anyhow::ensure;
use client::wire::status::Status;
use tests::cluster::START_LIMIT;
use tests::wait::wait_for;

use crate::story::Story;

/// The number of the node that comes.
const NEW: u8 = 4;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let dead = story
        .other_servers(&leader)
        .into_iter()
        .find(|n| n != "n1")
        .unwrap_or_default();
    story.cluster.forget(&dead)?;
    let lost = format!("node:{dead}");
    story
        .cluster
        .wait_event("node-lost", |e| e.kind == "node-lost" && e.resource == lost)?;
    story.cluster.change("DELETE", &format!("/v1/members/{dead}"), "")?;
    story.cluster.change("DELETE", &format!("/v1/nodes/{dead}"), "")?;
    story.cluster.add_node(NEW, "")?;
    let name = format!("n{NEW}");
    story.cluster.node(&name).start()?;
    wait_for("three voters", START_LIMIT, || {
        let status: Status = story.cluster.get("/v1/status").map_err(|error| format!("{error:#}"))?;
        let voters: Vec<&str> = status
            .members
            .iter()
            .filter(|m| m.role == "voter")
            .map(|m| m.name.as_str())
            .collect();
        if voters.len() == 3 && voters.contains(&name.as_str()) {
            Ok(())
        } else {
            Err(format!("{voters:?}"))
        }
    })?;
    let members = story.status(&leader)?.members;
    ensure!(members.iter().all(|m| m.name != dead), "{dead} is still a member");
    story.cluster.wait_until_whole()
}
