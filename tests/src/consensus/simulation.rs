//! The run itself: one queue of events in true time, and the hosts that each does its share at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use server::raft::{CallError, Work};
use server::storage::Completion;
use statemachine::id::Index;
use tokio::sync::oneshot;

use super::client::Client;
use super::daemon::Daemon;
use super::delivery::Call;
use super::disk::{Disk, Next};
use super::faults::Faults;
use super::host::{Host, HostClock, Moment};
use super::network::Network;
use super::plan::{Plant, Settings};
use super::random::Random;
use super::reference::{Reference, hash};
use super::report::Report;
use super::server::{Ask, Message, Out, Outbox, Role, Run, Told, address, options};
use super::watch::{Seen, Watch};

/// Where there is a witness, it is this server.
const WITNESS: usize = 2;
/// From one event to what follows from it at once.
const AT_ONCE: Duration = Duration::from_micros(20);
/// A client's or a daemon's message takes this long.
pub(super) const CLIENT_DELAY: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(3));
/// Slow work takes this long.
const WORK: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(20));

/// Who has asked a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A client.
    Client(usize),
    /// A daemon.
    Daemon(usize),
    /// An operator who hands the lead over.
    Operator,
    /// An operator who removes a server.
    Remover(usize),
}

/// What happens.
pub enum Event {
    /// A host wants to go on by itself.
    Timer(usize, u64),
    /// A message comes; the number of its call where an answer is wanted.
    Deliver(usize, Option<u64>, Message),
    /// A call has its outcome.
    Outcome(u64, Result<Bytes, CallError>),
    /// A server's disk, in this run of it, has written or synced.
    Disk(usize, u64, Vec<Completion>, Synced),
    /// Slow work is done.
    Work(usize, u64, Work, oneshot::Sender<()>),
    /// A question comes.
    Ask(usize, u64, Ask),
    /// The answer comes.
    Told(u64, Told),
    /// A client's next step.
    Client(usize, u64),
    /// A daemon's next step.
    Daemon(usize, u64),
    /// A server is switched on.
    Start(usize),
    /// A paused server goes on.
    Resume(usize, u64),
    /// The next fault.
    Fault,
    /// The end of a fault.
    Mend(u64),
    /// The removal of a server is asked for again.
    Remove(usize),
}

/// Whether a disk's event is the end of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synced {
    /// It is.
    Yes,
    /// It was only written.
    No,
    /// It is not, but says so: the planted fault.
    Early,
}

/// A server with what outlives its runs.
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its host's clocks.
    pub clock: HostClock,
    /// Its disk.
    pub disk: Disk,
    /// Its files.
    pub directory: PathBuf,
    /// What it is for.
    pub role: Role,
    /// Whom it asks to be let in.
    pub join: Vec<String>,
    /// A sync takes this long.
    pub sync: (Duration, Duration),
    /// It has left for good.
    pub removed: bool,
    /// Its present run.
    pub power: Option<Power>,
    /// Its runs so far.
    pub runs: u64,
}

/// A run of a server.
pub struct Power {
    host: Host,
    /// What runs.
    pub run: Run,
    pub(super) outbox: Outbox,
    timer: u64,
    /// Since when it is paused, and how.
    pub paused: Option<(Moment, Pause)>,
    backlog: Vec<Box<dyn FnOnce()>>,
    disk_busy: bool,
    /// What was seen of it.
    pub seen: Seen,
}

/// How a server is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Its processes are stopped.
    Stopped,
    /// Its machine is suspended: the monotonic clock stands still too.
    Suspended,
}

/// See the module.
pub struct Simulation {
    /// What was decided before.
    pub settings: Settings,
    /// What decides all else.
    pub random: Random,
    /// True time.
    pub now: Moment,
    events: BTreeMap<(Moment, u64), Event>,
    next_event: u64,
    /// The servers, those that have left too.
    pub servers: Vec<Server>,
    /// Between them.
    pub network: Network,
    pub(super) calls: BTreeMap<u64, Call>,
    pub(super) next_call: u64,
    pub(super) questions: BTreeMap<u64, Asker>,
    pub(super) next_question: u64,
    /// Those who write and read.
    pub clients: Vec<Client>,
    /// Those who renew.
    pub daemons: Vec<Daemon>,
    /// The newest index that anybody was told of.
    pub answered: Index,
    /// What is broken at the moment.
    pub faults: Faults,
    /// What is right.
    pub reference: Reference,
    /// What is looked at.
    pub watch: Watch,
    /// What came of it.
    pub report: Report,
    folder: PathBuf,
}

