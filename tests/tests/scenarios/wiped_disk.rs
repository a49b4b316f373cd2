//! A node that comes back under its old name on a wiped disk must not vote as if it still had its log.

use std::fs;
use std::time::Duration;

use client::wire::status::Status;
use tests::cluster::Cluster;
use tests::wait::{holds_for, wait_for};

#[test]
fn it_is_refused_and_the_others_go_on() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("wiped-disk", 3)?;
    cluster.change("PUT", "/v1/nodes/n1/attributes/before", "\"kept\"")?;
    let leader = cluster.leader()?;
    let victim = ["n1", "n2", "n3"]
        .into_iter()
        .find(|n| *n != leader && *n != "n1")
        .unwrap_or("n3");
    cluster.node(victim).kill()?;
    let data_dir = cluster.node(victim).data_dir().to_owned();
    let kept = data_dir.with_extension("kept");
    fs::rename(&data_dir, &kept)?;
    fs::create_dir_all(&data_dir)?;
    let printed = cluster.node(victim).log_text()?.len();
    cluster.node(victim).start()?;
    wait_for("the refusal of an empty directory", Duration::from_secs(20), || {
        let text = cluster.node(victim).log_text().map_err(|e| e.to_string())?;
        let new = text.get(printed..).unwrap_or_default();
        if new.contains(victim) && new.contains("member") {
            Ok(())
        } else {
            Err(new.to_owned())
        }
    })?;
    let term = cluster.get::<Status>("/v1/status")?.term;
    holds_for(Duration::from_secs(2), || {
        let status: Status = cluster.get("/v1/status").map_err(|e| format!("{e:#}"))?;
        if status.term == term && status.quorate {
            Ok(())
        } else {
            Err(format!("term {} after {term}", status.term))
        }
    })
    .map_err(anyhow::Error::msg)?;
    cluster.change("PUT", "/v1/nodes/n1/attributes/during", "\"kept\"")?;

    cluster.node(victim).kill()?;
    fs::remove_dir_all(&data_dir)?;
    fs::rename(&kept, &data_dir)?;
    cluster.node(victim).start()?;
    cluster.wait_until_whole()?;
    cluster.heal()?;
    cluster.finish()
}
