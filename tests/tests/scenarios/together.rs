//! A together group and a rotating spare (M12): all members on one node, started in order, moved as one.

use client::wire::package::Instance;
use tests::cluster::{Cluster, FAILOVER_LIMIT};
use tests::wait::wait_for;
use tests::witness::Kind;

const SHOP: &str = r#"
[[group]]
name = "shop"
kind = "together"

[[package]]
name = "db"
group = "shop"
load = { cpu = 100 }
run.command = [@WITNESS@]

[[package]]
name = "app"
group = "shop"
after = ["db"]
load = { cpu = 100 }
run.command = [@WITNESS@]

[[package]]
name = "web"
group = "shop"
after = ["app"]
load = { cpu = 100 }
run.command = [@WITNESS@]
"#;

/// The group's node fails: all of it on another one, db first; the returned node stays empty. Then the group is moved by
/// hand: each stops once what starts after it has ended.
#[test]
fn m12_a_group_goes_to_the_spare_as_one() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("m12", 3)?;
    cluster.apply(SHOP)?;
    let first = all_on_one(&cluster)?;
    cluster.node(&first).kill()?;
    cluster.wait_event("the loss", |e| e.kind == "node-lost")?;
    cluster.wait_event("web elsewhere", |e| e.resource == "package:web" && e.kind == "moved")?;
    let second = all_on_one(&cluster)?;
    anyhow::ensure!(first != second, "{first} is dead");
    cluster.node(&first).start()?;
    cluster.wait_until_whole()?;
    anyhow::ensure!(all_on_one(&cluster)? == second, "nothing moves back");

    cluster.change("POST", "/v1/packages/app/move", &format!("{{\"to\":\"{first}\"}}"))?;
    anyhow::ensure!(all_on_one(&cluster)? == first, "the group goes where one of it is sent");

    // What the programs wrote: an order of starts each time, and of ends where they ended in order. The last one writes a
    // moment after it is known to run.
    let records = wait_for("web's own word of its third start", FAILOVER_LIMIT, || {
        let records = cluster.witnessed().map_err(|error| format!("{error:#}"))?;
        let starts = records.iter().filter(|r| r.package == "web" && r.kind == Kind::Active);
        match starts.count() {
            3.. => Ok(records),
            fewer => Err(format!("{fewer} starts")),
        }
    })?;
    let times = |package: &str, kind: Kind| {
        let of = records.iter().filter(|r| r.package == package && r.kind == kind);
        of.map(|r| r.at_ns).collect::<Vec<_>>()
    };
    for (earlier, later) in [("db", "app"), ("app", "web")] {
        let (before, after) = (times(earlier, Kind::Active), times(later, Kind::Active));
        anyhow::ensure!(before.len() == after.len(), "{earlier} {before:?}, {later} {after:?}");
        for (a, b) in before.iter().zip(&after) {
            anyhow::ensure!(a < b, "{later} began before {earlier}");
        }
        let (before, after) = (times(earlier, Kind::Exit), times(later, Kind::Exit));
        anyhow::ensure!(
            before.len() == 1 && after.len() == 1 && after[0] < before[0],
            "{earlier} ended at {before:?}, {later} at {after:?}"
        );
    }
    cluster.finish()
}

/// The node on which all three run.
fn all_on_one(cluster: &Cluster) -> anyhow::Result<String> {
    let web = cluster.wait_running("web", "active")?;
    let of = |name| cluster.running(name, "active").map_err(anyhow::Error::msg);
    let others: Vec<Instance> = [of("db")?, of("app")?].into();
    anyhow::ensure!(others.iter().all(|it| it.node == web.node), "{others:?} and {web:?}");
    Ok(web.node)
}