impl Simulation {
    /// A cluster that is about to start, with its files in a folder.
    #[must_use]
    pub fn new(settings: Settings, folder: &Path) -> Self {
        let mut random = Random::new(settings.seed);
        let network = Network::new(settings.delay, settings.loss, settings.doubled);
        let clients = (0..settings.clients).map(Client::new).collect();
        let daemons = (0..settings.daemons)
            .map(|number| Daemon::new(number, rate(&mut random, settings.clock_error)))
            .collect();
        let mut simulation = Self {
            random,
            now: 0,
            events: BTreeMap::new(),
            next_event: 0,
            servers: Vec::new(),
            network,
            calls: BTreeMap::new(),
            next_call: 0,
            questions: BTreeMap::new(),
            next_question: 0,
            clients,
            daemons,
            answered: Index(0),
            faults: Faults::default(),
            reference: Reference::new(),
            watch: Watch::default(),
            report: Report::default(),
            folder: folder.to_owned(),
            settings,
        };
        for _ in 0..simulation.settings.servers {
            let server = simulation.add_server();
            let begin = simulation.random.time(Duration::ZERO, Duration::from_millis(50));
            simulation.plan(begin, Event::Start(server));
        }
        simulation
    }

    /// A further server, switched off. The first creates the cluster, the others ask any of those before them.
    pub fn add_server(&mut self) -> usize {
        let number = self.servers.len();
        let name = format!("n{}", number + 1);
        let mut clock = HostClock::new(number);
        clock.set_rate(0, rate(&mut self.random, self.settings.clock_error));
        let present = self.servers.iter().filter(|server| !server.removed);
        self.servers.push(Server {
            join: present.map(|server| address(&server.name)).collect(),
            directory: self.folder.join(&name),
            name,
            clock,
            disk: Disk::default(),
            role: if self.settings.witness && number == WITNESS {
                Role::Witness
            } else {
                Role::Server
            },
            sync: self.settings.sync,
            removed: false,
            power: None,
            runs: 0,
        });
        number
    }

    /// Plans an event.
    pub fn plan(&mut self, after: Duration, event: Event) {
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self.plan_at(self.now.saturating_add(after.max(1)), event);
    }

    fn plan_at(&mut self, at: Moment, event: Event) {
        self.next_event += 1;
        self.events.insert((at, self.next_event), event);
    }

    /// Runs until a moment, or until something is wrong.
    pub fn run_until(&mut self, end: Moment) {
        while self.report.violation.is_none()
            && let Some((&(at, _), _)) = self.events.first_key_value()
            && at <= end
            && let Some(((at, _), event)) = self.events.pop_first()
        {
            self.now = at;
            self.report.events += 1;
            self.happen(event);
        }
        if self.report.violation.is_none() {
            self.now = end;
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer(server, timer) => {
                let current = self.servers[server].power.as_ref().map(|power| power.timer);
                if current == Some(timer) {
                    self.enter(server, Box::new(|| {}));
                }
            }
            Event::Deliver(server, call, message) => self.deliver(server, call, message),
            Event::Outcome(call, outcome) => self.outcome(call, outcome),
            Event::Disk(server, run, done, synced) => self.disk_done(server, run, done, synced),
            Event::Work(server, run, work, tell) => {
                if self.servers[server].runs == run {
                    self.note("work", server, 0, &[]);
                    self.enter(
                        server,
                        Box::new(move || {
                            work();
                            let _ = tell.send(());
                        }),
                    );
                }
            }
            Event::Ask(server, question, ask) => self.asked(server, question, ask),
            Event::Told(question, told) => match self.questions.remove(&question) {
                Some(Asker::Client(client)) => self.client_told(client, question, told),
                Some(Asker::Daemon(daemon)) => self.daemon_told(daemon, question, told),
                Some(Asker::Remover(server)) => self.remover_told(server, &told),
                Some(Asker::Operator) | None => {}
            },
            Event::Client(client, step) => self.client_step(client, step),
            Event::Daemon(daemon, step) => self.daemon_step(daemon, step),
            Event::Start(server) => self.start(server),
            Event::Resume(server, run) => self.resume(server, run),
            Event::Fault => self.next_fault(),
            Event::Mend(fault) => self.mend_fault(fault),
            Event::Remove(server) => self.repeat_removal(server),
        }
    }

    /// Notes an event in the trace: the same seed must give the same.
    pub fn note(&mut self, what: &str, server: usize, number: u64, bytes: &[u8]) {
        let trace = &mut self.report.trace;
        for word in [
            self.now,
            server as u64,
            number,
            hash(0, what.as_bytes()),
            hash(1, bytes),
        ] {
            *trace = hash(*trace, &word.to_be_bytes());
        }
        if self.settings.print {
            let text = format!(
                "{:>12.6} {what} {server} {number} {} bytes",
                self.seconds(),
                bytes.len()
            );
            println!("{text} #{:016x}", self.report.trace);
        }
    }

