//! A changed definition is told by the package's reload command: nothing is restarted, standbys are told first, and what
//! can't be told, or does not take it, is restarted.

use std::path::Path;

use tests::cluster::Cluster;
use tests::command_line::paceline;
use tests::processes::Process;

use super::PAIR;

/// A pair whose reload command writes down what it finds, refuses `bad`, and never ends for `slow`.
fn file(log: &Path, setting: &str, arguments: &str) -> String {
    let log = log.display();
    let pair = PAIR.replace(r#""svc"]"#, &format!(r#""svc"{arguments}]"#));
    format!(
        r#"{pair}start_timeout = "2s"
run.env = {{ SETTING = "{setting}" }}
reload.command = ["/bin/sh", "-c", 'echo "$PACELINE_PACKAGE $SETTING $PACELINE_MODE" >> {log}; [ "$SETTING" != bad ] || exit 3; [ "$SETTING" != slow ] || sleep 60']
"#
    )
}

fn pair(cluster: &Cluster, nodes: [&str; 2]) -> anyhow::Result<Vec<Process>> {
    let [first, second] = nodes;
    Ok(vec![
        cluster.package_process("svc-1", first)?,
        cluster.package_process("svc-2", second)?,
    ])
}

fn pids(processes: &[Process]) -> Vec<i32> {
    processes.iter().map(|process| process.pid).collect()
}

#[test]
fn told_in_place_of_a_restart() -> anyhow::Result<()> {
    let cluster = Cluster::start("reload", 3)?;
    let log = cluster.directory().join("reloads");
    cluster.apply(&file(&log, "one", ""))?;
    let active = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    let before = pids(&pair(&cluster, ["n1", "n2"])?);

    let path = cluster.directory().join("cluster.toml");
    let text = |setting, arguments| cluster.fill_in(&file(&log, setting, arguments));
    std::fs::write(&path, text("two", "")?)?;
    let name = path.display().to_string();
    let planned = paceline(&cluster, &["plan", &name])?;
    anyhow::ensure!(
        planned.out.contains("reload  svc-1") && !planned.out.contains("restart"),
        "{planned:?}"
    );
    // It stops nothing, so nobody is asked.
    let applied = paceline(&cluster, &["apply", &name])?;
    anyhow::ensure!(applied.code == 0, "{applied:?}");
    anyhow::ensure!(
        pids(&pair(&cluster, ["n1", "n2"])?) == before,
        "the processes are others"
    );
    anyhow::ensure!(
        std::fs::read_to_string(&log)? == "svc-2 two standby\nsvc-1 two active\n",
        "told: {}",
        std::fs::read_to_string(&log)?
    );
    let now = cluster.wait_running("svc-1", "active")?;
    anyhow::ensure!(now.epoch == active.epoch, "{now:?}");
    cluster.wait_event("svc-1 is reloaded", |e| {
        e.kind == "reloaded" && e.text.contains("svc-1")
    })?;

    // Another program can't be told of.
    std::fs::write(&path, text("two", r#", "--says", '{"score":1}'"#)?)?;
    let planned = paceline(&cluster, &["plan", &name])?;
    anyhow::ensure!(planned.out.contains("restart"), "{planned:?}");
    cluster.finish()
}

#[test]
fn what_does_not_take_it_is_restarted() -> anyhow::Result<()> {
    let cluster = Cluster::start("reload-fails", 3)?;
    let log = cluster.directory().join("reloads");
    cluster.apply(&file(&log, "one", ""))?;
    cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    for (setting, told) in [("bad", "exited with 3"), ("slow", "did not end in time")] {
        let before: Vec<i32> = ["svc-1", "svc-2"]
            .iter()
            .flat_map(|package| pids(&cluster.package_processes(package)))
            .collect();
        cluster.apply(&file(&log, setting, ""))?;
        for package in ["svc-1", "svc-2"] {
            let failed = cluster.wait_event("the reload failed", |e| {
                e.kind == "reload-failed" && e.text.contains(package) && e.text.contains(told)
            })?;
            let cause = format!("{}.{}", failed.index, failed.sequence);
            let stopped = cluster.wait_event("a stop that follows from it", |e| {
                e.kind == "stopping" && e.cause.as_ref() == Some(&cause)
            })?;
            anyhow::ensure!(stopped.text.contains(package), "{stopped:?}");
            for process in cluster.package_processes(package) {
                anyhow::ensure!(!before.contains(&process.pid), "{package} was not restarted");
                anyhow::ensure!(
                    process.variable("SETTING") == Some(setting),
                    "{package} runs with {:?}",
                    process.variable("SETTING")
                );
            }
        }
    }
    cluster.finish()
}

/// The standby fails under the new definition: the active one goes on under the one before, `apply` says so, and the old file makes
/// all well without touching who works.
#[test]
fn a_definition_that_fails_goes_no_further() -> anyhow::Result<()> {
    let cluster = Cluster::start("roll-out", 3)?;
    let good = format!("{PAIR}restart = {{ attempts = 1, within = \"10m\" }}\nstart_timeout = \"2s\"\n");
    // It runs, and never becomes ready.
    let never =
        "\nrun.command = [\"/bin/sleep\", \"1000\"]\nprobe = { exec = [\"/bin/false\"], interval = \"100ms\" }\n";
    let bad = good.replace("\nrun.command = [@WITNESS@, \"--unit\", \"svc\"]\n", never);
    anyhow::ensure!(bad != good, "the definition is not what this story takes it for");
    cluster.apply(&good)?;
    let active = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    let before = pids(&pair(&cluster, ["n1", "n2"])?);

    let path = cluster.directory().join("cluster.toml");
    let name = path.display().to_string();
    std::fs::write(&path, cluster.fill_in(&bad)?)?;
    let applied = paceline(&cluster, &["apply", "--yes", &name])?;
    anyhow::ensure!(applied.code == 1, "{applied:?}");
    let said = "svc-1 goes on under the definition before, because svc-2 has failed under the new one";
    anyhow::ensure!(format!("{}{}", applied.out, applied.err).contains(said), "{applied:?}");
    cluster.wait_event("the roll-out is held", |e| {
        e.kind == "roll-out-held" && e.text.contains("svc-1")
    })?;
    let now = cluster.wait_running("svc-1", "active")?;
    anyhow::ensure!(now.epoch == active.epoch, "{now:?}");
    let explained = paceline(&cluster, &["explain", "svc-1"])?;
    anyhow::ensure!(
        explained.out.contains(said.trim_start_matches("svc-1 ")),
        "{explained:?}"
    );

    std::fs::write(&path, cluster.fill_in(&good)?)?;
    let applied = paceline(&cluster, &["apply", "--yes", &name])?;
    anyhow::ensure!(applied.code == 0, "{applied:?}");
    cluster.wait_running("svc-2", "standby")?;
    let after = pids(&pair(&cluster, ["n1", "n2"])?);
    anyhow::ensure!(
        after[0] == before[0] && after[1] != before[1],
        "{before:?} became {after:?}"
    );
    cluster.heal()?;
    cluster.finish()
}
