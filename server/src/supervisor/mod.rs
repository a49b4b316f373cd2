//! The small process beside each instance: a deadman that the kernel works.
//!
//! A watcher in user space is stopped by the same SIGSTOP, freezer or starvation as what it watches. So this process arms a
//! kernel timer that kills *itself* at the lease's end, and the package lives in a process namespace whose first process
//! dies with this one; the kernel then ends every descendant, double-forked and signal-ignoring ones too. The process
//! outlives the daemon: a restart of paceline stops no package.
//!
//! One thread, no async, no network. All `unsafe` code of the crate is here: a fork must be followed by code that knows it
//! was forked. **Between "go" and the proof that nothing is left, neither supervisor nor init touches a disk**: a process
//! that waits for a disk can't be killed, and would hold its package past the deadline.

mod birth;
pub mod cgroup;
pub mod clock;
pub mod control;
mod deadline;
mod init;
mod launch;
pub mod lines;
pub mod process;
pub mod protocol;
mod reloading;
mod stopping;
mod supervise;

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

pub use launch::DEFAULT_PATH;

use cgroup::Cgroup;
use lines::Lines;
use protocol::{DAEMON_SOCKET, EndCause, Ended, Hello, News, SPEC_FILE, Spec, Words};
use supervise::Supervisor;

/// Makes `paceline supervise` say how it would hold a package's processes together, and end.
const CONTAINMENT_ARGUMENT: &str = "--containment";

/// How supervisors of this node hold a package's processes together, in the words of the protocol: found out by one that
/// tries it. None where that can't be asked.
#[must_use]
pub fn containment_here() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let output = std::process::Command::new(program)
        .args(["supervise", CONTAINMENT_ARGUMENT])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    let word = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !word.is_empty()).then_some(word)
}

/// The process `paceline supervise DIRECTORY`, with the daemon's socket as its standard input.
#[must_use]
pub fn main(arguments: &[OsString]) -> ExitCode {
    if arguments == [OsStr::new(CONTAINMENT_ARGUMENT)] {
        return birth::print_containment();
    }
    let [directory] = arguments else {
        eprintln!("paceline supervise: expected the directory of one instance; only the daemon starts this");
        return ExitCode::from(2);
    };
    let daemon = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from)
        .and_then(Lines::new);
    let mut daemon = match daemon {
        Ok(daemon) => daemon,
        Err(error) => {
            eprintln!("paceline supervise: standard input must be the daemon's socket: {error}");
            return ExitCode::from(2);
        }
    };
    match prepare(Path::new(directory), &mut daemon) {
        Ok(Some(mut prepared)) => {
            prepared.daemon = Some(daemon);
            prepared.run();
            ExitCode::SUCCESS
        }
        // Never told "go": nothing was forked.
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            daemon.send(&News::NotStarted { error: error.clone() });
            daemon.send(&News::Ended(Ended {
                cause: EndCause::NotStarted,
                code: None,
                detail: error,
            }));
            ExitCode::FAILURE
        }
    }
}

/// Everything up to the daemon's "go", in the order that [`birth`] explains.
fn prepare(directory: &Path, daemon: &mut Lines) -> Result<Option<Supervisor>, String> {
    let _ = nix::unistd::setsid();
    let _ = prctl::set_name(c"paceline-superv");
    let signals = block_signals()?;
    let directory: PathBuf = directory
        .canonicalize()
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    std::env::set_current_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let spec = std::fs::read(SPEC_FILE).map_err(|error| format!("{SPEC_FILE}: {error}"))?;
    let spec: Spec = serde_json::from_slice(&spec).map_err(|error| format!("{SPEC_FILE}: {error}"))?;
    let cgroup = spec
        .cgroup
        .clone()
        .map(Cgroup::at)
        .filter(|cgroup| cgroup.enter().is_ok());

    let mut deadline = birth::arm(&spec)?;
    let mut soft_ns = spec.soft_ns;
    let _ = std::fs::remove_file(DAEMON_SOCKET);
    let listener =
        UnixListener::bind(DAEMON_SOCKET).map_err(|error| format!("can't make the socket {DAEMON_SOCKET}: {error}"))?;
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    let control = control::Control::bind().map_err(|error| format!("can't make the package's sockets: {error}"))?;
    let init = birth::clone_init()?;
    let state = birth::write_state(&init)?;
    daemon.send(&News::Hello(Hello {
        supervisor: state.supervisor,
        containment: None,
        package_pid: None,
        epoch: spec.epoch,
        mode: spec.mode.clone(),
        ready: false,
        connected: false,
        stopping: false,
    }));
    if !birth::wait_for_go(daemon, &mut deadline, &mut soft_ns) {
        return Ok(None);
    }
    let (epoch, mode) = (spec.epoch, spec.mode.clone());
    Ok(Some(Supervisor {
        spec,
        directory,
        deadline,
        soft_ns,
        init,
        state,
        signals,
        listener,
        daemon: None,
        control,
        cgroup,
        package_pid: None,
        epoch,
        mode,
        ready: false,
        said: Words::default(),
        asked: None,
        programs: Vec::new(),
        next_program: 1,
        reloading: None,
        reloaded: None,
        stopping: None,
        ended: None,
    }))
}

/// Signals come as a descriptor, so that nothing interrupts the loop. What a terminal sends is not for this process.
fn block_signals() -> Result<SignalFd, String> {
    process::default_signals();
    let mut ignored = SigSet::empty();
    // SIGPIPE too: a socket whose other end is gone is an error to handle, not an end.
    for signal in [
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGPIPE,
    ] {
        ignored.add(signal);
    }
    let mut watched = SigSet::empty();
    watched.add(Signal::SIGCHLD);
    watched.add(Signal::SIGTERM);
    ignored
        .thread_block()
        .and_then(|()| watched.thread_block())
        .map_err(|errno| format!("can't block signals: {errno}"))?;
    SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|errno| format!("can't make a signalfd: {errno}"))
}