    /// True time in seconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    pub fn seconds(&self) -> f64 {
        self.now as f64 / 1e9
    }

    /// Records what must not be. The first stands; the run ends with it.
    pub fn violated(&mut self, text: &str) {
        let text = format!("at {:.6} s: {text}", self.seconds());
        if self.settings.print {
            println!("{text}");
        }
        self.report.violation.get_or_insert(text);
    }

    /// Switches a server on.
    pub fn start(&mut self, number: usize) {
        let tuning = self.settings.tuning();
        let now = self.now;
        let server = &mut self.servers[number];
        if server.power.is_some() || server.removed {
            return;
        }
        server.runs += 1;
        let power = Power {
            host: Host::start(&server.clock, now),
            run: Run::default(),
            outbox: Outbox::default(),
            timer: 0,
            paused: None,
            backlog: Vec::new(),
            disk_busy: false,
            seen: Seen::default(),
        };
        let (run, outbox, disk) = (power.run.clone(), power.outbox.clone(), server.disk.clone());
        let options = options(&server.directory, &server.name, &server.join, server.role);
        server.power = Some(power);
        self.note("start", number, 0, &[]);
        self.reset_calls_to(number);
        self.enter(number, Box::new(move || run.start(&outbox, &disk, options, tuning)));
    }

    /// Cuts a server's power, or kills it.
    pub fn crash(&mut self, number: usize) {
        let server = &mut self.servers[number];
        let Some(power) = server.power.take() else { return };
        server.runs += 1;
        server.disk.crash(&mut self.random);
        drop(power.backlog);
        drop(power.run);
        power.host.cut(&server.clock, self.now);
        self.note("crash", number, 0, &[]);
        if self.random.chance(5000) {
            self.reset_calls_to(number);
        }
    }

    fn resume(&mut self, number: usize, run: u64) {
        let now = self.now;
        let server = &mut self.servers[number];
        let Some(power) = server.power.as_mut().filter(|_| server.runs == run) else {
            return;
        };
        if let Some((since, Pause::Suspended)) = power.paused.take() {
            server.clock.resume(since, now);
        }
        let backlog = std::mem::take(&mut power.backlog);
        self.note("resume", number, backlog.len() as u64, &[]);
        self.enter(number, Box::new(|| backlog.into_iter().for_each(|work| work())));
    }

    /// Lets a server do its share of this moment, beginning with `work`.
    pub(super) fn enter(&mut self, number: usize, work: Box<dyn FnOnce()>) {
        let now = self.now;
        let server = &mut self.servers[number];
        let Some(power) = &mut server.power else { return };
        if power.paused.is_some() {
            power.backlog.push(work);
            return;
        }
        let next = power.host.run(&server.clock, now, work);
        power.timer += 1;
        let timer = power.timer;
        let outs = power.outbox.take();
        if let Some(at) = next {
            self.plan_at(at.max(now + 1), Event::Timer(number, timer));
        }
        for out in outs {
            self.came_out(number, out);
        }
        self.proceed_disk(number);
        self.look_at(number);
    }

    fn came_out(&mut self, number: usize, out: Out) {
        match out {
            Out::Call(message, reply) => self.send(number, message, reply),
            Out::Answer(call, status, body) => self.answer(number, call, status, body),
            Out::Told(question, told) => {
                let delay = self.random.time(CLIENT_DELAY.0, CLIENT_DELAY.1);
                if self.network.loses(&mut self.random) {
                    self.report.count("answer to a client lost");
                } else {
                    self.plan(delay, Event::Told(question, told));
                }
            }
            Out::Work(work, tell) => {
                let length = self.random.time(WORK.0, WORK.1);
                let run = self.servers[number].runs;
                self.plan(length, Event::Work(number, run, work, tell));
            }
        }
    }

    fn proceed_disk(&mut self, number: usize) {
        let server = &mut self.servers[number];
        let Some(power) = server.power.as_mut().filter(|power| !power.disk_busy) else {
            return;
        };
        let length = self.random.time(server.sync.0, server.sync.1);
        let (after, done, synced) = match server.disk.proceed() {
            Next::Idle => return,
            Next::Written(done) => (AT_ONCE, done, Synced::No),
            Next::Syncing(done) => (length, done, Synced::Yes),
        };
        power.disk_busy = true;
        let run = server.runs;
        if self.settings.plant == Some(Plant::CallbackBeforeDurable) && synced == Synced::Yes {
            self.plan(AT_ONCE, Event::Disk(number, run, done, Synced::Early));
            self.plan(after, Event::Disk(number, run, Vec::new(), synced));
        } else {
            self.plan(after, Event::Disk(number, run, done, synced));
        }
    }

    fn disk_done(&mut self, number: usize, run: u64, done: Vec<Completion>, synced: Synced) {
        let server = &mut self.servers[number];
        let Some(power) = server.power.as_mut().filter(|_| server.runs == run) else {
            return;
        };
        if synced == Synced::Yes {
            server.disk.finish_sync();
        }
        power.disk_busy = synced == Synced::Early;
        self.note("disk", number, done.len() as u64, &[]);
        let fails = synced == Synced::Yes && self.faults.takes_disk_error(number);
        let tell = move || {
            for done in done {
                let outcome = if fails {
                    Err(std::io::Error::other("the disk has failed"))
                } else {
                    Ok(())
                };
                done(outcome);
            }
        };
        self.enter(number, Box::new(tell));
    }
}

/// A clock's rate: right to within the error, and often just as wrong as allowed.
fn rate(random: &mut Random, error: u64) -> u64 {
    match random.index(4) {
        0 => 1_000_000 - error,
        1 => 1_000_000 + error,
        _ => random.between(1_000_000 - error, 1_000_000 + error),
    }
}
