//! Why a request gave no result, told apart by what the caller can do about it.

use crate::wire::error::Problem;

/// One server that was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its address.
    pub endpoint: String,
    /// What came of it.
    pub failure: String,
}

/// Why a request gave no result.
///
/// *Refused* and *unknown* are never mixed up: after a refusal nothing has changed; after an unknown outcome the change
/// may or may not have been made, and only the cluster can tell.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A server understood the request and said no. Nothing was changed.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// Servers were reached, but none of them has a quorum.
    #[error("no quorum: {}", .0.detail)]
    NoQuorum(Box<Problem>),
    /// The change was sent, and no answer came.
    #[error("no answer came, so it is unknown whether the change was made{}; look with `paceline status`", list(.tried))]
    Unknown {
        /// Who was asked.
        tried: Vec<Tried>,
    },
    /// No server could be reached. Nothing was changed.
    #[error("no server could be reached{}; name others with --server URL,… or PACELINE_SERVER", list(.tried))]
    Unreachable {
        /// Who was asked.
        tried: Vec<Tried>,
    },
    /// A server's answer can't be read: it is another program, or another version.
    #[error("the answer of {endpoint} can't be read: is it a paceline server of this version?")]
    Malformed {
        /// Which server.
        endpoint: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A text given as a server's address is none.
    #[error("{text:?} is not a server's address: {problem}")]
    Endpoint {
        /// The text.
        text: String,
        /// What was expected.
        problem: &'static str,
    },
    /// The HTTP client can't be made, or the system gives no random numbers.
    #[error("can't set up the HTTP client: {0}")]
    Setup(String),
}

impl ClientError {
    /// The problem that a server answered with, where one did.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) | Self::NoQuorum(problem) => Some(problem),
            Self::Unknown { .. }
            | Self::Unreachable { .. }
            | Self::Malformed { .. }
            | Self::Endpoint { .. }
            | Self::Setup(_) => None,
        }
    }

    /// A watch fell behind what servers keep.
    pub(crate) fn forgotten(oldest: u64) -> Self {
        let detail = format!("the watch fell behind what is kept: the oldest index is {oldest}; watch anew");
        Self::Refused(Box::new(Problem {
            oldest: Some(oldest),
            ..Problem::new(410, "Gone", "forgotten", detail)
        }))
    }

    /// Whether a server refused with this code.
    #[must_use]
    pub fn is_code(&self, code: &str) -> bool {
        matches!(self, Self::Refused(problem) if problem.code == code)
    }
}

fn list(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = tried
        .iter()
        .map(|tried| format!("{}: {}", tried.endpoint, tried.failure))
        .collect();
    format!(" ({})", parts.join("; "))
}
