//! Clusters that can be broken from below: each node in a network namespace of its own, on a disk of its own if wanted.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::*;
use crate::fault::{LoopDisk, Shim, skipped};
use crate::invariants::Cut;
use crate::network::{self, Rule};
use crate::wait::monotonic_ns;

/// Until processes that were told to stop do.
const STANDS_STILL_WITHIN: Duration = Duration::from_secs(5);

/// How many nodes of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Nodes n1 and up with a server; with a daemon too where there are no workers.
    pub servers: u8,
    /// Nodes after those, with a daemon only.
    pub workers: u8,
}

/// What breaks nodes from below, and what is to be known of it at the end.
#[derive(Debug, Default)]
pub(super) struct Below {
    pub(super) network: Option<Network>,
    pub(super) disks: BTreeMap<String, LoopDisk>,
    shims: BTreeMap<String, Shim>,
    /// Cuts that are over; of the present one the end is not known yet.
    pub(super) cuts: Vec<Cut>,
    now_cut: Vec<Cut>,
}

impl Cluster {
    /// Makes a cluster whose nodes live in network namespaces, and starts nothing. None where this machine has no
    /// means for it: that is said, and the story has nothing to tell.
    ///
    /// # Errors
    /// Where something can't be made although the means are there.
    pub fn create_networked(story: &str, layout: Layout) -> anyhow::Result<Option<Self>> {
        Self::create_networked_with(story, layout, "")
    }

    /// The same with further lines in every node file.
    ///
    /// # Errors
    /// As [`Cluster::create_networked`].
    pub fn create_networked_with(story: &str, layout: Layout, lines: &str) -> anyhow::Result<Option<Self>> {
        if let Some(why) = network::missing() {
            skipped(story, &why);
            return Ok(None);
        }
        let mut cluster = Self::create_under(&memory_directory(), story)?;
        cluster.below.network = Some(Network::create(cluster.number)?);
        for n in 1..=layout.servers + layout.workers {
            let extra = match (layout.workers, n > layout.servers) {
                (0, _) => "",
                (_, false) => "roles = [\"server\"]\n",
                (_, true) => "roles = [\"daemon\"]\n",
            };
            cluster.add_node(n, &format!("{extra}{lines}"))?;
        }
        Ok(Some(cluster))
    }

    /// The same, started and whole.
    ///
    /// # Errors
    /// Where the nodes don't come up in time.
    pub fn start_networked(story: &str, layout: Layout) -> anyhow::Result<Option<Self>> {
        let Some(mut cluster) = Self::create_networked(story, layout)? else {
            return Ok(None);
        };
        cluster.start_all()?;
        Ok(Some(cluster))
    }

