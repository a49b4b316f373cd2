//! What the test program writes down while it runs, and how that is read back.
//!
//! One file a process, one line a record, each written by a single `write` to a file that was opened for appending:
//! what was written before a SIGKILL is there. Times are the host's CLOCK_MONOTONIC, so that records of different
//! nodes of this machine can be compared to the microsecond.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// How often an active witness writes a beat.
pub const BEAT_MS: u64 = 10;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process has begun.
    Start,
    /// It counts as standby from here on.
    Standby,
    /// It runs in test.
    Test,
    /// It does the work of its free-run group beside others, and nothing that it sends reaches the outside.
    Inhibited,
    /// It counts as active from here on; in a free-run group: as released.
    Active,
    /// It is still active.
    Beat,
    /// It became active while another process held the unit's lock: the invariant is broken.
    Overlap,
    /// It does not count as active any more.
    Inactive,
    /// It ends by itself.
    Exit,
}

const KINDS: [(Kind, &str); 9] = [
    (Kind::Start, "start"),
    (Kind::Standby, "standby"),
    (Kind::Test, "test"),
    (Kind::Inhibited, "inhibited"),
    (Kind::Active, "active"),
    (Kind::Beat, "beat"),
    (Kind::Overlap, "overlap"),
    (Kind::Inactive, "inactive"),
    (Kind::Exit, "exit"),
];

/// One line of a witness's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// CLOCK_MONOTONIC in nanoseconds.
    pub at_ns: u64,
    /// What it says.
    pub kind: Kind,
    /// The unit that may be active only once.
    pub unit: String,
    /// `PACELINE_PACKAGE`.
    pub package: String,
    /// `PACELINE_NODE`.
    pub node: String,
    /// The process's id as the host sees it.
    pub pid: i32,
    /// The fencing token that it held.
    pub epoch: u64,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS
            .iter()
            .find(|(kind, _)| *kind == self.kind)
            .map_or("?", |(_, text)| *text);
        let Self {
            at_ns,
            unit,
            package,
            node,
            pid,
            epoch,
            ..
        } = self;
        write!(f, "{at_ns} {kind} {unit} {package} {node} {pid} {epoch}")
    }
}

impl FromStr for Record {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("not a record of the witness: {line:?}");
        let fields: Vec<&str> = line.split(' ').collect();
        let [at, kind, unit, package, node, pid, epoch] = fields[..] else {
            return Err(wrong());
        };
        let kind = KINDS
            .iter()
            .find(|(_, text)| *text == kind)
            .map(|(kind, _)| *kind)
            .ok_or_else(wrong)?;
        Ok(Self {
            at_ns: at.parse().map_err(|_| wrong())?,
            kind,
            unit: unit.to_owned(),
            package: package.to_owned(),
            node: node.to_owned(),
            pid: pid.parse().map_err(|_| wrong())?,
            epoch: epoch.parse().map_err(|_| wrong())?,
        })
    }
}

/// A time during which one process counted as active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The unit.
    pub unit: String,
    /// The package.
    pub package: String,
    /// Where.
    pub node: String,
    /// Which process.
    pub pid: i32,
    /// Under which fencing token.
    pub epoch: u64,
    /// Its first instant.
    pub from_ns: u64,
    /// Its last instant that is proven: `inactive`, or the last record before the process was killed.
    pub until_ns: u64,
    /// Whether the process said itself that it ended.
    pub ended: bool,
}

/// Reads every record under a directory, in order of time.
///
/// # Errors
/// A file that can't be read, or a complete line that is no record.
pub fn read(directory: &Path) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    if !directory.exists() {
        return Ok(records);
    }
    for unit in fs::read_dir(directory)? {
        let unit = unit?.path();
        if !unit.is_dir() {
            continue;
        }
        for file in fs::read_dir(unit)? {
            let path = file?.path();
            if path.extension().is_some_and(|e| e == "log") {
                records.extend(parse(&fs::read_to_string(&path)?)?);
            }
        }
    }
    records.sort_by_key(|r| (r.at_ns, r.pid));
    Ok(records)
}

/// Parses a file's text. A last line without an end was being written as the process was killed, and is left out.
///
/// # Errors
/// A complete line that is no record.
pub fn parse(text: &str) -> anyhow::Result<Vec<Record>> {
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .map(|line| line.parse().map_err(anyhow::Error::msg))
        .collect()
}

/// The active intervals, in order of their start.
#[must_use]
pub fn intervals(records: &[Record]) -> Vec<Interval> {
    let mut open: BTreeMap<(String, i32), Interval> = BTreeMap::new();
    let mut done = Vec::new();
    for record in records {
        // A process id may come back in a long run, but never while the old process of that id lives.
        let key = (format!("{}/{}", record.node, record.package), record.pid);
        match record.kind {
            Kind::Active => {
                let interval = Interval {
                    unit: record.unit.clone(),
                    package: record.package.clone(),
                    node: record.node.clone(),
                    pid: record.pid,
                    epoch: record.epoch,
                    from_ns: record.at_ns,
                    until_ns: record.at_ns,
                    ended: false,
                };
                done.extend(open.insert(key, interval));
            }
            Kind::Beat => {
                if let Some(interval) = open.get_mut(&key) {
                    interval.until_ns = record.at_ns;
                }
            }
            Kind::Inactive | Kind::Exit => {
                if let Some(mut interval) = open.remove(&key) {
                    interval.until_ns = record.at_ns;
                    interval.ended = true;
                    done.push(interval);
                }
            }
            Kind::Start | Kind::Standby | Kind::Test | Kind::Inhibited | Kind::Overlap => {}
        }
    }
    done.extend(open.into_values());
    done.sort_by_key(|i| (i.from_ns, i.epoch));
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let line = "12 active orders orders-1 n1 4711 17";
        assert_eq!(line.parse::<Record>().expect("a record").to_string(), line);
    }

    #[test]
    fn a_torn_last_line_is_left_out() {
        assert_eq!(parse("12 active u p n 1 2\n13 be").expect("readable").len(), 1);
        assert!(parse("nonsense\n").is_err());
    }

    #[test]
    fn an_interval_ends_at_the_last_beat_of_a_killed_process() {
        let records = parse("1 start u p n 5 2\n2 active u p n 5 2\n9 beat u p n 5 2\n").expect("readable");
        let intervals = intervals(&records);
        assert_eq!(
            (intervals[0].from_ns, intervals[0].until_ns, intervals[0].ended),
            (2, 9, false)
        );
    }
}
