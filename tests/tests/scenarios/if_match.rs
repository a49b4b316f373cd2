//! `If-Match` on every control: who acts on what he saw is refused with 412 where it is not so any more, whichever node he asks.

use std::time::Duration;

use client::wire::package::Package;
use tests::cluster::Cluster;
use tests::http::{self, Answer, Request};
use tests::node::Node;

const FILE: &str = r#"
[[package]]
name = "a"
run.command = [@WITNESS@, "--unit", "a"]

[[package]]
name = "b"
run.command = [@WITNESS@, "--unit", "b"]
"#;

const LIMIT: Duration = Duration::from_secs(30);

/// A change that depends on an index.
fn change(node: &Node, path: &str, index: &str, body: &str) -> anyhow::Result<Answer> {
    let request = Request {
        method: "POST",
        path,
        headers: &[("content-type", "application/json"), ("if-match", index)],
        body: body.as_bytes(),
        limit: LIMIT,
    };
    Ok(http::send(node.api(), &request)?)
}

/// The index of the answer in which something is looked at.
fn look(cluster: &Cluster, node: &Node, path: &str) -> anyhow::Result<String> {
    let answer = cluster.send(node, "GET", path, "")?;
    anyhow::ensure!(answer.status == 200, "{path}: {}", answer.text());
    let index = answer.header("x-index");
    Ok(index
        .ok_or_else(|| anyhow::anyhow!("{path} has no X-Index"))?
        .to_owned())
}

fn refused(answer: &Answer, what: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        answer.status == 412 && answer.text().contains("\"changed\"") && answer.text().contains(what),
        "{} {}",
        answer.status,
        answer.text()
    );
    Ok(())
}

fn done(answer: &Answer) -> anyhow::Result<()> {
    anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    Ok(())
}

#[test]
fn what_has_changed_since_is_refused() -> anyhow::Result<()> {
    let cluster = Cluster::start("if-match", 3)?;
    cluster.apply(FILE)?;
    for node in cluster.nodes() {
        // The drain of the round before may have moved them.
        cluster.wait_running("a", "active")?;
        cluster.wait_running("b", "active")?;
        // Somebody else stops it meanwhile.
        let seen = look(&cluster, node, "/v1/packages/a")?;
        cluster.change("POST", "/v1/packages/a/stop", "")?;
        refused(&change(node, "/v1/packages/a/start", &seen, "")?, "a has changed")?;
        refused(
            &change(node, "/v1/packages/a/maintenance", &seen, r#"{"on":true}"#)?,
            "a has changed",
        )?;
        refused(
            &change(node, "/v1/cluster/rebalance", &seen, "{}")?,
            "the cluster has changed",
        )?;
        let row: Package = cluster.get("/v1/packages/a")?;
        anyhow::ensure!(row.wish == "stop" && row.maintenance.is_none(), "{row:?}");
        // What another package does is none of its business.
        done(&change(node, "/v1/packages/b/stop", &seen, "")?)?;
        done(&change(
            node,
            "/v1/packages/b/start",
            &look(&cluster, node, "/v1/packages/b")?,
            "",
        )?)?;
        done(&change(
            node,
            "/v1/packages/a/start",
            &look(&cluster, node, "/v1/packages/a")?,
            "",
        )?)?;

        let path = format!("/v1/nodes/{}", node.name());
        let seen = look(&cluster, node, &path)?;
        cluster.change("POST", &format!("{path}/drain"), "")?;
        refused(&change(node, &format!("{path}/resume"), &seen, "")?, node.name())?;
        done(&change(
            node,
            &format!("{path}/resume"),
            &look(&cluster, node, &path)?,
            "",
        )?)?;
    }
    let node = &cluster.nodes()[0];
    let seen = look(&cluster, node, "/v1/status")?;
    cluster.change("POST", "/v1/cluster/maintenance", r#"{"on":true}"#)?;
    let answer = change(node, "/v1/cluster/maintenance", &seen, r#"{"on":false}"#)?;
    refused(&answer, "the cluster has changed")?;
    let seen = look(&cluster, node, "/v1/status")?;
    done(&change(node, "/v1/cluster/maintenance", &seen, r#"{"on":false}"#)?)?;
    // The lead is no subject of the log.
    let answer = change(node, "/v1/cluster/move-leader", &seen, "{}")?;
    anyhow::ensure!(answer.status == 400, "{} {}", answer.status, answer.text());
    let answer = change(node, "/v1/packages/a/start", "soon", "")?;
    anyhow::ensure!(answer.status == 400, "{} {}", answer.status, answer.text());
    cluster.finish()
}
