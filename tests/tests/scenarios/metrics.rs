//! What Prometheus gets: well-formed, all that the documents promise, and figures that agree with what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::cluster::Cluster;
use tests::node::Node;
use tests::wait::wait_for;

use super::PAIR;

/// For what was counted to be seen.
const COUNTED_LIMIT: Duration = Duration::from_secs(10);

/// A family of samples.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    helped: bool,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Every server answers; nothing is named in documents, dashboard and alerts that is not in the answer, and the other way
/// round; a takeover, an election and a request are counted.
#[test]
fn what_prometheus_gets_is_what_the_documents_promise() -> anyhow::Result<()> {
    let cluster = Cluster::start("metrics", 3)?;
    cluster.apply(PAIR)?;
    let active = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    for node in cluster.nodes() {
        let answer = scrape(&cluster, node)?;
        ensure!(
            sum(&answer, "paceline_failovers_total", &[]) == 0.0,
            "nothing failed over"
        );
    }
    cluster.package_process("svc-1", &active.node)?.kill();
    cluster.wait_running("svc-2", "active")?;
    cluster.wait_running("svc-1", "standby")?;
    for node in cluster.nodes() {
        wait_for("a takeover in the figures", COUNTED_LIMIT, || {
            let answer = scrape(&cluster, node).map_err(|e| e.to_string())?;
            let labels = [("cause", "program"), ("planned", "false"), ("outcome", "done")];
            match sum(&answer, "paceline_failovers_total", &labels) {
                1.0 => Ok(()),
                other => Err(format!("{other} takeovers")),
            }
        })?;
    }
    // What the figures are of must be applied everywhere, and the daemons must have renewed a few times.
    cluster.wait_until_whole()?;
    wait_for("renewals in the figures", COUNTED_LIMIT, || {
        let granted = cluster.nodes().iter().map(|node| {
            let answer = scrape(&cluster, node).map_err(|e| e.to_string())?;
            Ok::<_, String>(sum(&answer, "paceline_renewals_total", &[("outcome", "granted")]))
        });
        match granted.sum::<Result<f64, String>>()? {
            granted if granted > 10.0 => Ok(()),
            granted => Err(format!("{granted} were granted")),
        }
    })?;
    let answers: Vec<_> = cluster
        .nodes()
        .iter()
        .map(|node| scrape(&cluster, node))
        .collect::<anyhow::Result<_>>()?;
    let total = |name: &str, labels: &[(&str, &str)]| answers.iter().map(|it| sum(it, name, labels)).sum::<f64>();
    let figures = [
        ("one leads", total("paceline_raft_leader", &[]) == 1.0),
        ("all know it", total("paceline_raft_leader_known", &[]) == 3.0),
        ("nodes", total("paceline_nodes", &[("state", "up")]) == 9.0),
        ("packages", total("paceline_packages", &[("state", "running")]) == 6.0),
        ("a group", total("paceline_groups", &[("state", "redundant")]) == 3.0),
        (
            "its takeover",
            total("paceline_group_failovers_total", &[("group", "svc")]) == 3.0,
        ),
        (
            "how long it took",
            total("paceline_failover_seconds_count", &[("planned", "false")]) == 3.0,
        ),
        (
            "renewals",
            total("paceline_renewals_total", &[("outcome", "granted")]) > 10.0,
        ),
        ("their time", total("paceline_renewal_seconds_count", &[]) > 10.0),
        (
            "proposals",
            total("paceline_proposals_total", &[("outcome", "accepted")]) > 5.0,
        ),
        ("syncs", total("paceline_fsync_seconds_count", &[]) > 10.0),
        ("events", total("paceline_journal_events", &[]) > 10.0),
        (
            "the file",
            total("paceline_requests_total", &[("method", "PUT"), ("route", "/v1/config")]) == 1.0,
        ),
        ("the lease", total("paceline_lease_seconds", &[]) == 3.0),
    ];
    for (what, so) in figures {
        ensure!(so, "{what}: {answers:#?}");
    }
    let leader = answers.iter().find(|it| sum(it, "paceline_raft_leader", &[]) == 1.0);
    documents_agree(leader.context("a leader")?)?;
    strangers_make_no_labels(&cluster)?;
    cluster.finish()
}

/// What a client sends never becomes a label.
fn strangers_make_no_labels(cluster: &Cluster) -> anyhow::Result<()> {
    let node = &cluster.nodes()[0];
    let before = scrape(cluster, node)?["paceline_requests"].samples.len();
    for stranger in 0..20 {
        cluster.send(node, "GET", &format!("/stranger/{stranger}"), "")?;
        cluster.send(node, "GET", &format!("/v1/packages/stranger-{stranger}"), "")?;
        cluster.send(node, &format!("STRANGE{stranger}"), "/v1/status", "")?;
    }
    let after = scrape(cluster, node)?["paceline_requests"].samples.len();
    ensure!(after <= before + 6, "{before} label sets became {after}");
    Ok(())
}

