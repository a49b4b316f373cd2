//! A whole cluster of real processes on this machine, started as an operator would start it.
//!
//! Every node has a loopback address of its own (127.x.y.n), so that ports are those of the documentation and two
//! clusters of two tests never meet. Nothing here believes a single answer: a node's view is asked for by name.

mod faulty;
mod load;
mod views;

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use client::wire::event::{Event, Events};
use client::wire::package::{Instance, Package, Packages};
use client::wire::plan::Done;
use client::wire::status::Status;
use serde::de::DeserializeOwned;

use crate::history::History;
use crate::http::{self, Answer, Request};
use crate::invariants::heals::{self, Healed};
use crate::invariants::{self, Evidence, Target, Verdict, Watcher};
use crate::network::Network;
use crate::node::{Node, NodeOptions, PEER_PORT, program};
use crate::processes::{self, Process};
use crate::subscriber::Subscriber;
use crate::wait::{pause, wait_for};
use crate::witness::{self, Record};

pub use faulty::Layout;
use faulty::{Below, sweep_disks};
pub use load::{Load, Loaded, WISHES, acknowledged};

/// For one request: a server that is alive answers long before, also when it has no quorum.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// For a change that is answered only once the daemons have done it.
pub const CHANGE_LIMIT: Duration = Duration::from_secs(40);
/// For what takes a failover: the lease, an election, a start, on a machine that builds something at the same time.
pub const FAILOVER_LIMIT: Duration = Duration::from_secs(12);
/// For a cluster to come up, or a node to come back.
pub const START_LIMIT: Duration = Duration::from_secs(30);
/// For so long what is said to run must have been there: whatever died before is known by then.
const STAYS: Duration = Duration::from_millis(500);
/// For so long nothing may move in a cluster that has healed.
const CALM: Duration = Duration::from_millis(1_500);
/// Events asked for at once.
const EVENTS_PAGE: usize = 1000;

/// Tells the clusters of one test process apart.
static CLUSTERS: AtomicU16 = AtomicU16::new(0);

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    nodes: Vec<Node>,
    loopback: (u8, u8),
    finished: bool,
    watcher: Option<Watcher>,
    number: u16,
    histories: Vec<History>,
    subscriber: Option<Subscriber>,
    below: Below,
}

impl Cluster {
    /// Starts `size` nodes with both roles, n1 first, and waits until all are up and agree on a leader.
    ///
    /// # Errors
    /// Where they don't come up in time.
    pub fn start(story: &str, size: u8) -> anyhow::Result<Self> {
        Self::start_with(story, size, "")
    }

    /// The same with further lines in every node's file.
    ///
    /// # Errors
    /// Where they don't come up in time.
    pub fn start_with(story: &str, size: u8, extra: &str) -> anyhow::Result<Self> {
        let mut cluster = Self::create(story)?;
        for n in 1..=size {
            cluster.add_node(n, extra)?;
        }
        for node in &mut cluster.nodes {
            node.start()?;
        }
        cluster.wait_until_whole()?;
        cluster.watch();
        Ok(cluster)
    }

    /// A cluster without nodes.
    ///
    /// # Errors
    /// Where no directory can be made for it.
    pub fn create(story: &str) -> anyhow::Result<Self> {
        Self::create_under(&base_directory(), story)
    }

    fn create_under(base: &Path, story: &str) -> anyhow::Result<Self> {
        end_leftovers();
        let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let directory = base.join(format!("{PREFIX}{process}-{number}-{story}"));
        fs::create_dir_all(&directory)?;
        // 127.64.0.0 to 127.127.255.0: 14 bits that differ between processes and clusters that run at once.
        let network = (u16::try_from(process % 1024).unwrap_or(0) << 4) | (number & 0xf);
        let [high, low] = network.to_be_bytes();
        Ok(Self {
            directory,
            nodes: Vec::new(),
            loopback: (64 + (high & 0x3f), low),
            finished: false,
            watcher: None,
            number,
            histories: Vec::new(),
            subscriber: None,
            below: Below::default(),
        })
    }

