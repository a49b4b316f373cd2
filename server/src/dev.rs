//! `paceline dev`: a throw-away cluster on this machine, to try everything and to see a failover within a minute.
//!
//! Its nodes are real: each is a `paceline serve` with processes, ports and a folder of its own, and `kill-node` is a real
//! SIGKILL. It needs no root and no configuration, and when it ends nothing is left: no process, no folder. Everything that
//! it does to the cluster goes through the public API.

mod cgroup;
mod control;
mod folder;
mod node;
mod ports;
mod process;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use client::dev::{Runtime, RuntimeError, RuntimeNode, runtime_path};
use client::wire::status::Status;
use client::{Client, ClientError, EventQuery, Wait};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use folder::Folder;
use node::DevNode;
use ports::Ports;

/// What `dev` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// How many nodes.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    nodes: u8,
    /// Keep the folder with logs and data at the end; the processes end all the same.
    #[arg(long)]
    keep: bool,
    /// Print every event as it happens.
    #[arg(short, long)]
    follow: bool,
    /// The first of the ports [default: 7400 where it is free, else others].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

/// How long the nodes may take until they are ready.
const READY_MAX: Duration = Duration::from_secs(30);
/// How often it is asked whether they are.
const READY_POLL: Duration = Duration::from_millis(15);
/// How long the sample packages may take to be where they are to be.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// How long packages may take to stop before everything is killed.
const END_MAX: Duration = Duration::from_millis(1_500);
/// How often it is looked whether a node has ended by itself.
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// Why there is no throw-away cluster.
#[derive(Debug, thiserror::Error)]
enum DevError {
    #[error(
        "a throw-away cluster already runs as process {pid}: see `paceline status`, or end it with Ctrl-C in its terminal (or: kill {pid})"
    )]
    Runs { pid: u32 },
    #[error("can't {what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("{0}")]
    Ports(String),
    #[error("{name} ended by itself; the last lines of {log}:\n{tail}")]
    Ended { name: String, log: String, tail: String },
    #[error("the nodes were not ready after {} s: look at the logs in {folder} (kept)", READY_MAX.as_secs())]
    NotReady { folder: String },
    #[error("the sample packages can't be applied")]
    Apply(#[source] ClientError),
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> DevError {
    let what = what.into();
    move |source| DevError::Io { what, source }
}

/// Runs a throw-away cluster until Ctrl-C.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    // Single-threaded: it waits most of the time, and its children do the work.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("paceline dev: can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dev(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                text.push_str(&format!(": {error}"));
                source = error.source();
            }
            eprintln!("paceline dev: {text}");
            ExitCode::FAILURE
        }
    }
}

/// A running throw-away cluster.
struct Cluster {
    nodes: Vec<DevNode>,
    folder: Folder,
    runtime: Runtime,
    runtime_file: std::path::PathBuf,
}

/// The signals that end it.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

async fn dev(arguments: &Arguments) -> Result<(), DevError> {
    let began = Instant::now();
    let mut signals = Signals::new().map_err(io("listen for signals"))?;
    let runtime_file = runtime_path();
    clear_away_dead(&runtime_file)?;

    let ports = Ports::choose(usize::from(arguments.nodes), arguments.port).map_err(DevError::Ports)?;
    let web = ports.web;
    let folder = Folder::create(arguments.keep).map_err(io("make a folder in the temporary directory"))?;
    let mut cluster = prepare(folder, ports, runtime_file)?;
    let control = UnixListener::bind(&cluster.runtime.control).map_err(io("make the control socket"))?;
    cluster.runtime.write(&cluster.runtime_file)?;

    let result = tokio::select! {
        result = live(&mut cluster, arguments, control, web, began) => result,
        () = signals.any() => Ok(()),
    };
    if matches!(
        result,
        Err(DevError::NotReady { .. } | DevError::Ended { .. } | DevError::Apply(_))
    ) {
        cluster.folder.keep();
    }
    // A second Ctrl-C does not wait for an orderly end.
    cluster.end(&mut signals).await;
    result
}

