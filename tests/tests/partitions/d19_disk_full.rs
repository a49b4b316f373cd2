//! D19: the leader's disk is full. It steps back or refuses with a clear error, nothing is torn, and it recovers once there
//! is room.

use std::time::Duration;

use anyhow::ensure;
use tests::cluster::START_LIMIT;
use tests::wait::{pause, wait_for};

use crate::story::Story;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    let printed = story.at(&leader)?.log_text()?.len();
    story.cluster.disk(&leader)?.fill()?;
    let stepped = story.wait_leader_other_than(&leader, &others);
    let said = wait_for("the reason in its log", START_LIMIT, || {
        let text = story
            .at(&leader)
            .and_then(|n| n.log_text())
            .map_err(|error| format!("{error:#}"))?;
        let new = text.get(printed..).unwrap_or_default().to_lowercase();
        if new.contains("no space left") {
            Ok(())
        } else {
            Err(new)
        }
    });
    pause(Duration::from_millis(500), "the load goes on without it");
    story.cluster.disk(&leader)?.free()?;
    stepped?;
    said?;
    story.cluster.wait_until_whole()?;
    ensure!(story.at(&leader)?.is_server(), "it is a server again");
    Ok(())
}
