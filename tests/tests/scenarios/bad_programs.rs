//! Programs that are not there, can't run, exit at once, or don't listen: a state and an event say so, and nothing spins.

use std::fs;
use std::time::Duration;

use tests::cluster::{Cluster, FAILOVER_LIMIT};
use tests::wait::{holds_for, wait_for};
use tests::witness::Kind;

/// More attempts than this within the watched time would be a busy loop: three restarts a node on three nodes.
const STARTS_MAX: usize = 12;

/// Not there, and there but not executable: `failed`, with an event that names what is wrong.
#[test]
fn a_program_that_cannot_start_is_failed() -> anyhow::Result<()> {
    let cluster = Cluster::start("cannot-start", 3)?;
    let plain = cluster.directory().join("not-executable");
    fs::write(&plain, "#!/bin/sh\n")?;
    cluster.apply(&format!(
        "[[package]]\nname = \"missing\"\nrestart = {{ attempts = 1, within = \"10m\" }}\nrun.command = [\"/nowhere/at/all\"]\n\
         [[package]]\nname = \"plain\"\nrestart = {{ attempts = 1, within = \"10m\" }}\nrun.command = [\"{}\"]\n",
        plain.display()
    ))
    .or_else(accept_failed)?;
    for (name, word) in [("missing", "/nowhere/at/all"), ("plain", "not-executable")] {
        wait_for(&format!("{name} to be failed"), Duration::from_secs(30), || {
            let package = cluster.package(name).map_err(|e| format!("{e:#}"))?;
            if package.state == "failed" {
                Ok(())
            } else {
                Err(format!("{} ({})", package.state, package.reason))
            }
        })?;
        cluster.wait_event(&format!("that says what is wrong with {name}"), |e| {
            e.resource == format!("package:{name}") && e.severity != "info" && e.text.contains(word)
        })?;
        let events = cluster
            .events()?
            .iter()
            .filter(|e| e.resource == format!("package:{name}"))
            .count();
        anyhow::ensure!(events < 100, "{events} events about one package");
    }
    cluster.finish()
}

/// It exits at once, every time: restarts back off and end.
#[test]
fn a_program_that_exits_at_once_is_not_started_in_a_loop() -> anyhow::Result<()> {
    let cluster = Cluster::start("exits-at-once", 3)?;
    cluster
        .apply(
            "[[package]]\nname = \"short\"\nrun.command = [@WITNESS@, \"--way\", \"start\", \"--exit-after\", \"0\"]\n",
        )
        .or_else(accept_failed)?;
    let starts = || {
        cluster
            .witnessed()
            .map(|r| r.iter().filter(|r| r.kind == Kind::Start).count())
    };
    wait_for("a first start", FAILOVER_LIMIT, || match starts() {
        Ok(0) | Err(_) => Err("none".to_owned()),
        Ok(_) => Ok(()),
    })?;
    holds_for(Duration::from_secs(6), || {
        let starts = starts().map_err(|e| e.to_string())?;
        if starts <= STARTS_MAX {
            Ok(())
        } else {
            Err(format!("{starts} starts"))
        }
    })
    .map_err(anyhow::Error::msg)?;
    cluster.wait_event("that says that it exited", |e| {
        e.resource == "package:short" && e.severity != "info" && e.text.contains("exit")
    })?;
    cluster.finish()
}

/// It ignores SIGTERM: a stop kills it after its time-out, and only then says stopped.
#[test]
fn a_program_that_ignores_sigterm_is_killed() -> anyhow::Result<()> {
    let cluster = Cluster::start("ignores-term", 3)?;
    cluster.apply(
        "[[package]]\nname = \"deaf\"\nstop_timeout = \"500ms\"\nrun.command = [@WITNESS@, \"--ignore-term\"]\n",
    )?;
    let active = cluster.wait_running("deaf", "active")?;
    let pid = cluster.package_process("deaf", &active.node)?.pid;
    let begin = std::time::Instant::now();
    cluster.change("POST", "/v1/packages/deaf/stop", "{}")?;
    let took = begin.elapsed();
    anyhow::ensure!(!tests::processes::lives(pid), "the answer said stopped, but it lives");
    anyhow::ensure!(
        took >= Duration::from_millis(450),
        "it had its time to end by itself: {took:?}"
    );
    anyhow::ensure!(took < Duration::from_secs(5), "{took:?}");
    cluster.finish()
}

/// A change that was taken may say that its result has not come: the program is bad, not the file.
fn accept_failed(error: anyhow::Error) -> anyhow::Result<client::wire::plan::Done> {
    let text = format!("{error:#}");
    anyhow::ensure!(text.contains("timeout") || text.contains("failed"), "{text}");
    Ok(client::wire::plan::Done {
        index: 0,
        outcome: "failed".to_owned(),
        detail: text,
        steps: Vec::new(),
    })
}
