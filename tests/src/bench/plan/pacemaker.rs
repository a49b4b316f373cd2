//! Pacemaker's scheduler on the same cluster: a file in its format with every package running, one node off line, and
//! `crm_simulate` from Debian's pacemaker-cli-utils to say what it would do.
//!
//! It reads the file anew each time, as the real one does on every event. Probes at the start, fencing and monitors are left
//! out: they would make it slower.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};

use super::site::{SiteOptions, capacity, load};

/// Of so many runs the median is taken.
const RUNS: usize = 3;
/// What stands in for the identity of a transition.
const TRANSITION: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

/// What it came to.
pub(super) struct NodeDown {
    /// Processor time of one run.
    pub(super) cpu: Duration,
    /// What it would start, stop or move.
    pub(super) actions: usize,
}

/// Has it plan one node's failure.
pub(super) fn node_down(packages: u64, nodes: u64) -> anyhow::Result<NodeDown> {
    let folder = std::env::temp_dir().join(format!("paceline-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("cib.xml");
    std::fs::write(
        &file,
        cluster(SiteOptions {
            packages,
            nodes,
            fill: 70,
        })?,
    )?;
    let mut times = Vec::new();
    let mut actions = 0;
    for _ in 0..RUNS {
        let before = children()?;
        let output = Command::new("crm_simulate")
            .arg("-x")
            .arg(&file)
            .arg("-R")
            .output()
            .context("crm_simulate: run scripts/setup --bench")?;
        times.push(children()?.saturating_sub(before));
        let text = String::from_utf8_lossy(&output.stdout);
        let planned = ["  * Start ", "  * Recover ", "  * Move ", "  * Stop "];
        actions = text
            .lines()
            .filter(|line| planned.iter().any(|it| line.starts_with(it)))
            .count();
        anyhow::ensure!(
            actions > 0,
            "it plans nothing: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    std::fs::remove_dir_all(&folder)?;
    times.sort();
    Ok(NodeDown {
        cpu: times[RUNS / 2],
        actions,
    })
}

/// The processor time of all ended child processes.
fn children() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0))
    };
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

fn cluster(options: SiteOptions) -> anyhow::Result<String> {
    let capacity = capacity(options);
    let mut text = String::from(
        r#"<cib crm_feature_set="3.16.2" validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0" have-quorum="1" dc-uuid="2">
<configuration><crm_config><cluster_property_set id="o">
<nvpair id="o1" name="stonith-enabled" value="false"/><nvpair id="o2" name="placement-strategy" value="balanced"/>
<nvpair id="o3" name="enable-startup-probes" value="false"/><nvpair id="o4" name="no-quorum-policy" value="ignore"/>
</cluster_property_set></crm_config><nodes>
"#,
    );
    for node in 0..options.nodes {
        let id = node + 1;
        writeln!(
            text,
            r#"<node id="{id}" uname="n{node}"><utilization id="u{id}"><nvpair id="uc{id}" name="cpu" value="{capacity}"/><nvpair id="um{id}" name="memory" value="{capacity}"/></utilization></node>"#
        )?;
    }
    text.push_str("</nodes><resources>\n");
    for number in 0..options.packages {
        let (cpu, memory, priority) = (load(number, 1), load(number, 999_983), options.packages - number);
        writeln!(
            text,
            r#"<primitive id="p{number}" class="ocf" provider="pacemaker" type="Dummy"><meta_attributes id="m{number}"><nvpair id="mp{number}" name="priority" value="{priority}"/><nvpair id="ms{number}" name="resource-stickiness" value="100"/></meta_attributes><utilization id="l{number}"><nvpair id="lc{number}" name="cpu" value="{cpu}"/><nvpair id="lm{number}" name="memory" value="{memory}"/></utilization></primitive>"#
        )?;
    }
    text.push_str("</resources><constraints/></configuration><status>\n");
    for node in 0..options.nodes {
        let id = node + 1;
        let state = if node == 0 {
            r#"in_ccm="false" crmd="offline" join="down" expected="down""#
        } else {
            r#"in_ccm="true" crmd="online" join="member" expected="member""#
        };
        writeln!(
            text,
            r#"<node_state id="{id}" uname="n{node}" {state}><lrm id="{id}"><lrm_resources>"#
        )?;
        for number in (node..options.packages).step_by(usize::try_from(options.nodes)?) {
            writeln!(
                text,
                r#"<lrm_resource id="p{number}" type="Dummy" class="ocf" provider="pacemaker"><lrm_rsc_op id="p{number}_last_0" operation_key="p{number}_start_0" operation="start" crm-debug-origin="do_update_resource" crm_feature_set="3.16.2" transition-key="1:1:0:{TRANSITION}" transition-magic="0:0;1:1:0:{TRANSITION}" call-id="1" rc-code="0" op-status="0" interval="0"/></lrm_resource>"#
            )?;
        }
        text.push_str("</lrm_resources></lrm></node_state>\n");
    }
    text.push_str("</status></cib>\n");
    Ok(text)
}
