//! Finding and killing every process of a node.
//!
//! Whatever a node starts carries `PACELINE_NODE_ROOT` in its environment: parent, server, daemon, supervisors, packages and
//! what these start. So a node dies as a machine does: all of it, at once.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup;

/// The variable.
pub(super) const NODE_ROOT: &str = "PACELINE_NODE_ROOT";
/// How long killed processes may take to be gone: they have nothing to say in it.
const KILL_MAX: Duration = Duration::from_secs(5);

/// Between two looks: longer than a program takes to begin.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Every process of the node with this data directory. Zombies have no environment any more, so they do not count.
pub(super) fn of_node(data_dir: &Path) -> Vec<Pid> {
    find(data_dir, |_| true)
}

/// Whether any package of the node still runs.
pub(super) fn runs_packages(data_dir: &Path) -> bool {
    !find(data_dir, |variable| variable.starts_with(b"PACELINE_PACKAGE=")).is_empty()
}

/// Processes of the node with any variable that is `also` looked for.
fn find(data_dir: &Path, also: impl Fn(&[u8]) -> bool) -> Vec<Pid> {
    let mut root = format!("{NODE_ROOT}=").into_bytes();
    root.extend_from_slice(data_dir.as_os_str().as_bytes());
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                let variables = || environment.split(|byte| *byte == 0);
                variables().any(|variable| variable == root) && variables().any(&also)
            })
        })
        .map(Pid::from_raw)
        .collect()
}

/// What was killed.
#[derive(Debug, Default)]
pub(super) struct Killed {
    /// How many processes there were.
    pub(super) count: usize,
    /// The control groups that they were in, which nobody else removes now.
    pub(super) cgroups: BTreeSet<String>,
}

/// SIGKILL to every process of the node, again and again until none is left.
///
/// A process has no environment for a moment while it executes its program, so that one look may miss it: only the second
/// look in a row that finds nothing counts.
pub(super) fn kill_all(data_dir: &Path) -> Killed {
    let began = Instant::now();
    let mut seen: BTreeSet<Pid> = BTreeSet::new();
    let mut cgroups = BTreeSet::new();
    let mut looks_in_vain = 0;
    while looks_in_vain < 2 && began.elapsed() < KILL_MAX {
        let found = of_node(data_dir);
        if seen.is_empty() {
            cgroups = cgroup::of_processes(&found);
        }
        for pid in &found {
            // It may have ended by itself meanwhile.
            let _ = kill(*pid, Signal::SIGKILL);
        }
        looks_in_vain = if found.is_empty() { looks_in_vain + 1 } else { 0 };
        seen.extend(found);
        std::thread::park_timeout(LOOK_AGAIN);
    }
    Killed {
        count: seen.len(),
        cgroups,
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn all_processes_of_a_node_are_found_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("/bin/sh")
            .args(["-c", "sleep 100 & setsid sleep 100 & wait"])
            .env(NODE_ROOT, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while of_node(folder.path()).len() < 3 && began.elapsed() < Duration::from_secs(5) {
            std::thread::yield_now();
        }
        assert!(!runs_packages(folder.path()));
        // A child that has not yet executed its program counts under the same number.
        assert_eq!(kill_all(folder.path()).count, 3);
        child.wait().unwrap();
        assert!(of_node(folder.path()).is_empty());
    }

    #[test]
    fn a_node_whose_path_only_begins_the_same_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("/bin/sleep")
            .arg("100")
            .env(NODE_ROOT, folder.path().join("n10"))
            .env("PACELINE_PACKAGE", "web")
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !runs_packages(&folder.path().join("n10")) && began.elapsed() < Duration::from_secs(5) {
            std::thread::yield_now();
        }
        assert!(of_node(&folder.path().join("n1")).is_empty());
        assert_eq!(kill_all(&folder.path().join("n10")).count, 1);
        child.wait().unwrap();
    }
}
