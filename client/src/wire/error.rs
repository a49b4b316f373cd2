//! What a refusal looks like: `application/problem+json` (RFC 9457).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A refusal, in words that say what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `about:blank`: the code tells the kind.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, for programs: `not_found`, `no_quorum`, `outcome_unknown`, `session_ended`, `invalid`, …
    pub code: String,
    /// What is wrong and what to do next.
    pub detail: String,
    /// The leader's node name, where that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The nearest existing name, where a name is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// The first index that is still kept, where an older one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u64>,
    /// Every error of a file, in the order of its lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FileError>,
}

impl Problem {
    /// A refusal with a status, that in words, and a stable code.
    #[must_use]
    pub fn new(status: u16, title: &str, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: title.to_owned(),
            status,
            code: code.into(),
            detail: detail.into(),
            leader: None,
            nearest: None,
            oldest: None,
            errors: Vec::new(),
        }
    }
}

/// One error of a cluster file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileError {
    /// From 1; 0 where there is no file.
    pub line: u32,
    /// From 1; 0 where there is no file.
    pub column: u32,
    /// What is wrong and what was expected.
    pub message: String,
    /// The nearest valid name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}
