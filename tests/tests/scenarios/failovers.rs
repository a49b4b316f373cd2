//! B4: one record for each takeover, told alike by every server, whose lengths agree with what was seen from outside.

use std::time::Duration;

use client::wire::failover::{Failover, Failovers};
use tests::cluster::Cluster;
use tests::command_line::paceline;
use tests::wait::{monotonic_ns, wait_for};
use tests::witness::intervals;

use super::PAIR;

/// For a record to be complete once the takeover is seen.
const TOLD_LIMIT: Duration = Duration::from_secs(10);
/// By how much a record may differ from what was measured: the daemon's report, the log, and a busy machine.
const TOLERANCE_MS: u64 = 400;

/// A program is killed, then its successor's whole node: two records. The node returns and its other one is drained: one
/// more, planned. Every server tells the same, and the command line what the API says.
#[test]
fn a_killed_program_a_lost_node_and_a_drain_are_told() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("failovers", 3)?;
    cluster.apply(PAIR)?;
    let first = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    anyhow::ensure!(told(&cluster, "")?.failovers.is_empty(), "a first start is no takeover");

    let killed_ns = monotonic_ns();
    cluster.package_process("svc-1", &first.node)?.kill();
    let gap_ms = active_again(&cluster, first.epoch, killed_ns)?;
    let program = wait_done(&cluster, 1)?;
    check_stages(&program, &["decided", "ended", "told", "active"])?;
    anyhow::ensure!(
        (program.cause.as_str(), program.planned, program.unit.as_str()) == ("program", false, "group:svc"),
        "{program:#?}"
    );
    anyhow::ensure!(
        (program.from.node.as_str(), program.from.epoch) == (first.node.as_str(), first.epoch),
        "{program:#?}"
    );
    agrees(&program, gap_ms)?;

    let second = cluster.wait_running("svc-2", "active")?;
    cluster.wait_running("svc-1", "standby")?;
    let killed_ns = monotonic_ns();
    cluster.node(&second.node).kill()?;
    let gap_ms = active_again(&cluster, second.epoch, killed_ns)?;
    let node = wait_done(&cluster, 2)?;
    check_stages(&node, &["decided", "ended", "told", "active"])?;
    anyhow::ensure!(
        (node.cause.as_str(), node.planned, node.from.node.as_str()) == ("node-lost", false, second.node.as_str()),
        "{node:#?}"
    );
    anyhow::ensure!(
        node.total_ms.is_some_and(|total| total <= gap_ms + TOLERANCE_MS),
        "{node:#?} {gap_ms}"
    );

    cluster.node(&second.node).start()?;
    let third = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    cluster.change("POST", &format!("/v1/nodes/{}/drain", third.node), "")?;
    let drained = wait_done(&cluster, 3)?;
    check_stages(&drained, &["detected", "decided", "ended", "told", "active"])?;
    anyhow::ensure!(
        (drained.cause.as_str(), drained.planned) == ("drained", true),
        "{drained:#?}"
    );

    every_server_and_the_command_line(&cluster, &[program, node, drained])?;
    cluster.change("POST", &format!("/v1/nodes/{}/resume", third.node), "")?;
    cluster.heal()?;
    cluster.finish()
}

/// Everybody tells the same, filters hold, and what is printed fits a terminal.
fn every_server_and_the_command_line(cluster: &Cluster, all: &[Failover]) -> anyhow::Result<()> {
    cluster.wait_until_whole()?;
    for node in cluster.nodes() {
        let says: Failovers = cluster.ask(node, "/v1/failovers?after=0")?;
        anyhow::ensure!(says.failovers == all, "{} tells {says:#?}, not {all:#?}", node.name());
        let one: Failover = cluster.ask(node, &format!("/v1/failovers/{}", all[0].id))?;
        anyhow::ensure!(one == all[0], "{one:#?}");
    }
    anyhow::ensure!(
        told(cluster, "?group=svc&limit=1")?.failovers == all[2..],
        "the newest one"
    );
    anyhow::ensure!(
        told(cluster, "?package=none")?.failovers.is_empty(),
        "another package's"
    );
    anyhow::ensure!(told(cluster, "?node=n3")?.failovers.is_empty(), "another node's");

    let printed = paceline(cluster, &["failovers", "-o", "json"])?;
    let says: Failovers = serde_json::from_str(&printed.out)?;
    anyhow::ensure!(says.failovers == all, "{}", printed.out);
    let lines = paceline(cluster, &["failovers", "--timeline"])?.out;
    anyhow::ensure!(
        lines.lines().all(|line| line.chars().count() <= 80) && lines.contains("node-lost: "),
        "{lines}"
    );
    let table = paceline(cluster, &["failovers"])?.out;
    anyhow::ensure!(table.lines().count() == 4 && table.contains("drained"), "{table}");
    Ok(())
}

fn told(cluster: &Cluster, query: &str) -> anyhow::Result<Failovers> {
    cluster.get(&format!("/v1/failovers{query}"))
}

/// How long it took, seen by the programs, until one of a higher epoch was active.
fn active_again(cluster: &Cluster, epoch: u64, killed_ns: u64) -> anyhow::Result<u64> {
    let next = wait_for("another active instance", Duration::from_secs(20), || {
        let now = intervals(&cluster.witnessed().map_err(|e| e.to_string())?);
        now.into_iter()
            .find(|i| i.epoch > epoch)
            .ok_or_else(|| "none yet".to_owned())
    })?;
    Ok(next.from_ns.saturating_sub(killed_ns) / 1_000_000)
}

fn wait_done(cluster: &Cluster, count: usize) -> anyhow::Result<Failover> {
    let found = wait_for("a record that is done", TOLD_LIMIT, || {
        let told = told(cluster, "").map_err(|e| e.to_string())?;
        match told.failovers.as_slice() {
            [.., last] if told.failovers.len() == count && last.outcome == "done" => Ok(last.clone()),
            other => Err(format!("{other:#?}")),
        }
    })?;
    Ok(found)
}

/// The stages are these, one not before the other, and the last one is the total.
fn check_stages(it: &Failover, names: &[&str]) -> anyhow::Result<()> {
    let found: Vec<&str> = it.stages.iter().map(|stage| stage.stage.as_str()).collect();
    let ordered = it.stages.windows(2).all(|pair| pair[0].ms <= pair[1].ms);
    let ends = it.stages.last().map(|last| last.ms) == it.total_ms && it.stages[0].ms == 0;
    anyhow::ensure!(found == names && ordered && ends, "{it:#?}");
    Ok(())
}

/// The record is as long as what was measured, give or take.
fn agrees(it: &Failover, measured_ms: u64) -> anyhow::Result<()> {
    let total = it.total_ms.unwrap_or(u64::MAX);
    anyhow::ensure!(
        total.abs_diff(measured_ms) <= TOLERANCE_MS,
        "{measured_ms} ms measured, {it:#?}"
    );
    Ok(())
}
