//! What the scenarios share: a cluster in its network, under load, and ways to say who is active where.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use client::wire::event::Event;
use client::wire::status::Status;
use nix::sys::signal::Signal;
use tests::cluster::{Cluster, FAILOVER_LIMIT, Layout};
use tests::invariants::heals;
use tests::invariants::takeover_waits::Renewals;
use tests::nemesis::FILE;
use tests::node::Node;
use tests::processes::Process;
use tests::wait::{holds_for, monotonic_ns, wait_for};
use tests::witness::{Interval, intervals};

/// The default lease.
pub const LEASE: Duration = Duration::from_millis(1_000);
/// Until everything is gone after the deadline.
pub const KILL: Duration = Duration::from_millis(100);
/// What the manager waits for that lease.
pub const WAIT: Duration = Duration::from_millis(1_350);

/// Clusters of this test that run at once: their processes share the machine's processors.
const AT_ONCE: usize = 2;
static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// A scenario.
pub type Scenario = fn(&mut Story) -> anyhow::Result<()>;

/// A cluster to which scenarios happen.
pub struct Story {
    pub cluster: Cluster,
}

impl Story {
    /// Lets scenarios happen one after the other to one cluster, each under a load of its own.
    ///
    /// # Errors
    /// What went otherwise than it has to, and in which scenario.
    pub fn tell(name: &str, layout: Layout, scenarios: &[(&str, Scenario)]) -> anyhow::Result<()> {
        let _turn = Turn::take();
        let begin = Instant::now();
        let Some(cluster) = Cluster::start_networked(name, layout)? else {
            return Ok(());
        };
        println!("{name}: up after {:.1} s", begin.elapsed().as_secs_f64());
        Self::tell_to(cluster, scenarios)
    }

    /// The same to a cluster that is up.
    ///
    /// # Errors
    /// What went otherwise than it has to, and in which scenario.
    pub fn tell_to(cluster: Cluster, scenarios: &[(&str, Scenario)]) -> anyhow::Result<()> {
        let mut story = Self { cluster };
        story.cluster.apply(FILE)?;
        story.cluster.heal()?;
        for (label, scenario) in scenarios.iter().filter(|(label, _)| is_asked_for(label)) {
            story
                .one(label, *scenario)
                .with_context(|| format!("scenario {label}"))?;
        }
        story.cluster.finish()
    }

    fn one(&mut self, label: &str, scenario: Scenario) -> anyhow::Result<()> {
        let begin = Instant::now();
        // Attributes belong to nodes that run packages; a server alone has none.
        let node = self.cluster.nodes().iter().find(|n| n.is_daemon());
        let node = node.context("no node runs packages")?.name().to_owned();
        let load = self.cluster.load(&node)?;
        let went = scenario(self);
        // Healed in any case, so that what is told of a failure is not the fault itself.
        self.cluster.mend_network()?;
        self.cluster.start_missing()?;
        let told = begin.elapsed();
        let whole = self.cluster.wait_until_whole();
        // Indexes that grow all the time never meet: the load ends before the cluster is looked at more closely.
        let load = load.stop();
        went?;
        whole.context("after the scenario")?;
        let healed = self.cluster.heal().context("after the scenario")?;
        let done = self.cluster.end_load(load)?;
        ensure!(done > 20, "only {done} writes were acknowledged: no load, no proof");
        self.cluster.check_and_forget()?;
        println!(
            "{label}: {:.1} s, healed {:.1} s later, {done} writes acknowledged, {} leads in term {}",
            told.as_secs_f64(),
            healed.after.as_secs_f64(),
            healed.leader,
            healed.term
        );
        Ok(())
    }

    /// A node by its name.
    pub fn at(&self, node: &str) -> anyhow::Result<&Node> {
        self.cluster
            .nodes()
            .iter()
            .find(|n| n.name() == node)
            .with_context(|| format!("no node {node}"))
    }

    /// The status as one node tells it.
    pub fn status(&self, node: &str) -> anyhow::Result<Status> {
        self.cluster.ask(self.at(node)?, "/v1/status")
    }

