//! `scripts/bench watch`: how long after its stamp an event is at those who watch, by events a second and watchers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use client::{Client, Wait};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

use super::report::{Sample, machine, print_table, save};
use crate::cluster::{Cluster, WISHES};
use crate::processes;

/// Wishes a second, and watchers, of each row.
const ROWS: [(u64, usize); 6] = [(20, 1), (20, 1000), (200, 1), (200, 100), (200, 1000), (1000, 100)];
/// For connections to be made, and for the last events to arrive.
const SETTLE: Duration = Duration::from_secs(1);
/// What a watcher reads at once.
const PIECE_BYTES: usize = 16 << 10;

/// What all watchers of a row noted.
#[derive(Debug, Default)]
struct Noted {
    watching: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    late_ms: Mutex<Vec<u64>>,
    stop: AtomicBool,
}

/// Runs every row for so long and prints the table.
///
/// # Errors
/// Where the cluster does not come up, or a watcher breaks off.
pub fn run(measure: Duration) -> anyhow::Result<()> {
    let before = machine();
    let cluster = Cluster::start("bench-watch", 3)?;
    cluster.apply(WISHES)?;
    let servers: Vec<SocketAddr> = cluster.nodes().iter().map(crate::node::Node::api).collect();
    let (mut cells, mut rows) = (Vec::new(), Vec::new());
    for (wishes, watchers) in ROWS {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let row = runtime.block_on(one_row(&servers, wishes, watchers, measure))?;
        let resident = cluster.nodes()[0].processes_of("serve-server");
        let resident_mib = resident
            .first()
            .and_then(|it| processes::usage(it.pid))
            .map_or(0, |(_, kib)| kib / 1024);
        cells.push(vec![
            format!("{:.0}", row.events_a_second),
            watchers.to_string(),
            format!("{:.0}", row.delivered_a_second),
            row.late.per_mille(500).to_string(),
            row.late.per_mille(990).to_string(),
            row.late.max().to_string(),
            resident_mib.to_string(),
        ]);
        rows.push(json!({
            "events_a_second": row.events_a_second, "watchers": watchers, "delivered_a_second": row.delivered_a_second,
            "p50_ms": row.late.per_mille(500), "p99_ms": row.late.per_mille(990), "max_ms": row.late.max(),
            "samples": row.late.count(), "server_resident_mib": resident_mib,
        }));
    }
    print_table(
        "from the leader's stamp, so with the commit, to the watcher; three servers, the watchers and the writers on one machine",
        &[
            "events/s",
            "watchers",
            "delivered/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "server MiB",
        ],
        &cells,
    );
    let report: Value = json!({ "bench": "watch", "before": before, "after": machine(), "rows": rows });
    save("watch", &report)?;
    cluster.finish()
}

struct Row {
    events_a_second: f64,
    delivered_a_second: f64,
    late: Sample,
}

async fn one_row(servers: &[SocketAddr], wishes: u64, watchers: usize, measure: Duration) -> anyhow::Result<Row> {
    let noted = Arc::new(Noted::default());
    let watching: Vec<_> = (0..watchers)
        .map(|n| tokio::spawn(watch(servers[n % servers.len()], Arc::clone(&noted))))
        .collect();
    let until = Instant::now() + Duration::from_secs(30);
    while noted.watching.load(Ordering::Relaxed) < watchers as u64 {
        anyhow::ensure!(Instant::now() < until, "not all watchers are there after 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let begin = Instant::now();
    let writing: Vec<_> = (1..=8)
        .map(|copy| tokio::spawn(wish(servers.to_vec(), copy, wishes, Arc::clone(&noted))))
        .collect();
    tokio::time::sleep(measure).await;
    noted.stop.store(true, Ordering::Relaxed);
    for task in writing {
        task.await??;
    }
    let took = begin.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    for task in watching {
        // One that has ended lost its server.
        anyhow::ensure!(!task.is_finished(), "a watcher broke off");
        task.abort();
    }
    let delivered = noted.events.load(Ordering::Relaxed) as f64 / took;
    let late = std::mem::take(&mut *noted.late_ms.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Row {
        events_a_second: delivered / watchers as f64,
        delivered_a_second: delivered,
        late: Sample::new(late),
    })
}

async fn wish(servers: Vec<SocketAddr>, copy: u64, wishes: u64, noted: Arc<Noted>) -> anyhow::Result<()> {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let client = Client::new(&servers)?;
    let name = format!("big-{copy}");
    let mut ticks = tokio::time::interval(Duration::from_secs(8) / u32::try_from(wishes)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut starts = true;
    while !noted.stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        if starts {
            client.start(&name, Wait::No).await?;
        } else {
            client.stop(&name, Wait::No).await?;
        }
        starts = !starts;
    }
    Ok(())
}

/// Reads as a slim program would: parsing all of a thousand streams would measure the parser.
async fn watch(server: SocketAddr, noted: Arc<Noted>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET /v1/watch?resource=package:* HTTP/1.1\r\nHost: {server}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut begun = false;
    loop {
        let length = stream.read(&mut piece).await?;
        anyhow::ensure!(length > 0, "the server ended the stream");
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let text = String::from_utf8_lossy(&piece[..length]);
        noted.bytes.fetch_add(length as u64, Ordering::Relaxed);
        if !begun && text.contains("event: current") {
            begun = true;
            noted.watching.fetch_add(1, Ordering::Relaxed);
        }
        let events = text.matches("event: change").count() as u64;
        noted.events.fetch_add(events, Ordering::Relaxed);
        // The first of a piece has waited longest.
        if let Some(time) = text.split_once("\"time\":\"").and_then(|(_, rest)| rest.get(..24)) {
            let stamped = stamp_ms(time).context("a time that is none")?;
            let late = u64::try_from(now_ms.saturating_sub(stamped))?;
            noted.late_ms.lock().unwrap_or_else(PoisonError::into_inner).push(late);
        }
    }
}

/// Milliseconds since 1970 of a time like 2026-11-23T04:05:06.789Z.
fn stamp_ms(time: &str) -> Option<u128> {
    let stamp: jiff::Timestamp = time.parse().ok()?;
    u128::try_from(stamp.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(stamp_ms("1970-01-01T00:00:00.001Z"), Some(1));
        assert_eq!(stamp_ms("2026-11-24T00:00:01.500Z"), Some(1_795_478_401_500));
        assert_eq!(stamp_ms("soon"), None);
    }
}
