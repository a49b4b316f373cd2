//! Disks: whether something is mounted where a package expects it, answers, and can be written to.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use nix::sys::statvfs::{FsFlags, statvfs};
use tokio::task::JoinHandle;

use crate::daemon::core::Condition;

/// A file system that does not answer within this is down: one over the network may never.
const ANSWER: Duration = Duration::from_secs(2);

/// The mount points that are looked at.
#[derive(Default)]
pub(super) struct Disks {
    /// Questions without an answer: no second one is asked before.
    asked: BTreeMap<String, JoinHandle<Condition>>,
}

impl Disks {
    /// How a mount point is.
    pub(super) async fn look(&mut self, path: &str) -> Condition {
        let mut question = match self.asked.remove(path) {
            Some(question) if !question.is_finished() => {
                self.asked.insert(path.to_owned(), question);
                return silent();
            }
            Some(_) | None => {
                let path = path.to_owned();
                tokio::task::spawn_blocking(move || {
                    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
                    condition(&mounts, &path)
                })
            }
        };
        match tokio::time::timeout(ANSWER, &mut question).await {
            Ok(Ok(condition)) => condition,
            Ok(Err(error)) => Condition {
                up: false,
                detail: format!("it could not be looked at: {error}"),
            },
            Err(_) => {
                self.asked.insert(path.to_owned(), question);
                silent()
            }
        }
    }
}

fn silent() -> Condition {
    Condition {
        up: false,
        detail: format!("its file system has not answered within {} s", ANSWER.as_secs()),
    }
}

/// An empty directory where a disk should be mounted is the very thing that a package must not run on, so there must be a
/// mount of this name.
fn condition(mounts: &str, path: &str) -> Condition {
    let down = |detail: String| Condition { up: false, detail };
    let Some(options) = mount_options(mounts, path) else {
        return down(format!("nothing is mounted at {path}"));
    };
    if options.split(',').any(|option| option == "ro") {
        return down(format!("{path} is mounted read-only"));
    }
    match statvfs(path) {
        Ok(found) if found.flags().contains(FsFlags::ST_RDONLY) => down(format!("{path} can only be read")),
        Ok(_) => Condition {
            up: true,
            detail: String::new(),
        },
        Err(error) => down(format!("{path}: {}", error.desc())),
    }
}

/// The options of the mount that is on top at a path, from the text of `/proc/self/mountinfo`.
fn mount_options<'t>(mounts: &'t str, path: &str) -> Option<&'t str> {
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    let escaped = path.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
    mounts.lines().rev().find_map(|line| {
        let mut fields = line.split(' ').skip(4);
        (fields.next() == Some(escaped.as_str())).then(|| fields.next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                          30 22 8:2 / /data ro,relatime - ext4 /dev/sdb1 rw\n\
                          31 22 8:3 / /data rw,relatime - ext4 /dev/sdc1 rw\n\
                          32 22 8:4 / /archive ro,relatime - ext4 /dev/sdd1 ro\n";

    #[test]
    fn the_mount_on_top_counts() {
        assert_eq!(mount_options(MOUNTS, "/data"), Some("rw,relatime"));
        assert_eq!(mount_options(MOUNTS, "/data/"), Some("rw,relatime"));
        assert_eq!(mount_options(MOUNTS, "/"), Some("rw,relatime"));
        assert_eq!(mount_options(MOUNTS, "/data/inside"), None);
    }

    #[test]
    fn what_is_not_mounted_or_read_only_is_down() {
        assert_eq!(condition(MOUNTS, "/var/db").detail, "nothing is mounted at /var/db");
        assert_eq!(condition(MOUNTS, "/archive").detail, "/archive is mounted read-only");
        assert!(condition(MOUNTS, "/").up, "{:?}", condition(MOUNTS, "/"));
    }
}
