//! M9 where the active instance's node is the leader's too: an election and the wait of a new leader come first.

use tests::cluster::Cluster;
use tests::invariants::check_all;
use tests::oracle::Clients;
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

    let servers: Vec<_> = cluster.nodes().iter().map(tests::node::Node::api).collect();
    let clients = Clients::start(8, &servers, &["n1", "n2", "n3"], 2);
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
    let history = clients.stop();
    cluster.heal()?;
    let mut evidence = cluster.evidence()?;
    evidence.histories.push(history);
    check_all(&evidence).demand(&["I4", "I5", "I6", "I8", "I9", "I10", "I12", "I20", "I22"])?;
    cluster.finish_on(&evidence)
}
