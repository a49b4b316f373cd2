//! `scripts/bench writes`: acknowledged changes a second over HTTP, beside etcd, interleaved on the same machine.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use client::wire::status::Status;
use serde_json::{Value, json};

use super::etcd::{self, Etcd, KEYS};
use super::load::{self, Load, MakeRequest, Outcome};
use super::report::{machine, print_table, save};
use crate::cluster::Cluster;
use crate::processes;

/// A value's size: what agents and rules store is of this order.
const VALUE_BYTES: usize = 256;
/// Counts of clients, with the least ratio to etcd that is asked for (`must` of the performance goals).
const CELLS: [(usize, f64); 5] = [(1, 1.5), (16, 3.5), (64, 5.0), (256, 6.0), (1000, 5.0)];
/// Clock ticks a second, as proc(5) counts processor time: fixed on Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// How long and where to.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Runs of each cell on each side; their median is printed.
    pub rounds: usize,
    /// Measured time of one run.
    pub measure: Duration,
    /// Before it.
    pub warm_up: Duration,
    /// All clients at the leader; else they are spread over all three servers.
    pub leader_only: bool,
    /// Without etcd beside it.
    pub alone: bool,
    /// Counts of clients; empty: all.
    pub clients: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Measured {
    outcome: Outcome,
    cpu_us: f64,
}

/// Runs it and prints the table.
///
/// # Errors
/// Where a cluster does not come up or no client can connect.
pub fn run(options: &WriteOptions) -> anyhow::Result<()> {
    let before = machine();
    let cluster = Cluster::start("bench-writes", 3)?;
    let term = cluster.get::<Status>("/v1/status")?.term;
    let etcd = if options.alone {
        None
    } else {
        Some(start_etcd(&cluster)?)
    };
    let mut rows = Vec::new();
    let mut cells = Vec::new();
    for (clients, must) in CELLS {
        if !options.clients.is_empty() && !options.clients.contains(&clients) {
            continue;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            ours.push(measure_paceline(&cluster, clients, options)?);
            if let Some(etcd) = &etcd {
                theirs.push(measure_etcd(etcd, clients, options)?);
            }
        }
        let (ours, theirs) = (median(ours).context("no round")?, median(theirs));
        rows.push(row(clients, must, &ours, theirs.as_ref()));
        cells.push(json!({ "clients": clients, "must": must, "paceline": describe(&ours), "etcd": theirs.as_ref().map(describe) }));
    }
    let etcd_name = etcd
        .as_ref()
        .map(Etcd::version)
        .transpose()?
        .map_or("no etcd".to_owned(), |v| format!("etcd {v}"));
    print_table(
        &format!("acknowledged writes of {VALUE_BYTES} B, three nodes, fsync on, HTTP/1.1 JSON; beside {etcd_name}"),
        &[
            "clients",
            "writes/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "cpu µs/op",
            "failed",
            "etcd/s",
            "p50 ms",
            "p99 ms",
            "cpu µs/op",
            "ratio",
            "must",
            "",
        ],
        &rows,
    );
    let status: Status = cluster.get("/v1/status")?;
    println!(
        "leader changes during the run: {}; machine load before {}, after {}",
        status.term - term,
        before["load_average"],
        machine()["load_average"]
    );
    let report = json!({
        "bench": "writes", "machine_before": before, "machine_after": machine(), "etcd": etcd_name, "value_bytes": VALUE_BYTES,
        "clients_at": if options.leader_only { "leader" } else { "all servers" }, "rounds": options.rounds,
        "measure_ms": options.measure.as_millis() as u64, "leader_changes": status.term - term, "cells": cells,
    });
    save("writes", &report)?;
    drop(etcd);
    cluster.finish()
}

fn start_etcd(cluster: &Cluster) -> anyhow::Result<Etcd> {
    let [_, high, low, _] = cluster.ip(1).octets();
    // The other half of the loopback addresses that clusters of tests use.
    Etcd::start(cluster.directory(), (high | 0x80, low))
}

