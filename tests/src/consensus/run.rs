//! One whole run: a cluster starts, faults come for a while, then all is mended and it must heal.

use std::path::PathBuf;
use std::time::Duration;

use server::storage::EventFilter;
use server::timers::Timers;
use statemachine::id::Index;

use super::host::Moment;
use super::plan::Settings;
use super::report::Report;
use super::simulation::{Event, Simulation};
use super::virtual_time;

/// Before the first fault: time to come together, in most runs.
const CALM: Duration = Duration::from_secs(2);
/// After the last fault there must be one leader again within this.
const HEALED_WITHIN: Duration = Duration::from_secs(10);
/// And everybody must hear of it, and have applied all, within this.
const EQUAL_WITHIN: Duration = Duration::from_secs(10);
/// A change of the lease is through within this: one server after the other starts again.
const TIMED_WITHIN: Duration = Duration::from_secs(30);
/// Then nothing may change for so long.
const STEADY: Duration = Duration::from_secs(5);
/// Sessions that were not renewed during the faults may be declared lost until then.
const LATE_LOSSES: Duration = Duration::from_secs(4);
/// Events of one page of a journal.
const PAGE: usize = 1000;
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a seed, in a process of its own.
#[must_use]
pub fn run(settings: Settings) -> Report {
    virtual_time::seed(settings.seed);
    let folder = Folder::new(settings.seed);
    let mut simulation = Simulation::new(settings, &folder.0);
    simulation.begin();
    let calm = if simulation.random.chance(8500) {
        CALM
    } else {
        CALM / 10
    };
    simulation.plan(calm, Event::Fault);
    let faults_for = calm + simulation.settings.faults_for;
    simulation.run_until(nanos(faults_for));
    if let Err(text) = heal(&mut simulation) {
        simulation.violated(&text);
    }
    simulation.report.seconds = simulation.seconds();
    simulation.report.commands = simulation.reference.applied().0;
    simulation.report.entries = simulation.reference.entries();
    simulation.report.leaders = simulation.watch.leaders();
    simulation.end();
    simulation.report.clone()
}

/// I15: one leader, a new write, equal digests, and then no change.
fn heal(simulation: &mut Simulation) -> Result<(), String> {
    if simulation.report.violation.is_some() {
        return Ok(());
    }
    simulation.mend_all();
    let mended = simulation.now;
    wait(
        simulation,
        HEALED_WITHIN,
        "I15: one leader that all know",
        Simulation::is_led,
    )?;
    simulation.report.healed_ms = (simulation.now - mended) / 1_000_000;
    let acknowledged = simulation.report.acknowledged;
    let everybody = simulation.settings.clients as u64;
    wait(
        simulation,
        EQUAL_WITHIN,
        "I15: new writes are acknowledged",
        |simulation| simulation.report.acknowledged >= acknowledged + 2 * everybody,
    )?;
    wait(
        simulation,
        EQUAL_WITHIN,
        "I15: every server has joined",
        Simulation::all_joined,
    )?;
    wait(
        simulation,
        TIMED_WITHIN,
        "every server has the timers of the lease",
        Simulation::all_timed,
    )?;
    // A change of the membership may have come with it; from here on nothing has a reason to change.
    wait(
        simulation,
        EQUAL_WITHIN,
        "I15: one leader that all know",
        Simulation::is_led,
    )?;
    steady(simulation)?;
    simulation.stop_clients();
    wait(
        simulation,
        EQUAL_WITHIN,
        "I15: every request is answered",
        |simulation| simulation.waiting_clients() == 0,
    )?;
    wait(
        simulation,
        EQUAL_WITHIN,
        "I11: every server has applied all",
        Simulation::all_equal,
    )?;
    wait(
        simulation,
        EQUAL_WITHIN,
        "I19: no journal has a gap",
        Simulation::no_gaps,
    )?;
    simulation.check_journals()?;
    simulation.check_state()
}

fn steady(simulation: &mut Simulation) -> Result<(), String> {
    let term = simulation.watch.newest_term();
    let begun = simulation.now;
    let mut lost = None;
    while simulation.now < begun + nanos(STEADY) && simulation.report.violation.is_none() {
        step(simulation);
        if lost.is_none() && simulation.now > begun + nanos(LATE_LOSSES) {
            lost = Some(simulation.report.lost);
        }
    }
    let now = simulation.watch.newest_term();
    if now != term {
        return Err(format!(
            "I15: the leader changed from term {} to {} although nothing is wrong",
            term.0, now.0
        ));
    }
    if lost.is_some_and(|lost| lost != simulation.report.lost) {
        return Err("I15: a session was declared lost although nothing is wrong".to_owned());
    }
    if let Some(daemon) = simulation.uncovered_daemon() {
        return Err(format!("I15: daemon {daemon} has no lease although nothing is wrong"));
    }
    Ok(())
}

fn step(simulation: &mut Simulation) {
    let next = simulation.now + nanos(LOOK);
    simulation.run_until(next);
}

fn wait(
    simulation: &mut Simulation,
    within: Duration,
    what: &str,
    met: impl Fn(&Simulation) -> bool,
) -> Result<(), String> {
    let end = simulation.now + nanos(within);
    while !met(simulation) && simulation.report.violation.is_none() {
        if simulation.now >= end {
            let state = simulation.describe();
            return Err(format!("{what}: not so within {} s; {state}", within.as_secs()));
        }
        step(simulation);
    }
    Ok(())
}

