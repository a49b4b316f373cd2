//! Control groups (version 2): the second way, beside the namespace, to kill everything and to see that nothing is left.
//!
//! An instance has a group with two groups below: `supervisor` holds supervisor and init, `package` what the package
//! runs. They are apart so that limits on the package never slow down what watches over it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where version 2 is mounted: alone, or beside version 1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The control group of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Names the group of an instance below the group of its node, where version 2 is there and may be written.
    /// `node` must be unique on the machine, because several nodes may run on one.
    #[must_use]
    pub fn make(node: &str, instance: &str) -> Option<Self> {
        let root = ROOTS
            .iter()
            .map(Path::new)
            .find(|root| root.join("cgroup.procs").exists())?;
        let path = root.join("paceline").join(node).join(instance);
        fs::create_dir_all(path.join("supervisor")).ok()?;
        fs::create_dir_all(path.join("package")).ok()?;
        Some(Self { path })
    }

    /// A group that was made before.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The group of the package's own processes.
    #[must_use]
    pub fn package(&self) -> PathBuf {
        self.path.join("package")
    }

    /// Moves the calling process into the supervisor's group.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enter(&self) -> io::Result<()> {
        fs::write(self.path.join("supervisor/cgroup.procs"), "0")
    }

    /// SIGKILL to everything in it, supervisor and init too.
    pub fn kill(&self) {
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
    }

    /// SIGKILL to the package's own processes.
    pub fn kill_package(&self) {
        let _ = fs::write(self.path.join("package/cgroup.kill"), "1");
    }

    /// Whether no process is left in it. A group that is not there holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match fs::read_to_string(self.path.join("cgroup.events")) {
            Ok(events) => events.lines().any(|line| line == "populated 0"),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Removes it, once empty; also the node's group where this was the last.
    pub fn remove(&self) {
        for part in ["supervisor", "package"] {
            let _ = fs::remove_dir(self.path.join(part));
        }
        let _ = fs::remove_dir(&self.path);
        if let Some(node) = self.path.parent() {
            let _ = fs::remove_dir(node);
        }
    }
}