    /// Starts every node, waits until all are up, and begins to watch them.
    ///
    /// # Errors
    /// Where they don't come up in time.
    pub fn start_all(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.start()?;
        }
        self.wait_until_whole()?;
        self.watch();
        Ok(())
    }

    /// Starts every node again of which the parent is gone.
    ///
    /// # Errors
    /// Where one can't be started.
    pub fn start_missing(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            if node.processes_of("serve").is_empty() {
                node.kill()?;
                node.start()?;
            }
        }
        Ok(())
    }

    /// Whether the nodes have a network of their own.
    #[must_use]
    pub fn is_networked(&self) -> bool {
        self.below.network.is_some()
    }

    /// The network between the nodes.
    ///
    /// # Errors
    /// Where they have none of their own.
    pub fn network(&mut self) -> anyhow::Result<&mut Network> {
        self.below
            .network
            .as_mut()
            .context("this cluster has no network of its own")
    }

    /// Breaks the network by exactly these rules, and notes which nodes can't reach a quorum while they hold.
    ///
    /// # Errors
    /// Where the rules are refused.
    pub fn break_network(&mut self, rules: Vec<Rule>, without_quorum: &[&str]) -> anyhow::Result<()> {
        self.end_cuts();
        self.network()?.break_with(rules)?;
        // No renewal that is sent from here on is answered.
        let from_ns = monotonic_ns();
        self.below.now_cut = without_quorum
            .iter()
            .map(|node| Cut {
                node: (*node).to_owned(),
                from_ns,
                until_ns: u64::MAX,
            })
            .collect();
        Ok(())
    }

    /// Mends the network.
    ///
    /// # Errors
    /// Where a rule can't be ended.
    pub fn mend_network(&mut self) -> anyhow::Result<()> {
        self.end_cuts();
        self.network()?.heal()
    }

    fn end_cuts(&mut self) {
        let until_ns = monotonic_ns();
        for mut cut in self.below.now_cut.drain(..) {
            cut.until_ns = until_ns;
            self.below.cuts.push(cut);
        }
    }

    /// Gives a node that does not run a disk of its own.
    ///
    /// # Errors
    /// Where this machine has no loop devices.
    pub fn add_disk(&mut self, node: &str, mebibytes: u64) -> anyhow::Result<()> {
        let disk = LoopDisk::mount(self.node(node).data_dir(), mebibytes)?;
        self.below.disks.insert(node.to_owned(), disk);
        Ok(())
    }

    /// The disk of a node.
    ///
    /// # Errors
    /// Where it has none of its own.
    pub fn disk(&self, node: &str) -> anyhow::Result<&LoopDisk> {
        self.below
            .disks
            .get(node)
            .with_context(|| format!("{node} has no disk of its own"))
    }

    /// Lets a node that does not run be started with the shim for fsync and the clock.
    ///
    /// # Errors
    /// Where there is no C compiler.
    pub fn add_shim(&mut self, node: &str) -> anyhow::Result<()> {
        let shim = Shim::create(&self.directory, node)?;
        self.node(node).set_environment(shim.environment());
        self.below.shims.insert(node.to_owned(), shim);
        Ok(())
    }

    /// The shim of a node.
    ///
    /// # Errors
    /// Where it has none.
    pub fn shim(&self, node: &str) -> anyhow::Result<&Shim> {
        self.below
            .shims
            .get(node)
            .with_context(|| format!("{node} has no shim"))
    }

    /// The power of some nodes goes at once: their processes stand still, their disks stop, and then every process of them
    /// ends.
    ///
    /// Processes that went on for the moment in between were told that a sync had succeeded which the kernel was just
    /// giving up with the file system, and acknowledged what was gone: nothing that has no power can do that.
    ///
    /// # Errors
    /// Where a disk can't be stopped, or something does not end.
    pub fn cut_power(&mut self, nodes: &[&str]) -> anyhow::Result<()> {
        let running: Vec<Process> = nodes.iter().flat_map(|node| self.node(node).processes()).collect();
        running.iter().for_each(|process| process.signal(Signal::SIGSTOP));
        wait_for("processes that stand still", STANDS_STILL_WITHIN, || {
            match running.iter().find(|process| !processes::stands_still(process.pid)) {
                None => Ok(()),
                Some(process) => Err(format!("{} runs", process.pid)),
            }
        })?;
        for node in nodes {
            self.disk(node)?.cut_power()?;
        }
        for node in nodes {
            self.node(node).processes().iter().for_each(Process::kill);
        }
        for node in nodes {
            self.node(node).kill()?;
        }
        Ok(())
    }

    /// The power of some nodes is back: their disks come up with what was synced, and the nodes are started.
    ///
    /// Only the kernel does not boot anew, so what a daemon keeps for the time of one boot, and does not sync, would come back
    /// in an older state than that in which it was left; it is taken away.
    ///
    /// # Errors
    /// Where a disk can't be recovered.
    pub fn restore_power(&mut self, nodes: &[&str]) -> anyhow::Result<()> {
        for node in nodes {
            self.disk(node)?.restore()?;
            match std::fs::remove_dir_all(self.node(node).data_dir().join("run")) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            self.node(node).start()?;
        }
        Ok(())
    }
}

/// Unmounts the disks of runs that are over.
pub(super) fn sweep_disks() {
    for base in all_bases() {
        crate::fault::sweep(&base, |path| {
            path.parent()
                .and_then(owner_of)
                .is_some_and(|pid| !processes::lives(pid))
        });
    }
}