    /// Who leads.
    pub fn leader(&self) -> anyhow::Result<String> {
        Ok(wait_for("a leader", FAILOVER_LIMIT, || {
            self.cluster.leader().map_err(|error| format!("{error:#}"))
        })?)
    }

    /// Kills a node's server, and keeps its parent from starting it again until the answer is dropped.
    pub fn kill_server(&self, node: &str) -> anyhow::Result<Down> {
        let parents = self.at(node)?.processes_of("serve");
        parents.iter().for_each(|p| p.signal(Signal::SIGSTOP));
        self.at(node)?
            .processes_of("serve-server")
            .iter()
            .for_each(Process::kill);
        Ok(Down { parents })
    }

    /// The servers other than this one.
    pub fn other_servers(&self, than: &str) -> Vec<String> {
        let servers = self
            .cluster
            .nodes()
            .iter()
            .filter(|n| n.is_server() && n.name() != than);
        servers.map(|n| n.name().to_owned()).collect()
    }

    /// Every node's name.
    pub fn nodes(&self) -> Vec<String> {
        self.cluster.nodes().iter().map(|n| n.name().to_owned()).collect()
    }

    /// Waits until one of these servers knows another leader than this one.
    pub fn wait_leader_other_than(&self, old: &str, among: &[String]) -> anyhow::Result<String> {
        Ok(wait_for("another leader", FAILOVER_LIMIT, || {
            for node in among {
                let status = self.status(node).map_err(|error| format!("{error:#}"))?;
                if let Some(leader) = status.leader.filter(|l| l != old && status.quorate) {
                    return Ok(leader);
                }
            }
            Err(format!("{among:?} know none but {old}"))
        })?)
    }

    /// The epochs of all active units, as this node knows them.
    pub fn epochs(&self, node: &str) -> Result<BTreeMap<String, u64>, String> {
        let status = self.status(node).map_err(|error| format!("{error:#}"))?;
        heals::active(&status.packages)
    }

    /// Waits until every unit is active, as this node knows.
    pub fn wait_all_active(&self, node: &str) -> anyhow::Result<BTreeMap<String, u64>> {
        Ok(wait_for("every unit active", FAILOVER_LIMIT, || self.epochs(node))?)
    }

    /// Waits until a unit is active under a later epoch, as this node knows, and answers it.
    pub fn wait_moved(&self, node: &str, unit: &str, from: u64) -> anyhow::Result<u64> {
        let epoch = wait_for(&format!("a takeover of {unit}"), FAILOVER_LIMIT, || {
            let now = self.epochs(node)?;
            let later = now.get(unit).copied().filter(|epoch| *epoch > from);
            later.ok_or_else(|| format!("{now:?}"))
        })?;
        wait_for("the new instance's own word", FAILOVER_LIMIT, || {
            self.interval(epoch).map_err(|error| format!("{error:#}"))
        })?;
        Ok(epoch)
    }

    /// Demands that for a time every unit stays active under the epoch that it has.
    pub fn stays(&self, span: Duration, node: &str, before: &BTreeMap<String, u64>) -> anyhow::Result<()> {
        holds_for(span, || {
            let now = self.epochs(node)?;
            if &now == before {
                Ok(())
            } else {
                Err(format!("{now:?} instead of {before:?}"))
            }
        })
        .map_err(anyhow::Error::msg)
    }

    /// Moves the active instance of a unit to a node where it is not there, and answers its package and epoch.
    pub fn bring(&self, unit: &str, node: &str) -> anyhow::Result<(String, u64)> {
        wait_for(&format!("{unit} active on {node}"), FAILOVER_LIMIT, || {
            let status: Status = self.cluster.get("/v1/status").map_err(|error| format!("{error:#}"))?;
            let members = status
                .packages
                .iter()
                .filter(|p| p.group.as_deref() == Some(unit) || p.name == unit);
            let here = members
                .flat_map(|p| p.instances.iter().map(move |i| (p, i)))
                .find(|(_, i)| i.node == node && i.state == "running");
            let Some((package, instance)) = here else {
                return Err(format!("no member of {unit} runs on {node}"));
            };
            if instance.mode == "active" {
                return Ok((package.name.clone(), instance.epoch));
            }
            // It may be refused at a bad moment: it is asked for again until it is so.
            let path = format!("/v1/packages/{}/promote", package.name);
            let answer = self.cluster.change("POST", &path, "{}");
            Err(format!("{} is {}: {answer:?}", package.name, instance.mode))
        })
        .map_err(Into::into)
    }

