//! One node of a throw-away cluster: its files, and its `paceline serve`.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use client::wire::definition::{
    ClusterDefinition, Config, GroupDefinition, PackageDefinition, RestartDefinition, RunDefinition, default_failovers,
    default_lease, default_restart, default_shares, default_start_timeout, default_start_wait,
};
use client::wire::duration::DurationText;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use statemachine::cluster::{OVERLOAD_DEFAULT, RESUME_DEFAULT};
use tokio::process::{Child, Command};

use super::ports::NodePorts;
use super::process;

/// How much of a log is shown when a node ends by itself.
const TAIL_LINES: usize = 15;

/// A node.
#[derive(Debug)]
pub(super) struct DevNode {
    pub(super) name: String,
    pub(super) data_dir: PathBuf,
    pub(super) config: PathBuf,
    pub(super) log: PathBuf,
    pub(super) api: String,
    pub(super) peer: String,
    /// Control groups that a killed daemon could not remove.
    pub(super) cgroups: BTreeSet<String>,
    program: PathBuf,
    child: Option<Child>,
}

impl DevNode {
    /// Writes the node's file. The log lies beside the data directory, which belongs to the server alone.
    ///
    /// # Errors
    /// Where the folder can't be written.
    pub(super) fn prepare(
        name: &str,
        folder: &Path,
        ports: &NodePorts,
        join: Option<&str>,
        program: &Path,
    ) -> std::io::Result<Self> {
        let (data_dir, config) = (folder.join(name), folder.join(format!("{name}.toml")));
        let (api, peer) = (format!("127.0.0.1:{}", ports.api), format!("127.0.0.1:{}", ports.peer));
        let join: Vec<String> = join.map(|join| format!("{join:?}")).into_iter().collect();
        let text = format!(
            "# A node of `paceline dev`. A real one differs in its addresses, and has a name of its own.\n\
             name = {name:?}\n\
             data_dir = {:?}\n\
             api = {api:?}\n\
             peer = [{peer:?}]\n\
             join = [{}]\n\
             # All nodes of this cluster share one machine, so its load is none of theirs.\n\
             monitor.load = \"none\"\n",
            data_dir.display().to_string(),
            join.join(", ")
        );
        std::fs::write(&config, text)?;
        Ok(Self {
            name: name.to_owned(),
            log: data_dir.with_extension("log"),
            data_dir,
            config,
            api,
            peer,
            cgroups: BTreeSet::new(),
            program: program.to_owned(),
            child: None,
        })
    }

    /// Starts `paceline serve`, in a process group of its own: Ctrl-C is for `dev`, which ends its nodes itself.
    ///
    /// # Errors
    /// Where the program or the log can't be opened.
    pub(super) fn start(&mut self) -> std::io::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.program)
            .arg("serve")
            .arg("--config")
            .arg(&self.config)
            .env(process::NODE_ROOT, &self.data_dir)
            .env_remove("PACELINE_SERVER")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Whether `serve` was started and has ended since.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    /// It is known that it has ended.
    pub(super) fn forget(&mut self) {
        self.child = None;
    }

    /// Asks `serve` to end in order.
    pub(super) fn terminate(&self) {
        if let Some(pid) = self
            .child
            .as_ref()
            .and_then(Child::id)
            .and_then(|pid| i32::try_from(pid).ok())
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// Takes the exit of a `serve` that was killed.
    pub(super) async fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.wait().await;
        }
    }

    /// The last lines of the log.
    pub(super) fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

/// The sample packages: a hot-standby pair that can be asked by `curl`, and a single package.
pub(super) fn sample_cluster(program: &Path, web_port: u16, folder: &Path) -> String {
    let program = program.display().to_string();
    let package = |name: &str, arguments: &[&str], priority: u32| PackageDefinition {
        name: name.to_owned(),
        group: None,
        copies: 1,
        priority: Some(priority),
        load: Default::default(),
        nodes: Vec::new(),
        enabled: true,
        safety: "lease".to_owned(),
        on_quorum_loss: "stop".to_owned(),
        run: RunDefinition {
            command: std::iter::once(program.as_str())
                .chain(arguments.iter().copied())
                .map(str::to_owned)
                .collect(),
            env: Default::default(),
            directory: None,
        },
        promote: None,
        demote: None,
        reload: None,
        probe: None,
        restart: default_restart(),
        start_timeout: default_start_timeout(),
        stop_timeout: DurationText::from_ms(2_000),
        after: Vec::new(),
        needs: Vec::new(),
        condition: None,
        exclusive: false,
        preemptible: true,
    };
    let port = web_port.to_string();
    let web = PackageDefinition {
        group: Some("web".to_owned()),
        copies: 2,
        // Whoever plays with it kills it more often than a real one dies.
        restart: RestartDefinition {
            attempts: 100,
            ..default_restart()
        },
        ..package("web", &["sample-web", "--port", &port], 1)
    };
    let config = Config {
        modes: Vec::new(),
        cluster: ClusterDefinition {
            name: "demo".to_owned(),
            lease: default_lease(),
            min_nodes: 1,
            start_wait: default_start_wait(),
            shares: default_shares(),
            overload: OVERLOAD_DEFAULT,
            resume: RESUME_DEFAULT,
            rules: String::new(),
        },
        groups: vec![GroupDefinition {
            name: "web".to_owned(),
            kind: "duplex".to_owned(),
            standbys: 1,
            failovers: RestartDefinition {
                attempts: 100,
                ..default_failovers()
            },
        }],
        packages: vec![web, package("clock", &["sample-clock"], 2)],
    };
    format!(
        "# The sample packages of `paceline dev`. Change this file, and then:\n#   paceline apply {}/cluster.toml\n\n{}",
        folder.display(),
        client::file::render(&config)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_cluster_file_without_errors() {
        let text = sample_cluster(Path::new("/usr/bin/paceline"), 7_406, Path::new("/tmp/x"));
        let config = client::file::parse(&text).unwrap();
        assert_eq!(
            config.packages[0].run.command,
            ["/usr/bin/paceline", "sample-web", "--port", "7406"]
        );
        assert_eq!(config.packages[0].copies, 2);
        assert_eq!(config.packages[1].name, "clock");
    }

    #[test]
    fn a_node_file_is_one_that_serve_takes() {
        let folder = tempfile::tempdir().unwrap();
        let ports = NodePorts {
            api: 7_402,
            peer: 7_403,
        };
        let node = DevNode::prepare(
            "n2",
            folder.path(),
            &ports,
            Some("127.0.0.1:7401"),
            Path::new("/usr/bin/paceline"),
        )
        .unwrap();
        let config = crate::config::Config::read(&node.config).unwrap();
        assert_eq!(
            (config.name.as_str(), config.join.as_slice()),
            ("n2", ["127.0.0.1:7401".to_owned()].as_slice())
        );
        assert_eq!(config.data_dir, node.data_dir);
        assert_eq!(node.log, folder.path().join("n2.log"));
    }
}
