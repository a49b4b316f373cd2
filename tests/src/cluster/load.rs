//! The load under which things break: writers with keys of their own, and clients that share keys.

use std::collections::BTreeMap;

use client::wire::node::Attributes;

use super::*;
use crate::history::History;
use crate::invariants::acked_survives;
use crate::oracle::{Clients, Outcome, Write, Writers};

/// Enough for batches of several proposals, and few enough that the machine has time for the faults.
const WRITERS: usize = 2;
const CLIENTS: usize = 3;

/// Packages that fit nowhere: a wish is an event or two and starts nothing.
pub const WISHES: &str = r#"
[cluster]
name = "story"

[[package]]
name = "big"
copies = 8
enabled = false
load = { cpu = 900000000 }
run.command = ["/bin/true"]
"#;

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    writers: Writers,
    clients: Clients,
    node: String,
}

impl Cluster {
    /// Begins to watch the cluster as a program of a user would, for I19 at the end.
    ///
    /// # Errors
    /// Where the present state does not come in time.
    pub fn subscribe(&mut self) -> anyhow::Result<()> {
        let servers = self.nodes.iter().filter(|node| node.is_server()).map(Node::api);
        self.subscriber = Some(Subscriber::start("subscriber", &servers.collect::<Vec<_>>())?);
        Ok(())
    }

    /// Starts a load on every server; the attributes are those of this node.
    ///
    /// # Errors
    /// Where what an earlier load left can't be removed.
    pub fn load(&self, node: &str) -> anyhow::Result<Load> {
        let servers: Vec<SocketAddr> = self.nodes.iter().filter(|n| n.is_server()).map(Node::api).collect();
        self.clear_attributes(node)?;
        Ok(Load {
            writers: Writers::start(WRITERS, &servers, node),
            clients: Clients::start(CLIENTS, &servers, &[node], crate::wait::monotonic_ns()),
            node: node.to_owned(),
        })
    }

    /// Compares what a load that is over was told with what every server holds now, and keeps its history for the
    /// checks at the end. Every server must be up. Answers how many writes were acknowledged.
    ///
    /// # Errors
    /// An acknowledged write that is missing.
    pub fn end_load(&mut self, load: Loaded) -> anyhow::Result<usize> {
        self.histories.push(load.history);
        self.compare(&load.node, &load.writes)?;
        Ok(acknowledged(&load.writes))
    }

    /// Compares what was acknowledged with what every server holds.
    ///
    /// # Errors
    /// An acknowledged write that is missing.
    pub fn compare(&self, node: &str, writes: &[Write]) -> anyhow::Result<()> {
        for server in self.nodes.iter().filter(|n| n.is_server()) {
            let now: Attributes = wait_for("an answer", START_LIMIT, || {
                self.ask(server, &format!("/v1/nodes/{node}/attributes"))
                    .map_err(|error| format!("{error:#}"))
            })?;
            let mine: BTreeMap<String, String> = now
                .attributes
                .into_iter()
                .filter(|(key, _)| key.starts_with('w'))
                .collect();
            let changed_after = |key: &str, index: u64| self.is_changed_after(node, key, index);
            acked_survives::check(writes, &mine, &changed_after)
                .with_context(|| format!("as {} says", server.name()))?;
        }
        Ok(())
    }

    /// Whether an attribute was changed after an index: a change of it on the condition that it was not is refused.
    fn is_changed_after(&self, node: &str, key: &str, index: u64) -> anyhow::Result<bool> {
        let leader = self.leader()?;
        let server = self
            .nodes
            .iter()
            .find(|n| n.name() == leader)
            .context("the leader is a node of the story")?;
        let request = Request {
            method: "DELETE",
            path: &format!("/v1/nodes/{node}/attributes/{key}"),
            headers: &[("if-match", &index.to_string())],
            body: b"",
            limit: CHANGE_LIMIT,
        };
        Ok(http::send(server.api(), &request)?.status == 412)
    }

    /// Removes the attributes of a node that a load has left.
    ///
    /// # Errors
    /// Where one can't be removed.
    pub fn clear_attributes(&self, node: &str) -> anyhow::Result<()> {
        let now: Attributes = self.get(&format!("/v1/nodes/{node}/attributes"))?;
        for key in now.attributes.keys() {
            self.change("DELETE", &format!("/v1/nodes/{node}/attributes/{key}"), "")?;
        }
        Ok(())
    }
}

impl Load {
    /// Ends it.
    #[must_use]
    pub fn stop(self) -> Loaded {
        Loaded {
            writes: self.writers.stop(),
            history: self.clients.stop(),
            node: self.node,
        }
    }
}

/// A load that is over.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Whose attributes were written.
    pub node: String,
    /// What the writers did.
    pub writes: Vec<Write>,
    /// What the clients did.
    pub history: History,
}

/// How many writes were acknowledged.
#[must_use]
pub fn acknowledged(writes: &[Write]) -> usize {
    writes
        .iter()
        .filter(|w| matches!(w.outcome, Outcome::Done { .. }))
        .count()
}