fn nanos(length: Duration) -> Moment {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// Where the servers' few files lie: in memory, and gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(seed: u64) -> Self {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        Self(base.join(format!("paceline-raft-{}-{seed}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Simulation {
    /// Whether one server leads and may act, and all others know it.
    pub(super) fn is_led(&self) -> bool {
        let mut leaders = Vec::new();
        let mut known = Vec::new();
        for server in self.servers.iter().filter(|server| !server.removed) {
            let Some(node) = server.power.as_ref().and_then(|power| power.run.node()) else {
                return false;
            };
            let leadership = *node.leadership().borrow();
            if leadership.ready {
                leaders.push((leadership.term, node.member()));
            }
            if server.power.as_ref().is_some_and(|power| power.run.has_joined()) {
                known.push((leadership.term, leadership.leader));
            }
        }
        leaders.len() == 1 && known.iter().all(|known| *known == leaders[0])
    }

    pub(super) fn all_joined(&self) -> bool {
        let joined = |server: &super::simulation::Server| {
            server.removed || server.power.as_ref().is_some_and(|power| power.run.has_joined())
        };
        self.faults.removing().is_empty() && self.servers.iter().all(joined)
    }

    /// Whether every server runs with Raft's timers of the cluster's lease: until then the lead goes round once.
    fn all_timed(&self) -> bool {
        let lease = self.reference.state().cluster().map(|cluster| cluster.spec.lease);
        let wanted = lease.map(|lease| Timers::of(lease).heartbeat_ms);
        self.nodes().all(|(_, node)| Some(node.timers().heartbeat_ms) == wanted)
    }

    fn all_equal(&self) -> bool {
        let applied = self.reference.applied();
        self.servers
            .iter()
            .filter(|server| !server.removed)
            .all(|server| server.power.as_ref().is_some_and(|power| power.seen.applied == applied))
    }

    fn nodes(&self) -> impl Iterator<Item = (&str, server::raft::RaftNode)> {
        let present = self.servers.iter().filter(|server| !server.removed);
        present.filter_map(|server| Some((server.name.as_str(), server.power.as_ref()?.run.node()?)))
    }

    fn no_gaps(&self) -> bool {
        self.nodes().all(|(_, node)| node.journal().gaps().is_empty())
    }

    /// Every server's journal tells what happened, whole.
    fn check_journals(&self) -> Result<(), String> {
        for (name, node) in self.nodes() {
            let mut events = Vec::new();
            let mut after = Index(0);
            loop {
                let filter = EventFilter {
                    after: Some(after),
                    ..EventFilter::default()
                };
                let page = node
                    .journal()
                    .read(&filter, PAGE)
                    .map_err(|error| format!("{name}: {error}"))?;
                events.extend(page.events);
                match page.next_after.filter(|_| page.more) {
                    Some(next) => after = next,
                    None => break,
                }
            }
            self.reference
                .compare_journal(&events)
                .map_err(|text| format!("{name}: {text}"))?;
        }
        Ok(())
    }

    fn stop_clients(&mut self) {
        for client in &mut self.clients {
            client.stopped = true;
        }
    }

    fn uncovered_daemon(&self) -> Option<usize> {
        self.daemons.iter().position(|daemon| !daemon.is_covered(self.now))
    }

    /// The last look at the state: it is lawful, has all that was acknowledged, and survives a snapshot.
    fn check_state(&self) -> Result<(), String> {
        let state = self.reference.state();
        statemachine::invariant::check(state).map_err(|violation| format!("I13: {violation:?}"))?;
        if state.applied() < self.answered {
            return Err(format!(
                "I10: command {} was acknowledged, but only {} are applied",
                self.answered,
                state.applied()
            ));
        }
        let again = statemachine::snapshot::from_stored(statemachine::snapshot::to_stored(state));
        let again = again.map_err(|error| format!("I11: {error}"))?;
        if statemachine::digest(&again) != statemachine::digest(state) {
            return Err("I11: a state has another digest after a snapshot".to_owned());
        }
        Ok(())
    }

    /// For people: how things stand.
    fn describe(&self) -> String {
        let mut text = format!("reference at {}", self.reference.applied());
        for server in self.servers.iter().filter(|server| !server.removed) {
            let status = server.power.as_ref().and_then(|power| power.run.node()).map(|node| {
                let status = node.status();
                let leadership = *node.leadership().borrow();
                format!(
                    "member {:?} term {} leader {:?} ready {} committed {} applied {} voters {:?} learners {:?}",
                    status.member.map(|member| member.0),
                    status.term.0,
                    status.leader.map(|leader| leader.0),
                    leadership.ready,
                    status.committed,
                    status.applied,
                    status.voters.iter().map(|member| member.0).collect::<Vec<_>>(),
                    status.learners.iter().map(|member| member.0).collect::<Vec<_>>(),
                )
            });
            text.push_str(&format!("; {}: {}", server.name, status.unwrap_or("off".to_owned())));
        }
        text
    }

    /// Switches all hosts off.
    fn end(&mut self) {
        for at in 0..self.servers.len() {
            self.crash(at);
        }
    }
}
