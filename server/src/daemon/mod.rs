//! The node's daemon: keeps leases, runs what is desired, reports what it saw. One thread.
//!
//! [`core`] decides and does nothing; this loop does and decides nothing. Everything that wakes it is one
//! [`DaemonEvent`], and all that it does is one [`DaemonAction`]. Actions are performed in order, and one that fails ends
//! the process: what can't be recorded may not be done (the packages then end at their deadline, or go on under the
//! next daemon, which the parent starts at once).
//!
//! It speaks to servers only over HTTP, as on a remote machine, and knows nothing of Raft or storage.

pub mod agents;
pub mod capacity;
pub mod core;
pub mod event;
pub mod instance;
pub mod lease;
pub mod link;
pub mod machine;
mod minding;
mod news;
pub mod probes;
pub mod reconcile;
pub mod record;
pub mod recording;
mod reloading;
pub mod report;
pub mod reset;
pub mod resources;
pub mod servers;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use self::core::{Daemon, Facts, step};
use crate::config::Config;
use crate::serve;
use crate::supervisor::clock::boottime_ns;
use crate::supervisor::{self, DEFAULT_PATH};
use agents::exec::ExecAgent;
use event::{DaemonAction, DaemonEvent};
use link::{ServerLink, Watched};
use record::{Place, RecordError, RecordFile};
use recording::Recording;
use resources::Resources;

/// Events that may wait: tasks that make more wait for the loop.
const EVENTS_MAX: usize = 4_096;
/// The lease of a planned restart: a new program is started and has its first answer long before.
const RESTART_LEASE_MS: u64 = 20_000;
/// Another lease of a planned restart, in milliseconds. For tests that wait until it has ended.
const RESTART_LEASE_VARIABLE: &str = "PACELINE_RESTART_LEASE_MS";
/// Of this process's environment, what packages get too. The rest is not theirs.
const ENVIRONMENT_PASSED: [&str; 9] = [
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "PACELINE_NODE_ROOT",
];

/// Runs the daemon of a node until it is told to end.
///
/// # Errors
/// What kept it from starting, or made it end: the exit code then says whether another try makes sense.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    serve::tie_to_parent();
    let record = match RecordFile::lock(&config.run_dir()) {
        Ok(record) => record,
        Err(error @ RecordError::Locked { .. }) => {
            eprintln!("paceline: {error}");
            return Ok(ExitCode::from(serve::EXIT_FATAL));
        }
        Err(error) => return Err(error.into()),
    };
    let found = match record.read() {
        Ok(found) => found,
        Err(error @ RecordError::Foreign { .. }) => {
            eprintln!("paceline: {error}");
            return Ok(ExitCode::from(serve::EXIT_FATAL));
        }
        Err(error) => return Err(error.into()),
    };
    reset::report_last(&config.data_dir);
    let facts = facts(config)?;
    let here = Place::here().context("can't read /proc")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(async {
        let (daemon, actions) = Daemon::begin(facts, servers(config), found, here, boottime_ns());
        Loop::new(config, record, daemon)?.run(actions).await
    })
}

fn facts(config: &Config) -> anyhow::Result<Facts> {
    let mut environment: BTreeMap<String, String> = ENVIRONMENT_PASSED
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), std::env::var(key).ok()?)))
        .collect();
    environment.insert(
        "PATH".to_owned(),
        std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned()),
    );
    Ok(Facts {
        name: config.name.clone(),
        machine: machine::machine(&config.data_dir)
            .with_context(|| format!("can't use {}", config.data_dir.display()))?,
        capacity: capacity::capacity(&config.capacity),
        labels: config.labels.clone(),
        api: config.api_advertised(),
        environment,
        containment: supervisor::containment_here(),
        restart_lease_ms: restart_lease_ms(),
        monitor: config.monitor.names(),
        seed: getrandom::u64().map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?,
    })
}

/// The lease of a planned restart: at most what the cluster grants.
fn restart_lease_ms() -> u64 {
    std::env::var(RESTART_LEASE_VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok())
        .map_or(RESTART_LEASE_MS, |lease: u64| lease.clamp(1, 60_000))
}

