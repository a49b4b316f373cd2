//! One `paceline serve` node: its file, its processes, and the ways to end them.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::network::Namespace;
use crate::processes::{self, NODE_ROOT, Process};
use crate::wait::wait_for;

/// The port of every node's API: nodes differ by their loopback address.
pub const API_PORT: u16 = 7400;
/// The port that servers and daemons use among themselves.
pub const PEER_PORT: u16 = 7401;
/// Every process of a killed node is gone within this, or the machine is broken.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// Its address, of the loopback or of its namespace.
    pub address: Ipv4Addr,
    /// The network namespace that it runs in; none: that of the test.
    pub namespace: Option<Arc<Namespace>>,
    /// Peer addresses of members to join; empty: it bootstraps the cluster.
    pub join: Vec<SocketAddr>,
    /// Where it keeps everything.
    pub data_dir: PathBuf,
    /// Further lines of its file.
    pub extra: String,
}

/// A node, running or not.
#[derive(Debug)]
pub struct Node {
    options: NodeOptions,
    config: PathBuf,
    log: PathBuf,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Node {
    /// Writes its file; starts nothing. The file and the log stand beside the data directory.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn create(options: NodeOptions) -> anyhow::Result<Self> {
        let config = options.data_dir.with_extension("toml");
        let log = options.data_dir.with_extension("log");
        let join: Vec<String> = options.join.iter().map(|a| format!("\"{a}\"")).collect();
        // Plaintext beyond the loopback has to be accepted; the namespace is a closed network.
        let insecure = if options.namespace.is_some() {
            "tls.insecure = true\n"
        } else {
            ""
        };
        let text = format!(
            "{insecure}name = \"{}\"\ndata_dir = \"{}\"\napi = \"{}\"\npeer = [\"{}\"]\njoin = [{}]\n{}",
            options.name,
            options.data_dir.display(),
            SocketAddr::from((options.address, API_PORT)),
            SocketAddr::from((options.address, PEER_PORT)),
            join.join(", "),
            options.extra
        );
        // Several nodes share this machine, so its load is none of theirs.
        let text = if options.extra.contains("load = ") {
            text
        } else {
            format!("monitor.load = \"none\"\n{text}")
        };
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        Ok(Self {
            options,
            config,
            log,
            environment: Vec::new(),
            child: None,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Where its API is.
    #[must_use]
    pub fn api(&self) -> SocketAddr {
        SocketAddr::from((self.options.address, API_PORT))
    }

    /// Where its peers reach it.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        SocketAddr::from((self.options.address, PEER_PORT))
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// Its node file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// What its processes printed.
    ///
    /// # Errors
    /// Where there is no log.
    pub fn log_text(&self) -> anyhow::Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("cannot read {}", self.log.display()))
    }

    /// Starts `paceline serve`; what it prints is appended to its log.
    ///
    /// # Errors
    /// Where the program can't be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        // A child is born in the namespace of the thread that starts it.
        let stay = self
            .options
            .namespace
            .as_ref()
            .map(|namespace| namespace.enter())
            .transpose()?;
        self.child = Some(serve(&self.config, &self.options.data_dir, &self.environment, log)?);
        drop(stay);
        Ok(())
    }

    /// Gives its processes further variables from the next start on.
    pub fn set_environment(&mut self, variables: Vec<(String, String)>) {
        self.environment = variables;
    }

    /// Whether it has a server.
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.has_role("server")
    }

    /// Whether it runs packages.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.has_role("daemon")
    }

    fn has_role(&self, role: &str) -> bool {
        let line = self.options.extra.lines().find(|line| line.starts_with("roles"));
        line.is_none_or(|roles| roles.contains(role))
    }

    /// Every living process of it.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        processes::of_node(&self.options.data_dir)
    }

    /// The processes of one kind: `serve`, `serve-server`, `serve-daemon`, `supervise`.
    #[must_use]
    pub fn processes_of(&self, word: &str) -> Vec<Process> {
        self.processes()
            .into_iter()
            .filter(|p| p.is_command("paceline", word))
            .collect()
    }

    /// SIGKILL to everything of the node at once, supervisors and packages too, until nothing is left.
    ///
    /// # Errors
    /// Where something is still there after a time that only a broken machine needs.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        wait_for(
            &format!("the end of every process of {}", self.name()),
            GONE_WITHIN,
            || {
                let left = self.processes();
                left.iter().for_each(Process::kill);
                // A second look, since a process may have been born between the look and the kill.
                let born = self.processes();
                if left.is_empty() && born.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{} left", left.len()))
                }
            },
        )?;
        self.reap()
    }

    /// SIGTERM to the parent, as an operator's service manager does, and waits for its orderly end.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub fn terminate(&mut self, limit: Duration) -> anyhow::Result<()> {
        for parent in self.processes_of("serve") {
            parent.signal(nix::sys::signal::Signal::SIGTERM);
        }
        let name = self.name().to_owned();
        wait_for(&format!("the orderly end of {name}"), limit, || {
            let left = self.processes();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{} processes left", left.len()))
            }
        })?;
        self.reap()
    }

    /// Whether `paceline serve` has ended by itself, and how.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    fn reap(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            // The parent carries the variable that everything else is found by; this is for one that died before its exec.
            let _ = child.kill();
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Starts `paceline serve --config FILE`.
///
/// # Errors
/// Where the program is not built or can't be started.
pub fn serve(config: &Path, data_dir: &Path, environment: &[(String, String)], log: File) -> anyhow::Result<Child> {
    let program = program("paceline")?;
    Command::new(&program)
        .arg("serve")
        .arg("--config")
        .arg(config)
        .env("RUST_BACKTRACE", "1")
        // `serve` gives it to its children; the tests find the parent by it too.
        .env(NODE_ROOT, data_dir)
        // What the daemon did and when: evidence for the checks.
        .env("PACELINE_RECORDING", data_dir.with_file_name("recordings"))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// A program of this build: `PACELINE_BIN` for `paceline` where it is set, else beside the running test.
///
/// # Errors
/// Where it was not built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    if name == "paceline"
        && let Some(path) = std::env::var_os("PACELINE_BIN")
    {
        return Ok(PathBuf::from(path));
    }
    let mut directory = std::env::current_exe()?;
    directory.pop();
    if directory.ends_with("deps") {
        directory.pop();
    }
    let path = directory.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is not there: run `cargo build --release --workspace` first",
        path.display()
    );
    Ok(path)
}
