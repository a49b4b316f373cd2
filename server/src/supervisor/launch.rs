//! Fork and execute, with the error of a failed execution brought back in words.

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{ForkResult, Pid, execve, fork, getppid, pipe2, setsid};

use super::process::default_signals;
use super::protocol::{Containment, Launch};

/// Where programs without a slash are looked for if the environment names no PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What was made.
pub(super) struct Launched {
    /// As this process's namespace sees it.
    pub(super) pid: Pid,
    /// As the host sees it.
    pub(super) host_pid: i32,
}

/// Steps of the child before the program is executed, as they come back through the pipe.
#[derive(Clone, Copy)]
enum Step {
    Parent = 1,
    Session = 2,
    Directory = 3,
    Execute = 4,
}

/// Forks and executes; returns once the program is executed or has failed to be.
///
/// # Errors
/// A sentence that names what is wrong and what to do.
pub(super) fn launch(launch: &Launch, containment: Containment) -> Result<Launched, String> {
    let program = launch
        .command
        .first()
        .ok_or("the command is empty: give a program and its arguments")?;
    let path = resolve(program, launch)?;
    let text = |text: &str| CString::new(text).map_err(|_| format!("{text:?} holds a zero byte"));
    let executable = CString::new(path.as_os_str().as_bytes()).map_err(|_| format!("{program:?} holds a zero byte"))?;
    let arguments = launch
        .command
        .iter()
        .map(|argument| text(argument))
        .collect::<Result<Vec<_>, _>>()?;
    let environment = launch
        .env
        .iter()
        .map(|(key, value)| text(&format!("{key}={value}")))
        .collect::<Result<Vec<_>, _>>()?;
    let (read_end, write_end) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| format!("can't make a pipe: {errno}"))?;
    let parent = nix::unistd::getpid();

    // SAFETY: this process has one thread, so the child may run any code; it ends in execve or _exit and so never runs
    // destructors or exit handlers of the parent.
    let pid = match unsafe { fork() } {
        Err(errno) => return Err(format!("can't fork: {errno}")),
        Ok(ForkResult::Child) => {
            drop(read_end);
            let mut pipe = std::fs::File::from(write_end);
            let (step, errno) = become_program(
                launch,
                containment,
                parent,
                &executable,
                &arguments,
                &environment,
                &mut pipe,
            );
            let mut message = vec![step as u8];
            message.extend_from_slice(&(errno as i32).to_ne_bytes());
            let _ = pipe.write_all(&message);
            // SAFETY: _exit has no precondition; it is called to skip the parent's exit handlers.
            unsafe { libc::_exit(127) }
        }
        Ok(ForkResult::Parent { child }) => child,
    };
    drop(write_end);
    let mut message = Vec::new();
    let _ = std::fs::File::from(read_end).read_to_end(&mut message);
    let number = |range: std::ops::Range<usize>| {
        message
            .get(range)
            .and_then(|bytes| bytes.try_into().ok())
            .map(i32::from_ne_bytes)
    };
    let host_pid = number(0..4).unwrap_or(0);
    match (message.get(4), number(5..9)) {
        (Some(step), Some(errno)) => {
            let _ = nix::sys::wait::waitpid(pid, None);
            Err(explain(*step, Errno::from_raw(errno), launch, &path))
        }
        _ => Ok(Launched { pid, host_pid }),
    }
}

/// Runs in the child. Returns only where something fails.
fn become_program(
    launch: &Launch,
    containment: Containment,
    parent: Pid,
    executable: &CString,
    arguments: &[CString],
    environment: &[CString],
    pipe: &mut std::fs::File,
) -> (Step, Errno) {
    // `/proc` is the host's, so its `self` names this process as the host sees it.
    let host_pid: i32 = std::fs::read_link("/proc/self")
        .ok()
        .and_then(|link| link.to_str().and_then(|text| text.parse().ok()))
        .unwrap_or(0);
    let _ = pipe.write_all(&host_pid.to_ne_bytes());
    if !containment.is_namespace() {
        // Without a namespace nothing else ties the program to init. The second look closes the gap between fork and prctl.
        if let Err(errno) = prctl::set_pdeathsig(Signal::SIGKILL) {
            return (Step::Parent, errno);
        }
        if getppid() != parent {
            return (Step::Parent, Errno::ESRCH);
        }
    }
    if let Err(errno) = setsid() {
        return (Step::Session, errno);
    }
    if let Some(cgroup) = &launch.cgroup {
        // A group that can't be entered costs limits, not safety: the namespace holds it.
        let _ = std::fs::write(cgroup.join("cgroup.procs"), "0");
    }
    if let Some(file) = &launch.pid_file {
        let _ = std::fs::write(file, format!("{host_pid}\n"));
    }
    // Rust's runtime ignores SIGPIPE, which execution would hand on.
    default_signals();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    if let Some(directory) = &launch.directory
        && let Err(errno) = nix::unistd::chdir(Path::new(directory))
    {
        return (Step::Directory, errno);
    }
    match execve(executable, arguments, environment) {
        Ok(never) => match never {},
        Err(errno) => (Step::Execute, errno),
    }
}

/// Finds the program as a shell would.
fn resolve(program: &str, launch: &Launch) -> Result<PathBuf, String> {
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    let search = launch.env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let candidates = search
        .split(':')
        .filter(|part| !part.is_empty())
        .map(|part| Path::new(part).join(program));
    candidates
        .into_iter()
        .find(|path| {
            path.metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
        .ok_or_else(|| {
            format!("{program}: no such program in PATH ({search}): install it on this node or give its whole path")
        })
}

fn explain(step: u8, errno: Errno, launch: &Launch, path: &Path) -> String {
    let program = path.display();
    if step == Step::Directory as u8 {
        let directory = launch.directory.as_deref().unwrap_or("");
        return format!("can't enter the directory {directory}: {}", words(errno));
    }
    if step == Step::Parent as u8 || step == Step::Session as u8 {
        return format!("can't tie {program} to its supervisor: {}", words(errno));
    }
    let advice = match errno {
        Errno::ENOENT if path.exists() => "the interpreter that its first line names is not there",
        Errno::ENOENT => "install it on this node or correct run.command",
        Errno::EACCES if path.is_dir() => "it is a directory",
        Errno::EACCES => "make it executable (chmod +x) for the user that runs paceline",
        Errno::ENOEXEC => "neither a binary for this machine nor a script with a #! line",
        Errno::E2BIG => "arguments and environment are too long",
        Errno::ETXTBSY => "somebody has it open for writing",
        _ => "see errno(3)",
    };
    format!("can't execute {program}: {} ({advice})", words(errno))
}

fn words(errno: Errno) -> String {
    format!("{}, {errno:?}", errno.desc())
}
