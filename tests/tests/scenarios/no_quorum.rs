//! I7: a node that is left alone stops its packages within the lease, says so, and still answers what it knows.

use std::time::Duration;

use client::wire::event::Events;
use client::wire::package::Explanation;
use client::wire::status::Status;
use tests::cluster::{Cluster, FAILOVER_LIMIT};
use tests::invariants::{Cut, check_all};
use tests::wait::{monotonic_ns, wait_for};
use tests::witness::intervals;

use super::PAIR;

/// T + K of the default lease, and what the witness may be late with a beat on a busy machine.
const GONE_WITHIN: Duration = Duration::from_millis(1_000 + 100 + 50);

/// n2 and n3 die; n1 has the active instance.
#[test]
fn packages_obey_their_lease_and_reads_answer_stale() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("no-quorum", 3)?;
    cluster.apply(PAIR)?;
    let active = cluster.wait_running("svc-1", "active")?;
    anyhow::ensure!(active.node == "n1", "{active:?}");

    let cut_ns = monotonic_ns();
    cluster.node("n2").kill()?;
    cluster.node("n3").kill()?;
    // From here on no renewal is answered: both were dead at this moment at the latest.
    let dead_ns = monotonic_ns();

    wait_for("the end of every package on n1", FAILOVER_LIMIT, || {
        let left = cluster.package_processes("svc-1");
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })?;
    let seen = intervals(&cluster.witnessed()?);
    let last = seen
        .iter()
        .filter(|i| i.node == "n1")
        .map(|i| i.until_ns)
        .max()
        .unwrap_or(0);
    let after = Duration::from_nanos(last.saturating_sub(dead_ns));
    anyhow::ensure!(last > cut_ns, "it was active until the cut");
    anyhow::ensure!(after < GONE_WITHIN, "a beat came {after:?} after the quorum was gone");

    let n1 = &cluster.nodes()[0];
    let refused = wait_for("a refusal", FAILOVER_LIMIT, || {
        let answer = cluster
            .send(n1, "PUT", "/v1/nodes/n1/attributes/k", "\"v\"")
            .map_err(|e| format!("{e:#}"))?;
        if answer.status == 503 {
            Ok(answer)
        } else {
            Err(format!("{} {}", answer.status, answer.text()))
        }
    })?;
    anyhow::ensure!(
        refused.header("retry-after").is_some(),
        "503 says when to come back: {:?}",
        refused.headers
    );
    anyhow::ensure!(
        refused.header("content-type") == Some("application/problem+json"),
        "{:?}",
        refused.headers
    );

    let status: Status = cluster.ask(n1, "/v1/status")?;
    anyhow::ensure!(status.stale && !status.quorate, "status says that it is stale");
    let events: Events = cluster.ask(n1, "/v1/events")?;
    anyhow::ensure!(
        events.stale && !events.events.is_empty(),
        "events are told, marked stale"
    );
    let explanation: Explanation = cluster.ask(n1, "/v1/packages/svc-1/explain")?;
    anyhow::ensure!(explanation.stale, "explain says that it is stale");

    let whole_ns = monotonic_ns();
    cluster.node("n2").start()?;
    cluster.node("n3").start()?;
    cluster.wait_until_whole()?;
    wait_for("an active instance again", FAILOVER_LIMIT, || {
        cluster
            .running("svc-1", "active")
            .or_else(|_| cluster.running("svc-2", "active"))
    })?;
    cluster.heal()?;
    let mut evidence = cluster.evidence()?;
    evidence.cuts.push(Cut {
        node: "n1".to_owned(),
        from_ns: dead_ns,
        until_ns: whole_ns,
    });
    check_all(&evidence).demand(&["I1", "I4", "I7", "I22"])?;
    cluster.finish_on(&evidence)
}
