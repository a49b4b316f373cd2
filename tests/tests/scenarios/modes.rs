//! M7: modes of the users' own, beside those that every package has.

use client::wire::package::Package;
use tests::cluster::Cluster;
use tests::command_line::paceline;

const FILE: &str = r#"
[[mode]]
name = "training"
from = ["stopped", "standby"]
to = ["stopped", "standby"]

[[group]]
name = "pair"
kind = "duplex"

[[package]]
name = "a"
group = "pair"
nodes = ["n1"]
run.command = [@WITNESS@, "--unit", "pair"]

[[package]]
name = "b"
group = "pair"
nodes = ["n2"]
run.command = [@WITNESS@, "--unit", "pair"]
"#;

/// A standby goes into a mode of its own; nobody takes over with it there, and it comes back as standby and takes over.
#[test]
fn m7_what_is_in_a_mode_of_its_own_takes_nothing_over() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("modes", 3)?;
    cluster.apply(FILE)?;
    cluster.wait_running("a", "active")?;
    cluster.wait_running("b", "standby")?;
    let refused = paceline(&cluster, &["mode", "a", "training", "--yes"])?;
    anyhow::ensure!(refused.code == 1 && refused.err.contains("only from"), "{refused:?}");
    let done = paceline(&cluster, &["mode", "b", "training", "--yes"])?;
    anyhow::ensure!(done.code == 0 && done.out.contains("training"), "{done:?}");
    let training = cluster.wait_running("b", "training")?;
    anyhow::ensure!(training.output == "inhibited", "{training:?}");
    let process = cluster.package_process("b", "n2")?;
    let told = std::fs::read(format!("/proc/{}/environ", process.pid))?;
    anyhow::ensure!(
        told.split(|byte| *byte == 0)
            .any(|pair| pair == b"PACELINE_MODE=training"),
        "the program was told of its mode: {}",
        String::from_utf8_lossy(&told)
    );

    // The active one's node dies: nothing takes over, because what is in training never does.
    cluster.node("n1").kill()?;
    cluster.wait_event("the loss", |e| e.kind == "node-lost")?;
    cluster.wait_event("no active member", |e| e.kind == "group-lost")?;
    anyhow::ensure!(
        cluster.wait_running("b", "training")?.epoch == training.epoch,
        "it goes on"
    );

    // It comes back to the group, and takes over.
    let done = paceline(&cluster, &["start", "b", "--yes"])?;
    anyhow::ensure!(done.code == 0, "{done:?}");
    cluster.wait_running("b", "active")?;
    cluster.node("n1").start()?;
    cluster.wait_running("a", "standby")?;
    let refused = paceline(&cluster, &["mode", "a", "trainin", "--yes"])?;
    anyhow::ensure!(refused.code == 1 && refused.err.contains("training"), "{refused:?}");
    let row: Package = cluster.get("/v1/packages/a")?;
    anyhow::ensure!(row.wish == "start", "{row:?}");
    cluster.finish()
}
