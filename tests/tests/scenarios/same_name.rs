//! Two nodes of one name: the second is refused, and the first goes on as if nothing had happened.

use std::time::Duration;

use tests::cluster::Cluster;
use tests::node::{Node, NodeOptions};
use tests::wait::{holds_for, wait_for};

use super::PAIR;

#[test]
fn the_second_is_refused() -> anyhow::Result<()> {
    let cluster = Cluster::start("same-name", 3)?;
    cluster.apply(PAIR)?;
    let active = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;

    for (number, extra) in [(8, ""), (9, "roles = [\"daemon\"]\n")] {
        let mut twin = Node::create(NodeOptions {
            namespace: None,
            name: "n1".to_owned(),
            address: cluster.ip(number),
            join: vec![cluster.address(2), cluster.address(3)],
            data_dir: cluster.directory().join(format!("twin-{number}")),
            extra: extra.to_owned(),
        })?;
        twin.start()?;
        wait_for("the twin to say why it is refused", Duration::from_secs(20), || {
            let text = twin.log_text().map_err(|e| e.to_string())?;
            if text.contains("n1") && text.contains("another") {
                Ok(())
            } else {
                Err(text)
            }
        })?;
        holds_for(Duration::from_secs(2), || {
            let still = cluster.running("svc-1", "active")?;
            let packages = cluster.package_processes("svc-1").len() + cluster.package_processes("svc-2").len();
            if still.epoch == active.epoch && packages == 2 {
                Ok(())
            } else {
                Err(format!("{still:?}, {packages} processes"))
            }
        })
        .map_err(anyhow::Error::msg)?;
        twin.kill()?;
    }
    cluster.finish()
}
