//! What runs on this machine, as `/proc` tells it: the tests believe it and not what paceline says about itself.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The environment variable that everything of a node carries.
pub const NODE_ROOT: &str = "PACELINE_NODE_ROOT";

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, as it was at its start.
    pub environment: Vec<(String, String)>,
}

impl Process {
    /// A variable of its environment.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether its first arguments are a program of this file name and then this word.
    #[must_use]
    pub fn is_command(&self, program: &str, word: &str) -> bool {
        let file = self
            .arguments
            .first()
            .map(|a| Path::new(a).file_name().map(|f| f.to_string_lossy().into_owned()));
        file.flatten().as_deref() == Some(program) && self.arguments.get(1).map(String::as_str) == Some(word)
    }

    /// Ends it at once. Whether it was still there does not matter.
    pub fn kill(&self) {
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
    }

    /// Sends it a signal. Whether it was still there does not matter.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid), signal);
    }
}

/// Every living process of the node with this data directory: parent, server, daemon, supervisors, packages.
#[must_use]
pub fn of_node(data_dir: &Path) -> Vec<Process> {
    let root = data_dir.to_string_lossy();
    all()
        .into_iter()
        .filter(|p| p.variable(NODE_ROOT) == Some(root.as_ref()))
        .collect()
}

/// Every living process of any node whose data directory lies under `directory`.
#[must_use]
pub fn under(directory: &Path) -> Vec<Process> {
    let mut prefix = directory.to_string_lossy().into_owned();
    prefix.push('/');
    all()
        .into_iter()
        .filter(|p| p.variable(NODE_ROOT).is_some_and(|root| root.starts_with(&prefix)))
        .collect()
}

/// Whether a process of this id lives (a zombie does not).
#[must_use]
pub fn lives(pid: i32) -> bool {
    state_of(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// Whether no thread of a process runs: each was stopped, or waits in the kernel and will be before it runs again. So is one
/// that is gone.
#[must_use]
pub fn stands_still(pid: i32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    threads.flatten().all(|thread| {
        let state = stat_fields(&thread.path()).and_then(|fields| fields.first()?.chars().next());
        state.is_none_or(|state| matches!(state, 'T' | 't' | 'D' | 'Z' | 'X'))
    })
}

/// The name of a process's main thread; none where it is gone.
#[must_use]
pub fn name(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// The parent of a process; none where it is gone.
#[must_use]
pub fn parent(pid: i32) -> Option<i32> {
    // Field 4 of proc(5), counted from the state, which is the third.
    stat_fields(&of(pid))?.get(1)?.parse().ok()
}

/// When a process began, in clock ticks since the boot: with its id it names one process for ever.
#[must_use]
pub fn start_time(pid: i32) -> Option<u64> {
    stat_fields(&of(pid))?.get(19)?.parse().ok()
}

/// Open descriptors and resident memory in KiB; none where it is gone.
#[must_use]
pub fn usage(pid: i32) -> Option<(usize, u64)> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some((descriptors, pages * 4))
}

/// User and system time of a process so far, in clock ticks; 0 where it is gone.
#[must_use]
pub fn cpu_ticks(pid: i32) -> u64 {
    let Some(fields) = stat_fields(&of(pid)) else { return 0 };
    let field = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    // Fields 14 and 15 of proc(5), counted from the state, which is the third.
    field(11) + field(12)
}

fn of(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn state_of(pid: i32) -> Option<char> {
    stat_fields(&of(pid))?.first()?.chars().next()
}

/// The fields of the `stat` of a process or thread from the third on: the second may hold blanks and parentheses.
fn stat_fields(directory: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(directory.join("stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(read)
        .collect()
}

fn read(pid: i32) -> Option<Process> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let environment = fs::read(directory.join("environ")).ok()?;
    if environment.is_empty() || !lives(pid) {
        return None;
    }
    let environment = split(&environment)
        .filter_map(|pair| pair.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())))
        .collect();
    let arguments = split(&fs::read(directory.join("cmdline")).ok()?).collect();
    Some(Process {
        pid,
        arguments,
        environment,
    })
}

fn split(bytes: &[u8]) -> impl Iterator<Item = String> + '_ {
    bytes
        .split(|b| *b == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into_owned())
}
