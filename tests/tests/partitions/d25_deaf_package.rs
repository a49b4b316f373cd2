//! D25: a package ignores SIGTERM, forks, and lets its children leave the session. A stop gives it its time, then ends all
//! of it, and says "stopped" only once nothing is left.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tests::cluster::FAILOVER_LIMIT;
use tests::nemesis::FILE;
use tests::wait::wait_for;

use crate::story::Story;

const DEAF: &str = r#"
[[package]]
name = "deaf"
stop_timeout = "500ms"
run.command = ["/bin/sh", "-c", "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 0.2; done' & while :; do sleep 0.2; done"]
"#;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    story.cluster.apply(&format!("{FILE}{DEAF}"))?;
    story.cluster.wait_running("deaf", "active")?;
    wait_for("its children", FAILOVER_LIMIT, || {
        match story.cluster.package_processes("deaf").len() {
            0 | 1 => Err("none".to_owned()),
            _ => Ok(()),
        }
    })?;
    let begin = Instant::now();
    story.cluster.change("POST", "/v1/packages/deaf/stop", "{}")?;
    let (took, left) = (begin.elapsed(), story.cluster.package_processes("deaf"));
    ensure!(left.is_empty(), "the answer said stopped, but these live: {left:?}");
    ensure!(took < Duration::from_secs(5), "it took {took:?}");
    story.cluster.apply(FILE)?;
    Ok(())
}