/// Removes what a `dev` that was killed itself has left behind.
///
/// # Errors
/// [`DevError::Runs`] where it is alive.
fn clear_away_dead(runtime_file: &Path) -> Result<(), DevError> {
    let dead = match Runtime::read(runtime_file) {
        Ok(runtime) if runtime.is_alive() => return Err(DevError::Runs { pid: runtime.pid }),
        Ok(runtime) => runtime,
        Err(RuntimeError::None) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let cgroups = dead
        .nodes
        .values()
        .flat_map(|node| process::kill_all(&node.data_dir).cgroups)
        .collect();
    cgroup::remove(&cgroups);
    folder::remove_dead(&dead.folder);
    std::fs::remove_file(runtime_file).map_err(io(format!("remove {}", runtime_file.display())))
}

/// Writes the node files and the cluster file. Nothing runs yet.
fn prepare(folder: Folder, ports: Ports, runtime_file: std::path::PathBuf) -> Result<Cluster, DevError> {
    let program = std::env::current_exe().map_err(io("find this program's own file"))?;
    let first_peer = ports.nodes.first().map(|ports| format!("127.0.0.1:{}", ports.peer));
    let mut nodes = Vec::new();
    for (position, node_ports) in ports.nodes.iter().enumerate() {
        let join = if position == 0 { None } else { first_peer.as_deref() };
        let node = DevNode::prepare(&format!("n{}", position + 1), folder.path(), node_ports, join, &program)
            .map_err(io("write a node file"))?;
        nodes.push(node);
    }
    let sample = node::sample_cluster(&program, ports.web, folder.path());
    let file = folder.path().join("cluster.toml");
    std::fs::write(&file, sample).map_err(io("write the cluster file"))?;
    let runtime = Runtime {
        servers: nodes.iter().map(|node| format!("http://{}", node.api)).collect(),
        nodes: nodes
            .iter()
            .map(|node| {
                let entry = RuntimeNode {
                    data_dir: node.data_dir.clone(),
                    config: node.config.clone(),
                    api: node.api.clone(),
                    peer: node.peer.clone(),
                };
                (node.name.clone(), entry)
            })
            .collect(),
        control: folder.path().join("control"),
        pid: std::process::id(),
        folder: folder.path().to_owned(),
    };
    // The ports are held until here, so that nobody else was given them meanwhile.
    drop(ports);
    Ok(Cluster {
        nodes,
        folder,
        runtime,
        runtime_file,
    })
}

/// Everything between the start and the end. Runs until it is dropped.
async fn live(
    cluster: &mut Cluster,
    arguments: &Arguments,
    control: UnixListener,
    web: u16,
    began: Instant,
) -> Result<(), DevError> {
    for node in &mut cluster.nodes {
        node.start().map_err(io(format!("start {}", node.name)))?;
    }
    let client = Client::with_patience(&cluster.runtime.servers, READY_POLL).map_err(DevError::Apply)?;
    wait_until_up(cluster, &client).await?;

    let client = Client::new(&cluster.runtime.servers).map_err(DevError::Apply)?;
    let file =
        std::fs::read_to_string(cluster.folder.path().join("cluster.toml")).map_err(io("read the cluster file"))?;
    client
        .put_config(&file, None, Wait::UpTo(SETTLE_MAX))
        .await
        .map_err(DevError::Apply)?;
    let status = client.status().await.map_err(DevError::Apply)?.body;
    banner(cluster, &status, web, began.elapsed());

    let follow = async {
        if arguments.follow {
            follow(&client, status.index).await;
        }
        std::future::pending::<()>().await;
    };
    let mut watch = tokio::time::interval(WATCH_EVERY);
    tokio::pin!(follow);
    loop {
        tokio::select! {
            () = &mut follow => {}
            _ = watch.tick() => cluster.watch(),
            accepted = control.accept() => {
                if let Ok((stream, _)) = accepted {
                    control::answer(stream, &mut cluster.nodes).await;
                }
            }
        }
    }
}

/// Waits until every node is up and every server votes.
async fn wait_until_up(cluster: &mut Cluster, client: &Client) -> Result<(), DevError> {
    let began = Instant::now();
    let wanted = cluster.nodes.len();
    let mut poll = tokio::time::interval(READY_POLL);
    while began.elapsed() < READY_MAX {
        poll.tick().await;
        for node in &mut cluster.nodes {
            if node.has_ended() {
                let (name, log) = (node.name.clone(), node.log.display().to_string());
                return Err(DevError::Ended {
                    name,
                    log,
                    tail: node.log_tail(),
                });
            }
        }
        if let Ok(answer) = client.status().await {
            let status = answer.body;
            let up = status.nodes.iter().filter(|node| node.state == "up").count();
            let voters = status.members.iter().filter(|member| member.role == "voter").count();
            if status.quorate && up == wanted && voters == wanted {
                return Ok(());
            }
        }
    }
    Err(DevError::NotReady {
        folder: cluster.folder.path().display().to_string(),
    })
}

fn banner(cluster: &Cluster, status: &Status, web: u16, took: Duration) {
    let mut out = std::io::stdout().lock();
    let mut lines = vec![
        format!(
            "paceline dev: {} on this machine, with processes of its own; ready in {}.{:02} s",
            if cluster.nodes.len() == 1 {
                "1 node".to_owned()
            } else {
                format!("{} nodes", cluster.nodes.len())
            },
            took.as_secs(),
            took.subsec_millis() / 10
        ),
        String::new(),
    ];
    lines.extend(client::cli::overview(status));
    let folder = cluster.folder.path().display();
    let active = |name: &str| {
        let package = status.packages.iter().find(|package| {
            package.group.as_deref().unwrap_or(&package.name) == name
                && package.instances.iter().any(|instance| instance.mode == "active")
        })?;
        Some((package.name.as_str(), package.instances.first()?.node.as_str()))
    };
    let (package, node) = active("web").unwrap_or(("web-1", "n1"));
    let tries = [
        (format!("curl http://127.0.0.1:{web}"), "who answers"),
        (format!("paceline why {package}"), "why it is where it is"),
        (
            format!("paceline kill-node {node}"),
            "SIGKILL to a whole node: watch the failover",
        ),
        (format!("paceline start-node {node}"), "bring it back"),
        (format!("paceline drain {node} --dry-run"), "what a drain would do"),
        ("paceline events --follow".to_owned(), "what happens, as it happens"),
    ];
    let width = tries.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    lines.extend([
        String::new(),
        format!("  web      http://127.0.0.1:{web}    answered by whichever of the pair is active"),
        format!("  api      {}", cluster.runtime.servers.join("  ")),
        format!("  folder   {folder}    logs, and cluster.toml to change and apply"),
        String::new(),
        "In another terminal, try:".to_owned(),
    ]);
    lines.extend(
        tries
            .iter()
            .map(|(command, what)| format!("  {command:<width$}    {what}")),
    );
    lines.extend([
        String::new(),
        if cluster.folder.is_kept() {
            "Ctrl-C ends all processes; the folder is kept.".to_owned()
        } else {
            "Ctrl-C ends it all and leaves nothing behind.".to_owned()
        },
    ]);
    for line in lines {
        // Whoever closed the other end of a pipe does not want to read it.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}

/// Prints events for ever.
async fn follow(client: &Client, mut after: u64) {
    loop {
        let query = EventQuery {
            after: Some(after),
            ..EventQuery::default()
        };
        match client.events(&query, Wait::UpTo(Duration::from_secs(25))).await {
            Ok(answer) => {
                for event in answer.body.events {
                    after = event.index;
                    let _ = writeln!(std::io::stdout(), "{}", client::cli::event_line(&event));
                }
            }
            Err(_) => tokio::time::sleep(WATCH_EVERY).await,
        }
    }
}

impl Cluster {
    /// Says once when a node has ended without having been asked to.
    fn watch(&mut self) {
        for node in &mut self.nodes {
            if node.has_ended() {
                node.forget();
                eprintln!(
                    "{} has ended by itself: look at {}, or try `paceline start-node {}`",
                    node.name,
                    node.log.display(),
                    node.name
                );
            }
        }
    }

    /// Ends every process: packages first by asking, the rest has nothing to lose, and removes the runtime file. The folder goes with the cluster.
    async fn end(&mut self, signals: &mut Signals) {
        let mut cgroups = BTreeSet::new();
        for node in &mut self.nodes {
            cgroups.append(&mut node.cgroups);
            cgroups.append(&mut cgroup::of_processes(&process::of_node(&node.data_dir)));
            node.terminate();
        }
        let began = Instant::now();
        while began.elapsed() < END_MAX && self.nodes.iter().any(|node| process::runs_packages(&node.data_dir)) {
            tokio::select! {
                () = signals.any() => break,
                () = tokio::time::sleep(READY_POLL) => {}
            }
        }
        for node in &mut self.nodes {
            cgroups.append(&mut process::kill_all(&node.data_dir).cgroups);
            node.reap().await;
        }
        cgroup::remove(&cgroups);
        if let Err(error) = std::fs::remove_file(&self.runtime_file) {
            eprintln!("paceline dev: can't remove {}: {error}", self.runtime_file.display());
        }
    }
}
