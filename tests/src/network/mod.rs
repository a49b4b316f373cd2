//! A network of its own for one cluster: a namespace for every node, joined by a bridge in one more, where the faults are.
//!
//! The test's thread stays in a namespace for clients, so that what it asks crosses the bridge too, and so do threads
//! that it starts. Addresses exist only inside: two clusters have the same ones and never meet. Names carry the id of
//! the process that made them, so that the next run can remove what a killed one left.

mod namespace;
pub mod rules;

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;

pub use namespace::{Namespace, Stay};
use namespace::{ip, names, remove, run};
pub use rules::{Lost, Rule};

use crate::processes;

/// What the namespaces of tests begin with.
const PREFIX: &str = "paceline-";
/// The node that stands for everybody outside: operators, programs, the test itself.
pub const CLIENT: &str = "client";
/// The last part of its address.
const CLIENT_NUMBER: u8 = 254;

/// The network of a cluster.
#[derive(Debug)]
pub struct Network {
    // In this order at the end: this thread leaves before the namespaces go.
    stay: Option<Stay>,
    nodes: Vec<(String, Arc<Namespace>)>,
    switch: Namespace,
    rules: Vec<Rule>,
    dropped: u64,
}

impl Network {
    /// Makes a switch and a namespace for clients, into which this thread goes. `number` tells the networks of one
    /// process apart.
    ///
    /// # Errors
    /// Where this machine does not allow it: it needs root, iproute2 and nftables.
    pub fn create(number: u16) -> anyhow::Result<Self> {
        sweep();
        let base = format!("{PREFIX}{}-{number}", std::process::id());
        let switch = Namespace::create(&format!("{base}-switch"))?;
        ip(&["-n", switch.name(), "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", switch.name(), "link", "set", "bridge", "up"])?;
        let mut network = Self {
            stay: None,
            nodes: Vec::new(),
            switch,
            rules: Vec::new(),
            dropped: 0,
        };
        network.break_with(Vec::new())?;
        let client = network.attach(CLIENT, CLIENT_NUMBER)?;
        network.stay = Some(client.enter()?);
        Ok(network)
    }

    /// The address of the node with this number.
    #[must_use]
    pub fn address(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, number)
    }

    /// Adds a node with a namespace of its own.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn attach(&mut self, name: &str, number: u8) -> anyhow::Result<Arc<Namespace>> {
        let base = self.switch.name().trim_end_matches("switch").to_owned();
        let node = Arc::new(Namespace::create(&format!("{base}{name}"))?);
        let (switch, port) = (self.switch.name(), rules::port(name));
        ip(&[
            "-n",
            switch,
            "link",
            "add",
            &port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            node.name(),
        ])?;
        ip(&["-n", switch, "link", "set", &port, "master", "bridge", "up"])?;
        let address = format!("{}/24", Self::address(number));
        ip(&["-n", node.name(), "addr", "add", &address, "dev", "eth0"])?;
        ip(&["-n", node.name(), "link", "set", "eth0", "up"])?;
        self.nodes.push((name.to_owned(), Arc::clone(&node)));
        Ok(node)
    }

    /// From now on the switch drops exactly what these rules say.
    ///
    /// # Errors
    /// Where nftables refuses them.
    pub fn break_with(&mut self, rules: Vec<Rule>) -> anyhow::Result<()> {
        if !self.rules.is_empty() {
            self.dropped = self.dropped()?;
        }
        let _stay = self.switch.enter()?;
        run("nft", &["-f", "-"], &rules::table(&rules)).context("cannot set the rules of the switch")?;
        self.rules = rules;
        Ok(())
    }

    /// What is broken now.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Ends every rule and every slow or closed port.
    ///
    /// # Errors
    /// Where it can't.
    pub fn heal(&mut self) -> anyhow::Result<()> {
        self.break_with(Vec::new())?;
        let names: Vec<String> = self.nodes.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.link(&name, true)?;
            // There may be none: then there is nothing to remove.
            let _ = run(
                "tc",
                &[
                    "-n",
                    self.switch.name(),
                    "qdisc",
                    "del",
                    "dev",
                    &rules::port(&name),
                    "root",
                ],
                "",
            );
        }
        Ok(())
    }

    /// Frames that rules have dropped so far: a fault that met nothing has tested nothing.
    ///
    /// # Errors
    /// Where nftables does not answer.
    pub fn dropped(&self) -> anyhow::Result<u64> {
        let _stay = self.switch.enter()?;
        let listing = run("nft", &["list", "table", "bridge", "faults"], "")?;
        Ok(self.dropped + rules::dropped(&listing))
    }

    /// Pulls a node's cable, or puts it back.
    ///
    /// # Errors
    /// Where there is no such node.
    pub fn link(&self, node: &str, up: bool) -> anyhow::Result<()> {
        let state = if up { "up" } else { "down" };
        ip(&["-n", self.switch.name(), "link", "set", &rules::port(node), state])?;
        Ok(())
    }

    /// Lets so many kbit a second through to a node.
    ///
    /// # Errors
    /// Where the kernel has no token bucket.
    pub fn slow(&self, node: &str, kbit: u32) -> anyhow::Result<()> {
        let (port, rate) = (rules::port(node), format!("{kbit}kbit"));
        run(
            "tc",
            &[
                "-n",
                self.switch.name(),
                "qdisc",
                "replace",
                "dev",
                &port,
                "root",
                "tbf",
                "rate",
                &rate,
                "burst",
                "16kb",
                "latency",
                "400ms",
            ],
            "",
        )?;
        Ok(())
    }
}

/// Why no network can be made here; nothing where it can.
#[must_use]
pub fn missing() -> Option<String> {
    static ANSWER: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    ANSWER
        .get_or_init(|| {
            if !nix::unistd::geteuid().is_root() {
                return Some("network namespaces need root".to_owned());
            }
            Network::create(u16::MAX).err().map(|error| format!("{error:#}"))
        })
        .clone()
}

/// Removes the namespaces of runs that are over: a killed one can't do it itself.
fn sweep() {
    for name in names() {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next()?.parse::<i32>().ok());
        if owner.is_some_and(|pid| !processes::lives(pid)) {
            remove(&name);
        }
    }
}
