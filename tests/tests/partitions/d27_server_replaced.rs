//! D27: a server dies under load and loses its store for good; it is removed, and joins anew as another member. No
//! acknowledged write is lost, and there are never two quorums.

use anyhow::ensure;
use client::wire::status::{Member, Status};
use tests::cluster::START_LIMIT;
use tests::wait::wait_for;

use crate::story::Story;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let dead = story
        .other_servers(&leader)
        .into_iter()
        .find(|n| n != "n1")
        .unwrap_or_default();
    let old = member(&story.status(&leader)?, &dead).map_err(anyhow::Error::msg)?;
    story.cluster.node(&dead).kill()?;
    std::fs::remove_dir_all(story.at(&dead)?.data_dir().join("server"))?;
    let lost = format!("node:{dead}");
    story
        .cluster
        .wait_event("node-lost", |e| e.kind == "node-lost" && e.resource == lost)?;
    story.cluster.change("DELETE", &format!("/v1/members/{dead}"), "")?;
    let without = story.status(&leader)?;
    ensure!(member(&without, &dead).is_err(), "{dead} is still a member");
    story.cluster.node(&dead).start()?;
    let new = wait_for("a new voter", START_LIMIT, || {
        let status = story.status(&leader).map_err(|error| format!("{error:#}"))?;
        let new = member(&status, &dead)?;
        if new.role == "voter" {
            Ok(new)
        } else {
            Err(format!("{new:?}"))
        }
    })?;
    ensure!(new.id > old.id, "it is another member than before: {old:?}, {new:?}");
    story.cluster.wait_until_whole()
}

fn member(status: &Status, name: &str) -> Result<Member, String> {
    let found = status.members.iter().find(|m| m.name == name);
    found
        .cloned()
        .ok_or_else(|| format!("no member {name}: {:?}", status.members))
}
