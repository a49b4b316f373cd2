//! D21: the leader's disk writes 100 kB a second. Leadership moves or answers come late; the leases are kept, since
//! renewals never go through the log.

use std::time::Duration;

use anyhow::ensure;
use tests::fault::{Throttle, skipped};
use tests::wait::pause;

use crate::story::{Story, span};

/// The limit of the disk.
const BYTES_A_SECOND: u64 = 100_000;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let before = story.wait_all_active("n1")?;
    let index = story.index()?;
    let leader = story.leader()?;
    let servers: Vec<i32> = story
        .at(&leader)?
        .processes_of("serve-server")
        .iter()
        .map(|p| p.pid)
        .collect();
    let device = story.cluster.disk(&leader)?.device()?;
    let throttle = match Throttle::start(&device, BYTES_A_SECOND, &servers) {
        Ok(throttle) => throttle,
        Err(why) => {
            skipped("D21, a slow disk", &format!("{why:#}"));
            return Ok(());
        }
    };
    pause(
        span(Duration::from_secs(4), Duration::from_secs(30)),
        "the disk is slow",
    );
    drop(throttle);
    story.cluster.wait_until_whole()?;
    let after = story.wait_all_active("n1")?;
    ensure!(after == before, "something has moved: {before:?} then {after:?}");
    story.nobody_lost_since(index)
}
