//! Promotion by fitness: the standby that says it is fittest takes over, and one that says it must not be does not.

use tests::cluster::{Cluster, START_LIMIT};
use tests::wait::wait_for;

const TRIO: &str = r#"
[[group]]
name = "db"
kind = "duplex"
standbys = 2

[[package]]
name = "a"
group = "db"
nodes = ["n1"]
run.command = [@WITNESS@, "--unit", "db"]

[[package]]
name = "b"
group = "db"
nodes = ["n2"]
run.command = [@WITNESS@, "--unit", "db", "--says", "{\"score\":-1}"]

[[package]]
name = "c"
group = "db"
nodes = ["n3"]
run.command = [@WITNESS@, "--unit", "db", "--says", "{\"score\":7,\"busy\":true}"]
"#;

/// By rank b would take over; it says that it must not, so c does.
#[test]
fn the_fittest_standby_takes_over() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("fitness", 3)?;
    cluster.apply(TRIO)?;
    cluster.wait_running("a", "active")?;
    for (package, score, busy) in [("b", -1, false), ("c", 7, true)] {
        wait_for("what it says of itself", START_LIMIT, || {
            let standby = cluster.running(package, "standby")?;
            if (standby.score, standby.busy) == (Some(score), busy) {
                Ok(())
            } else {
                Err(format!("{standby:?}"))
            }
        })?;
    }
    cluster.node("n1").kill()?;
    cluster.wait_running("c", "active")?;
    cluster.node("n1").start()?;
    cluster.wait_until_whole()?;
    cluster.finish()
}
