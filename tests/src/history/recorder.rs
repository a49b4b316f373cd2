//! Where concurrent clients write their history.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Entry, Function, History, Kind, Value};
use crate::wait::monotonic_ns;

/// A history that several threads write to. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    processes: u64,
}

impl Recorder {
    /// A process that has not done anything yet.
    #[must_use]
    pub fn process(&self) -> u64 {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.processes += 1;
        inner.processes
    }

    /// Notes that an operation is about to be sent.
    pub fn invoke(&self, process: u64, f: Function, key: &str, value: Value) {
        self.note(process, Kind::Invoke, f, key, value, None, None);
    }

    /// Notes that it took effect, or what it read.
    pub fn ok(&self, process: u64, f: Function, key: &str, value: Value, index: Option<u64>) {
        self.note(process, Kind::Ok, f, key, value, index, None);
    }

    /// Notes that it took no effect, and why: [`super::CHANGED`] is more than a reason.
    pub fn fail(&self, process: u64, f: Function, key: &str, value: Value, error: &str) {
        self.note(process, Kind::Fail, f, key, value, None, Some(error.to_owned()));
    }

    /// Notes that nobody knows. The process is never to be used again.
    pub fn info(&self, process: u64, f: Function, key: &str, value: Value) {
        self.note(process, Kind::Info, f, key, value, None, None);
    }

    /// Everything so far.
    #[must_use]
    pub fn history(&self) -> History {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        History {
            entries: inner.entries.clone(),
        }
    }

    fn note(
        &self,
        process: u64,
        kind: Kind,
        f: Function,
        key: &str,
        value: Value,
        index: Option<u64>,
        error: Option<String>,
    ) {
        // The time is taken inside the lock, so that the lines are in its order.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.entries.push(Entry {
            process,
            kind,
            f,
            key: key.to_owned(),
            value,
            index,
            error,
            t_ns: monotonic_ns(),
        });
    }
}
