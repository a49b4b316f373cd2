//! Server-sent events as they go over the wire.

use std::sync::Arc;

use bytes::Bytes;
use client::wire::resource::Resource;
use client::wire::watch::{self, Current, Elsewhere, Forgotten, WatchedState};
use serde::Serialize;

use super::super::convert;
use crate::storage::EventRecord;

/// Messages that are sent together.
#[derive(Debug, Default)]
pub(super) struct Messages {
    text: String,
}

impl Messages {
    /// How a resource is. Without an id: whoever breaks off before the state is complete begins anew.
    pub(super) fn state(&mut self, index: u64, resource: Resource) {
        self.put(watch::STATE, None, &WatchedState { index, resource });
    }

    /// The state is complete.
    pub(super) fn current(&mut self, index: u64, resources: u64, stale: bool) {
        let current = Current {
            index,
            resources,
            stale,
        };
        self.put(watch::CURRENT, Some(index), &current);
    }

    /// Changes, whole indexes. Only the last one of an index carries it as id, so whoever breaks off between two of them
    /// gets all of that index again, and tells by `sequence` which are known.
    pub(super) fn changes(&mut self, records: &[Arc<EventRecord>]) {
        for (at, record) in records.iter().enumerate() {
            let last = records.get(at + 1).is_none_or(|next| next.index != record.index);
            self.put(watch::CHANGE, last.then_some(record.index), &convert::event(record));
        }
    }

    /// A place without a message: a browser, too, resumes from there, and so does not fall behind what is kept only
    /// because nothing passes its filter.
    pub(super) fn place(&mut self, index: u64) {
        self.text.push_str(&format!(": alive\nid: {index}\n\n"));
    }

    /// Something for people who read along.
    pub(super) fn comment(&mut self, text: &str) {
        self.text.push_str(&format!(": {text}\n\n"));
    }

    /// The reader fell behind what is kept.
    pub(super) fn forgotten(&mut self, oldest: u64) {
        self.put(watch::FORGOTTEN, None, &Forgotten { oldest });
    }

    /// This server can't go on.
    pub(super) fn elsewhere(&mut self, detail: String) {
        self.put(watch::ELSEWHERE, None, &Elsewhere { detail });
    }

    /// What is sent.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from(self.text)
    }

    fn put(&mut self, name: &str, id: Option<u64>, data: &impl Serialize) {
        // JSON on one line has no line break in it, so one `data` line holds it.
        let data = match serde_json::to_string(data) {
            Ok(data) => data,
            Err(error) => {
                tracing::error!(%error, name, "a message could not be encoded");
                return;
            }
        };
        self.text.push_str("event: ");
        self.text.push_str(name);
        if let Some(id) = id {
            self.text.push_str(&format!("\nid: {id}"));
        }
        self.text.push_str("\ndata: ");
        self.text.push_str(&data);
        self.text.push_str("\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(index: u64, sequence: u32) -> Arc<EventRecord> {
        Arc::new(EventRecord {
            index,
            sequence,
            at_ms: 1,
            wall_ms: 1,
            resource: "node:n1".to_owned(),
            kind: "node-lost".to_owned(),
            node: None,
            severity: "info".to_owned(),
            cause: None,
            text: "two\nlines".to_owned(),
            facts: None,
        })
    }

    #[test]
    fn an_index_is_announced_with_its_last_event() {
        let mut messages = Messages::default();
        messages.changes(&[record(7, 0), record(7, 1), record(9, 0)]);
        let text = messages.text;
        let ids: Vec<Option<&str>> = text
            .split_terminator("\n\n")
            .map(|message| message.lines().find_map(|line| line.strip_prefix("id: ")))
            .collect();
        assert_eq!(ids, [None, Some("7"), Some("9")]);
        assert!(
            text.split_terminator("\n\n")
                .all(|message| message.contains("two\\nlines"))
        );
    }
}
