//! The first process of the package's namespace: forks what it is told to, reaps everything, and ends with the package.
//!
//! When it ends, or is killed because the supervisor was, the kernel kills every other process of the namespace. It never
//! touches a disk and executes nothing itself, so nothing can keep it from dying.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use super::launch::launch;
use super::lines::Lines;
use super::protocol::{Containment, InitNews, InitOrder};

/// Runs init until it ends; the value is the exit status.
///
/// The two-way start: PDEATHSIG is set, the parent is looked at, "ready" is said, and nothing is forked before an order
/// has come. Where the supervisor died before PDEATHSIG was set, the end of file on `link` says so, and init exits.
pub(super) fn run(link: UnixStream, supervisor: Pid, containment: Containment) -> i32 {
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() {
        return 1;
    }
    if containment.is_namespace() {
        // From inside the namespace the parent has no number (0), so the end of file on `link` is the test.
    } else {
        if getppid() != supervisor {
            return 1;
        }
        let _ = prctl::set_child_subreaper(true);
    }
    close_all_but(link.as_raw_fd());
    let _ = prctl::set_name(c"paceline-init");
    let Ok(mut link) = Lines::new(link) else { return 1 };
    let Ok(signals) = child_signals() else { return 1 };
    link.send(&InitNews::Ready);

    let mut programs: Vec<(Pid, u64)> = Vec::new();
    loop {
        let mut waits = [
            PollFd::new(
                link.as_fd(),
                if link.wants_write() {
                    PollFlags::POLLIN | PollFlags::POLLOUT
                } else {
                    PollFlags::POLLIN
                },
            ),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waits, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
        while let Ok(Some(_)) = signals.read_signal() {}
        if reap(&mut link, &mut programs) {
            return 0;
        }
        for line in link.receive() {
            let Ok(InitOrder::Launch(order)) = serde_json::from_slice(&line) else {
                continue;
            };
            match launch(&order, containment) {
                Ok(launched) => {
                    programs.push((launched.pid, order.id));
                    link.send(&InitNews::Launched {
                        id: order.id,
                        pid: launched.host_pid,
                    });
                }
                Err(error) => {
                    link.send(&InitNews::Refused { id: order.id, error });
                    if order.id == 0 {
                        return 0;
                    }
                }
            }
        }
        link.flush();
        if !link.is_open() {
            return 0;
        }
    }
}

/// Reaps all that has died. True once the package itself has.
fn reap(link: &mut Lines, programs: &mut Vec<(Pid, u64)>) -> bool {
    let mut package_ended = false;
    loop {
        let (pid, code, signal) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, Some(code), None),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, None, Some(signal as i32)),
            Ok(WaitStatus::StillAlive) | Err(_) => return package_ended,
            Ok(_) => continue,
        };
        if let Some(place) = programs.iter().position(|(known, _)| *known == pid) {
            let (_, id) = programs.swap_remove(place);
            link.send(&InitNews::Exited { id, code, signal });
            package_ended |= id == 0;
        }
    }
}

/// SIGCHLD as a descriptor; it is blocked since the supervisor began.
pub(super) fn child_signals() -> Result<SignalFd, Errno> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Closes what the supervisor had open, so that the supervisor's death is seen as end of file at the other ends, and
/// leaves nothing on standard input.
fn close_all_but(keep: i32) {
    let Ok(keep) = u32::try_from(keep) else { return };
    if let Ok(null) = std::fs::File::open("/dev/null") {
        // SAFETY: descriptor 0 belongs to nobody in this process: the supervisor's object that wraps it is in memory
        // that this copy of the process never touches again.
        unsafe { libc::dup2(null.as_raw_fd(), 0) };
    }
    // SAFETY: as above, for all descriptors but `keep`: no object of this copy of the process uses one of them later.
    unsafe {
        if keep > 3 {
            libc::close_range(3, keep - 1, 0);
        }
        libc::close_range(keep + 1, u32::MAX, 0);
    }
}
