//! A disk that is slow for some processes: the block controller's limit of version 1 control groups.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::wait::monotonic_ns;

const ROOT: &str = "/sys/fs/cgroup/blkio";

/// Processes whose writes to one device are held to so many bytes a second, for as long as this lives.
#[derive(Debug)]
pub struct Throttle {
    group: PathBuf,
}

impl Throttle {
    /// Limits these processes.
    ///
    /// # Errors
    /// Where this machine has no such controller.
    pub fn start(device: &str, bytes_a_second: u64, processes: &[i32]) -> anyhow::Result<Self> {
        let group = PathBuf::from(ROOT).join(format!("paceline-test-{}-{}", std::process::id(), monotonic_ns()));
        fs::create_dir(&group).with_context(|| format!("no block controller at {ROOT}"))?;
        let throttle = Self { group };
        for name in ["blkio.throttle.write_bps_device", "blkio.throttle.read_bps_device"] {
            fs::write(throttle.group.join(name), format!("{device} {bytes_a_second}"))
                .with_context(|| format!("cannot limit {device}"))?;
        }
        for process in processes {
            fs::write(throttle.group.join("cgroup.procs"), process.to_string())?;
        }
        Ok(throttle)
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        let members = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        for member in members.lines() {
            // It may have ended meanwhile.
            let _ = fs::write(PathBuf::from(ROOT).join("cgroup.procs"), member);
        }
        if let Err(error) = fs::remove_dir(&self.group) {
            eprintln!("cannot remove {}: {error}", self.group.display());
        }
    }
}
