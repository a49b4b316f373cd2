//! A cluster file with several errors: all of them are printed with their place, and nothing changes.

use std::fs;

use client::wire::error::Problem;
use tests::cluster::Cluster;
use tests::command_line::paceline;

/// Five mistakes of five kinds.
const BAD: &str = r#"[cluster]
name = "story"
leese = "1s"

[[group]]
name = "svc"
kind = "duplicks"

[[package]]
name = "one"
group = "scv"
stop_timeout = "ten seconds"
run.command = ["/bin/true"]

[[package]]
name = "two words"
run.command = ["/bin/true"]
"#;

/// (line, a word that its message or its nearest name holds)
const EXPECTED: [(u32, &str); 5] = [(3, "lease"), (7, "duplex"), (11, "svc"), (12, "10s"), (16, "name")];

#[test]
fn every_error_is_printed_and_nothing_changes() -> anyhow::Result<()> {
    let cluster = Cluster::start("bad-file", 3)?;
    cluster.apply("[[package]]\nname = \"kept\"\nrun.command = [@WITNESS@]\n")?;
    let kept = cluster.wait_running("kept", "active")?;

    let answer = cluster.send(&cluster.nodes()[0], "PUT", "/v1/config", BAD)?;
    anyhow::ensure!(
        answer.status == 422 || answer.status == 400,
        "{} {}",
        answer.status,
        answer.text()
    );
    let problem: Problem = answer.json()?;
    for (line, word) in EXPECTED {
        let found = problem.errors.iter().find(|e| {
            e.line == line
                && e.column > 0
                && (e.message.contains(word) || e.nearest.as_deref().is_some_and(|n| n.contains(word)))
        });
        anyhow::ensure!(
            found.is_some(),
            "no error at line {line} that says {word:?}: {:#?}",
            problem.errors
        );
    }

    let file = cluster.directory().join("bad.toml");
    fs::write(&file, BAD)?;
    let printed = paceline(&cluster, &["apply", &file.to_string_lossy(), "--yes"])?;
    anyhow::ensure!(printed.code == 1, "{printed:?}");
    for (line, _) in EXPECTED {
        anyhow::ensure!(
            printed.err.contains(&format!(":{line}:")),
            "line {line} is not in {}",
            printed.err
        );
    }

    let still = cluster.wait_running("kept", "active")?;
    anyhow::ensure!(still.epoch == kept.epoch, "nothing changed: {still:?} after {kept:?}");
    anyhow::ensure!(cluster.package("one").is_err(), "no part of the file was taken");
    cluster.finish()
}
