//! M9 where the active instance's node is the leader's too: an election and the wait of a new leader come first.

use tests::cluster::Cluster;
use tests::wait::wait_for;

/// One member on each node, so that the active one can be put where the leader is.
const TRIO: &str = r#"
[[group]]
name = "svc"
kind = "duplex"
standbys = 2

[[package]]
name = "svc"
group = "svc"
copies = 3
run.command = [@WITNESS@, "--unit", "svc"]
"#;

/// The leader's node dies with the active instance: another node takes over.
#[test]
fn a_standby_takes_over() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("leader-node", 3)?;
    cluster.apply(TRIO)?;
    let names = ["svc-1", "svc-2", "svc-3"];
    cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    cluster.wait_running("svc-3", "standby")?;

    let leader = cluster.leader()?;
    let at_leader = wait_for("an instance at the leader", tests::cluster::START_LIMIT, || {
        let found = names
            .iter()
            .find(|name| cluster.running(name, "standby").is_ok_and(|i| i.node == leader));
        match found {
            Some(name) => Ok(Some(*name)),
            None if names
                .iter()
                .any(|name| cluster.running(name, "active").is_ok_and(|i| i.node == leader)) =>
            {
                Ok(None)
            }
            None => Err("none".to_owned()),
        }
    })?;
    if let Some(name) = at_leader {
        cluster.change("POST", &format!("/v1/packages/{name}/promote"), "{}")?;
    }
    let active = wait_for("the active one at the leader", tests::cluster::START_LIMIT, || {
        names
            .iter()
            .find_map(|n| cluster.running(n, "active").ok())
            .filter(|i| i.node == leader)
            .ok_or("none".to_owned())
    })?;

    cluster.node(&leader).kill()?;
    wait_for("an active instance elsewhere", tests::cluster::START_LIMIT, || {
        let now = names
            .iter()
            .find_map(|n| cluster.running(n, "active").ok())
            .filter(|i| i.epoch > active.epoch);
        now.filter(|i| i.node != leader)
            .ok_or_else(|| format!("after {active:?}"))
    })?;
    cluster.node(&leader).start()?;
    cluster.wait_until_whole()?;
    cluster.finish()
}
