//! Takeovers.

use std::time::Duration;

use serde::Serialize;

use super::{Answer, Client};
use crate::error::ClientError;
use crate::target::{path, target};
use crate::wire::failover::{Failover, Failovers};

/// Which takeovers are asked for. What is none does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FailoverQuery {
    /// That began after this index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// That began before this index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// From this time on, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Up to this time, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// From or to this package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Of this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// From or to this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl Client {
    /// `GET /v1/failovers`: a page, oldest first.
    pub async fn failovers(&self, query: &FailoverQuery) -> Result<Answer<Failovers>, ClientError> {
        self.ask(target("/v1/failovers", query)?, Duration::ZERO).await
    }

    /// `GET /v1/failovers/ID`.
    pub async fn failover(&self, id: &str) -> Result<Answer<Failover>, ClientError> {
        self.get(path(&["v1", "failovers", id])?).await
    }
}