/// The node's own server first: it answers while the network is down, and then says so.
fn servers(config: &Config) -> Vec<String> {
    let own = config.peer.iter().map(ToString::to_string).filter(|_| config.votes());
    let mut servers: Vec<String> = Vec::new();
    for server in own.chain(config.join.iter().cloned()) {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

struct Loop {
    config: Config,
    record: RecordFile,
    daemon: Daemon,
    agent: ExecAgent,
    link: ServerLink,
    events: mpsc::Receiver<DaemonEvent>,
    /// What was found while performing an action: handled before anything that waits outside.
    found: std::collections::VecDeque<DaemonEvent>,
    watched: watch::Sender<Watched>,
    resources: Resources,
    recording: Recording,
}

impl Loop {
    fn new(config: &Config, record: RecordFile, daemon: Daemon) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let link = ServerLink::new(sender.clone()).context("can't make the HTTP client")?;
        let (watched, receiver) = watch::channel(None);
        tokio::spawn(link.clone().hints(receiver));
        let resources = Resources::begin(
            link.http(),
            &sender,
            &config.monitor,
            &capacity::capacity(&config.capacity),
        );
        let agent = ExecAgent::new(config.run_dir(), sender);
        Ok(Self {
            config: config.clone(),
            record,
            daemon,
            agent,
            link,
            events,
            found: std::collections::VecDeque::new(),
            watched,
            resources,
            recording: Recording::from_environment(&config.name)
                .context("can't begin the recording that PACELINE_RECORDING asks for")?,
        })
    }

    async fn run(mut self, actions: Vec<DaemonAction>) -> anyhow::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut next = Some(actions);
        loop {
            if let Some(actions) = next.take()
                && self.perform(actions)?
            {
                return Ok(ExitCode::SUCCESS);
            }
            let event = match self.found.pop_front() {
                Some(event) => event,
                None => {
                    self.publish();
                    let now = boottime_ns();
                    let wait = self.daemon.next_ns(now).map_or(Duration::from_secs(3_600), |at| {
                        Duration::from_nanos(at.saturating_sub(now))
                    });
                    tokio::select! {
                        Some(event) = self.events.recv() => event,
                        _ = terminate.recv() => DaemonEvent::Stop,
                        _ = interrupt.recv() => DaemonEvent::Stop,
                        _ = hang_up.recv() => DaemonEvent::Restart,
                        () = tokio::time::sleep(wait) => DaemonEvent::Tick,
                    }
                }
            };
            log(&event);
            self.recording.event(&event);
            next = Some(step(&mut self.daemon, boottime_ns(), event));
        }
    }

    /// Performs actions in order. True: this process is to end.
    fn perform(&mut self, actions: Vec<DaemonAction>) -> anyhow::Result<bool> {
        for action in actions {
            self.recording.action(&action);
            match action {
                DaemonAction::Record => {
                    let record = self.daemon.record();
                    self.record
                        .write(&record)
                        .context("a daemon that can't record may not go on")?;
                    self.recording.recorded(&record);
                }
                DaemonAction::Spawn { key, spec } => {
                    let event = match self.agent.spawn(&key, *spec) {
                        Ok((supervisor, cgroup)) => DaemonEvent::Spawned {
                            key,
                            supervisor,
                            cgroup,
                        },
                        Err(error) => DaemonEvent::SpawnFailed { key, error },
                    };
                    self.found.push_back(event);
                }
                DaemonAction::Order { key, order } => self.agent.order(&key, &order),
                DaemonAction::Adopt {
                    key,
                    process,
                    supervisor,
                    cgroup,
                } => self.agent.adopt(&key, process, supervisor, cgroup),
                DaemonAction::Probe { key, serial, probe } => {
                    probes::ask(self.link.http(), self.agent.events(), key, serial, probe)
                }
                DaemonAction::Register { server, request } => {
                    if let Some(cut_off_ms) = request.cut_off_ms {
                        tracing::warn!(
                            cut_off_ms,
                            ended = ?request.ended,
                            "this node was declared down while it was cut off; nothing of it is left, and it asks for a new session"
                        );
                    }
                    self.link.register(server, *request);
                }
                DaemonAction::Renew { server, request } => self.link.renew(server, request),
                DaemonAction::Report { server, request } => self.link.report(server, request),
                DaemonAction::Watch { names } => self.resources.watch(names),
                DaemonAction::Extend { server, request } => self.link.extend(server, request),
                DaemonAction::Leave { server, request } => self.link.leave(server, request),
                DaemonAction::Reset { package, left } => reset::reset(&self.config, &package, &left),
                DaemonAction::Exit => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Lets the long poll know where and from which generation on to wait.
    fn publish(&self) {
        let target = self.daemon.watch();
        self.watched.send_if_modified(|watched| {
            let changed = *watched != target;
            if changed {
                *watched = target;
            }
            changed
        });
    }
}

fn log(event: &DaemonEvent) {
    use crate::supervisor::protocol::News;
    match event {
        DaemonEvent::Registered(answer) => tracing::info!(node = answer.node, session = answer.session, "registered"),
        DaemonEvent::News {
            key,
            process,
            news: News::Started {
                package_pid,
                containment,
            },
        } => {
            tracing::info!(
                package = key.package,
                epoch = process,
                pid = package_pid,
                ?containment,
                "started"
            );
        }
        DaemonEvent::News {
            key,
            process,
            news: News::Ended(ended),
        } => {
            tracing::info!(package = key.package, epoch = process, cause = ?ended.cause, detail = ended.detail, "ended");
        }
        DaemonEvent::News {
            key,
            process,
            news: News::Answered { epoch, error },
        } => {
            tracing::info!(
                package = key.package,
                process,
                epoch,
                error,
                "answered a change of mode"
            );
        }
        DaemonEvent::Gone { key, process } => tracing::warn!(
            package = key.package,
            epoch = process,
            "its supervisor was killed; nothing is left"
        ),
        DaemonEvent::SpawnFailed { key, error } => tracing::error!(package = key.package, error, "can't start"),
        DaemonEvent::RenewFailed { code, .. } if code == "session_ended" => {
            tracing::warn!("the cluster has declared this node down: killing what is left of its session")
        }
        DaemonEvent::Stop => tracing::info!("stopping all packages, then leaving"),
        DaemonEvent::Restart => tracing::info!("ending for a restart; packages run on"),
        _ => {}
    }
}
