//! What clients did and were told, in the words of Jepsen: an operation is invoked, and ends as `ok`, `fail` or `info`.
//!
//! One JSON object a line: `{"process": 3, "type": "invoke", "f": "write", "key": "k", "value": "7", "t_ns": 12}`. `ok` means
//! that it took effect, `fail` that it did not, `info` that nobody knows. A process does one thing after another; one
//! that got no answer never does anything again, since its last operation may still take effect at any time.

mod operation;
mod recorder;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

pub use operation::{End, Operation};
pub use recorder::Recorder;

/// The error of a compare and swap that did not find what it compared with: the register then held something else.
pub const CHANGED: &str = "changed";

/// Which side of an operation a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It was about to be sent.
    Invoke,
    /// It took effect.
    Ok,
    /// It took no effect.
    Fail,
    /// It may have taken effect, or may take it later.
    Info,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// Reads a key, confirmed by a quorum.
    Read,
    /// Reads a key from one server's own copy.
    StaleRead,
    /// Writes a key.
    Write,
    /// Writes a key if it still holds what was read before.
    Cas,
    /// Sends a write that was acknowledged once more, under the same idempotency key.
    Again,
}

/// What was written or read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// The key is not there.
    Nothing(()),
    /// One value.
    One(String),
    /// From one value to another; none: the key was not there.
    Swap(Option<String>, String),
}

impl Value {
    /// What a read saw.
    #[must_use]
    pub fn read(value: Option<String>) -> Self {
        value.map_or(Self::Nothing(()), Self::One)
    }
}

/// A line of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who.
    pub process: u64,
    /// Which side.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What it does.
    pub f: Function,
    /// Of which key.
    pub key: String,
    /// With which value; of a read only once it is answered.
    pub value: Value,
    /// The index that the answer carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Why it took no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// CLOCK_MONOTONIC.
    pub t_ns: u64,
}

/// Lines in the order in which they were recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The lines.
    pub entries: Vec<Entry>,
}

impl History {
    /// Reads JSON lines.
    ///
    /// # Errors
    /// The line that is none of a history.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let entries = text
            .lines()
            .map(|line| {
                serde_json::from_str(line).map_err(|e| anyhow::anyhow!("not a line of a history ({e}): {line}"))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { entries })
    }

    /// As JSON lines.
    ///
    /// # Errors
    /// Never in practice: every line is plain data.
    pub fn to_lines(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for entry in &self.entries {
            writeln!(text, "{}", serde_json::to_string(entry)?)?;
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were() {
        let text = concat!(
            r#"{"process":1,"type":"invoke","f":"cas","key":"k","value":["1","2"],"t_ns":5}"#,
            "\n",
            r#"{"process":1,"type":"ok","f":"cas","key":"k","value":["1","2"],"index":9,"t_ns":7}"#,
            "\n",
            r#"{"process":2,"type":"ok","f":"stale-read","key":"k","value":null,"index":8,"t_ns":7}"#,
            "\n"
        );
        let history = History::parse(text).expect("a history");
        assert_eq!(history.to_lines().expect("lines"), text);
        assert!(History::parse("{}").is_err());
    }
}