    /// Adds node `n<number>` without starting it. The first one bootstraps, the others join it.
    ///
    /// # Errors
    /// Where its file can't be written.
    pub fn add_node(&mut self, number: u8, extra: &str) -> anyhow::Result<()> {
        let name = format!("n{number}");
        // Any members: a node that comes back while n1 is down must find another one.
        let join = (1..=3)
            .filter(|n| *n != number && number != 1)
            .map(|n| self.address(n))
            .collect();
        let namespace = match &mut self.below.network {
            Some(network) => Some(network.attach(&name, number)?),
            None => None,
        };
        let options = NodeOptions {
            namespace,
            data_dir: self.directory.join(&name),
            address: self.ip(number),
            name,
            join,
            extra: extra.to_owned(),
        };
        self.nodes.push(Node::create(options)?);
        Ok(())
    }

    /// The peer address of node `n<number>`.
    #[must_use]
    pub fn address(&self, number: u8) -> SocketAddr {
        SocketAddr::from((self.ip(number), PEER_PORT))
    }

    /// The address of node `n<number>`.
    #[must_use]
    pub fn ip(&self, number: u8) -> Ipv4Addr {
        match self.below.network {
            Some(_) => Network::address(number),
            None => Ipv4Addr::new(127, self.loopback.0, self.loopback.1, number),
        }
    }

    /// Where everything of it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The nodes, in the order in which they were added.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node by its name.
    ///
    /// # Panics
    /// Where the test names a node that it did not add.
    pub fn node(&mut self, name: &str) -> &mut Node {
        self.nodes
            .iter_mut()
            .find(|n| n.name() == name)
            .expect("the story names a node that it has")
    }

