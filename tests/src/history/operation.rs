//! An operation as a whole: from its sending to its answer.

use std::collections::BTreeMap;

use super::{Entry, Function, History, Kind, Value};

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It took effect, or read, before this moment.
    Ok(u64),
    /// It took no effect; known at this moment.
    Fail(u64),
    /// Nobody knows.
    Info,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who.
    pub process: u64,
    /// What it does.
    pub f: Function,
    /// Of which key.
    pub key: String,
    /// With which value; of a read what it saw.
    pub value: Value,
    /// When it was about to be sent.
    pub sent_ns: u64,
    /// How it ended.
    pub end: End,
    /// The index that the answer carried.
    pub index: Option<u64>,
    /// Why it took no effect.
    pub error: Option<String>,
}

impl Operation {
    /// When it was known to be done; none where that is not known.
    #[must_use]
    pub fn done_ns(&self) -> Option<u64> {
        match self.end {
            End::Ok(at) => Some(at),
            End::Fail(_) | End::Info => None,
        }
    }

    /// The value that it writes.
    #[must_use]
    pub fn written(&self) -> Option<&str> {
        match (self.f, &self.value) {
            (Function::Write | Function::Again, Value::One(value)) | (Function::Cas, Value::Swap(_, value)) => {
                Some(value)
            }
            _ => None,
        }
    }
}

impl History {
    /// The operations, in order of their sending. One whose answer is missing ended as `info`.
    ///
    /// # Errors
    /// A process that does two things at once, or one that answers what was not asked: the recorder is at fault then.
    pub fn operations(&self) -> anyhow::Result<Vec<Operation>> {
        let mut open: BTreeMap<u64, &Entry> = BTreeMap::new();
        let mut done = Vec::new();
        for entry in &self.entries {
            if entry.kind == Kind::Invoke {
                if let Some(other) = open.insert(entry.process, entry) {
                    anyhow::bail!("process {} did two things at once: {other:?}, {entry:?}", entry.process);
                }
                continue;
            }
            let Some(invoked) = open
                .remove(&entry.process)
                .filter(|i| i.f == entry.f && i.key == entry.key)
            else {
                anyhow::bail!("process {} was answered what it did not ask: {entry:?}", entry.process);
            };
            done.push(Operation {
                process: entry.process,
                f: entry.f,
                key: entry.key.clone(),
                value: entry.value.clone(),
                sent_ns: invoked.t_ns,
                end: match entry.kind {
                    Kind::Ok => End::Ok(entry.t_ns),
                    Kind::Fail => End::Fail(entry.t_ns),
                    Kind::Info | Kind::Invoke => End::Info,
                },
                index: entry.index,
                error: entry.error.clone(),
            });
        }
        done.extend(open.into_values().map(|invoked| Operation {
            process: invoked.process,
            f: invoked.f,
            key: invoked.key.clone(),
            value: invoked.value.clone(),
            sent_ns: invoked.t_ns,
            end: End::Info,
            index: None,
            error: None,
        }));
        done.sort_by_key(|operation| operation.sent_ns);
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(process: u64, kind: Kind, t_ns: u64) -> Entry {
        Entry {
            process,
            kind,
            f: Function::Write,
            key: "k".to_owned(),
            value: Value::One("1".to_owned()),
            index: None,
            error: None,
            t_ns,
        }
    }

    #[test]
    fn what_was_not_answered_is_unknown() {
        let entries = vec![line(1, Kind::Invoke, 1), line(2, Kind::Invoke, 2), line(1, Kind::Ok, 3)];
        let operations = History { entries }.operations().expect("operations");
        assert_eq!(operations[0].end, End::Ok(3));
        assert_eq!(operations[1].end, End::Info);
    }

    #[test]
    fn a_process_does_one_thing_at_a_time() {
        let entries = vec![line(1, Kind::Invoke, 1), line(1, Kind::Invoke, 2)];
        assert!(History { entries }.operations().is_err());
        assert!(
            History {
                entries: vec![line(1, Kind::Ok, 1)]
            }
            .operations()
            .is_err()
        );
    }
}
