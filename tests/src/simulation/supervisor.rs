//! The supervisors and the programs beside them: what `server/src/supervisor/supervise.rs` does with processes, done here
//! with nothing but times. The kernel's part (the deadline) works whatever is paused.

mod deadline;

use server::daemon::event::DaemonEvent;
use server::daemon::instance::InstanceKey;
use server::supervisor::protocol::{Containment, EndCause, Ended, Hello, News, Order, ProcessId, Spec};
use server::timers::KILL_MS;

use super::planted::Planted;
use super::program::{Behaviour, ProgramEvent};
use super::world::{Event, MS, World};

/// From a word on a local socket to its being read.
const SOCKET_NS: u64 = 50_000;

/// What comes to a supervisor.
#[derive(Clone, Debug)]
pub enum Input {
    /// From the daemon.
    Order(Order),
    /// From the program and its namespace.
    Program(ProgramEvent),
}

/// Why it is being stopped.
#[derive(Clone, Debug)]
pub struct Stopping {
    cause: EndCause,
    kill_at_ns: u64,
    killed: bool,
}

#[derive(Clone, Debug)]
struct Asked {
    epoch: u64,
    mode: String,
    until_ns: u64,
    by_command: bool,
}

/// A supervisor and what lives under it.
#[derive(Debug)]
pub struct Supervisor {
    /// Which instance.
    pub key: InstanceKey,
    /// The epoch under which its process was started.
    pub process: u64,
    /// The session in which it was started.
    pub session: u64,
    /// Its process.
    pub pid: ProcessId,
    /// When the kernel kills it; 0: not armed.
    pub armed_ns: u64,
    /// The daemon process that it is connected to.
    pub daemon: Option<u64>,
    /// It was told "go": processes of the package may exist.
    pub go: bool,
    /// Nothing of the package is left; it has still to say so.
    pub gone: Option<Ended>,
    spec: Spec,
    soft_ns: u64,
    started: bool,
    connected: bool,
    behaviour: Behaviour,
    stopping: Option<Stopping>,
    /// The kernel is killing what is left.
    dying: bool,
    epoch: u64,
    mode: String,
    asked: Option<Asked>,
    inbox: Vec<Input>,
    timer_ns: u64,
}

impl Supervisor {
    /// What was planned by another rate of the clock counts for nothing.
    pub fn forget_timer(&mut self) {
        self.timer_ns = u64::MAX;
    }
}

impl World {
    /// `DaemonAction::Spawn`.
    pub fn spawn(&mut self, host: usize, key: InstanceKey, spec: Spec) -> DaemonEvent {
        self.next_id += 1;
        let id = self.next_id;
        let behaviour = self.behaviour(&key.package);
        if behaviour.fails_to_spawn {
            let error = "no more processes".to_owned();
            return DaemonEvent::SpawnFailed { key, error };
        }
        let (incarnation, session) = self.hosts[host].daemon_identity();
        let pid = ProcessId {
            pid: (id % 1_000_000) as i32,
            start_time: id,
        };
        let armed_ns = spec.deadline_ns.unwrap_or(0);
        let active = spec.mode == "active";
        let supervisor = Supervisor {
            process: spec.epoch,
            session,
            pid,
            armed_ns: if self.plants(Planted::DeadlineNotArmed) {
                0
            } else {
                armed_ns
            },
            daemon: Some(incarnation),
            go: false,
            gone: None,
            soft_ns: spec.soft_ns.unwrap_or(0),
            started: false,
            connected: false,
            behaviour,
            stopping: None,
            dying: false,
            epoch: spec.epoch,
            mode: spec.mode.clone(),
            asked: None,
            inbox: Vec::new(),
            timer_ns: u64::MAX,
            spec,
            key: key.clone(),
        };
        let epoch = supervisor.epoch;
        self.hosts[host].supervisors.insert(id, supervisor);
        if active {
            self.becomes_active(host, id, epoch);
        }
        self.mind_supervisor(host, id);
        DaemonEvent::Spawned {
            key,
            supervisor: pid,
            cgroup: None,
        }
    }

    /// `DaemonAction::Order`.
    pub fn order(&mut self, host: usize, key: &InstanceKey, order: Order) {
        let Some(id) = self.hosts[host].supervisor_of(key) else {
            return;
        };
        if let Order::Mode { mode, epoch, .. } = &order
            && mode == "active"
        {
            let epoch = *epoch;
            self.becomes_active(host, id, epoch);
        }
        self.input(host, id, Input::Order(order));
    }

