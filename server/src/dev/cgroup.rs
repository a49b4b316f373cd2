//! Removing the control groups that killed nodes have left.
//!
//! A daemon removes its packages' control groups itself; one that was killed could not. They are empty folders in the
//! kernel's file system, but "leaves nothing behind" counts them too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

/// Where control groups of version 2 are: alone, or beside version 1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// What the daemons' control groups lie below.
const TOP: &str = "paceline";
/// The kernel keeps a group for a moment after its last process has died.
const REMOVE_MAX: Duration = Duration::from_secs(1);

/// The control groups of nodes that these processes are in, as paths below the root.
pub(super) fn of_processes(pids: &[Pid]) -> BTreeSet<String> {
    pids.iter()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok())
        .filter_map(|text| text.lines().find_map(|line| node_group(line.strip_prefix("0::")?)))
        .collect()
}

/// `/paceline/NODE/INSTANCE/package` -> `paceline/NODE`.
fn node_group(path: &str) -> Option<String> {
    let mut parts = path.trim_start_matches('/').split('/');
    let (top, node) = (parts.next()?, parts.next()?);
    (top == TOP && !node.is_empty() && node != "..").then(|| format!("{top}/{node}"))
}

/// Removes them, with what is below, once they are empty.
pub(super) fn remove(groups: &BTreeSet<String>) {
    let began = Instant::now();
    let mut left: Vec<PathBuf> = ROOTS
        .iter()
        .map(Path::new)
        .filter(|root| root.join("cgroup.procs").exists())
        .flat_map(|root| groups.iter().map(move |group| root.join(group)))
        .filter(|path| path.is_dir())
        .collect();
    while !left.is_empty() && began.elapsed() < REMOVE_MAX {
        left.retain(|path| !remove_tree(path));
        std::thread::yield_now();
    }
    for root in ROOTS {
        // Only succeeds where it is empty: other nodes' groups stay.
        let _ = std::fs::remove_dir(Path::new(root).join(TOP));
    }
}

/// Children first. Says whether it is gone.
fn remove_tree(path: &Path) -> bool {
    let children = std::fs::read_dir(path).into_iter().flatten().flatten();
    for child in children.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&child.path());
    }
    std::fs::remove_dir(path).is_ok() || !path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_of_nodes_are_taken() {
        assert_eq!(
            node_group("/paceline/n1-ab12/web-1.7/package").as_deref(),
            Some("paceline/n1-ab12")
        );
        assert_eq!(node_group("/system.slice/ssh.service"), None);
        assert_eq!(node_group("/paceline"), None);
        assert_eq!(node_group("/"), None);
    }

    #[test]
    fn a_tree_of_folders_is_removed_from_below() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("n1");
        std::fs::create_dir_all(top.join("web/package")).unwrap();
        std::fs::create_dir_all(top.join("web/supervisor")).unwrap();
        assert!(remove_tree(&top));
        assert!(!top.exists());
    }
}
