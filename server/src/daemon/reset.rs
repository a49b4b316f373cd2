//! Resets the machine, for packages with `on_quorum_loss = "reset"`.
//!
//! By the command of `[reset]` in the node file, else by the kernel at once (`/proc/sysrq-trigger`): an orderly shutdown
//! would wait for the very disks and mounts that are in the way. Without a command only a machine of its own is reset: not a
//! container, and not a node that can't be reached from other machines, because such nodes share theirs.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::config::Config;

/// In the data directory: why this node was reset last.
const FILE: &str = "RESET";
/// How long the reason may take to get to the disk, which may be what is stuck.
const WRITE_WAIT: Duration = Duration::from_millis(500);

/// How a node is reset.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// A program of the node file.
    Command(Vec<String>),
    /// The kernel, at once.
    Kernel,
    /// Not at all, and why.
    Not(String),
}

/// Resets the machine. Returns where that does not happen at once, or fails: the packages are stopped all the same.
pub fn reset(config: &Config, package: &str, left: &[String]) {
    let mut reason = format!(
        "the lease of this node ended without an answer from the cluster, and package {package} has on_quorum_loss = \"reset\""
    );
    if !left.is_empty() {
        reason.push_str(&format!("; could not be killed: {}", left.join(", ")));
    }
    match way(config) {
        Way::Not(why) => {
            tracing::error!(reason, "this node is to be reset and is not: {why}");
        }
        Way::Command(command) => {
            keep(config, &reason);
            tracing::error!(reason, ?command, "resetting this node by its [reset] command");
            let Some((program, arguments)) = command.split_first() else {
                return;
            };
            let started = Command::new(program)
                .args(arguments)
                .env("PACELINE_RESET_REASON", &reason)
                .stdin(Stdio::null())
                .spawn();
            match started {
                // The node's parent reaps it where this daemon does not live to.
                Ok(mut child) => drop(std::thread::spawn(move || match child.wait() {
                    Ok(status) if status.success() => {}
                    Ok(status) => tracing::error!(%status, "the [reset] command failed: reset this node by hand"),
                    Err(error) => tracing::error!(%error, "the [reset] command can't be waited for"),
                })),
                Err(error) => {
                    tracing::error!(%error, program, "the [reset] command can't be started: reset this node by hand")
                }
            }
        }
        Way::Kernel => {
            keep(config, &reason);
            tracing::error!(reason, "resetting this machine");
            if let Err(error) = std::fs::write("/proc/sysrq-trigger", "b") {
                tracing::error!(%error, "the kernel refuses to reset: set [reset] command in the node file, and reset this node by hand now");
            }
        }
    }
}

/// Says why this node was reset, at the start after it.
pub fn report_last(data_dir: &Path) {
    let file = data_dir.join(FILE);
    if let Ok(reason) = std::fs::read_to_string(&file) {
        tracing::warn!(reason = reason.trim(), "this node was reset");
        let _ = std::fs::rename(&file, data_dir.join("RESET.previous"));
    }
}

fn way(config: &Config) -> Way {
    if !config.reset.is_empty() {
        return Way::Command(config.reset.clone());
    }
    if config.peer.iter().all(|address| address.ip().is_loopback()) {
        return Way::Not(
            "its peer addresses are all on loopback, so it shares this machine; set [reset] command in the node file"
                .to_owned(),
        );
    }
    if !["pid", "net"].iter().all(|kind| same_namespace(kind)) {
        return Way::Not("it runs in a container; set [reset] command in the node file".to_owned());
    }
    Way::Kernel
}

/// Whether this process is in the machine's own namespace of a kind.
fn same_namespace(kind: &str) -> bool {
    let number = |process: &str| std::fs::metadata(format!("/proc/{process}/ns/{kind}")).map(|data| data.ino());
    matches!((number("self"), number("1")), (Ok(own), Ok(first)) if own == first)
}

/// Writes the reason down, without waiting long for a disk.
fn keep(config: &Config, reason: &str) {
    let (file, reason) = (config.data_dir.join(FILE), reason.to_owned());
    let (done, written) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let result = std::fs::File::create(&file).and_then(|mut file| {
            writeln!(file, "{reason}")?;
            file.sync_all()
        });
        let _ = done.send(result);
    });
    match written.recv_timeout(WRITE_WAIT) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the reason of the reset can't be written down"),
        Err(_) => tracing::warn!("the disk takes too long for the reason of the reset"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("n1.toml");
        std::fs::write(&file, text).unwrap();
        Config::read(&file).unwrap()
    }

    #[test]
    fn a_machine_that_nodes_share_is_not_reset() {
        let shared = config("name = \"n1\"\npeer = [\"127.0.0.1:7401\"]");
        assert!(matches!(way(&shared), Way::Not(why) if why.contains("[reset] command")));
        let told = config("name = \"n1\"\npeer = [\"127.0.0.1:7401\"]\nreset.command = [\"/sbin/reboot\", \"-f\"]");
        assert_eq!(
            way(&told),
            Way::Command(vec!["/sbin/reboot".to_owned(), "-f".to_owned()])
        );
    }
}
