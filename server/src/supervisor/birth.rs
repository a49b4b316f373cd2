//! A supervisor's first moments: everything that must be true before a package may be forked.
//!
//! The order is the safety argument. The supervisor enters its own control group, arms its own deadline (after its last
//! exec), and only then clones init; init ties itself to the supervisor and says "ready"; the daemon writes the supervisor
//! into its record and says "go"; the state file with init's identity is written; only then is init told to start the
//! package. Whoever dies in between closes a socket, and end of file means exit. So at every instant either nothing runs,
//! or the deadline is armed and a later daemon can find what runs.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{ForkResult, Pid, fork, getgid, getpid, getuid};

use super::deadline::Deadline;
use super::init;
use super::lines::Lines;
use super::process;
use super::protocol::{Containment, InitNews, Order, ProcessId, STATE_FILE, Spec, StateFile};

/// Set to `group` to do without namespaces, as on machines that permit none. For tests.
const CONTAINMENT_VARIABLE: &str = "PACELINE_CONTAINMENT";

/// The namespace's first process as the supervisor sees it.
pub(super) struct Init {
    pub(super) pid: Pid,
    pub(super) link: Lines,
    pub(super) containment: Containment,
}

/// Makes a namespace where that is permitted, and init in it; returns once init is tied to this process.
///
/// # Errors
/// A sentence; nothing runs then.
pub(super) fn clone_init() -> Result<Init, String> {
    let containment = enter_namespace()?;
    if !containment.is_namespace() {
        prctl::set_child_subreaper(true).map_err(|errno| format!("can't become a subreaper: {errno}"))?;
    }
    let (ours, theirs) = UnixStream::pair().map_err(|error| format!("can't make a socket pair: {error}"))?;
    let supervisor = getpid();
    // SAFETY: this process has one thread, so the child may run any code; it ends in _exit.
    let pid = match unsafe { fork() } {
        Err(errno) => return Err(format!("can't fork the namespace's first process: {errno}")),
        Ok(ForkResult::Child) => {
            drop(ours);
            let status = init::run(theirs, supervisor, containment);
            // SAFETY: _exit has no precondition; exit handlers belong to the supervisor.
            unsafe { libc::_exit(status) }
        }
        Ok(ForkResult::Parent { child }) => child,
    };
    drop(theirs);
    let mut link = Lines::new(ours).map_err(|error| error.to_string())?;
    loop {
        wait_readable(&link);
        for line in link.receive() {
            if matches!(serde_json::from_slice(&line), Ok(InitNews::Ready)) {
                return Ok(Init { pid, link, containment });
            }
        }
        if !link.is_open() {
            return Err("the namespace's first process ended before it was ready".to_owned());
        }
    }
}

/// Waits for the daemon's "go", obeying renewals. False: the daemon is gone or wants none of it.
pub(super) fn wait_for_go(daemon: &mut Lines, deadline: &mut Deadline, soft_ns: &mut Option<u64>) -> bool {
    loop {
        wait_readable(daemon);
        for line in daemon.receive() {
            match serde_json::from_slice(&line) {
                Ok(Order::Go) => return true,
                Ok(Order::Renew {
                    deadline_ns,
                    soft_ns: soft,
                }) => {
                    if deadline.arm(deadline_ns).is_err() {
                        return false;
                    }
                    *soft_ns = Some(soft);
                }
                Ok(Order::Stop { .. } | Order::Kill) | Err(_) => return false,
                Ok(
                    Order::Mode { .. }
                    | Order::Shares { .. }
                    | Order::Reload { .. }
                    | Order::Run { .. }
                    | Order::Status,
                ) => {}
            }
        }
        if !daemon.is_open() {
            return false;
        }
    }
}

/// Writes what a later daemon needs for its proof. Nothing runs yet.
///
/// # Errors
/// Where the file can't be written; the package must then not be started.
pub(super) fn write_state(init: &Init) -> Result<StateFile, String> {
    let own = process::identify(getpid().as_raw()).ok_or("can't read /proc/self/stat")?;
    let child = process::identify(init.pid.as_raw()).unwrap_or(ProcessId {
        pid: init.pid.as_raw(),
        start_time: 0,
    });
    let state = StateFile {
        supervisor: own,
        init: child,
        containment: init.containment,
        ended: None,
    };
    save_state(&state).map_err(|error| format!("can't write {STATE_FILE}: {error}"))?;
    Ok(state)
}

/// Replaces the state file as a whole.
///
/// # Errors
/// Where it can't be written.
pub(super) fn save_state(state: &StateFile) -> std::io::Result<()> {
    let temporary = Path::new("state.json.new");
    std::fs::write(temporary, serde_json::to_vec(state)?)?;
    std::fs::rename(temporary, STATE_FILE)
}

/// Arms the deadline that the specification names.
///
/// # Errors
/// A sentence; the package must then not be started.
pub(super) fn arm(spec: &Spec) -> Result<Deadline, String> {
    let mut deadline = Deadline::new().map_err(|errno| format!("can't make a timer on CLOCK_BOOTTIME: {errno}"))?;
    if let Some(at) = spec.deadline_ns {
        deadline
            .arm(at)
            .map_err(|errno| format!("can't arm the deadline: {errno}"))?;
    }
    Ok(deadline)
}

/// Says how this process would hold a package's processes together: it tries, with nothing to hold.
pub(super) fn print_containment() -> ExitCode {
    match enter_namespace() {
        Ok(containment) => {
            println!("{}", containment.as_str());
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn enter_namespace() -> Result<Containment, String> {
    if std::env::var_os(CONTAINMENT_VARIABLE).is_some_and(|kind| kind == "group") {
        return Ok(Containment::Group);
    }
    if unshare(CloneFlags::CLONE_NEWPID).is_ok() {
        return Ok(Containment::Namespace);
    }
    let (user, group) = (getuid(), getgid());
    if unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID).is_err() {
        return Ok(Containment::Group);
    }
    // The package keeps its user and group; no other is known inside.
    let map = |file: &str, text: String| {
        std::fs::write(file, text)
            .map_err(|error| format!("can't write {file}: {error}: user namespaces are restricted here"))
    };
    map("/proc/self/setgroups", "deny".to_owned())?;
    map("/proc/self/uid_map", format!("{user} {user} 1"))?;
    map("/proc/self/gid_map", format!("{group} {group} 1"))?;
    Ok(Containment::UserNamespace)
}

fn wait_readable(lines: &Lines) {
    let mut waits = [PollFd::new(lines.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut waits, PollTimeout::NONE);
}