fn measure_paceline(cluster: &Cluster, clients: usize, options: &WriteOptions) -> anyhow::Result<Measured> {
    let leader = cluster.leader()?;
    let servers: Vec<SocketAddr> = cluster
        .nodes()
        .iter()
        .filter(|n| !options.leader_only || n.name() == leader)
        .map(|n| n.api())
        .collect();
    let pids = || {
        processes::under(cluster.directory())
            .into_iter()
            .map(|p| p.pid)
            .collect::<Vec<_>>()
    };
    measure(clients, servers, paceline_request(), pids(), options)
}

fn measure_etcd(etcd: &Etcd, clients: usize, options: &WriteOptions) -> anyhow::Result<Measured> {
    let servers = if options.leader_only {
        vec![etcd.leader()?]
    } else {
        etcd.addresses().to_vec()
    };
    measure(
        clients,
        servers,
        etcd::put_request("etcd", VALUE_BYTES),
        etcd.pids(),
        options,
    )
}

fn measure(
    clients: usize,
    servers: Vec<SocketAddr>,
    request: MakeRequest,
    pids: Vec<i32>,
    options: &WriteOptions,
) -> anyhow::Result<Measured> {
    let load = Load {
        clients,
        servers,
        warm_up: options.warm_up,
        measure: options.measure,
        request,
    };
    let ticks = || pids.iter().map(|pid| processes::cpu_ticks(*pid)).sum::<u64>();
    let (begin, end) = (Cell::new(0), Cell::new(0));
    let outcome = load::run(&load, || begin.set(ticks()), || end.set(ticks()))?;
    let cpu_us = (end.get() - begin.get()) as f64 / TICKS_A_SECOND * 1e6 / outcome.done.max(1) as f64;
    Ok(Measured { outcome, cpu_us })
}

/// A change of a node attribute.
pub(super) fn paceline_request() -> MakeRequest {
    Arc::new(|client, n, buffer| {
        let path = format!("/v1/nodes/n{}/attributes/bench-{:02}", 1 + client % 3, client % KEYS);
        let value = etcd::value(client, n, VALUE_BYTES);
        buffer.extend_from_slice(
            format!(
                "PUT {path} HTTP/1.1\r\nhost: paceline\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n\"{value}\"",
                value.len() + 2
            )
            .as_bytes(),
        );
    })
}

/// The run with the median rate.
fn median(mut runs: Vec<Measured>) -> Option<Measured> {
    runs.sort_by_key(|run| run.outcome.done);
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle)
}

fn row(clients: usize, must: f64, ours: &Measured, theirs: Option<&Measured>) -> Vec<String> {
    let ms = |us: u64| format!("{:.1}", us as f64 / 1000.0);
    let mut row = vec![
        clients.to_string(),
        format!("{:.0}", ours.outcome.per_second()),
        ms(ours.outcome.latency_us.per_mille(500)),
        ms(ours.outcome.latency_us.per_mille(990)),
        ms(ours.outcome.latency_us.per_mille(999)),
        format!("{:.0}", ours.cpu_us),
        ours.outcome.failed.to_string(),
    ];
    if let Some(failure) = &ours.outcome.first_failure {
        eprintln!("{clients} clients: {failure}");
    }
    let Some(theirs) = theirs else { return row };
    let ratio = ours.outcome.per_second() / theirs.outcome.per_second().max(1.0);
    row.extend([
        format!("{:.0}", theirs.outcome.per_second()),
        ms(theirs.outcome.latency_us.per_mille(500)),
        ms(theirs.outcome.latency_us.per_mille(990)),
        format!("{:.0}", theirs.cpu_us),
        format!("{ratio:.1}"),
        format!("{must:.1}"),
        if ratio >= must { "ok" } else { "below" }.to_owned(),
    ]);
    row
}

fn describe(run: &Measured) -> Value {
    json!({
        "per_second": run.outcome.per_second(),
        "failed": run.outcome.failed,
        "p50_us": run.outcome.latency_us.per_mille(500),
        "p99_us": run.outcome.latency_us.per_mille(990),
        "p999_us": run.outcome.latency_us.per_mille(999),
        "server_cpu_us_per_op": run.cpu_us,
    })
}
