//! Two nodes and a witness: any one of the three may be lost, and the one with the shorter log is not elected.

use std::time::Duration;

use client::wire::node::Attributes;
use client::wire::status::Status;
use nix::sys::signal::Signal;
use tests::cluster::{Cluster, FAILOVER_LIMIT, START_LIMIT};
use tests::wait::{holds_for, wait_for};

use super::PAIR;

/// The witness's node; the harness names nodes by number.
const WITNESS: &str = "n3";

/// The witness, the standby's node and the active one's are lost in turn. The witness never runs a package, and where it
/// has to lead it gives the lead away.
#[test]
fn any_one_may_be_lost() -> anyhow::Result<()> {
    let mut cluster = start("witness-losses")?;
    cluster.apply(PAIR)?;
    let active = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;

    cluster.node(WITNESS).kill()?;
    cluster.change("PUT", "/v1/nodes/n1/attributes/without", "\"the witness\"")?;
    holds_for(Duration::from_millis(1_500), || same(&cluster, active.epoch)).map_err(anyhow::Error::msg)?;
    cluster.node(WITNESS).start()?;
    wait_until_whole(&cluster)?;

    cluster.node("n2").kill()?;
    cluster.change("PUT", "/v1/nodes/n1/attributes/without", "\"n2\"")?;
    holds_for(Duration::from_millis(1_500), || same(&cluster, active.epoch)).map_err(anyhow::Error::msg)?;
    cluster.node("n2").start()?;
    wait_until_whole(&cluster)?;
    cluster.wait_running("svc-2", "standby")?;

    cluster.node("n1").kill()?;
    let promoted = cluster.wait_running("svc-2", "active")?;
    anyhow::ensure!(promoted.node == "n2" && promoted.epoch > active.epoch, "{promoted:?}");
    wait_for("n2 to lead", FAILOVER_LIMIT, || leads(&cluster, "n2"))?;
    cluster.change("PUT", "/v1/nodes/n2/attributes/without", "\"n1\"")?;
    cluster.node("n1").start()?;
    wait_until_whole(&cluster)?;
    cluster.wait_running("svc-1", "standby")?;

    let status: Status = cluster.get("/v1/status")?;
    anyhow::ensure!(
        status.nodes.iter().all(|node| node.name != WITNESS),
        "nothing can be placed on the witness: {:?}",
        status.nodes
    );
    anyhow::ensure!(
        status.warnings.iter().all(|warning| !warning.contains("vote")),
        "{:?}",
        status.warnings
    );
    cluster.finish()
}

/// n2's server is down while the cluster writes: the last entries are on n1 and on the witness alone. n1 dies, n2's server
/// returns with the shorter log: it must not be elected before it has everything, and nothing acknowledged may be lost.
#[test]
fn the_shorter_log_is_not_elected() -> anyhow::Result<()> {
    let mut cluster = start("witness-shorter-log")?;
    if leads(&cluster, "n1").is_err() {
        cluster.change("POST", "/v1/cluster/move-leader", "{\"to\":\"n1\"}")?;
    }
    // Its parent would start it again at once.
    let parents = cluster.node("n2").processes_of("serve");
    for parent in &parents {
        parent.signal(Signal::SIGSTOP);
    }
    for server in cluster.node("n2").processes_of("serve-server") {
        server.kill();
    }
    let mut written = Vec::new();
    for number in 0..20 {
        let key = format!("k{number}");
        cluster.change("PUT", &format!("/v1/nodes/n1/attributes/{key}"), "\"kept\"")?;
        written.push(key);
    }
    cluster.node("n1").kill()?;
    for parent in &parents {
        parent.signal(Signal::SIGCONT);
    }
    wait_for("n2 to lead", START_LIMIT, || leads(&cluster, "n2"))?;
    let n2 = &cluster.nodes()[1];
    let now: Attributes = cluster.ask(n2, "/v1/nodes/n1/attributes")?;
    for key in &written {
        anyhow::ensure!(
            now.attributes.contains_key(key),
            "{key} was acknowledged and is lost: {now:?}"
        );
    }
    let log = cluster.node(WITNESS).log_text()?;
    for words in [
        "this witness leads until a server has caught up",
        "has given the lead to a server",
    ] {
        anyhow::ensure!(log.contains(words), "the witness has not said {words:?}:\n{log}");
    }
    cluster.node("n1").start()?;
    wait_until_whole(&cluster)?;
    cluster.finish()
}

/// With two voters alone, `status` says that this can't fail over and what to add.
#[test]
fn two_voters_alone_are_warned_of() -> anyhow::Result<()> {
    let mut cluster = Cluster::create("two-voters")?;
    for n in 1..=2 {
        cluster.add_node(n, "")?;
    }
    for name in ["n1", "n2"] {
        cluster.node(name).start()?;
    }
    wait_for("the warning", START_LIMIT, || {
        let status: Status = cluster.get("/v1/status").map_err(|e| format!("{e:#}"))?;
        let said = status
            .warnings
            .iter()
            .any(|w| w.contains("can't fail over") && w.contains("witness"));
        if said {
            Ok(())
        } else {
            Err(format!("{:?}", status.warnings))
        }
    })?;
    cluster.finish()
}

fn start(story: &str) -> anyhow::Result<Cluster> {
    let mut cluster = Cluster::create(story)?;
    cluster.add_node(1, "")?;
    cluster.add_node(2, "")?;
    cluster.add_node(3, "roles = [\"witness\"]\n")?;
    for name in ["n1", "n2", WITNESS] {
        cluster.node(name).start()?;
    }
    wait_until_whole(&cluster)?;
    Ok(cluster)
}

/// Two nodes up, three voters, one of them known as witness, and a leader that every server names.
fn wait_until_whole(cluster: &Cluster) -> anyhow::Result<()> {
    wait_for("two nodes and a witness", START_LIMIT, || {
        for node in cluster.nodes() {
            let status: Status = cluster.ask(node, "/v1/status").map_err(|e| format!("{e:#}"))?;
            let up = status.nodes.iter().filter(|n| n.state == "up").count();
            let voters = status.members.iter().filter(|m| m.role == "voter").count();
            let witness = status.members.iter().any(|m| m.name == WITNESS && m.witness);
            if up != 2 || voters != 3 || !witness || !status.quorate || status.leader.is_none() {
                return Err(format!(
                    "{}: {up} up, {voters} voters, leader {:?}",
                    node.name(),
                    status.leader
                ));
            }
        }
        Ok(())
    })?;
    Ok(())
}

fn leads(cluster: &Cluster, name: &str) -> Result<(), String> {
    let status: Status = cluster.get("/v1/status").map_err(|e| format!("{e:#}"))?;
    if status.leader.as_deref() == Some(name) && status.quorate {
        Ok(())
    } else {
        Err(format!("{:?} leads", status.leader))
    }
}

fn same(cluster: &Cluster, epoch: u64) -> Result<(), String> {
    let active = cluster.running("svc-1", "active")?;
    if active.epoch == epoch {
        Ok(())
    } else {
        Err(format!("active under another epoch: {active:?}"))
    }
}
