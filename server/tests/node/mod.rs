//! A manager that says what the test wants, and a real daemon process under it.

#![allow(
    clippy::disallowed_methods,
    reason = "the pauses of polls that wait for a value, with a limit"
)]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use client::wire::daemon::{
    DesiredInstance, Extend, InstanceObservation, Leave, Register, Registered, Renew, Renewed, Report, Reported, Waited,
};
use client::wire::definition::RunDefinition;
use client::wire::error::Problem;

/// Nothing that a test waits for takes longer, on a loaded machine too.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the manager knows and says.
#[derive(Default)]
pub struct Manager {
    pub generation: u64,
    pub desired: Vec<DesiredInstance>,
    pub lease_ms: u64,
    pub silent: bool,
    pub ended: bool,
    pub sessions: u64,
    pub registrations: Vec<Register>,
    pub renewals: Vec<(Instant, Renew)>,
    pub seen: Vec<(Instant, InstanceObservation)>,
    pub sequences: Vec<u64>,
    pub left: Vec<Leave>,
    pub extended: Vec<Extend>,
}

/// Shared with the server's thread.
#[derive(Clone)]
pub struct Shared(pub Arc<Mutex<Manager>>);

impl Shared {
    /// Waits until `look` finds something.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, look: impl Fn(&Manager) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            {
                let manager = self.0.lock().unwrap();
                if let Some(found) = look(&manager) {
                    return found;
                }
                assert!(Instant::now() < until, "no {what} in time; seen: {:#?}", manager.seen);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn set_desired(&self, desired: Vec<DesiredInstance>) {
        let mut manager = self.0.lock().unwrap();
        manager.desired = desired;
        manager.generation += 1;
    }

    #[track_caller]
    pub fn wait_state(&self, package: &str, epoch: u64, state: &str) -> (Instant, InstanceObservation) {
        self.wait(&format!("{package} {epoch} {state}"), |manager| {
            manager
                .seen
                .iter()
                .rev()
                .find(|(_, seen)| seen.package == package && seen.epoch == epoch && seen.state == state)
                .cloned()
        })
    }
}

/// A desired instance that becomes ready by being started.
pub fn instance(package: &str, epoch: u64, mode: &str, command: &[&str]) -> DesiredInstance {
    DesiredInstance {
        package: package.to_owned(),
        start: epoch,
        epoch,
        mode: mode.to_owned(),
        output: "released".to_owned(),
        delay_ms: 0,
        deadline: true,
        reset: false,
        own_mode: None,
        maintained: false,
        shares: BTreeMap::new(),
        run: RunDefinition {
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            env: BTreeMap::new(),
            directory: None,
        },
        promote: None,
        demote: None,
        probe: None,
        start_timeout_ms: 5_000,
        stop_timeout_ms: 500,
        reload: None,
    }
}

/// One node: the manager's thread and the daemon's process.
pub struct Node {
    pub manager: Shared,
    pub directory: tempfile::TempDir,
    pub daemon: Option<Child>,
}

impl Node {
    pub fn start(lease_ms: u64) -> Self {
        Self::start_with(lease_ms, "")
    }

    /// The same with further lines in the node file.
    pub fn start_with(lease_ms: u64, extra: &str) -> Self {
        let manager = Shared(Arc::new(Mutex::new(Manager {
            lease_ms,
            ..Manager::default()
        })));
        let port = serve(manager.clone());
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("data");
        std::fs::create_dir(&data_dir).unwrap();
        std::fs::write(
            directory.path().join("node.toml"),
            format!(
                "name = \"n1\"\nroles = [\"daemon\"]\ndata_dir = {data_dir:?}\napi = \"127.0.0.1:1\"\npeer = [\"127.0.0.1:1\"]\njoin = [\"127.0.0.1:{port}\"]\n{extra}"
            ),
        )
        .unwrap();
        let mut node = Self {
            manager,
            directory,
            daemon: None,
        };
        node.start_daemon();
        node
    }

    pub fn start_daemon(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("daemon.log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_paceline"))
            .args(["serve-daemon", "--config"])
            .arg(self.directory.path().join("node.toml"))
            .env("PACELINE_NODE_ROOT", self.directory.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(child);
    }

