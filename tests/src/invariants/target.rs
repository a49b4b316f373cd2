//! A node as the checks see it: a name, an address to ask, a directory to find its processes by.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::http::{self, Answer, Request};
use crate::node::Node;

/// A node that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Where its API is.
    pub api: SocketAddr,
    /// Where it keeps everything: its processes carry this path.
    pub data_dir: PathBuf,
}

impl From<&Node> for Target {
    fn from(node: &Node) -> Self {
        Self {
            name: node.name().to_owned(),
            api: node.api(),
            data_dir: node.data_dir().to_owned(),
        }
    }
}

impl Target {
    /// Sends a request.
    ///
    /// # Errors
    /// Where no complete answer came in time.
    pub fn send(&self, method: &str, path: &str, body: &str, limit: Duration) -> anyhow::Result<Answer> {
        let request = Request {
            method,
            path,
            headers: &[("content-type", "application/json")],
            body: body.as_bytes(),
            limit,
        };
        http::send(self.api, &request).map_err(|e| anyhow::anyhow!("{method} {path} at {}: {e}", self.name))
    }

    /// Asks.
    ///
    /// # Errors
    /// Where it does not answer with 200 and this shape.
    pub fn ask<T: DeserializeOwned>(&self, path: &str, limit: Duration) -> anyhow::Result<T> {
        let answer = self.send("GET", path, "", limit)?;
        anyhow::ensure!(
            answer.status == 200,
            "GET {path} at {}: {} {}",
            self.name,
            answer.status,
            answer.text()
        );
        answer.json()
    }
}
