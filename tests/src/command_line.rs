//! The operator's command line, run as an operator runs it.

use std::process::{Command, Stdio};

use anyhow::Context;

use crate::cluster::Cluster;
use crate::node::program;

/// What a command printed and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `paceline ARGUMENTS` against all nodes of a cluster, without a terminal.
///
/// # Errors
/// Where it can't be started or a signal ended it.
pub fn paceline(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<Printed> {
    let servers: Vec<String> = cluster.nodes().iter().map(|n| format!("http://{}", n.api())).collect();
    let output = Command::new(program("paceline")?)
        .args(arguments)
        .env("PACELINE_SERVER", servers.join(","))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run paceline {arguments:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().context("a signal ended the command")?;
    Ok(Printed {
        code,
        out: text(&output.stdout),
        err: text(&output.stderr),
    })
}