    pub fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub fn signal_daemon(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.daemon.as_ref().unwrap().id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    pub fn run_dir(&self) -> PathBuf {
        self.directory.path().join("data/run")
    }

    /// The package's process as the host sees it.
    pub fn pid(&self, package: &str, process: u64) -> i32 {
        read_pid(&self.run_dir().join(format!("{package}.{process}/package.pid")))
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("daemon.log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for pid in processes_of(self.directory.path()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        if std::thread::panicking() {
            eprintln!("daemon's log:\n{}", self.log());
        }
    }
}

pub fn read_pid(file: &Path) -> i32 {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(pid) = std::fs::read_to_string(file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
        {
            return pid;
        }
        assert!(Instant::now() < until, "no {}", file.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process exists and is not a zombie.
pub fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    })
}

/// Every living process whose environment or arguments name the directory.
pub fn processes_of(directory: &Path) -> Vec<i32> {
    let needle = directory.as_os_str().as_encoded_bytes();
    let names = |file: String| {
        std::fs::read(file).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != i32::try_from(std::process::id()).unwrap() && is_alive(*pid))
        .filter(|pid| names(format!("/proc/{pid}/environ")) || names(format!("/proc/{pid}/cmdline")))
        .collect()
}

#[track_caller]
pub fn wait_until(what: &str, look: impl Fn() -> bool) -> Instant {
    let until = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
    Instant::now()
}

fn serve(manager: Shared) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let routes = Router::new()
                .route("/daemon/v1/register", post(register))
                .route("/daemon/v1/renew", post(renew))
                .route("/daemon/v1/report", post(report))
                .route("/daemon/v1/extend", post(extend))
                .route("/daemon/v1/leave", post(leave))
                .route("/daemon/v1/wait", get(wait))
                .with_state(manager);
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let service = hyper_util::service::TowerToHyperService::new(routes.clone());
                tokio::spawn(async move {
                    let io = hyper_util::rt::TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
    });
    port
}

fn problem(code: &str) -> Response {
    let problem = Problem::new(409, "", code, "as the test wants it");
    (StatusCode::CONFLICT, Json(problem)).into_response()
}

async fn register(State(shared): State<Shared>, Json(request): Json<Register>) -> Response {
    let mut manager = shared.0.lock().unwrap();
    if manager.silent {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    manager.sessions += 1;
    manager.ended = false;
    let session = 100 + manager.sessions;
    manager.registrations.push(request);
    manager.generation += 1;
    Json(Registered {
        cluster_id: "c".to_owned(),
        node: 1,
        session,
        servers: Vec::new(),
    })
    .into_response()
}

async fn renew(State(shared): State<Shared>, Json(request): Json<Renew>) -> Response {
    let mut manager = shared.0.lock().unwrap();
    if manager.silent {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if manager.ended || request.session != 100 + manager.sessions {
        return problem("session_ended");
    }
    manager.renewals.push((Instant::now(), request.clone()));
    let lease_ms = manager
        .extended
        .last()
        .map_or(manager.lease_ms, |extend| extend.lease_ms);
    Json(Renewed {
        nonce: request.nonce,
        lease_ms,
        soft_ms: manager.lease_ms / 5,
        renew_ms: manager.lease_ms / 10,
        retry_ms: manager.lease_ms / 40,
        generation: manager.generation,
        desired: (manager.generation > request.generation).then(|| manager.desired.clone()),
        stopping: Vec::new(),
        servers: Vec::new(),
        watch: Vec::new(),
        thresholds: None,
    })
    .into_response()
}

async fn report(State(shared): State<Shared>, Json(request): Json<Report>) -> Response {
    let mut manager = shared.0.lock().unwrap();
    if manager.silent {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let last = manager.sequences.last().copied().unwrap_or(0);
    if request.sequence > last + 1 {
        return problem("report_gap");
    }
    if request.sequence == last + 1 {
        manager.sequences.push(request.sequence);
        let now = Instant::now();
        manager
            .seen
            .extend(request.observations.into_iter().map(|seen| (now, seen)));
    }
    Json(Reported {
        index: 1,
        generation: manager.generation,
    })
    .into_response()
}

async fn extend(State(shared): State<Shared>, Json(request): Json<Extend>) -> Response {
    let mut manager = shared.0.lock().unwrap();
    manager.extended.push(request);
    Json(Reported {
        index: 1,
        generation: manager.generation,
    })
    .into_response()
}

async fn leave(State(shared): State<Shared>, Json(request): Json<Leave>) -> Response {
    let mut manager = shared.0.lock().unwrap();
    manager.left.push(request);
    Json(Reported {
        index: 1,
        generation: manager.generation,
    })
    .into_response()
}

#[derive(serde::Deserialize)]
struct Wait {
    generation: u64,
}

async fn wait(State(shared): State<Shared>, axum::extract::Query(query): axum::extract::Query<Wait>) -> Json<Waited> {
    loop {
        let generation = shared.0.lock().unwrap().generation;
        if generation > query.generation {
            return Json(Waited { generation });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
