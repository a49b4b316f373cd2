//! How resources are, and then what happens, for as long as somebody looks.

use clap::Args;

use super::failure::Failure;
use super::screen::{Screen, Tone};
use crate::client::Client;
use crate::watch::{Notice, Watch, WatchQuery};
use crate::wire::resource::Resource;

/// What is watched.
#[derive(Clone, Debug, Args)]
pub struct WatchOptions {
    /// Resources, or patterns of them: node:n1, "package:web-*", "*". Without any everything is watched.
    #[arg(value_name = "RESOURCE")]
    resource: Vec<String>,
    /// Only of this kind: of events, like promoted, or of resources, like package.
    #[arg(long)]
    kind: Option<String>,
    /// Only on this node.
    #[arg(long)]
    node: Option<String>,
    /// Only changes that are this grave at least.
    #[arg(long, value_parser = ["info", "warning", "error"])]
    severity: Option<String>,
    /// Go on after this index, without the present state.
    #[arg(long, value_name = "INDEX")]
    after: Option<u64>,
}

/// `watch`.
pub(crate) async fn watch(screen: &Screen, client: &Client, options: WatchOptions) -> Result<(), Failure> {
    // A watch waits for servers for ever; whoever begins one wants to know that there is one.
    client.status().await?;
    let query = WatchQuery {
        resource: options.resource,
        kind: options.kind,
        node: options.node,
        severity: options.severity,
        text: None,
        after: options.after,
    };
    print_all(screen, client.watch(query)).await
}

/// Prints what is told until it fails. As JSON: one object a line.
pub(crate) async fn print_all(screen: &Screen, mut watch: Watch) -> Result<(), Failure> {
    let mut interrupted = false;
    loop {
        let notice = watch.next().await?;
        if interrupted && !matches!(notice, Notice::Interrupted(_)) {
            eprintln!("paceline: a server answers again; nothing was missed");
            interrupted = false;
        }
        match notice {
            Notice::State(state) if screen.json => screen.json_line(&state),
            Notice::State(state) => screen.line(how_it_is(screen, &state.resource)),
            Notice::Change(event) => super::events::print(screen, &event),
            Notice::Current(current) => {
                if current.resources == 0 {
                    screen.say("nothing matches at present; changes are shown as they happen");
                }
                if current.stale {
                    screen.say(screen.paint(Tone::Bad, super::status::STALE));
                }
            }
            Notice::Interrupted(why) => {
                if !interrupted {
                    eprintln!("paceline: {why}; going on at another server");
                }
                interrupted = true;
            }
        }
    }
}

fn how_it_is(screen: &Screen, resource: &Resource) -> String {
    let tone = match resource.state.as_str() {
        "down" | "lost" => Tone::Bad,
        "degraded" => Tone::Busy,
        _ => Tone::Good,
    };
    let node = resource
        .node
        .as_ref()
        .map_or_else(String::new, |node| format!(" on {node}"));
    let mode = resource.attributes.get("mode").and_then(|mode| mode.as_str());
    let mode = mode.map_or_else(String::new, |mode| format!(", {mode}"));
    format!("{} is {}{node}{mode}", resource.id, screen.paint(tone, &resource.state))
}
