//! The supervisor's loop: obey the daemon, mind the times, and end with the package.

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use super::birth::Init;
use super::cgroup::Cgroup;
use super::clock::{boottime_ns, ms};
use super::control::{Control, Heard};
use super::deadline::Deadline;
use super::lines::Lines;
use super::protocol::{
    CONTROL_SOCKET, EndCause, Ended, Hello, InitNews, InitOrder, Launch, NOTIFY_SOCKET, News, Order, PID_FILE, Spec,
    StateFile, Words,
};
use super::reloading::Reloading;

/// Programs beside the package at one time: a promotion, a reload and a probe or two.
pub(super) const PROGRAMS_MAX: usize = 8;

/// Everything that a running supervisor knows.
pub(super) struct Supervisor {
    pub(super) spec: Spec,
    pub(super) directory: PathBuf,
    pub(super) deadline: Deadline,
    pub(super) soft_ns: Option<u64>,
    pub(super) init: Init,
    pub(super) state: StateFile,
    pub(super) signals: SignalFd,
    pub(super) listener: UnixListener,
    pub(super) daemon: Option<Lines>,
    pub(super) control: Control,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) package_pid: Option<Pid>,
    pub(super) epoch: u64,
    pub(super) mode: String,
    pub(super) ready: bool,
    /// What the package said of itself last.
    pub(super) said: Words,
    /// What the package was told and has not answered yet.
    pub(super) asked: Option<Asked>,
    pub(super) programs: Vec<Program>,
    pub(super) next_program: u64,
    /// The reload command that runs.
    pub(super) reloading: Option<Reloading>,
    /// The change that the package has taken over.
    pub(super) reloaded: Option<u64>,
    /// Why it is being stopped, and when the kill follows.
    pub(super) stopping: Option<Stopping>,
    pub(super) ended: Option<Ended>,
}

/// A change of mode on its way.
pub(super) struct Asked {
    pub(super) epoch: u64,
    pub(super) mode: String,
    pub(super) output: String,
    pub(super) until_ns: u64,
    /// The id of the promote or demote command; none: by the control socket.
    pub(super) program: Option<u64>,
}

/// A program beside the package.
pub(super) struct Program {
    pub(super) id: u64,
    /// The daemon's id, where the daemon asked for it.
    pub(super) order: Option<u64>,
    pub(super) pid: Option<Pid>,
    pub(super) until_ns: u64,
    pub(super) timed_out: bool,
}

/// A stop under way.
pub(super) struct Stopping {
    pub(super) cause: EndCause,
    pub(super) kill_at_ns: u64,
    pub(super) killed: bool,
}

impl Supervisor {
    /// Starts the package and runs until nothing of it is left.
    pub(super) fn run(mut self) {
        self.launch(0, self.spec.command.clone(), None);
        loop {
            self.wait();
            while let Ok(Some(signal)) = self.signals.read_signal() {
                if i32::try_from(signal.ssi_signo) == Ok(Signal::SIGTERM as i32) {
                    self.stop(EndCause::Requested, self.spec.stop_timeout_ms);
                }
            }
            self.hear_init();
            if self.init_is_gone() {
                return self.finish();
            }
            self.hear_daemon();
            self.hear_package();
            self.mind_the_time();
        }
    }

    fn wait(&self) {
        let readable = |writable: bool| {
            if writable {
                PollFlags::POLLIN | PollFlags::POLLOUT
            } else {
                PollFlags::POLLIN
            }
        };
        let mut waits = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        if self.init.link.is_open() {
            waits.push(PollFd::new(
                self.init.link.as_fd(),
                readable(self.init.link.wants_write()),
            ));
        }
        if let Some(daemon) = &self.daemon {
            waits.push(PollFd::new(daemon.as_fd(), readable(daemon.wants_write())));
        }
        waits.extend(self.control.waits());
        match poll(&mut waits, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            // Without poll nothing can be watched: end, and with this process the package.
            Err(_) => std::process::exit(1),
        }
    }

    fn timeout(&self) -> PollTimeout {
        let soft = if self.stopping.is_some() {
            None
        } else {
            self.soft_ns.filter(|_| self.spec.deadline_ns.is_some())
        };
        let times = soft
            .into_iter()
            .chain(
                self.stopping
                    .as_ref()
                    .filter(|stop| !stop.killed)
                    .map(|stop| stop.kill_at_ns),
            )
            .chain(self.asked.as_ref().map(|asked| asked.until_ns))
            .chain(
                self.programs
                    .iter()
                    .filter(|program| !program.timed_out)
                    .map(|program| program.until_ns),
            );
        match times.min() {
            None => PollTimeout::NONE,
            // One more millisecond, because a wait that ends early would be repeated.
            Some(at) => {
                let wait = at.saturating_sub(boottime_ns()) / 1_000_000 + 1;
                PollTimeout::try_from(wait.min(60_000)).unwrap_or(PollTimeout::MAX)
            }
        }
    }