    /// Active intervals of a unit that the programs saw so far.
    pub fn seen(&self, unit: &str) -> anyhow::Result<Vec<Interval>> {
        let all = intervals(&self.cluster.witnessed()?);
        Ok(all.into_iter().filter(|i| i.unit == unit).collect())
    }

    /// The interval of an epoch.
    pub fn interval(&self, epoch: u64) -> anyhow::Result<Interval> {
        let all = intervals(&self.cluster.witnessed()?);
        all.into_iter()
            .find(|i| i.epoch == epoch)
            .with_context(|| format!("no program saw epoch {epoch}"))
    }

    /// Demands that the instance of an epoch was gone this long after an instant.
    pub fn gone_within(&self, epoch: u64, from_ns: u64, limit: Duration) -> anyhow::Result<()> {
        let interval = self.interval(epoch)?;
        let after = Duration::from_nanos(interval.until_ns.saturating_sub(from_ns));
        ensure!(
            after <= limit,
            "active {after:?} after the fault, not {limit:?}: {interval:?}"
        );
        Ok(())
    }

    /// Demands that a takeover waited for all of `W` since the old holder's last answered renewal: it was answered after it
    /// was sent, so this holds to the nanosecond, whatever the machine was busy with.
    pub fn waited(&self, held_epoch: u64, taken_epoch: u64) -> anyhow::Result<()> {
        let lines = self.cluster.recordings()?;
        let (held, taken) = (self.interval(held_epoch)?, self.interval(taken_epoch)?);
        let (sent_ns, _) = Renewals::read(&lines)
            .last_before(&held.node, held.from_ns, taken.from_ns)
            .with_context(|| format!("no renewal of {} was answered", held.node))?;
        let gap = Duration::from_nanos(taken.from_ns.saturating_sub(sent_ns));
        ensure!(
            gap >= WAIT,
            "taken over {gap:?} after the last answered renewal was sent: {held:?}, then {taken:?}"
        );
        Ok(())
    }

    /// Events of a kind since an index.
    pub fn events_since(&self, index: u64, kind: &str) -> anyhow::Result<Vec<Event>> {
        let events = self.cluster.events()?;
        Ok(events
            .into_iter()
            .filter(|e| e.index > index && e.kind == kind)
            .collect())
    }

    /// The index of the last command.
    pub fn index(&self) -> anyhow::Result<u64> {
        Ok(self.cluster.get::<Status>("/v1/status")?.index)
    }

    /// Demands that no node was declared lost since an index.
    pub fn nobody_lost_since(&self, index: u64) -> anyhow::Result<()> {
        let lost = self.events_since(index, "node-lost")?;
        ensure!(lost.is_empty(), "a node was declared lost: {lost:?}");
        Ok(())
    }
}

/// A server that is kept from coming back.
pub struct Down {
    parents: Vec<Process>,
}

impl Drop for Down {
    fn drop(&mut self) {
        self.parents.iter().for_each(|p| p.signal(Signal::SIGCONT));
    }
}

/// Whether a scenario is to be told: all are, or those that `PACELINE_SCENARIOS=D11,D12` names.
fn is_asked_for(label: &str) -> bool {
    let asked = std::env::var("PACELINE_SCENARIOS").ok();
    asked.is_none_or(|asked| asked.split(',').any(|one| one == label))
}

/// Whether the scenarios are to have their full length.
pub fn long() -> bool {
    std::env::var_os("PACELINE_LONG").is_some()
}

/// A span: the short one for every run, the long one where there is time.
pub fn span(short: Duration, full: Duration) -> Duration {
    if long() { full } else { short }
}

/// References to strings, as most calls want them.
pub fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// The clock of the witness program.
pub fn now_ns() -> u64 {
    monotonic_ns()
}

/// A place among the clusters that run at once.
pub struct Turn;

impl Turn {
    /// Waits for one.
    pub fn take() -> Self {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= AT_ONCE {
            running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
