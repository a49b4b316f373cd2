//! Everything that a run left behind, from as many independent sources as there are. What is missing is not checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use client::wire::definition::Config;
use client::wire::event::{Event, Events};
use server::daemon::recording::Line;

use super::reason_left;
use super::seen_once::Told;
use super::sight::{Cut, Ended, ProcessSight, Quiet, Sight, StateSight};
use super::target::Target;
use super::watcher::Seen;
use crate::cluster::REQUEST_LIMIT;
use crate::history::History;
use crate::oracle::Write;
use crate::resource::{self, TokenWrite};
use crate::wait::pause;
use crate::witness::{self, Record};

/// From the execution of a program to its first record, on a busy machine.
const SETTLE: Duration = Duration::from_millis(300);
/// Events that are asked for at once.
const EVENTS_PAGE: usize = 1000;

/// The attributes of a node, as one server tells them.
pub type Attributes = BTreeMap<String, String>;

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
    /// Up to this index the journals were read before the programs' records were: what they tell must be in those.
    pub told_until: u64,
    /// What subscribers were told.
    pub told: Vec<Told>,
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
    pub writes: Vec<(Vec<Write>, Vec<Attributes>)>,
    /// When nodes were cut off from the quorum.
    pub cuts: Vec<Cut>,
    /// When nothing was broken.
    pub quiet: Vec<Quiet>,
    /// Servers and daemons that ended by themselves.
    pub ended: Vec<Ended>,
}

impl Evidence {
    /// What a run left in its directory: `witness/`, `recordings/`, the nodes' logs, and what was kept.
    ///
    /// # Errors
    /// A file that can't be read, or that holds something else.
    pub fn of_directory(directory: &Path) -> anyhow::Result<Self> {
        let witness = directory.join("witness");
        Ok(Self {
            // What was kept was asked before the run ended, and the programs wrote on until then.
            told_until: u64::MAX,
            records: witness::read(&witness)?,
            tokens: resource::read(&witness)?,
            recordings: read_recordings(&directory.join("recordings"))?,
            ended: read_ends(directory)?,
            journals: kept(directory, "journal")?
                .into_iter()
                .map(|(server, text)| Ok((server, parse_lines(&text)?)))
                .collect::<anyhow::Result<_>>()?,
            histories: kept(directory, "history")?
                .values()
                .map(|text| History::parse(text))
                .collect::<anyhow::Result<_>>()?,
            ..Self::default()
        })
    }

    /// Writes what a run does not leave in its directory by itself: histories and journals. [`Evidence::of_directory`] finds
    /// them again.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn keep(&self, directory: &Path) -> anyhow::Result<()> {
        for (number, history) in self.histories.iter().enumerate() {
            fs::write(directory.join(format!("history-{number}.jsonl")), history.to_lines()?)?;
        }
        for (server, journal) in &self.journals {
            let lines: Vec<String> = journal.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            fs::write(directory.join(format!("journal-{server}.jsonl")), text)?;
        }
        Ok(())
    }

    /// What a run left, and what its servers say now.
    ///
    /// Programs are held to the journal and the journal to the programs, while both go on: so the journal is asked before
    /// the records are read, and again after.
    ///
    /// # Errors
    /// Where a server does not answer, or a file can't be read.
    pub fn collect(directory: &Path, targets: &[Target]) -> anyhow::Result<Self> {
        let mut before = Self::default();
        before.ask(targets)?;
        pause(SETTLE, "a program that was just executed writes its first record");
        let mut evidence = Self::of_directory(directory)?;
        evidence.told_until = before.events().last().map_or(0, |event| event.index);
        evidence.ask(targets)?;
        Ok(evidence)
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

/// The files `KIND-NAME.jsonl` of a directory, by name.
fn kept(directory: &Path, kind: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let between = name.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
        if let Some(name) = between.and_then(|rest| rest.strip_suffix(".jsonl")) {
            found.insert(name.to_owned(), fs::read_to_string(&path)?);
        }
    }
    Ok(found)
}

fn parse_lines<T: serde::de::DeserializeOwned>(text: &str) -> anyhow::Result<Vec<T>> {
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(|e| anyhow::anyhow!("{e}: {line}")))
        .collect()
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
        lines.extend(parse_lines::<Line>(text.rfind('\n').map_or("", |end| &text[..end]))?);
    }
    // Stable: lines of one process keep their order.
    lines.sort_by_key(|line| line.at_ns);
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Function, Recorder, Value};
    use crate::invariants::planted::event;

    #[test]
    fn what_is_kept_is_found_again() {
        let recorder = Recorder::default();
        let process = recorder.process();
        recorder.invoke(process, Function::Write, "k", Value::One("1".to_owned()));
        recorder.ok(process, Function::Write, "k", Value::One("1".to_owned()), Some(7));
        let text = "a is active on n1 under epoch 7";
        let kept = Evidence {
            histories: vec![recorder.history()],
            journals: BTreeMap::from([("n1".to_owned(), vec![event(1, "became-active", "a", "n1", text)])]),
            ..Evidence::default()
        };
        let directory = std::env::temp_dir().join(format!("paceline-evidence-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        kept.keep(&directory).expect("written");
        let found = Evidence::of_directory(&directory).expect("read");
        fs::remove_dir_all(&directory).expect("removed");
        assert_eq!((found.histories, found.journals), (kept.histories, kept.journals));
    }
}
