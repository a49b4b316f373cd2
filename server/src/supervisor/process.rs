//! Processes by identity, and the proof that nothing of an instance is left when its supervisor can't give it.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, Signal, kill};
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::protocol::{CONTROL_SOCKET, Containment, ProcessId, STATE_FILE, StateFile};

/// The identity of a process that exists now.
#[must_use]
pub fn identify(pid: i32) -> Option<ProcessId> {
    Stat::of(pid).map(|stat| ProcessId {
        pid,
        start_time: stat.start_time,
    })
}

/// Whether it still exists. A zombie does not: what it held is gone, and of a namespace's first process it means that
/// the kernel has ended all others.
#[must_use]
pub fn is_alive(process: ProcessId) -> bool {
    Stat::of(process.pid).is_some_and(|stat| stat.start_time == process.start_time && !matches!(stat.state, 'Z' | 'X'))
}

/// A descriptor that becomes readable when the process ends.
#[must_use]
pub fn open_pidfd(pid: i32) -> Option<OwnedFd> {
    // SAFETY: the system call takes two integers and returns a new descriptor, which nothing else owns, or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: as above.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// SIGKILL to exactly this process and no later one of its number.
pub fn kill_exactly(process: ProcessId) {
    // The descriptor pins the process; its identity is checked after it was pinned.
    let Some(pinned) = open_pidfd(process.pid) else { return };
    if identify(process.pid) == Some(process) {
        // SAFETY: the system call takes integers and a null pointer, which it allows.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                pinned.as_raw_fd(),
                libc::SIGKILL,
                std::ptr::null::<u8>(),
                0,
            );
        }
    }
}

/// Takes every signal's default: what whoever started us chose to ignore (as `nohup` does) would be ignored by all that we
/// start too, and an ignored signal never comes through a signalfd.
pub fn default_signals() {
    for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: setting the default disposition installs no handler.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    }
}

/// All that may be left of an instance whose supervisor does not answer.
#[derive(Clone, Debug)]
pub struct Remains {
    supervisor: Option<ProcessId>,
    init: Option<ProcessId>,
    cgroup: Option<Cgroup>,
    /// Without a namespace, processes are known by the control socket that their environment names.
    marker: Option<String>,
}

impl Remains {
    /// Gathers what is known: from the record, and from the state file in the instance's directory. Where there is no
    /// state file, the package was never forked.
    #[must_use]
    pub fn of(directory: &Path, supervisor: Option<ProcessId>, cgroup: Option<PathBuf>) -> Self {
        let state = read_state(directory);
        let grouped = state
            .as_ref()
            .is_some_and(|state| state.containment == Containment::Group);
        Self {
            supervisor: supervisor.or(state.as_ref().map(|state| state.supervisor)),
            init: state.as_ref().map(|state| state.init),
            cgroup: cgroup.map(Cgroup::at),
            marker: grouped.then(|| format!("PACELINE_CONTROL={}", directory.join(CONTROL_SOCKET).display())),
        }
    }

    /// SIGKILL to all of it.
    pub fn kill(&self) {
        self.supervisor.into_iter().chain(self.init).for_each(kill_exactly);
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        for pid in self.marked() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Whether nothing of it is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.supervisor.into_iter().chain(self.init).any(is_alive)
            && self.cgroup.as_ref().is_none_or(Cgroup::is_empty)
            && self.marked().is_empty()
    }

    /// Removes the control group, once empty.
    pub fn clean_up(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }

    fn marked(&self) -> Vec<i32> {
        let Some(marker) = &self.marker else { return Vec::new() };
        all_processes()
            .filter(|pid| {
                fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                    environment
                        .split(|byte| *byte == 0)
                        .any(|entry| entry == marker.as_bytes())
                })
            })
            .collect()
    }
}

/// The state file of an instance.
#[must_use]
pub fn read_state(directory: &Path) -> Option<StateFile> {
    serde_json::from_slice(&fs::read(directory.join(STATE_FILE)).ok()?).ok()
}

/// Kills every descendant of this process and reaps until there is no child. For a subreaper, which adopts orphans, an
/// empty list of children is the proof that nothing is left.
pub(super) fn kill_descendants() {
    loop {
        let own = nix::unistd::getpid().as_raw();
        let parents: Vec<(i32, i32)> = all_processes()
            .filter_map(|pid| Some((pid, Stat::of(pid)?.parent)))
            .collect();
        let mut family = vec![own];
        let mut next = 0;
        while let Some(&parent) = family.get(next) {
            next += 1;
            family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        }
        for pid in family.iter().skip(1) {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        if nix::sys::wait::waitpid(None, None) == Err(Errno::ECHILD) {
            return;
        }
    }
}

fn all_processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

struct Stat {
    state: char,
    parent: i32,
    start_time: u64,
}

impl Stat {
    /// The name in parentheses may hold anything, so fields are counted from the last parenthesis.
    fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            start_time: fields.get(19)?.parse().ok()?,
        })
    }
}
