//! The node file: per-process settings only. No number in here is read by `apply`.

mod monitor;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::wire::duration::DurationText;
use serde::Deserialize;

pub use monitor::{Measure, MeasureWord, Monitor};

use crate::raft::SNAPSHOT_ENTRIES;
use crate::storage::Retention;

/// The journal keeps this much at least.
const JOURNAL_KEEP_LEAST: Duration = Duration::from_secs(3600);
/// The same in MiB.
const JOURNAL_SIZE_LEAST: u64 = 16;

/// Below, snapshots are made all the time; above, a start replays for minutes.
const SNAPSHOT_ENTRIES_ALLOWED: std::ops::RangeInclusive<u64> = 500..=1_000_000;

/// What a node does for the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Votes, stores, serves the API.
    Server,
    /// Runs packages.
    Daemon,
    /// Votes and stores, runs no package, and gives the lead away: the third vote of two nodes.
    Witness,
}

/// A node's settings, resolved and checked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that they were read from.
    pub file: PathBuf,
    /// Unique in the cluster.
    pub name: String,
    /// What this node does.
    pub roles: Vec<Role>,
    /// Everything that outlives a process.
    pub data_dir: PathBuf,
    /// Where the public API listens.
    pub api: SocketAddr,
    /// Where peers and daemons reach this server, tried in turn.
    pub peer: Vec<SocketAddr>,
    /// Any members; empty only where the cluster is first bootstrapped.
    pub join: Vec<String>,
    /// For placement.
    pub labels: BTreeMap<String, String>,
    /// Declared capacity: overrides what is measured, key by key.
    pub capacity: BTreeMap<String, u64>,
    /// A snapshot of the log is made after so many entries, and a quarter of them are kept behind it for followers that
    /// were away for a while. Fewer: less disk and a quicker start; more: less work and fewer whole snapshots sent.
    pub snapshot_entries: u64,
    /// How much of the journal of events this server keeps.
    pub journal: Retention,
    /// What resets this machine, for packages with `on_quorum_loss = "reset"`; empty: the kernel, where that is permitted.
    pub reset: Vec<String>,
    /// What the daemon looks at beside what packages need.
    pub monitor: Monitor,
    /// Plaintext beyond loopback was allowed; `status` shows it.
    pub insecure: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    name: Option<String>,
    roles: Option<Vec<Role>>,
    data_dir: Option<PathBuf>,
    api: Option<String>,
    peer: Option<Vec<String>>,
    join: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    tls: Option<RawTls>,
    capacity: Option<BTreeMap<String, u64>>,
    snapshot_entries: Option<u64>,
    journal: Option<RawJournal>,
    reset: Option<RawReset>,
    monitor: Option<Monitor>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReset {
    command: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJournal {
    /// For how long events are kept.
    keep: Option<DurationText>,
    /// MiB of events, before they are compressed.
    size: Option<u64>,
}

impl RawJournal {
    fn retention(self) -> Result<Retention, String> {
        let usual = Retention::default();
        let age = self.keep.map_or(usual.age, |keep| Duration::from_millis(keep.ms));
        let bytes = self.size.map_or(usual.bytes, |size| size.saturating_mul(1 << 20));
        if age < JOURNAL_KEEP_LEAST || bytes < JOURNAL_SIZE_LEAST << 20 {
            return Err(format!(
                "expected keep of at least \"1h\" and size of at least {JOURNAL_SIZE_LEAST} (MiB): watchers resume from what is kept"
            ));
        }
        Ok(Retention { age, bytes })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    insecure: Option<bool>,
}

/// Why a node file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It can't be read.
    #[error("can't read the node file {}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML, or holds a key or a type that is not known.
    #[error("{}: {source}", file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{}: {key}: {problem}", file.display())]
    Value {
        /// Which file.
        file: PathBuf,
        /// Which key.
        key: &'static str,
        /// What is wrong and what was expected.
        problem: String,
    },
}

impl Config {
    /// Reads and checks a node file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key, and what was expected.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Read {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(file, &text)
    }

    /// Checks the text of a node file.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|source| ConfigError::Syntax {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
        let wrong = |key, problem: String| ConfigError::Value {
            file: file.to_owned(),
            key,
            problem,
        };

        let name = match raw.name {
            Some(name) => name,
            None => host_name().ok_or_else(|| wrong("name", "give a name: the host name can't be read".to_owned()))?,
        };
        statemachine::id::NodeName::new(&name).map_err(|error| wrong("name", format!("{name:?}: {error}")))?;
        let mut roles = raw.roles.unwrap_or_else(|| vec![Role::Server, Role::Daemon]);
        roles.sort();
        roles.dedup();
        if roles.is_empty() {
            return Err(wrong(
                "roles",
                "expected \"server\", \"daemon\", both, or \"witness\" alone".to_owned(),
            ));
        }
        if roles.contains(&Role::Witness) && roles.len() > 1 {
            return Err(wrong(
                "roles",
                "a witness votes and stores and does nothing else: expected [\"witness\"] alone, on a machine of its own"
                    .to_owned(),
            ));
        }
        let data_dir = raw.data_dir.unwrap_or_else(|| PathBuf::from("/var/lib/paceline"));
        let data_dir = std::path::absolute(&data_dir).map_err(|error| wrong("data_dir", error.to_string()))?;
        let api = address(&raw.api.unwrap_or_else(|| "127.0.0.1:7400".to_owned())).map_err(|e| wrong("api", e))?;
        let peer = raw.peer.unwrap_or_else(|| vec!["127.0.0.1:7401".to_owned()]);
        let peer: Vec<SocketAddr> = peer
            .iter()
            .map(|text| address(text))
            .collect::<Result<_, _>>()
            .map_err(|e| wrong("peer", e))?;
        if peer.is_empty() {
            return Err(wrong(
                "peer",
                "expected at least one address, like [\"10.0.0.1:7401\"]".to_owned(),
            ));
        }
        if let Some(any) = peer.iter().find(|address| address.ip().is_unspecified()) {
            let problem = format!(
                "{any} can't be reached by others: expected an address of this node, like 10.0.0.1:{}",
                any.port()
            );
            return Err(wrong("peer", problem));
        }
        let join = raw.join.unwrap_or_default();
        for member in &join {
            address(member).map_err(|e| wrong("join", e))?;
        }
        if !roles.contains(&Role::Server) && join.is_empty() {
            return Err(wrong(
                "join",
                "a node without the role \"server\" needs the peer address of at least one server: a cluster is created by a \
                 server, and daemons and witnesses join it"
                    .to_owned(),
            ));
        }
        let reset = raw.reset.map(|reset| reset.command).unwrap_or_default();
        if let Some(program) = reset.first()
            && !program.starts_with('/')
        {
            let problem = format!("command {program:?}: expected the whole path of a program, like /usr/sbin/reboot");
            return Err(wrong("reset", problem));
        }
        let monitor = raw.monitor.unwrap_or_default();
        monitor.check().map_err(|problem| wrong("monitor", problem))?;
        let journal = match raw.journal {
            Some(journal) => journal.retention().map_err(|problem| wrong("journal", problem))?,
            None => Retention::default(),
        };
        let snapshot_entries = raw.snapshot_entries.unwrap_or(SNAPSHOT_ENTRIES);
        if !SNAPSHOT_ENTRIES_ALLOWED.contains(&snapshot_entries) {
            let (least, most) = (SNAPSHOT_ENTRIES_ALLOWED.start(), SNAPSHOT_ENTRIES_ALLOWED.end());
            let problem =
                format!("{snapshot_entries}: expected {least} to {most} log entries; without it {SNAPSHOT_ENTRIES}");
            return Err(wrong("snapshot_entries", problem));
        }
        let insecure = raw.tls.and_then(|tls| tls.insecure).unwrap_or(false);
        let outside = std::iter::once(&api)
            .chain(&peer)
            .find(|address| !is_loopback(address.ip()));
        if let (Some(outside), false) = (outside, insecure) {
            let problem = format!(
                "{outside} is reachable from other machines, and this version has no TLS yet: listen on 127.0.0.1, or accept \
                 plaintext in a closed network with [tls] insecure = true"
            );
            return Err(wrong("tls", problem));
        }
        Ok(Self {
            file: file.to_owned(),
            name,
            roles,
            data_dir,
            api,
            peer,
            join,
            labels: raw.labels.unwrap_or_default(),
            capacity: raw.capacity.unwrap_or_default(),
            snapshot_entries,
            journal,
            reset,
            monitor,
            insecure,
        })
    }

    /// Whether this node has the role.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether this node has a server process: as server or as witness.
    #[must_use]
    pub fn votes(&self) -> bool {
        self.has(Role::Server) || self.has(Role::Witness)
    }

    /// Everything that lives no longer than the machine is up: records, sockets, output.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.data_dir.join("run")
    }

    /// The API's address as others reach it.
    #[must_use]
    pub fn api_advertised(&self) -> String {
        let mut address = self.api;
        if address.ip().is_unspecified()
            && let Some(peer) = self.peer.first()
        {
            address.set_ip(peer.ip());
        }
        address.to_string()
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?}: expected ADDRESS:PORT, like 10.0.0.1:7401"))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback()
}

fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("n1.toml"), text)
    }

    #[test]
    fn a_minimal_file_gets_defaults() {
        let config = parse("name = \"n1\"").unwrap();
        assert_eq!(config.roles, vec![Role::Server, Role::Daemon]);
        assert_eq!(config.api.to_string(), "127.0.0.1:7400");
        assert_eq!(config.peer[0].to_string(), "127.0.0.1:7401");
    }

    #[test]
    fn a_witness_has_a_server_process_and_no_daemon() {
        let config = parse("name = \"w\"\nroles = [\"witness\"]\njoin = [\"127.0.0.2:7401\"]").unwrap();
        assert!(config.votes() && config.has(Role::Witness));
        assert!(!config.has(Role::Daemon) && !config.has(Role::Server));
    }

    #[test]
    fn plaintext_beyond_loopback_is_refused() {
        let error = parse("name = \"n1\"\napi = \"0.0.0.0:7400\"").unwrap_err().to_string();
        assert!(error.contains("insecure = true"), "{error}");
        assert!(parse("name = \"n1\"\napi = \"0.0.0.0:7400\"\n[tls]\ninsecure = true").is_ok());
    }

    #[test]
    fn errors_name_the_key() {
        for (text, part) in [
            ("name = \"a b\"", "name"),
            ("name = \"n1\"\npeer = [\"here\"]", "peer"),
            ("name = \"n1\"\npeer = [\"0.0.0.0:1\"]\n[tls]\ninsecure = true", "peer"),
            ("name = \"n1\"\nroles = [\"daemon\"]", "join"),
            ("name = \"n1\"\nroles = [\"witness\"]", "join"),
            (
                "name = \"n1\"\nroles = [\"witness\", \"daemon\"]\njoin = [\"10.0.0.1:7401\"]",
                "a machine of its own",
            ),
            ("name = \"n1\"\nreset.command = [\"reboot\"]", "reset"),
            ("name = \"n1\"\nmonitor.disk = [\"data\"]", "disk:/data"),
            ("name = \"n1\"\nmonitor.service.db = {}", "exactly one of"),
            ("name = \"n1\"\njournal.keep = \"1m\"", "at least \"1h\""),
            ("name = \"n1\"\njournal.size = 1", "at least 16"),
            ("name = \"n1\"\nsnapshot_entries = 20", "500 to 1000000"),
            ("name = \"n1\"\nnonsense = 1", "nonsense"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
