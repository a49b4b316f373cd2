//! The small parent of a node: runs its server and its daemon as processes of their own, and restarts each alone.
//!
//! One thread and no async: it must outlive whatever the two do. Its children die with it, by PDEATHSIG. The packages'
//! supervisors do not: they end at their deadline, or go on under the next daemon.
//!
//! | signal | does |
//! | --- | --- |
//! | SIGTERM, SIGINT | the daemon stops its packages and leaves the cluster, then the server ends; a second one kills both |
//! | SIGHUP | a planned restart, as after an upgrade: the daemon gets a longer lease, both end, the program is executed anew; no package stops |

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use crate::config::{Config, Role};
use crate::supervisor::process::default_signals;

/// A child that ends with this or up to [`EXIT_FATAL_LAST`] has said why, and starting it again would change nothing.
pub const EXIT_FATAL: u8 = 30;
/// The last of these codes.
pub const EXIT_FATAL_LAST: u8 = 39;

/// Names the parent to its children, so that they can tell that it died before they were tied to it.
const PARENT_VARIABLE: &str = "PACELINE_PARENT";
/// Names the node to everything that it starts.
const ROOT_VARIABLE: &str = "PACELINE_NODE_ROOT";
/// Deaths within this time are counted for the back-off.
const DEATHS_WITHIN: Duration = Duration::from_secs(30);
/// The first restart is at once; then it waits 100 ms, doubled each time up to this.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// How long a server may take to end once the daemon has.
const SERVER_END_WAIT: Duration = Duration::from_secs(10);

/// Runs a node.
///
/// # Errors
/// What kept it from starting.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&config.data_dir).with_context(|| format!("can't make {}", config.data_dir.display()))?;
    // Orphans of this node come here and are reaped, whatever the machine's first process does.
    prctl::set_child_subreaper(true).context("can't become a subreaper")?;
    let signals = watch_signals()?;
    let mut children = Vec::new();
    // The daemon comes first, so that it is the first to be told to end.
    if config.has(Role::Daemon) {
        children.push(Process::new("serve-daemon"));
    }
    if config.votes() {
        children.push(Process::new("serve-server"));
    }
    let mut parent = Parent {
        config,
        children,
        ending: None,
        exit: ExitCode::SUCCESS,
    };
    let result = parent.watch(&signals);
    parent.kill_all();
    result
}

/// Called by each child first of all, while it has one thread: it dies with its parent, and it gets its signals, which the
/// parent has blocked for itself and a child inherits so. Without a parent that says so the process was started by hand.
pub fn tie_to_parent() {
    let _ = SigSet::empty().thread_set_mask();
    let Some(parent) = std::env::var(PARENT_VARIABLE)
        .ok()
        .and_then(|text| text.parse::<i32>().ok())
    else {
        return;
    };
    let tied = prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
    // The second look closes the gap between fork and prctl.
    if !tied || getppid() != Pid::from_raw(parent) {
        std::process::exit(1);
    }
}

/// What the parent waits for before it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// All is to end.
    Stop,
    /// All is to end and to be executed anew.
    Restart,
}

struct Parent<'a> {
    config: &'a Config,
    children: Vec<Process>,
    ending: Option<Ending>,
    exit: ExitCode,
}

/// One of the two children.
struct Process {
    role: &'static str,
    child: Option<Child>,
    start_at: Option<Instant>,
    deaths: VecDeque<Instant>,
    told_at: Option<Instant>,
}

impl Process {
    fn new(role: &'static str) -> Self {
        Self {
            role,
            child: None,
            start_at: Some(Instant::now()),
            deaths: VecDeque::new(),
            told_at: None,
        }
    }

    fn start(&mut self, config: &Config) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("can't find this program's file")?;
        // The server needs no privileges. Here is where it gives them up, once it can be told as which user to run.
        let child = Command::new(program)
            .arg(self.role)
            .arg("--config")
            .arg(&config.file)
            .env(ROOT_VARIABLE, &config.data_dir)
            .env(PARENT_VARIABLE, std::process::id().to_string())
            .stdin(Stdio::null())
            // A group of its own: what a terminal sends comes to the parent alone, which ends its children in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't start {}", self.role))?;
        self.child = Some(child);
        self.start_at = None;
        Ok(())
    }

    fn pid(&self) -> Option<Pid> {
        self.child
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok())
            .map(Pid::from_raw)
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, signal);
            self.told_at.get_or_insert_with(Instant::now);
        }
    }

    /// Plans its restart: the first at once.
    fn died(&mut self) {
        let now = Instant::now();
        self.child = None;
        self.deaths.push_back(now);
        while self
            .deaths
            .front()
            .is_some_and(|death| now.duration_since(*death) > DEATHS_WITHIN)
        {
            self.deaths.pop_front();
        }
        let wait = match u32::try_from(self.deaths.len()).unwrap_or(u32::MAX) {
            0 | 1 => Duration::ZERO,
            deaths => Duration::from_millis(100)
                .saturating_mul(1 << (deaths - 2).min(10))
                .min(BACK_OFF_MAX),
        };
        self.start_at = Some(now + wait);
    }
}

