//! D28: the leader makes snapshots and cuts its log while a follower is away. The follower takes a snapshot when it is back,
//! has the same state, and fetches the events that it missed.

use std::time::Duration;

use anyhow::ensure;
use tests::wait::{pause, wait_for};

use crate::SNAPSHOT_ENTRIES;
use crate::story::{Story, span};

/// Until the load has made enough entries.
const CUT_WITHIN: Duration = Duration::from_secs(60);

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let follower = story.other_servers(&leader).remove(0);
    let printed = story.at(&follower)?.log_text()?.len();
    let before = story.status(&leader)?;
    let down = story.kill_server(&follower)?;
    // Two snapshots later, of the entries that it lacks only those behind the second are kept.
    wait_for("a cut log", CUT_WITHIN, || {
        let status = story.status(&leader).map_err(|error| format!("{error:#}"))?;
        let grown = status.raft_committed.saturating_sub(before.raft_committed);
        if grown > 3 * SNAPSHOT_ENTRIES {
            Ok(())
        } else {
            Err(format!("{grown} entries"))
        }
    })?;
    pause(span(Duration::ZERO, Duration::from_secs(600)), "it is away for long");
    drop(down);
    story.cluster.wait_until_whole()?;
    let text = story.at(&follower)?.log_text()?;
    let new = text.get(printed..).unwrap_or_default();
    ensure!(
        new.contains("took a snapshot from the leader"),
        "it was to need a snapshot: {new}"
    );
    let after = story.status(&leader)?;
    ensure!(
        after.leader == before.leader && after.term == before.term,
        "a returning follower changed the leader"
    );
    Ok(())
}