/// Names of the answer, of the document, of the dashboard and of the alerts.
fn documents_agree(answer: &BTreeMap<String, Family>) -> anyhow::Result<()> {
    let mut there: BTreeSet<String> = answer
        .values()
        .flat_map(|family| family.samples.iter().map(|sample| sample.name.clone()))
        .collect();
    there.extend(answer.keys().cloned());
    let monitoring = document("docs/MONITORING.md")?;
    for name in [
        "docs/MONITORING.md",
        "docs/grafana/paceline.json",
        "docs/prometheus/alerts.yaml",
    ] {
        let named = names(&document(name)?);
        ensure!(named.len() > 5, "{name} names {named:?}");
        let unknown: Vec<_> = named.difference(&there).collect();
        ensure!(unknown.is_empty(), "{name} names what is not answered: {unknown:?}");
    }
    for (name, family) in answer {
        let promised = match family.kind.as_str() {
            "counter" => format!("| `{name}_total` | counter |"),
            "info" => format!("| `{name}_info` | info |"),
            kind => format!("| `{name}` | {kind} |"),
        };
        ensure!(monitoring.contains(&promised), "docs/MONITORING.md lacks {promised}");
    }
    let alerts = document("docs/prometheus/alerts.yaml")?;
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        ensure!(
            monitoring.contains(&format!("| `{alert}` |")),
            "docs/MONITORING.md lacks {alert}"
        );
    }
    let board: serde_json::Value = serde_json::from_str(&document("docs/grafana/paceline.json")?)?;
    let panels = board["panels"].as_array().context("panels")?;
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    ensure!(
        ids.len() == panels.len() && panels.len() > 10,
        "each panel has an id of its own"
    );
    Ok(())
}

fn document(name: &str) -> anyhow::Result<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Every word of a text that is called like a metric.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("paceline_"))
        .map(str::to_owned)
        .collect()
}

fn sum(answer: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |sample: &&Sample| {
        labels
            .iter()
            .all(|(key, value)| sample.labels.get(*key).is_some_and(|found| found == value))
    };
    let samples = answer.values().flat_map(|family| &family.samples);
    samples
        .filter(|sample| sample.name == name)
        .filter(has)
        .map(|sample| sample.value)
        .sum()
}

fn scrape(cluster: &Cluster, node: &Node) -> anyhow::Result<BTreeMap<String, Family>> {
    let answer = cluster.send(node, "GET", "/metrics", "")?;
    ensure!(answer.status == 200, "{}", answer.text());
    let kind = answer.header("content-type").unwrap_or_default();
    ensure!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    parse(&answer.text())
}

/// Reads the text format, and refuses whatever it does not allow.
fn parse(text: &str) -> anyhow::Result<BTreeMap<String, Family>> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut present = String::new();
    let body = text.strip_suffix("# EOF\n").context("it ends with # EOF")?;
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let (what, rest) = rest.split_once(' ').context("a comment")?;
            let (name, said) = rest.split_once(' ').context("a name")?;
            if name != present {
                ensure!(!families.contains_key(name), "{name} comes in two pieces");
                present = name.to_owned();
            }
            let family = families.entry(present.clone()).or_default();
            match what {
                "HELP" => family.helped = said.len() > 5,
                "TYPE" => said.clone_into(&mut family.kind),
                "UNIT" => ensure!(name.ends_with(&format!("_{said}")), "{line}"),
                other => anyhow::bail!("{other}: {line}"),
            }
            continue;
        }
        let family = families
            .get_mut(&present)
            .with_context(|| format!("before any family: {line}"))?;
        let sample = sample(line)?;
        let suffix = sample
            .name
            .strip_prefix(&present)
            .with_context(|| format!("{line} in {present}"))?;
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            other => anyhow::bail!("{present} is {other:?}"),
        };
        ensure!(allowed.contains(&suffix), "{line} in a {}", family.kind);
        family.samples.push(sample);
    }
    for (name, family) in &families {
        ensure!(name.starts_with("paceline_") && family.helped, "{name}: {family:?}");
        if family.kind == "histogram" {
            buckets_add_up(name, family)?;
        }
    }
    Ok(families)
}

fn sample(line: &str) -> anyhow::Result<Sample> {
    let (series, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').with_context(|| line.to_owned())?;
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        Some((key.to_owned(), value.to_owned()))
    };
    // No value of ours has a comma.
    let labels: Option<BTreeMap<_, _>> = labels.split(',').filter(|it| !it.is_empty()).map(pair).collect();
    Ok(Sample {
        name: name.to_owned(),
        labels: labels.with_context(|| line.to_owned())?,
        value: value.parse().with_context(|| line.to_owned())?,
    })
}

/// Of each series: buckets never shrink, and the last one, `+Inf`, holds all.
fn buckets_add_up(name: &str, family: &Family) -> anyhow::Result<()> {
    let mut last: BTreeMap<BTreeMap<String, String>, (f64, f64)> = BTreeMap::new();
    for bucket in family.samples.iter().filter(|it| it.name.ends_with("_bucket")) {
        let mut labels = bucket.labels.clone();
        let bound: f64 = labels.remove("le").context("le")?.parse()?;
        let (before, count) = last.get(&labels).copied().unwrap_or((-1.0, 0.0));
        ensure!(bound > before && bucket.value >= count, "{name}: {bucket:?}");
        last.insert(labels, (bound, bucket.value));
    }
    let counts = family.samples.iter().filter(|it| it.name.ends_with("_count"));
    for count in counts {
        let all = last.get(&count.labels).copied();
        ensure!(all == Some((f64::INFINITY, count.value)), "{name}: {count:?} {all:?}");
    }
    Ok(())
}