    /// `DaemonAction::Adopt`: a later daemon connects, or proves that nothing is left.
    pub fn adopt(&mut self, host: usize, key: InstanceKey, process: u64, recorded: Option<ProcessId>) {
        let (incarnation, _) = self.hosts[host].daemon_identity();
        let found = self.hosts[host].supervisors.iter_mut().find(|(_, supervisor)| {
            supervisor.key == key && supervisor.process == process && recorded == Some(supervisor.pid)
        });
        if let Some((id, supervisor)) = found {
            supervisor.daemon = Some(incarnation);
            let id = *id;
            return self.input(host, id, Input::Order(Order::Status));
        }
        let at = self.now + self.random.between(MS / 2, 5 * MS);
        let event = DaemonEvent::Gone { key, process };
        self.at(at, Event::DaemonHears(host, incarnation, Box::new(event)));
    }

    /// Something comes to a supervisor, which reads it unless it is paused.
    pub fn input(&mut self, host: usize, id: u64, input: Input) {
        let paused = self.hosts[host].supervisors_paused > 0;
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        // What was killed dies, whether its supervisor runs or not.
        if paused && !matches!(input, Input::Program(ProgramEvent::Killed)) {
            supervisor.inbox.push(input);
            return;
        }
        match input {
            Input::Order(order) => self.obey(host, id, order),
            Input::Program(event) => self.hear_program(host, id, event),
        }
        self.mind_supervisor(host, id);
    }

