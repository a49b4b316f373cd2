//! D20: fsync fails with EIO on a follower. It stops and says why on disk; it never acknowledges what it could not sync,
//! and comes back once its disk is sound.

use std::time::Duration;

use anyhow::ensure;
use tests::cluster::FAILOVER_LIMIT;
use tests::fault::Sync;
use tests::wait::{pause, wait_for};

use crate::story::Story;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let victim = story.other_servers(&leader).remove(0);
    let servers: Vec<i32> = story
        .at(&victim)?
        .processes_of("serve-server")
        .iter()
        .map(|p| p.pid)
        .collect();
    let directory = story.at(&victim)?.data_dir().to_owned();
    let met = story.cluster.shim(&victim)?.met()?;
    story.cluster.shim(&victim)?.sync(Sync::Fails, "/server/db/")?;
    let stopped = wait_for("its end", FAILOVER_LIMIT, || {
        match servers.iter().find(|pid| tests::processes::lives(**pid)) {
            Some(pid) => Err(format!("process {pid} goes on")),
            None => Ok(()),
        }
    });
    let reason = wait_for("its reason on disk", FAILOVER_LIMIT, || {
        ["FATAL", "FATAL.previous", "server/FATAL", "server/FATAL.previous"]
            .iter()
            .find_map(|name| std::fs::read_to_string(directory.join(name)).ok())
            .ok_or_else(|| format!("nothing in {}", directory.display()))
    });
    pause(Duration::from_millis(500), "the others go on");
    let failed = story.cluster.shim(&victim)?.met()? - met;
    story.cluster.shim(&victim)?.sync(Sync::Honest, "")?;
    stopped?;
    let reason = reason?;
    println!("  after {failed} failed syncs: {}", reason.trim().replace('\n', "; "));
    ensure!(failed > 0, "no sync failed");
    ensure!(!reason.trim().is_empty(), "the reason is empty");
    story.cluster.wait_until_whole()
}
