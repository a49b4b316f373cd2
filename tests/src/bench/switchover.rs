//! `scripts/bench switchover`: how long nobody is active where a person hands over, by the test program's own timestamps.
//!
//! The gap is from the last beat of the old instance to the first record of the new one as active. It holds the stop of the
//! old one, the proof of its end, two entries of the log, and the start or the promotion of the new one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::report::{Sample, machine, milliseconds as ms, print_load, print_table, repeat, save};
use crate::cluster::{Cluster, FAILOVER_LIMIT, START_LIMIT};
use crate::wait::wait_for;
use crate::witness::{Interval, intervals};

/// A pair of which one stands by, and a package that is alone.
const FILE: &str = r#"
[cluster]
name = "bench"
lease = "@LEASE@"

[[group]]
name = "pair"
kind = "duplex"

[[package]]
name = "pair"
group = "pair"
copies = 2
run.command = [@WITNESS@, "--unit", "pair"]

[[package]]
name = "one"
run.command = [@WITNESS@, "--unit", "one"]
"#;

/// A way to hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    Promote,
    Demote,
    Move,
}

const STORIES: [(Story, &str); 3] = [
    (Story::Promote, "promote the standby"),
    (Story::Demote, "demote the active one"),
    (Story::Move, "move a single package"),
];

/// Runs every story so many times and prints the table.
///
/// # Errors
/// Where a hand-over does not come, or an invariant is broken.
pub fn run(runs: usize, lease: &str) -> anyhow::Result<()> {
    let before = machine();
    let cluster = Cluster::start("bench-switchover", 3)?;
    cluster.apply(&FILE.replace("@LEASE@", lease))?;
    let (mut rows, mut cells) = (Vec::new(), Vec::new());
    for (story, name) in STORIES {
        let gaps = repeat(name, runs, || hand_over(&cluster, story))?;
        let sample = Sample::new(gaps.clone());
        rows.push(row(name, &sample));
        cells.push(describe(name, &sample, &gaps));
    }
    print_table(
        &format!("from the last beat of the old one to the new one active, lease {lease}, {runs} runs each"),
        &["story", "min ms", "median ms", "p90 ms", "p99 ms", "max ms"],
        &rows,
    );
    print_load(&before);
    save(
        "switchover",
        &json!({ "bench": "switchover", "machine_before": before, "machine_after": machine(), "stories": cells }),
    )?;
    cluster.finish()
}

/// One hand-over, once everything is as it should be; the gap in microseconds.
fn hand_over(cluster: &Cluster, story: Story) -> anyhow::Result<u64> {
    let unit = if story == Story::Move { "one" } else { "pair" };
    let old = wait_for("the unit as it should be", START_LIMIT, || settled(cluster, unit))?;
    match story {
        Story::Promote => {
            let heir = if old.package == "pair-1" { "pair-2" } else { "pair-1" };
            cluster.change("POST", &format!("/v1/packages/{heir}/promote"), "{}")?;
        }
        Story::Demote => {
            cluster.change("POST", &format!("/v1/packages/{}/demote", old.package), "{}")?;
        }
        Story::Move => {
            let to = if old.node == "n1" { "n2" } else { "n1" };
            cluster.change("POST", "/v1/packages/one/move", &json!({ "to": to }).to_string())?;
        }
    }
    let seen = wait_for("another active instance", FAILOVER_LIMIT, || {
        let now = seen(cluster, unit)?;
        if now.iter().any(|interval| interval.epoch > old.epoch) {
            Ok(now)
        } else {
            Err(format!("still {old:?}"))
        }
    })?;
    let last = seen.iter().find(|interval| interval.epoch == old.epoch);
    let next = seen.iter().find(|interval| interval.epoch > old.epoch);
    match (last, next) {
        (Some(last), Some(next)) if next.from_ns >= last.until_ns => Ok((next.from_ns - last.until_ns) / 1000),
        (last, next) => anyhow::bail!("{last:?} and {next:?} do not follow each other"),
    }
}

/// The active instance, once the API and the programs agree and the pair's other member stands by elsewhere.
fn settled(cluster: &Cluster, unit: &str) -> Result<Interval, String> {
    let names: &[&str] = if unit == "pair" {
        &["pair-1", "pair-2"]
    } else {
        &["one"]
    };
    let mut nodes = BTreeSet::new();
    let mut active = None;
    for name in names {
        match cluster.running(name, "active") {
            Ok(instance) => {
                nodes.insert(instance.node);
                active = Some((*name, instance.epoch));
            }
            Err(_) => drop(nodes.insert(cluster.running(name, "standby")?.node)),
        }
    }
    let last = seen(cluster, unit)?.into_iter().next_back();
    match (active, last) {
        (Some((name, epoch)), Some(last))
            if last.package == name && last.epoch == epoch && nodes.len() == names.len() =>
        {
            Ok(last)
        }
        (active, last) => Err(format!("active {active:?} on {nodes:?}, the programs saw {last:?}")),
    }
}

/// When instances of the unit were active, in the order of their epochs.
fn seen(cluster: &Cluster, unit: &str) -> Result<Vec<Interval>, String> {
    let records = cluster.witnessed().map_err(|error| format!("{error:#}"))?;
    let mut seen = intervals(&records);
    seen.retain(|interval| interval.unit == unit);
    seen.sort_by_key(|interval| interval.epoch);
    Ok(seen)
}

fn row(name: &str, sample: &Sample) -> Vec<String> {
    vec![
        name.to_owned(),
        ms(sample.min()),
        ms(sample.per_mille(500)),
        ms(sample.per_mille(900)),
        ms(sample.per_mille(990)),
        ms(sample.max()),
    ]
}

fn describe(name: &str, sample: &Sample, gaps: &[u64]) -> Value {
    json!({
        "story": name, "runs": sample.count(), "min_us": sample.min(), "median_us": sample.per_mille(500),
        "p90_us": sample.per_mille(900), "p99_us": sample.per_mille(990), "max_us": sample.max(), "all_us": gaps,
    })
}