    pub(super) fn hear_init(&mut self) {
        for line in self.init.link.receive() {
            match serde_json::from_slice(&line) {
                Ok(InitNews::Launched { id: 0, pid }) => {
                    self.package_pid = (pid > 0).then(|| Pid::from_raw(pid));
                    self.tell_daemon(&News::Started {
                        package_pid: pid,
                        containment: self.init.containment,
                    });
                    if let Some(stopping) = &self.stopping
                        && !stopping.killed
                    {
                        self.signal_package(Signal::SIGTERM);
                    }
                }
                Ok(InitNews::Refused { id: 0, error }) => {
                    self.tell_daemon(&News::NotStarted { error: error.clone() });
                    self.ended = Some(Ended {
                        cause: EndCause::NotStarted,
                        code: None,
                        detail: error,
                    });
                }
                Ok(InitNews::Exited { id: 0, code, signal }) => self.note_exit(code, signal),
                Ok(InitNews::Launched { id, pid }) => {
                    if let Some(program) = self.programs.iter_mut().find(|program| program.id == id) {
                        program.pid = Some(Pid::from_raw(pid));
                    }
                }
                Ok(InitNews::Refused { id, error }) => self.program_ended(id, Some(error)),
                Ok(InitNews::Exited { id, code, signal }) => {
                    let error = match (code, signal) {
                        (Some(0), _) => None,
                        (Some(code), _) => Some(format!("exited with {code}")),
                        (None, signal) => Some(format!("was ended by signal {}", signal.unwrap_or(0))),
                    };
                    self.program_ended(id, error);
                }
                Ok(InitNews::Ready) | Err(_) => {}
            }
        }
        self.init.link.flush();
    }

    fn note_exit(&mut self, code: Option<i32>, signal: Option<i32>) {
        let how = match (code, signal) {
            (Some(code), _) => format!("exited with {code}"),
            (None, signal) => format!("ended by signal {}", signal.unwrap_or(0)),
        };
        let cause = match (&self.stopping, code) {
            (Some(stopping), _) => stopping.cause,
            (None, Some(_)) => EndCause::Exited,
            (None, None) => EndCause::Signalled,
        };
        self.ended = Some(Ended {
            cause,
            code: code.or(signal),
            detail: how,
        });
    }

    fn program_ended(&mut self, id: u64, error: Option<String>) {
        let Some(place) = self.programs.iter().position(|program| program.id == id) else {
            return;
        };
        let program = self.programs.swap_remove(place);
        let error = if program.timed_out {
            Some("did not end in time and was killed".to_owned())
        } else {
            error
        };
        if self.reload_ended(id, error.as_deref()) {
            return;
        }
        if let Some(order) = program.order {
            self.tell_daemon(&News::Ran { id: order, error });
        } else if self.asked.as_ref().is_some_and(|asked| asked.program == Some(id)) {
            self.answered(error.map_or(Ok(()), |error| Err(format!("the command {error}"))));
        }
    }

    pub(super) fn answered(&mut self, answer: Result<(), String>) {
        let Some(asked) = self.asked.take() else { return };
        if answer.is_ok() {
            self.epoch = asked.epoch;
            self.mode = asked.mode;
            self.spec.output = asked.output;
        }
        self.tell_daemon(&News::Answered {
            epoch: asked.epoch,
            error: answer.err(),
        });
    }

    fn hear_daemon(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if let Ok(lines) = Lines::new(stream) {
                // The newest daemon is the daemon: the lock on the node's record lets only one run.
                self.daemon = Some(lines);
                self.say_hello();
            }
        }
        let Some(daemon) = &mut self.daemon else { return };
        daemon.flush();
        let lines = daemon.receive();
        if !daemon.is_open() {
            self.daemon = None;
        }
        for line in lines {
            if let Ok(order) = serde_json::from_slice(&line) {
                self.obey(order);
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Renew { deadline_ns, soft_ns } => self.renew(deadline_ns, soft_ns),
            Order::Mode {
                mode,
                output,
                epoch,
                command,
                timeout_ms,
            } => self.change_mode(mode, &output, epoch, command, timeout_ms),
            Order::Shares { shares } => self.control.tell_shares(&shares),
            Order::Reload {
                revision,
                command,
                env,
                timeout_ms,
                stop_timeout_ms,
            } => self.reload(
                Reloading {
                    revision,
                    env,
                    stop_timeout_ms,
                    program: 0,
                },
                command,
                timeout_ms,
            ),
            Order::Run {
                id,
                command,
                timeout_ms,
            } => {
                if self.programs.len() >= PROGRAMS_MAX {
                    self.tell_daemon(&News::Ran {
                        id,
                        error: Some("too many programs run beside this package".to_owned()),
                    });
                    return;
                }
                let program = self.add_program(Some(id), boottime_ns().saturating_add(ms(timeout_ms)));
                self.launch(program, command, None);
            }
            Order::Stop { timeout_ms } => self.stop(EndCause::Requested, timeout_ms),
            Order::Kill => self.stop(EndCause::Requested, 0),
            Order::Status => self.say_hello(),
            Order::Go => {}
        }
    }

