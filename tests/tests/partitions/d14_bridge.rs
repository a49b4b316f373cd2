//! D14: two halves of two servers, joined by a fifth that reaches all. One leads, and no two of them drive each other out
//! of office for ever.

use std::time::Duration;

use anyhow::ensure;
use tests::network::rules;
use tests::wait::{holds_for, pause, wait_for};

use crate::story::Story;

/// Until elections are over at the latest.
const SETTLES: Duration = Duration::from_secs(10);
/// For so long nothing may change then.
const STEADY: Duration = Duration::from_secs(4);

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    // The leader stands in one half, so that the other half has to find another one or to follow over the bridge.
    let rules = rules::cut(&[&leader, &others[0]], &[&others[1], &others[2]]);
    story.cluster.break_network(rules, &[])?;
    pause(Duration::from_secs(1), "the halves notice");
    let bridge = others[3].clone();
    let steady = wait_for("a leader over the bridge", SETTLES, || {
        let status = story.status(&bridge).map_err(|error| format!("{error:#}"))?;
        match status.leader {
            Some(leader) if status.quorate => Ok((leader, status.term)),
            other => Err(format!("{other:?} in term {}", status.term)),
        }
    })?;
    let mut changes = 0;
    let mut last = steady.clone();
    holds_for(STEADY, || {
        let status = story.status(&bridge).map_err(|error| format!("{error:#}"))?;
        let now = (status.leader.unwrap_or_default(), status.term);
        if now != last {
            changes += 1;
            last = now;
        }
        Ok(())
    })
    .map_err(anyhow::Error::msg)?;
    println!("  {steady:?} leads over {bridge}; {changes} changes in {STEADY:?}");
    ensure!(
        changes <= 1,
        "leaders drive each other out of office: {changes} changes in {STEADY:?}"
    );
    Ok(())
}
