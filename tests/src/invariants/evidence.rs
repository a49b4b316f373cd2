//! Everything that a run left behind, from as many independent sources as there are. What is missing is not checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use client::wire::definition::Config;
use client::wire::event::{Event, Events};
use server::daemon::recording::Line;

use super::reason_left;
use super::sight::{Cut, Ended, ProcessSight, Quiet, Sight, StateSight};
use super::target::Target;
use super::watcher::Seen;
use crate::cluster::REQUEST_LIMIT;
use crate::history::History;
use crate::oracle::Write;
use crate::resource::{self, TokenWrite};
use crate::witness::{self, Record};

/// Events that are asked for at once.
const EVENTS_PAGE: usize = 1000;

/// What the checks look at.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What the package programs wrote.
    pub records: Vec<Record>,
    /// What a resource saw that takes the programs' fencing tokens, unit by unit, in its own order.
    pub tokens: BTreeMap<String, Vec<TokenWrite>>,
    /// What the daemons recorded.
    pub recordings: Vec<Line>,
    /// Each server's journal.
    pub journals: BTreeMap<String, Vec<Event>>,
    /// What servers said of themselves.
    pub sights: Vec<Sight>,
    /// Committed states.
    pub states: Vec<StateSight>,
    /// Processes that were alive.
    pub processes: Vec<ProcessSight>,
    /// What is defined.
    pub config: Option<Config>,
    /// What clients did, a history per run of the load. No key is in two of them.
    pub histories: Vec<History>,
    /// What writers with keys of their own did, and what those keys hold now on each server.
    pub writes: Vec<(Vec<Write>, Vec<BTreeMap<String, String>>)>,
    /// When nodes were cut off from the quorum.
    pub cuts: Vec<Cut>,
    /// When nothing was broken.
    pub quiet: Vec<Quiet>,
    /// Servers and daemons that ended by themselves.
    pub ended: Vec<Ended>,
}

impl Evidence {
    /// What a run left in its directory: `witness/`, `recordings/` and the nodes' logs.
    ///
    /// # Errors
    /// A file that can't be read, or that holds something else.
    pub fn of_directory(directory: &Path) -> anyhow::Result<Self> {
        let witness = directory.join("witness");
        Ok(Self {
            records: witness::read(&witness)?,
            tokens: resource::read(&witness)?,
            recordings: read_recordings(&directory.join("recordings"))?,
            ended: read_ends(directory)?,
            ..Self::default()
        })
    }

    /// Adds what the servers say now: every journal, and what is defined.
    ///
    /// # Errors
    /// Where a server does not answer.
    pub fn ask(&mut self, targets: &[Target]) -> anyhow::Result<()> {
        for target in targets {
            self.journals.insert(target.name.clone(), journal(target)?);
        }
        if let Some(target) = targets.first() {
            self.config = Some(target.ask("/v1/config", REQUEST_LIMIT)?);
        }
        Ok(())
    }

    /// Adds what was seen while it ran.
    pub fn add(&mut self, seen: Seen) {
        self.sights.extend(seen.sights);
        self.states.extend(seen.states);
        self.processes.extend(seen.processes);
    }

    /// The longest journal.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.journals
            .values()
            .max_by_key(|journal| journal.len())
            .map_or(&[], Vec::as_slice)
    }
}

/// The journal of one server, as it has it.
fn journal(target: &Target) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let path = format!("/v1/events?after={after}&limit={EVENTS_PAGE}");
        let page: Events = target.ask(&path, REQUEST_LIMIT)?;
        events.extend(page.events);
        match page.next_after {
            Some(next) if next > after => after = next,
            _ => return Ok(events),
        }
    }
}

/// Every child of a node that ended by itself, from the logs in a directory.
fn read_ends(directory: &Path) -> anyhow::Result<Vec<Ended>> {
    let mut ended = Vec::new();
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        if path.is_file() && path.extension().is_some_and(|e| e == "log") {
            let node = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            ended.extend(reason_left::ended(&node, &text));
        }
    }
    Ok(ended)
}

/// Every line that daemons recorded under a directory, in order of time.
///
/// # Errors
/// A file that can't be read, or a complete line that is none of a recording.
pub fn read_recordings(directory: &Path) -> anyhow::Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    if !directory.exists() {
        return Ok(lines);
    }
    for file in fs::read_dir(directory)? {
        let text = fs::read_to_string(file?.path())?;
        // A last line without an end was being written as the daemon was killed.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in complete.lines() {
            lines.push(
                serde_json::from_str(line).map_err(|e| anyhow::anyhow!("not a line of a recording ({e}): {line}"))?,
            );
        }
    }
    // Stable: lines of one process keep their order.
    lines.sort_by_key(|line| line.at_ns);
    Ok(lines)
}