    /// Once a soft stop has begun the deadline stays: a package that was told to end is not to be told otherwise.
    fn renew(&mut self, deadline_ns: u64, soft_ns: u64) {
        let ending = self
            .stopping
            .as_ref()
            .is_some_and(|stop| stop.cause == EndCause::LeaseEnded);
        if self.spec.deadline_ns.is_none() || ending {
            return;
        }
        if self.deadline.arm(deadline_ns).is_ok() {
            self.soft_ns = self.soft_ns.max(Some(soft_ns));
        }
    }

    fn change_mode(&mut self, mode: String, output: &str, epoch: u64, command: Option<Vec<String>>, timeout_ms: u64) {
        if self.stopping.is_some() {
            return self.tell_daemon(&News::Answered {
                epoch,
                error: Some("it is being stopped".to_owned()),
            });
        }
        if epoch <= self.epoch || self.asked.as_ref().is_some_and(|asked| epoch <= asked.epoch) {
            return self.tell_daemon(&News::Answered {
                epoch,
                error: Some("an older epoch than it was told before".to_owned()),
            });
        }
        let until_ns = boottime_ns().saturating_add(ms(timeout_ms));
        let mut asked = Asked {
            epoch,
            output: output.to_owned(),
            mode: mode.clone(),
            until_ns,
            program: None,
        };
        if let Some(command) = command {
            let id = self.add_program(None, until_ns);
            asked.program = Some(id);
            self.asked = Some(asked);
            self.launch(id, command, Some((&mode, output, epoch)));
        } else if self.control.tell(&mode, output, epoch) {
            self.asked = Some(asked);
        } else {
            self.asked = Some(asked);
            self.answered(Err(
                "the package is not connected to its control socket any more".to_owned()
            ));
        }
    }

    fn hear_package(&mut self) {
        let before = self.said;
        for heard in self.control.hear() {
            match heard {
                Heard::Score(score) => self.said.score = Some(score),
                Heard::Busy(busy) => self.said.busy = busy,
                Heard::Ready => {
                    self.ready = true;
                    self.tell_daemon(&News::Ready);
                }
                Heard::Connected(connected) => self.tell_daemon(&News::Connected(connected)),
                Heard::Answer(answer) => {
                    if self.asked.as_ref().is_some_and(|asked| asked.program.is_none()) {
                        self.answered(answer);
                    }
                }
            }
        }
        if self.said != before {
            self.tell_daemon(&News::Said(self.said));
        }
    }

    fn say_hello(&mut self) {
        let hello = Hello {
            supervisor: self.state.supervisor,
            containment: Some(self.init.containment),
            package_pid: self.package_pid.map(Pid::as_raw),
            epoch: self.epoch,
            mode: self.mode.clone(),
            ready: self.ready,
            connected: self.control.is_connected(),
            stopping: self.stopping.is_some(),
        };
        self.tell_daemon(&News::Hello(hello));
        if self.said != Words::default() {
            self.tell_daemon(&News::Said(self.said));
        }
    }

    pub(super) fn tell_daemon(&mut self, news: &News) {
        if let Some(daemon) = &mut self.daemon {
            daemon.send(news);
        }
    }

    /// Notes a program that is about to be launched, and gives it a number.
    pub(super) fn add_program(&mut self, order: Option<u64>, until_ns: u64) -> u64 {
        let id = self.next_program;
        self.next_program += 1;
        self.programs.push(Program {
            id,
            order,
            pid: None,
            until_ns,
            timed_out: false,
        });
        id
    }

    /// Asks init to execute something with the package's environment.
    pub(super) fn launch(&mut self, id: u64, command: Vec<String>, told: Option<(&str, &str, u64)>) {
        let (mode, output, epoch) = told.unwrap_or((&self.mode, &self.spec.output, self.epoch));
        let mode = match &self.spec.own_mode {
            Some(own) if mode == "test" => own,
            _ => mode,
        };
        let reloading = self
            .reloading
            .as_ref()
            .filter(|reloading| reloading.program == id && id > 0);
        let mut env = reloading.map_or(&self.spec.env, |reloading| &reloading.env).clone();
        for (key, value) in [
            ("PACELINE_PACKAGE", self.spec.package.clone()),
            ("PACELINE_NODE", self.spec.node.clone()),
            ("PACELINE_MODE", mode.to_owned()),
            ("PACELINE_OUTPUT", output.to_owned()),
            ("PACELINE_EPOCH", epoch.to_string()),
            (
                "PACELINE_CONTROL",
                self.directory.join(CONTROL_SOCKET).display().to_string(),
            ),
            (
                "NOTIFY_SOCKET",
                self.directory.join(NOTIFY_SOCKET).display().to_string(),
            ),
        ] {
            env.insert(key.to_owned(), value);
        }
        let launch = Launch {
            id,
            command,
            env,
            directory: self.spec.directory.clone(),
            cgroup: self.cgroup.as_ref().map(Cgroup::package),
            pid_file: (id == 0).then(|| self.directory.join(PID_FILE)),
        };
        self.init.link.send(&InitOrder::Launch(launch));
    }
}
