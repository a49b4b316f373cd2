//! Looks at a running cluster from outside, again and again: what servers say of themselves, and what `/proc` shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use client::wire::status::Status;

use super::sight::{ProcessSight, Role, Sight, StateSight};
use super::target::Target;
use crate::processes::{self, NODE_ROOT, Process};
use crate::wait::{monotonic_ns, pause};

/// Between two questions to one server.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// A server that is healthy answers long before; one that hangs must not hide the others.
const ASK_LIMIT: Duration = Duration::from_millis(500);
/// Between two looks at all processes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Sights that are kept: an hour of three servers. Older ones make way.
const KEPT_MAX: usize = 100_000;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What servers said of themselves, in order of their answers.
    pub sights: Vec<Sight>,
    /// Committed states, each once.
    pub states: Vec<StateSight>,
    /// Processes, look by look.
    pub processes: Vec<ProcessSight>,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

impl Watcher {
    /// Watches these nodes, and all processes of nodes below the directory.
    #[must_use]
    pub fn start(targets: &[Target], directory: &Path) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let mut threads: Vec<JoinHandle<()>> = targets
            .iter()
            .map(|target| {
                let (target, stop, seen) = (target.clone(), Arc::clone(&stop), Arc::clone(&seen));
                std::thread::spawn(move || ask(&target, &stop, &seen))
            })
            .collect();
        let (directory, flag, list) = (directory.to_owned(), Arc::clone(&stop), Arc::clone(&seen));
        threads.push(std::thread::spawn(move || look(&directory, &flag, &list)));
        Self { stop, seen, threads }
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn ask(target: &Target, stop: &AtomicBool, seen: &Mutex<Seen>) {
    let mut process = 0;
    while !stop.load(Ordering::Relaxed) {
        if process == 0 || !processes::lives(process) {
            let servers = processes::of_node(&target.data_dir);
            process = servers
                .iter()
                .find(|p| p.is_command("paceline", "serve-server"))
                .map_or(0, |p| p.pid);
        }
        let asked_ns = monotonic_ns();
        let answer: Result<Status, _> = target.ask("/v1/status?consistency=local", ASK_LIMIT);
        let at_ns = monotonic_ns();
        // Only an answer that this very process gave can be compared with its others.
        if let Ok(status) = answer
            && process != 0
            && processes::lives(process)
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.note(&target.name, process, asked_ns, at_ns, status);
        }
        pause(ASK_EVERY, "between two questions to a server");
    }
}

impl Seen {
    fn note(&mut self, node: &str, process: i32, asked_ns: u64, at_ns: u64, status: Status) {
        self.sights.push(Sight::of(node, process, asked_ns, at_ns, &status));
        let mut state = StateSight {
            node: node.to_owned(),
            index: status.index,
            nodes: status.nodes,
            packages: status.packages,
        };
        // Attributes change with every write of a load, and nothing is decided by them.
        state.nodes.iter_mut().for_each(|n| n.attributes = BTreeMap::new());
        let known = self
            .states
            .last()
            .is_some_and(|s| (&s.nodes, &s.packages) == (&state.nodes, &state.packages));
        if !known {
            self.states.push(state);
        }
        shorten(&mut self.sights);
        shorten(&mut self.states);
    }
}

fn shorten<T>(list: &mut Vec<T>) {
    if list.len() > KEPT_MAX {
        list.drain(..KEPT_MAX / 10);
    }
}

fn look(directory: &Path, stop: &AtomicBool, seen: &Mutex<Seen>) {
    while !stop.load(Ordering::Relaxed) {
        let at_ns = monotonic_ns();
        let found: Vec<ProcessSight> = processes::under(directory)
            .iter()
            .filter_map(|process| sight(process, at_ns))
            .collect();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.processes.extend(found);
        shorten(&mut seen.processes);
        drop(seen);
        pause(LOOK_EVERY, "between two looks at all processes");
    }
}

fn sight(process: &Process, at_ns: u64) -> Option<ProcessSight> {
    let role = role_of(process)?;
    let (descriptors, resident_kib) = match role {
        Role::Parent | Role::Server | Role::Daemon => processes::usage(process.pid)?,
        Role::Supervisor | Role::Init | Role::Package => (0, 0),
    };
    let text = |name| process.variable(name).unwrap_or_default().to_owned();
    Some(ProcessSight {
        at_ns,
        pid: process.pid,
        began: processes::start_time(process.pid)?,
        parent: processes::parent(process.pid)?,
        role,
        root: PathBuf::from(process.variable(NODE_ROOT)?),
        node: text("PACELINE_NODE"),
        package: text("PACELINE_PACKAGE"),
        epoch: text("PACELINE_EPOCH").parse().unwrap_or(0),
        descriptors,
        resident_kib,
    })
}

fn role_of(process: &Process) -> Option<Role> {
    // Init is forked and not executed: it has its supervisor's arguments, and a name of its own.
    if process.is_command("paceline", "supervise") && processes::name(process.pid).is_some_and(|n| n == "paceline-init")
    {
        return Some(Role::Init);
    }
    for (word, role) in [
        ("serve", Role::Parent),
        ("serve-server", Role::Server),
        ("serve-daemon", Role::Daemon),
        ("supervise", Role::Supervisor),
    ] {
        if process.is_command("paceline", word) {
            return Some(role);
        }
    }
    process.variable("PACELINE_PACKAGE").map(|_| Role::Package)
}