impl Parent<'_> {
    fn watch(&mut self, signals: &SignalFd) -> anyhow::Result<ExitCode> {
        loop {
            self.start_due()?;
            self.proceed_to_end();
            if self.ending.is_some() && self.children.iter().all(|process| process.child.is_none()) {
                if self.ending == Some(Ending::Restart) {
                    return Err(execute_anew());
                }
                return Ok(self.exit);
            }
            let mut waits = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut waits, self.timeout());
            while let Ok(Some(info)) = signals.read_signal() {
                let signal = i32::try_from(info.ssi_signo)
                    .ok()
                    .and_then(|number| Signal::try_from(number).ok());
                match signal {
                    Some(Signal::SIGTERM | Signal::SIGINT) if self.ending == Some(Ending::Stop) => self.kill_all(),
                    Some(Signal::SIGTERM | Signal::SIGINT) => self.ending = Some(Ending::Stop),
                    Some(Signal::SIGHUP) if self.ending.is_none() => self.ending = Some(Ending::Restart),
                    _ => {}
                }
            }
            self.reap();
        }
    }

    fn start_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for process in &mut self.children {
            if self.ending.is_none() && process.start_at.is_some_and(|at| at <= now) {
                process.start(self.config)?;
            }
        }
        Ok(())
    }

    /// The daemon first, while the server can still take its farewell; then the server.
    fn proceed_to_end(&mut self) {
        let Some(ending) = self.ending else { return };
        let signal = match ending {
            Ending::Stop => Signal::SIGTERM,
            Ending::Restart => Signal::SIGHUP,
        };
        let Some(process) = self.children.iter_mut().find(|process| process.child.is_some()) else {
            return;
        };
        let is_server = process.role == "serve-server";
        match process.told_at {
            None => process.signal(if is_server { Signal::SIGTERM } else { signal }),
            Some(told) if is_server && told.elapsed() > SERVER_END_WAIT => process.signal(Signal::SIGKILL),
            Some(_) => {}
        }
    }

    fn timeout(&self) -> PollTimeout {
        if self.ending.is_some() {
            return PollTimeout::from(200_u16);
        }
        let now = Instant::now();
        let next = self.children.iter().filter_map(|process| process.start_at).min();
        next.map_or(PollTimeout::NONE, |at| {
            let wait = at.saturating_duration_since(now) + Duration::from_millis(1);
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
        })
    }

    /// Reaps children and orphans.
    fn reap(&mut self) {
        loop {
            let (pid, code, signal) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Some(code), None),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, None, Some(signal)),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => continue,
            };
            let Some(process) = self.children.iter_mut().find(|process| process.pid() == Some(pid)) else {
                continue;
            };
            process.died();
            let fatal = code
                .and_then(|code| u8::try_from(code).ok())
                .filter(|code| (EXIT_FATAL..=EXIT_FATAL_LAST).contains(code));
            match (fatal, self.ending) {
                (Some(code), None) => {
                    eprintln!("paceline: {} can't run here (see above); this node ends", process.role);
                    self.exit = ExitCode::from(code);
                    self.ending = Some(Ending::Stop);
                }
                (None, None) => {
                    let how = signal.map_or_else(
                        || format!("ended with {}", code.unwrap_or(0)),
                        |signal| format!("was ended by {signal}"),
                    );
                    eprintln!("paceline: {} {how}; starting it again", process.role);
                }
                (_, Some(_)) => {}
            }
        }
    }

    fn kill_all(&mut self) {
        for process in &mut self.children {
            process.signal(Signal::SIGKILL);
        }
    }
}

/// The same process number, the program as it is on disk now. Returns only where that fails.
fn execute_anew() -> anyhow::Error {
    let error = match std::env::current_exe() {
        Ok(program) => Command::new(strip_deleted(program))
            .args(std::env::args_os().skip(1))
            .exec(),
        Err(error) => error,
    };
    anyhow::Error::new(error)
        .context("can't execute this program anew; start the node again within 20 s and no package stops")
}

/// The kernel adds this to the name of a file that was replaced, as an upgrade does.
fn strip_deleted(program: std::path::PathBuf) -> std::path::PathBuf {
    program
        .to_str()
        .and_then(|name| name.strip_suffix(" (deleted)"))
        .map_or(program.clone(), Into::into)
}

fn watch_signals() -> anyhow::Result<SignalFd> {
    default_signals();
    let mut set = SigSet::empty();
    // SIGPIPE stays blocked: whoever read what this process prints may be gone.
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGPIPE,
    ] {
        set.add(signal);
    }
    set.thread_block().context("can't block signals")?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).context("can't watch signals")
}
