//! A name that is not there: 404 and the nearest name that is, in the API and on the command line.

use client::wire::error::Problem;
use tests::cluster::Cluster;
use tests::command_line::paceline;

#[test]
fn the_nearest_name_is_told() -> anyhow::Result<()> {
    let cluster = Cluster::start("unknown-names", 3)?;
    cluster.apply("[[package]]\nname = \"orders\"\nrun.command = [@WITNESS@]\n")?;
    let cases = [
        ("GET", "/v1/packages/order", "", "orders"),
        ("GET", "/v1/packages/ordesr/explain", "", "orders"),
        ("POST", "/v1/packages/ordres/stop", "{}", "orders"),
        ("GET", "/v1/nodes/m1", "", "n1"),
        ("PUT", "/v1/nodes/n11/attributes/k", "\"v\"", "n1"),
    ];
    for (method, path, body, nearest) in cases {
        let answer = cluster.send(&cluster.nodes()[1], method, path, body)?;
        anyhow::ensure!(
            answer.status == 404,
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
        let problem: Problem = answer.json()?;
        anyhow::ensure!(problem.code == "not_found", "{method} {path}: {problem:?}");
        anyhow::ensure!(
            problem.nearest.as_deref() == Some(nearest),
            "{method} {path}: {problem:?}"
        );
    }
    let printed = paceline(&cluster, &["stop", "odrers", "--yes"])?;
    anyhow::ensure!(printed.code == 1 && printed.err.contains("orders"), "{printed:?}");
    cluster.finish()
}
