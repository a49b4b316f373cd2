//! `kill-node` and `start-node`: a real failure of a `dev` cluster's node, watched as it happens.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::events::what;
use super::failover::Failover;
use super::failure::Failure;
use super::screen::{Screen, Tone};
use crate::client::{Client, EventQuery, Wait};
use crate::dev::{Ask, Runtime, Told};
use crate::nearest::nearest;
use crate::wire::event::Event;

/// How long one request for events is held.
const HOLD: Duration = Duration::from_secs(1);
/// How long a failover is watched: at the longest lease it takes longer, and then it is said.
const WATCH_MAX: Duration = Duration::from_secs(20);
/// How long `dev` may take to answer.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(10);

/// `kill-node NODE`.
pub(crate) async fn kill(screen: &Screen, node: &str) -> Result<(), Failure> {
    let runtime = Runtime::load()?;
    let client = others(&runtime, node)?;
    let before = client.status().await?.body;
    let mut failover = Failover::of(node, &before);
    let told = ask(&runtime, &Ask::KillNode { node: node.to_owned() }).await?;
    screen.say(format!("{}  {}", at(screen, 0), told.detail));

    let began = Instant::now();
    let mut after = before.index;
    while began.elapsed() < WATCH_MAX && !failover.is_over() {
        for event in next_events(&client, &mut after).await {
            let ms = since(&event, told.wall_ms);
            print(screen, &event, ms);
            failover.see(&event, ms);
        }
    }
    for line in failover.lines() {
        screen.say(screen.paint(Tone::Strong, &line));
    }
    if !failover.is_over() {
        let text = format!(
            "the failover is not over after {} s: look with `paceline status`",
            WATCH_MAX.as_secs()
        );
        return Err(Failure::TimedOut(text));
    }
    screen.next(&[
        "paceline status              who runs where now".to_owned(),
        format!("paceline start-node {node}       bring the node back"),
    ]);
    Ok(())
}

/// `start-node NODE`.
pub(crate) async fn start(screen: &Screen, node: &str) -> Result<(), Failure> {
    let runtime = Runtime::load()?;
    let client = others(&runtime, node)?;
    let before = client.status().await?.body;
    let told = ask(&runtime, &Ask::StartNode { node: node.to_owned() }).await?;
    screen.say(format!("{}  {}", at(screen, 0), told.detail));

    let began = Instant::now();
    let mut after = before.index;
    let mut back = None;
    loop {
        for event in next_events(&client, &mut after).await {
            let ms = since(&event, told.wall_ms);
            print(screen, &event, ms);
            if event.kind == "node-registered" && event.node.as_deref() == Some(node) {
                back = Some(ms);
            }
        }
        // Back, and nothing about any package is under way any more.
        if back.is_some() {
            let packages = client.packages().await?.body.packages;
            if packages
                .iter()
                .all(|package| !matches!(package.state.as_str(), "starting" | "stopping"))
            {
                break;
            }
        }
        if began.elapsed() >= WATCH_MAX {
            let text = format!(
                "{node} is not back after {} s: look at {}",
                WATCH_MAX.as_secs(),
                log_of(&runtime, node)
            );
            return Err(Failure::TimedOut(text));
        }
    }
    let ms = back.unwrap_or(0);
    screen.say(screen.paint(Tone::Strong, &format!("{node}: started 0 → back {} s", seconds(ms))));
    screen.next(&["paceline status    who runs where now: nothing moves back by itself".to_owned()]);
    Ok(())
}

/// A client of the servers on the other nodes.
fn others(runtime: &Runtime, node: &str) -> Result<Client, Failure> {
    let Some(known) = runtime.nodes.get(node) else {
        let near = nearest(node, runtime.nodes.keys().map(String::as_str));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        return Err(Failure::Refused(format!(
            "there is no node {node:?} in the dev cluster{hint}"
        )));
    };
    let servers: Vec<String> = runtime
        .servers
        .iter()
        .filter(|server| !server.ends_with(&known.api))
        .cloned()
        .collect();
    let servers = if servers.is_empty() {
        runtime.servers.clone()
    } else {
        servers
    };
    Ok(Client::new(&servers)?)
}

fn log_of(runtime: &Runtime, node: &str) -> String {
    runtime.nodes.get(node).map_or_else(String::new, |node| {
        node.data_dir.with_extension("log").display().to_string()
    })
}

/// Asks `dev` to do something.
async fn ask(runtime: &Runtime, ask: &Ask) -> Result<Told, Failure> {
    let exchange = async {
        let mut stream = UnixStream::connect(&runtime.control).await?;
        let mut line = serde_json::to_string(ask)?;
        line.push('\n');
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await?;
        Ok::<Told, std::io::Error>(serde_json::from_str(&answer)?)
    };
    let told = tokio::time::timeout(CONTROL_TIMEOUT, exchange)
        .await
        .map_err(|_| Failure::TimedOut("`paceline dev` does not answer".to_owned()))?
        .map_err(|error| Failure::Refused(format!("can't ask `paceline dev`: {error}")))?;
    if told.ok {
        Ok(told)
    } else {
        Err(Failure::Refused(told.detail))
    }
}

/// What has happened since the last call. A server that does not answer is asked again by the caller's loop.
async fn next_events(client: &Client, after: &mut u64) -> Vec<Event> {
    let query = EventQuery {
        after: Some(*after),
        ..EventQuery::default()
    };
    match client.events(&query, Wait::UpTo(HOLD)).await {
        Ok(answer) => {
            if let Some(last) = answer.body.events.last() {
                *after = last.index;
            }
            answer.body.events
        }
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Vec::new()
        }
    }
}

/// Milliseconds from a moment of this machine's wall clock to an event, which all nodes of a `dev` cluster share.
fn since(event: &Event, wall_ms: u64) -> u64 {
    let then: i64 = event.time.parse::<Timestamp>().map_or(0, Timestamp::as_millisecond);
    u64::try_from(then).unwrap_or(0).saturating_sub(wall_ms)
}

fn print(screen: &Screen, event: &Event, ms: u64) {
    if screen.json {
        screen.json_line(event);
    } else {
        screen.line(format!("{}  {}", at(screen, ms), what(screen, event)));
    }
}

fn at(screen: &Screen, ms: u64) -> String {
    screen.paint(Tone::Faint, &format!("+{ms:>5} ms"))
}

/// Seconds with two decimals.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{:02}", ms / 1_000, ms % 1_000 / 10)
}
