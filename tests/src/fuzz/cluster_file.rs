//! Cluster files: whatever is accepted reads the same after it was written out.

use client::file::{check, parse, render};
use client::wire::definition::Config;

use super::{Target, Verdict};

const SMALL: &str = "[cluster]\nlease = \"500ms\"\n\n[[package]]\nname = \"web\"\nrun.command = [\"/bin/true\"]\n";
const LARGE: &str = r#"
[cluster]
name = "orders"
lease = "2s"
min_nodes = 2
start_wait = "1m"

[[group]]
name = "orders"
kind = "duplex"
standbys = 1
failovers = { attempts = 5, within = "10m" }

[[package]]
name = "orders-a"
group = "orders"
priority = 1
load = { cpu = 500, memory = 256, disk = 3 }
nodes = ["n1", "n2"]
enabled = true
safety = "fenced"
on_quorum_loss = "freeze"
run.command = ["/usr/bin/orders", "--port", "80"]
run.env = { LANG = "C", X = "é" }
run.directory = "/tmp"
promote.command = ["/bin/promote"]
demote.command = ["/bin/demote"]
reload.command = ["/bin/reload"]
probe = { http = "http://127.0.0.1:80/", interval = "1s", timeout = "500ms", failures = 3 }
restart = { attempts = 2, within = "1h" }
start_timeout = "30s"
stop_timeout = "5s"

[[package]]
name = "worker"
copies = 3
run.command = ["/bin/sleep", "9"]
probe.exec = ["/bin/true"]
"#;

/// The target.
pub(super) struct ClusterFile;

impl Target for ClusterFile {
    fn name(&self) -> &'static str {
        "cluster-file"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        vec![SMALL.into(), LARGE.into()]
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "[cluster]",
            "[[group]]",
            "[[package]]",
            "name",
            "lease",
            "copies",
            "group",
            "priority",
            "load",
            "nodes",
            "probe",
            "run.command",
            "\"1s\"",
            "\"0ms\"",
            "\"18446744073709551615ms\"",
            "\"99999999999999d\"",
            "true",
            "{",
            "}",
            "[",
            "]",
            "= ",
            "\"\"\"",
            "'''",
            "\\u0000",
            "orders",
            "worker",
            "worker-1",
            "cpu",
            "# ",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok(Verdict::Refused);
        };
        let config = match parse(text) {
            Ok(config) => config,
            Err(errors) if errors.is_empty() => return Err("it is refused without a reason".to_owned()),
            Err(errors) => {
                let lines = u32::try_from(text.lines().count())
                    .unwrap_or(u32::MAX)
                    .saturating_add(1);
                return match errors
                    .iter()
                    .find(|error| error.line > lines || error.message.is_empty())
                {
                    None => Ok(Verdict::Refused),
                    Some(error) => Err(format!("an error beyond the {lines} lines of the file: {error:?}")),
                };
            }
        };
        let rendered = render(&config);
        match parse(&rendered) {
            Ok(again) if again == config => {}
            other => return Err(format!("written out it reads otherwise: {other:?}\n{rendered}")),
        }
        check(&config).map_err(|errors| format!("accepted as a file, refused as a definition: {errors:?}"))?;
        let json = serde_json::to_vec(&config).map_err(|error| error.to_string())?;
        match serde_json::from_slice::<Config>(&json) {
            Ok(again) if config == again => Ok(Verdict::Accepted),
            other => Err(format!("as JSON it reads otherwise: {other:?}")),
        }
    }
}
