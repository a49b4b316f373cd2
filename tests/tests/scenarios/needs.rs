//! M1's `needs`: a package runs only where its link and its service are up, and the loss of one drives it away.

use std::fs;

use tests::cluster::{Cluster, START_LIMIT};
use tests::wait::wait_for;

const PAIR: &str = r#"
[[package]]
name = "shop"
needs = ["lan:lo", "service:store"]
run.command = [@WITNESS@]

[[package]]
name = "cut"
needs = ["lan:nowhere0"]
run.command = [@WITNESS@]
"#;

/// The service that the package needs is on n1, then on n2: the package goes where it is.
#[test]
fn m1_a_package_goes_where_its_needs_are_met() -> anyhow::Result<()> {
    let mut cluster = Cluster::create("needs")?;
    let mark = |cluster: &Cluster, node: &str| cluster.directory().join(format!("store-on-{node}"));
    for number in 1..=3 {
        let file = mark(&cluster, &format!("n{number}"));
        let extra = format!(
            "[monitor.service.store]\nexec = [\"/usr/bin/test\", \"-e\", \"{}\"]\ninterval = \"50ms\"\nfailures = 1\n",
            file.display()
        );
        cluster.add_node(number, &extra)?;
    }
    cluster.start_all()?;
    fs::write(mark(&cluster, "n1"), "")?;
    cluster.apply(PAIR)?;
    let first = cluster.wait_running("shop", "active")?;
    anyhow::ensure!(first.node == "n1", "{first:?}");

    // A package that needs what no node has waits, and says for what.
    let cut = wait_for("the reason of cut", START_LIMIT, || {
        let told: client::wire::package::Explanation = cluster
            .get("/v1/packages/cut/explain")
            .map_err(|error| format!("{error:#}"))?;
        let reasons: Vec<_> = told.nodes.iter().map(|node| node.reason.clone()).collect();
        let all = reasons
            .iter()
            .all(|reason| reason.contains("there is no interface nowhere0"));
        if all { Ok(told) } else { Err(format!("{reasons:?}")) }
    })?;
    anyhow::ensure!(cut.nodes.len() == 3, "{cut:?}");

    fs::write(mark(&cluster, "n2"), "")?;
    fs::remove_file(mark(&cluster, "n1"))?;
    let lost = cluster.wait_event("the loss", |e| {
        e.kind == "service-down" && e.node.as_deref() == Some("n1")
    })?;
    anyhow::ensure!(lost.resource == "service:n1/store", "{lost:?}");
    let second = wait_for("shop on n2", START_LIMIT, || {
        let now = cluster.running("shop", "active")?;
        if now.node == "n2" {
            Ok(now)
        } else {
            Err(format!("{now:?}"))
        }
    })?;
    anyhow::ensure!(second.epoch > first.epoch, "{second:?} after {first:?}");
    // A program that needs nothing stays where it is when its node's service comes back.
    fs::write(mark(&cluster, "n1"), "")?;
    cluster.wait_event("the return", |e| {
        e.kind == "service-up" && e.node.as_deref() == Some("n1")
    })?;
    anyhow::ensure!(
        cluster.wait_running("shop", "active")?.epoch == second.epoch,
        "it stays"
    );
    let body = fs::read_to_string("/sys/class/net/lo/operstate").unwrap_or_default();
    anyhow::ensure!(!body.is_empty(), "this machine has a loopback interface");
    cluster.finish()
}
