//! The Unix socket on which other terminals ask for a node to be killed or started.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::dev::{Ask, Told};
use client::nearest;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::node::DevNode;
use super::process;

/// A request is one line, and short.
const ASK_BYTES_MAX: u64 = 4_096;
/// Whoever connects and says nothing is not waited for.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers one connection: one request, one answer.
pub(super) async fn answer(stream: UnixStream, nodes: &mut [DevNode]) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(ASK_BYTES_MAX));
    let told = match tokio::time::timeout(ASK_TIMEOUT, reader.read_line(&mut line)).await {
        Ok(Ok(_)) => match serde_json::from_str::<Ask>(&line) {
            Ok(ask) => perform(ask, nodes).await,
            Err(error) => refused(format!("not understood: {error}")),
        },
        Ok(Err(_)) | Err(_) => return,
    };
    if let Ok(mut text) = serde_json::to_vec(&told) {
        text.push(b'\n');
        // Whoever asked may have gone away; it is done all the same.
        let _ = write.write_all(&text).await;
    }
}

async fn perform(ask: Ask, nodes: &mut [DevNode]) -> Told {
    let (Ask::KillNode { node: name } | Ask::StartNode { node: name }) = &ask;
    let Some(position) = nodes.iter().position(|node| node.name == *name) else {
        let near = nearest(name, nodes.iter().map(|node| node.name.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        return refused(format!("there is no node {name:?}{hint}"));
    };
    let node = &mut nodes[position];
    let wall_ms = wall_ms();
    match &ask {
        Ask::KillNode { .. } => {
            let killed = process::kill_all(&node.data_dir);
            if killed.count == 0 {
                return refused(format!(
                    "{name} does not run: start it with `paceline start-node {name}`"
                ));
            }
            node.cgroups.extend(killed.cgroups);
            node.reap().await;
            let detail = format!("{name}: SIGKILL to all its {} processes", killed.count);
            Told {
                ok: true,
                detail,
                wall_ms,
                killed: killed.count,
            }
        }
        Ask::StartNode { .. } => {
            if !process::of_node(&node.data_dir).is_empty() {
                return refused(format!("{} already runs", node.name));
            }
            node.reap().await;
            match node.start() {
                Ok(()) => Told {
                    ok: true,
                    detail: format!("{}: started", node.name),
                    wall_ms,
                    killed: 0,
                },
                Err(error) => refused(format!("can't start {}: {error}", node.name)),
            }
        }
    }
}

fn refused(detail: String) -> Told {
    Told {
        ok: false,
        detail,
        wall_ms: wall_ms(),
        killed: 0,
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
