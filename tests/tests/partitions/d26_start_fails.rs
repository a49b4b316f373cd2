//! D26: a package can be started nowhere. Starts back off and end with `failed`; nothing spins, and nothing else suffers.

use std::time::Duration;

use anyhow::ensure;
use tests::nemesis::FILE;
use tests::wait::wait_for;

use crate::story::Story;

const MISSING: &str = r#"
[[package]]
name = "missing"
restart = { attempts = 1, within = "10m" }
run.command = ["/nowhere/at/all"]
"#;

/// More events than this about one package would be a loop.
const EVENTS_MAX: usize = 100;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let before = story.wait_all_active("n1")?;
    // The file is taken; that its package can't run is told too, and is what this is about.
    let told = story.cluster.apply(&format!("{FILE}{MISSING}"));
    wait_for("missing to be failed", Duration::from_secs(30), || {
        let package = story.cluster.package("missing").map_err(|error| format!("{error:#}"))?;
        if package.state == "failed" {
            Ok(())
        } else {
            Err(format!("{} ({}); {told:?}", package.state, package.reason))
        }
    })?;
    let events = story.cluster.events()?;
    let about = events.iter().filter(|e| e.resource == "package:missing").count();
    ensure!(about < EVENTS_MAX, "{about} events about one package");
    story.cluster.apply(FILE)?;
    let after = story.wait_all_active("n1")?;
    ensure!(after == before, "something has moved: {before:?} then {after:?}");
    Ok(())
}
