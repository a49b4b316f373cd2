//! M5 with real processes: the patent's example as it is written, out of a file of rules beside the cluster file.

use std::fs;

use client::wire::error::Problem;
use client::wire::rules::Rules;
use tests::cluster::Cluster;
use tests::command_line::paceline;
use tests::fuzz::PATENT_EXAMPLE;
use tests::wait::wait_for;

const FILE: &str = r#"
[cluster]
name = "rules"
rules_file = "example.rules"

[[package]]
name = "pkg1"
nodes = ["n1", "n2"]
run.command = [@WITNESS@, "--unit", "pkg1"]

[[package]]
name = "pkg2"
nodes = ["n2", "n1"]
run.command = [@WITNESS@, "--unit", "pkg2"]
"#;

/// pkg1 and pkg2 never stay on one node, pkg1 wins, and pkg2 comes when pkg1 goes.
#[test]
fn m5_the_patents_example_works_as_written() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("m5", 3)?;
    let (file, rules) = (
        cluster.directory().join("cluster.toml"),
        cluster.directory().join("example.rules"),
    );
    fs::write(&file, cluster.fill_in(FILE)?)?;

    // A file of rules with an error is refused before anything is sent, with its place in that file.
    fs::write(&rules, PATENT_EXAMPLE.replace("pkg2->startup", "pkg2->start"))?;
    let path = file.to_string_lossy();
    let refused = paceline(&cluster, &["apply", &path, "--yes"])?;
    anyhow::ensure!(
        refused.code == 1
            && refused.err.contains("example.rules, line 6, column 15")
            && refused.err.contains("startup"),
        "{refused:?}"
    );
    let checked = paceline(
        &cluster,
        &["rules", "check", &rules.to_string_lossy(), "--config", &path],
    )?;
    anyhow::ensure!(checked.code == 1 && checked.err.contains(":6:15:"), "{checked:?}");

    fs::write(&rules, PATENT_EXAMPLE)?;
    let applied = paceline(&cluster, &["apply", &path, "--yes"])?;
    anyhow::ensure!(
        applied.code == 0 && applied.out.contains("change the rules"),
        "{applied:?}"
    );
    let first = cluster.wait_running("pkg1", "active")?;
    let second = cluster.wait_running("pkg2", "active")?;
    anyhow::ensure!(
        (first.node.as_str(), second.node.as_str()) == ("n1", "n2"),
        "{first:?} {second:?}"
    );

    // n1 fails: pkg1 comes to n2, and pkg2 makes way.
    cluster.node("n1").kill()?;
    wait_for("pkg1 on n2 without pkg2", std::time::Duration::from_secs(20), || {
        let first = cluster.running("pkg1", "active")?;
        let second = cluster.package("pkg2").map_err(|error| format!("{error:#}"))?;
        if first.node == "n2" && second.instances.is_empty() {
            Ok(())
        } else {
            Err(format!("{first:?}, pkg2 {:?}", second.instances))
        }
    })?;
    let fired = cluster.wait_event("a rule that halts pkg2", |event| {
        event.kind == "rule-fired" && event.text.contains("pkg2->halt")
    })?;
    anyhow::ensure!(fired.resource == "package:pkg1" && fired.cause.is_some(), "{fired:?}");
    let wished = cluster.wait_event("the wish of that rule", |event| event.kind == "stop-wished")?;
    let cause = format!("{}.{}", fired.index, fired.sequence);
    anyhow::ensure!(
        wished.cause.as_deref() == Some(cause.as_str()),
        "{wished:?} after {fired:?}"
    );

    // n1 returns and nothing moves; pkg1 is stopped by a person, and pkg2 comes.
    cluster.node("n1").start()?;
    cluster.wait_until_whole()?;
    anyhow::ensure!(cluster.package("pkg2")?.instances.is_empty(), "nobody wished pkg2 back");
    cluster.change("POST", "/v1/packages/pkg1/stop", "")?;
    cluster.wait_running("pkg2", "active")?;

    api(&cluster)?;
    cluster.finish()
}

/// The rules in force by the API: read, refused whole, and removed.
fn api(cluster: &Cluster) -> anyhow::Result<()> {
    let present: Rules = cluster.get("/v1/rules")?;
    anyhow::ensure!(present.rules.starts_with(PATENT_EXAMPLE), "{present:?}");
    let node = cluster.nodes().first().ok_or_else(|| anyhow::anyhow!("no node"))?;
    let bad = serde_json::to_string(&Rules {
        rules: "pkg1 (halt) { pkg3->startup }\nnode:n9 (up) { }".to_owned(),
    })?;
    let answer = cluster.send(node, "PUT", "/v1/rules", &bad)?;
    let problem: Problem = answer.json()?;
    let places: Vec<_> = problem.errors.iter().map(|error| (error.line, error.column)).collect();
    anyhow::ensure!(answer.status == 422 && places == [(1, 15), (2, 6)], "{problem:?}");
    let unchanged: Rules = cluster.get("/v1/rules")?;
    anyhow::ensure!(unchanged == present, "a refused text changes nothing: {unchanged:?}");

    let exported = paceline(cluster, &["export"])?;
    anyhow::ensure!(exported.out.contains("pkg1 (halt) {\n"), "{exported:?}");
    cluster.change("PUT", "/v1/rules", r#"{"rules":""}"#)?;
    let none: Rules = cluster.get("/v1/rules")?;
    anyhow::ensure!(none.rules.is_empty(), "{none:?}");
    Ok(())
}
