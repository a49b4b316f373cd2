//! D19: the leader's disk is full. It steps back or refuses with a clear error, nothing is torn, and it recovers once there
//! is room.

use std::time::Duration;

use anyhow::ensure;
use tests::wait::{pause, wait_for};

use crate::story::Story;

/// Until the load has written so much that it needs room: the database has taken some for its log beforehand.
const MET_WITHIN: Duration = Duration::from_secs(90);

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    let printed = story.at(&leader)?.log_text()?.len();
    story.cluster.disk(&leader)?.fill()?;
    let said = wait_for("the reason in its log", MET_WITHIN, || {
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
    let stepped = story.wait_leader_other_than(&leader, &others);
    pause(Duration::from_millis(500), "the load goes on without it");
    story.cluster.disk(&leader)?.free()?;
    said?;
    stepped?;
    story.cluster.wait_until_whole()?;
    ensure!(story.at(&leader)?.is_server(), "it is a server again");
    Ok(())
}