    /// Waits until every node is up, a leader is known everywhere and every server has applied the same.
    ///
    /// # Errors
    /// Where that does not come in time.
    pub fn wait_until_whole(&self) -> anyhow::Result<()> {
        let size = self.nodes.iter().filter(|n| n.is_daemon()).count();
        let servers = self.nodes.iter().filter(|n| n.is_server()).count();
        wait_for(&format!("{size} nodes up with one leader"), START_LIMIT, || {
            for node in self.nodes.iter().filter(|n| n.is_server()) {
                let status: Status = self
                    .ask(node, "/v1/status")
                    .map_err(|e| format!("{}: {e:#}", node.name()))?;
                let up = status.nodes.iter().filter(|n| n.state == "up").count();
                let voters = status.members.iter().filter(|m| m.role == "voter").count();
                if up < size || voters < servers.min(3) || status.leader.is_none() || !status.quorate {
                    return Err(format!(
                        "{}: {up} up, {voters} voters, leader {:?}",
                        node.name(),
                        status.leader
                    ));
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    // ---- requests ----

    /// Sends a request to a node's API.
    ///
    /// # Errors
    /// Where no complete answer came.
    pub fn send(&self, node: &Node, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let kind = if path.starts_with("/v1/config") && body.trim_start().starts_with(['[', '#']) {
            "application/toml"
        } else {
            "application/json"
        };
        let limit = if method == "GET" { REQUEST_LIMIT } else { CHANGE_LIMIT };
        let headers = [("content-type", kind)];
        let request = Request {
            method,
            path,
            headers: &headers,
            body: body.as_bytes(),
            limit,
        };
        http::send(node.api(), &request).with_context(|| format!("{method} {path} at {}", node.name()))
    }

    /// Asks one node.
    ///
    /// # Errors
    /// Where it does not answer with 200 and this shape.
    pub fn ask<T: DeserializeOwned>(&self, node: &Node, path: &str) -> anyhow::Result<T> {
        let answer = self.send(node, "GET", path, "")?;
        anyhow::ensure!(answer.status == 200, "GET {path}: {} {}", answer.status, answer.text());
        answer.json()
    }

    /// Asks the nodes in turn until one answers.
    ///
    /// # Errors
    /// Where none does; the last one's reason.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let mut last = anyhow::anyhow!("there is no node");
        for node in &self.nodes {
            match self.ask(node, path) {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Makes a change at the first node that answers other than 503, and waits for its result.
    ///
    /// # Errors
    /// Where it is refused, or none answers in time.
    pub fn change(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Done> {
        // Less than the limit of a request, so that a result that does not come is told and not cut off.
        let path = &format!("{path}?wait=30s");
        let answer = wait_for(&format!("an answer to {method} {path}"), CHANGE_LIMIT, || {
            let mut last = String::new();
            for node in &self.nodes {
                match self.send(node, method, path, body) {
                    Ok(answer) if answer.status != 503 => return Ok(answer),
                    Ok(answer) => last = answer.text(),
                    Err(error) => last = format!("{error:#}"),
                }
            }
            Err(last)
        })?;
        if answer.status != 200 {
            bail!("{method} {path}: {} {}", answer.status, answer.text());
        }
        let done: Done = answer.json()?;
        anyhow::ensure!(
            done.outcome == "done",
            "{method} {path}: {} {}",
            done.outcome,
            done.detail
        );
        Ok(done)
    }

    /// Makes the cluster equal to a cluster file. `@WITNESS@` stands for the test program with its directory.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn apply(&self, file: &str) -> anyhow::Result<Done> {
        let file = self.fill_in(file)?;
        self.change("PUT", "/v1/config", &file)
    }

    /// Puts the test program's path and directory into a cluster file.
    ///
    /// # Errors
    /// Where the test program is not built.
    pub fn fill_in(&self, file: &str) -> anyhow::Result<String> {
        let program = program("witness")?;
        let command = format!(
            "\"{}\", \"--dir\", \"{}\"",
            program.display(),
            self.witness_directory().display()
        );
        Ok(file.replace("@WITNESS@", &command))
    }

    // ---- evidence ----

    /// Begins to look at every node again and again, for the checks at the end.
    pub fn watch(&mut self) {
        self.watcher = Some(Watcher::start(&self.targets(), &self.directory));
    }

    /// The servers as the checks see them.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let servers = self.nodes.iter().filter(|node| node.is_server());
        servers.map(Target::from).collect()
    }

    /// Everything that the story has left behind so far. Every server must be up.
    ///
    /// # Errors
    /// Where a server does not answer, or they never meet at one index.
    pub fn evidence(&self) -> anyhow::Result<Evidence> {
        let mut evidence = Evidence::collect(&self.directory, &self.targets())?;
        if let Some(watcher) = &self.watcher {
            evidence.add(watcher.seen());
        }
        evidence.sights.extend(invariants::replicas_agree::meet(self)?);
        evidence.histories.extend(self.histories.iter().cloned());
        evidence.cuts.extend(self.below.cuts.iter().cloned());
        if let Some(subscriber) = &self.subscriber {
            evidence.told.push(subscriber.told(evidence.events())?);
        }
        Ok(evidence)
    }

    /// Waits until the cluster has healed, and then sees that nothing moves (I15).
    ///
    /// # Errors
    /// What is not healed in time, or what moved.
    pub fn heal(&self) -> anyhow::Result<Healed> {
        // A log that has not heard yet of a power cut, or of what died just now, says that all is well: the processes are
        // asked too.
        let mut seen = (self.said_is_there(), std::time::Instant::now());
        wait_for("what is said to run to be there and stay", START_LIMIT, || {
            let now = self.said_is_there();
            if now != seen.0 {
                seen = (now, std::time::Instant::now());
            }
            match &seen.0 {
                Ok(_) if seen.1.elapsed() >= STAYS => Ok(()),
                Ok(there) => Err(format!("{there:?} since {:?}", seen.1.elapsed())),
                Err(gone) => Err(gone.clone()),
            }
        })?;
        heals::check(&self.targets(), START_LIMIT, CALM)
    }

    /// Checks every invariant on what the story has left behind so far.
    ///
    /// # Errors
    /// Every violation.
    pub fn check(&self) -> anyhow::Result<Verdict> {
        invariants::judge(&self.evidence()?, &self.directory)
    }

    /// The same, after which what clients did so far is not looked at again: no key of theirs is used twice.
    ///
    /// # Errors
    /// Every violation.
    pub fn check_and_forget(&mut self) -> anyhow::Result<()> {
        self.check()?;
        self.histories.clear();
        Ok(())
    }

    // ---- the end ----

    /// Ends the story: every invariant is checked, then everything is stopped and removed.
    ///
    /// # Errors
    /// The invariant that is broken.
    pub fn finish(self) -> anyhow::Result<()> {
        let evidence = self.evidence()?;
        self.finish_on(&evidence)
    }

    /// The same on evidence that the story has added to.
    ///
    /// # Errors
    /// The invariant that is broken.
    pub fn finish_on(mut self, evidence: &Evidence) -> anyhow::Result<()> {
        let verdict = invariants::judge(evidence, &self.directory)?;
        println!("checked: {verdict}");
        self.finished = true;
        Ok(())
    }

    /// Ends a story in which no cluster is left to ask: only what the programs saw is checked.
    ///
    /// # Errors
    /// The invariant that is broken.
    pub fn finish_without_cluster(mut self) -> anyhow::Result<()> {
        invariants::check_witnessed(&self.witnessed()?)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Err(error) = node.kill() {
                eprintln!("{}: {error:#}", node.name());
            }
        }
        // A thread that stays in a namespace of it leaves with the network; a mounted disk can't be removed.
        self.watcher = None;
        self.below.disks.clear();
        if self.finished {
            // A supervisor's last file may still appear while the kernel takes the process down.
            for _ in 0..20 {
                if fs::remove_dir_all(&self.directory).is_ok() {
                    return;
                }
                pause(Duration::from_millis(50), "until the last process is gone");
            }
        }
        eprintln!("logs and data of this story are kept in {}", self.directory.display());
    }
}

const PREFIX: &str = "paceline-test-";

/// Where clusters of tests live: `PACELINE_TEST_DIR`, else the temporary directory.
#[must_use]
pub fn base_directory() -> PathBuf {
    std::env::var_os("PACELINE_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// Where clusters live whose nodes are to have disks of their own. All of them on the one disk of this machine would
/// stall together whenever another process writes to it, as the disks of several machines never do; in memory they don't.
#[must_use]
pub fn memory_directory() -> PathBuf {
    const MEMORY: &str = "/dev/shm";
    const NEEDED_BYTES: u64 = 2 << 30;
    let given = std::env::var_os("PACELINE_TEST_DIR").is_some();
    let has_room = || {
        let free = nix::sys::statvfs::statvfs(MEMORY).ok()?;
        Some(free.blocks_available() * free.fragment_size() >= NEEDED_BYTES)
    };
    if !given && has_room() == Some(true) {
        PathBuf::from(MEMORY)
    } else {
        base_directory()
    }
}

fn all_bases() -> BTreeSet<PathBuf> {
    BTreeSet::from([base_directory(), memory_directory()])
}

/// Ends what a test run left that was itself killed: its clusters carry its process id in their name.
fn end_leftovers() {
    for process in all_bases().iter().flat_map(|base| processes::under(base)) {
        let story = process
            .variable(processes::NODE_ROOT)
            .map(Path::new)
            .and_then(Path::parent);
        if story.and_then(owner_of).is_some_and(|pid| !processes::lives(pid)) {
            process.kill();
        }
    }
    sweep_disks();
}

/// The process that made the directory of a story.
fn owner_of(story: &Path) -> Option<i32> {
    let name = story.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}