    /// Supervisors run again.
    pub fn resume_supervisors(&mut self, host: usize) {
        for id in self.hosts[host].supervisors.keys().copied().collect::<Vec<_>>() {
            let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
                continue;
            };
            for input in std::mem::take(&mut supervisor.inbox) {
                self.input(host, id, input);
            }
            self.mind_supervisor(host, id);
        }
    }

    fn tell_daemon(&mut self, host: usize, id: u64, news: News) {
        let Some(supervisor) = self.hosts[host].supervisors.get(&id) else {
            return;
        };
        let Some(incarnation) = supervisor.daemon else { return };
        let event = DaemonEvent::News {
            key: supervisor.key.clone(),
            process: supervisor.process,
            news,
        };
        self.at(
            self.now + SOCKET_NS,
            Event::DaemonHears(host, incarnation, Box::new(event)),
        );
    }

    fn after(&mut self, host: usize, id: u64, delay_ns: u64, event: ProgramEvent) {
        self.at(self.now + delay_ns, Event::Program(host, id, event));
    }

    fn obey(&mut self, host: usize, id: u64, order: Order) {
        let now_ns = self.hosts[host].clock.local(self.now);
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        match order {
            Order::Go => {
                if !supervisor.go && !supervisor.dying {
                    supervisor.go = true;
                    let delay = supervisor.behaviour.start_ns;
                    let event = if supervisor.behaviour.fails_to_start {
                        ProgramEvent::NotStarted
                    } else {
                        ProgramEvent::Started
                    };
                    self.starts(host, id);
                    self.after(host, id, delay, event);
                }
            }
            Order::Renew { deadline_ns, soft_ns } => {
                let ending = matches!(&supervisor.stopping, Some(stop) if stop.cause == EndCause::LeaseEnded);
                if supervisor.spec.deadline_ns.is_some() && !ending && supervisor.armed_ns > 0 {
                    supervisor.armed_ns = supervisor.armed_ns.max(deadline_ns);
                    supervisor.soft_ns = supervisor.soft_ns.max(soft_ns);
                }
            }
            Order::Mode {
                mode,
                epoch,
                command,
                timeout_ms,
                ..
            } => self.change_mode(host, id, mode, epoch, command.is_some(), now_ns + timeout_ms * MS),
            Order::Shares { .. } => {}
            Order::Reload { revision, .. } => self.tell_daemon(host, id, News::Reloaded { revision, error: None }),
            Order::Run { id: run, .. } => {
                let (delay, fails) = (
                    supervisor.behaviour.answer_ns,
                    supervisor.behaviour.fails_probes && !self.healing,
                );
                self.after(host, id, delay, ProgramEvent::Ran { id: run, fails });
            }
            Order::Stop { timeout_ms } => self.stop_until(host, id, EndCause::Requested, now_ns + timeout_ms * MS),
            Order::Kill => self.stop_until(host, id, EndCause::Requested, now_ns),
            Order::Status => {
                let hello = Hello {
                    supervisor: supervisor.pid,
                    containment: Some(Containment::Namespace),
                    package_pid: supervisor.started.then_some(supervisor.pid.pid + 1),
                    epoch: supervisor.epoch,
                    mode: supervisor.mode.clone(),
                    ready: supervisor.started,
                    connected: supervisor.connected,
                    stopping: supervisor.stopping.is_some(),
                };
                self.tell_daemon(host, id, News::Hello(hello));
            }
        }
    }

    fn change_mode(&mut self, host: usize, id: u64, mode: String, epoch: u64, by_command: bool, until_ns: u64) {
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        if epoch <= supervisor.epoch || supervisor.asked.as_ref().is_some_and(|asked| epoch <= asked.epoch) {
            let error = Some("an older epoch than it was told before".to_owned());
            return self.tell_daemon(host, id, News::Answered { epoch, error });
        }
        if !by_command && !supervisor.connected {
            let error = Some("the package is not connected to its control socket any more".to_owned());
            return self.tell_daemon(host, id, News::Answered { epoch, error });
        }
        supervisor.asked = Some(Asked {
            epoch,
            mode,
            until_ns,
            by_command,
        });
        let (delay, hangs) = (supervisor.behaviour.answer_ns, supervisor.behaviour.hangs);
        if hangs && !by_command {
            return;
        }
        let fails = supervisor.behaviour.refuses_mode;
        // A command that hangs is killed at its time.
        let delay = if hangs { delay * 1_000 } else { delay };
        self.after(host, id, delay, ProgramEvent::Answer { epoch, fails });
    }

    fn answered(&mut self, host: usize, id: u64, error: Option<String>) {
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        let Some(asked) = supervisor.asked.take() else { return };
        if error.is_none() {
            supervisor.epoch = asked.epoch;
            supervisor.mode = asked.mode;
        }
        let epoch = asked.epoch;
        self.tell_daemon(host, id, News::Answered { epoch, error });
    }

    fn hear_program(&mut self, host: usize, id: u64, event: ProgramEvent) {
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        let behaviour = supervisor.behaviour.clone();
        match event {
            _ if supervisor.gone.is_some() && !matches!(event, ProgramEvent::Killed) => {}
            ProgramEvent::Started => {
                supervisor.started = true;
                let package_pid = supervisor.pid.pid + 1;
                let stopping = supervisor.stopping.is_some();
                self.tell_daemon(
                    host,
                    id,
                    News::Started {
                        package_pid,
                        containment: Containment::Namespace,
                    },
                );
                if behaviour.connects {
                    self.after(host, id, behaviour.ready_ns, ProgramEvent::Connected);
                }
                if let Some(after) = behaviour.crashes_after_ns {
                    self.after(host, id, after, ProgramEvent::Crashes);
                }
                if stopping && !behaviour.ignores_stop {
                    self.after(host, id, behaviour.stop_ns, ProgramEvent::Exited);
                }
            }
            ProgramEvent::NotStarted => {
                let error = "no such program".to_owned();
                self.tell_daemon(host, id, News::NotStarted { error: error.clone() });
                self.package_gone(host, id, EndCause::NotStarted, error);
            }
            ProgramEvent::Connected => {
                supervisor.connected = true;
                self.tell_daemon(host, id, News::Connected(true));
            }
            ProgramEvent::Answer { epoch, fails } => {
                if supervisor.asked.as_ref().is_some_and(|asked| asked.epoch == epoch) {
                    self.answered(host, id, fails.then(|| "the program said no".to_owned()));
                }
            }
            ProgramEvent::Ran { id: run, fails } => {
                let error = fails.then(|| "exited with 1".to_owned());
                self.tell_daemon(host, id, News::Ran { id: run, error });
            }
            ProgramEvent::Crashes if self.healing => {}
            ProgramEvent::Exited | ProgramEvent::Crashes => {
                // With its main process init ends too, and the kernel kills what the program forked.
                let cause = supervisor.stopping.as_ref().map_or(EndCause::Exited, |stop| stop.cause);
                if behaviour.forks && !supervisor.dying {
                    supervisor.dying = true;
                    let delay = self.random.below(KILL_MS * MS / 2);
                    return self.after(host, id, delay, ProgramEvent::Killed);
                }
                self.package_gone(host, id, cause, "exited with 1".to_owned());
            }
            ProgramEvent::Killed => {
                let cause = supervisor
                    .stopping
                    .as_ref()
                    .map_or(EndCause::Signalled, |stop| stop.cause);
                self.package_gone(host, id, cause, "ended by signal 9".to_owned());
            }
        }
    }

    /// Nothing of the package is left. The supervisor says so and ends.
    fn package_gone(&mut self, host: usize, id: u64, cause: EndCause, detail: String) {
        self.becomes_inactive(host, id);
        let code = matches!(cause, EndCause::Exited | EndCause::Signalled).then_some(1);
        self.tell_daemon(host, id, News::Ended(Ended { cause, code, detail }));
        self.hosts[host].supervisors.remove(&id);
    }
}
