//! Node files: what is accepted keeps to the rules that the rest of the program relies on.

use std::path::Path;

use server::config::{Config, Role};
use statemachine::id::NodeName;

use super::{Target, Verdict};

const SMALL: &str = "name = \"n1\"\n";
const LARGE: &str = r#"
name = "n1"
roles = ["server", "daemon"]
data_dir = "/var/lib/paceline"
api = "10.0.0.1:7400"
peer = ["10.0.0.1:7401", "[::1]:7401"]
join = ["10.0.0.2:7401"]

[labels]
rack = "a"

[capacity]
cpu = 4000
memory = 8192

[tls]
insecure = true

[reset]
command = ["/usr/sbin/reboot", "-f"]
"#;

/// The target.
pub(super) struct NodeFile;

impl Target for NodeFile {
    fn name(&self) -> &'static str {
        "node-file"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        vec![SMALL.into(), LARGE.into()]
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "name",
            "roles",
            "data_dir",
            "api",
            "peer",
            "join",
            "[labels]",
            "[capacity]",
            "[tls]",
            "[reset]",
            "\"witness\"",
            "\"daemon\"",
            "\"server\"",
            "0.0.0.0:7400",
            "[::]:0",
            "127.0.0.1:65536",
            "\"\"",
            "[]",
            "true",
            "= ",
            "[",
            "]",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok(Verdict::Refused);
        };
        let Ok(config) = Config::parse(Path::new("node.toml"), text) else {
            return Ok(Verdict::Refused);
        };
        let mut rules = vec![
            (NodeName::new(&config.name).is_ok(), "the name is one"),
            (config.data_dir.is_absolute(), "the data directory has its whole path"),
            (!config.peer.is_empty(), "there is a peer address"),
            (!config.roles.is_empty(), "there is a role"),
            (
                config.peer.iter().all(|address| !address.ip().is_unspecified()),
                "others can reach the peer address",
            ),
            (
                config.reset.first().is_none_or(|program| program.starts_with('/')),
                "the reset program has its whole path",
            ),
        ];
        rules.push((
            !config.has(Role::Witness) || config.roles.len() == 1,
            "a witness is nothing else",
        ));
        match rules.iter().find(|(holds, _)| !holds) {
            None => Ok(Verdict::Accepted),
            Some((_, rule)) => Err(format!("accepted, but not so: {rule}")),
        }
    }
}
