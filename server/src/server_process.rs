//! The server process of a node: Raft, peers, daemons and leases on one thread; the public API on another.
//!
//! **Invariant:** nothing that a client of the public API does can use up the thread that keeps leases alive.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api};
use crate::config::{Config, Role};
use crate::http::{self, Bounds};
use crate::lease::Leases;
use crate::raft::{RaftNode, RaftOptions, RaftTuning, StartError};

/// How long a leader that is told to end tries to hand over the lead: longer than a renewal that is late.
const HAND_OVER_WAIT: Duration = Duration::from_secs(1);

/// Runs the server until it is told to end.
///
/// # Errors
/// What kept it from starting: an address in use, a data directory that is foreign or damaged, a cluster that refuses
/// this node.
pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    crate::serve::tie_to_parent();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    // The store and the peers must never lack a descriptor because clients have them all.
    let descriptors = http::raise_descriptor_limit();
    let (peer_bounds, api_bounds) = (Bounds::peers(descriptors), Bounds::api(descriptors));
    let mut peers = Vec::new();
    for address in &config.peer {
        peers.push(bind(*address, "peer")?);
    }
    let api_listener = bind(config.api, "api")?;

    let options = RaftOptions {
        data_dir: config.data_dir.clone(),
        name: config.name.clone(),
        peer: config.peer.iter().map(ToString::to_string).collect(),
        api: config.api_advertised(),
        join: config.join.clone(),
        witness: config.has(Role::Witness),
    };
    let tuning = RaftTuning::usual()?
        .with_snapshot_every(config.snapshot_entries)
        .with_journal(config.journal);
    let raft = match RaftNode::open_tuned(options, tuning).await {
        Ok(raft) => raft,
        Err(error) if error.is_final() => return Ok(refuse(&error)),
        Err(error) => return Err(anyhow::anyhow!("{error}")),
    };
    if config.has(Role::Witness) {
        crate::witness::give_lead_away(&raft);
    }
    let leases = Leases::start(raft.clone());
    let api = Api::new(raft.clone(), config.clone());

    let inner = raft.peer_routes().merge(api::daemon::routes(api.clone(), leases));
    for listener in peers {
        tokio::spawn(http::serve(listener, inner.clone(), peer_bounds, stop.clone()));
    }
    let api_thread = start_api_thread(api_listener, api::routes(api), api_bounds, stop.clone())?;
    // Peers must be able to answer while this node joins, so the listeners come first.
    match raft.join().await {
        Ok(()) => {}
        Err(error) if error.is_final() => return Ok(refuse(&error)),
        Err(error) => return Err(anyhow::anyhow!("{error}")),
    }
    tracing::info!(node = config.name, api = %config.api, "server is up");

    let code = tokio::select! {
        () = terminated() => ExitCode::SUCCESS,
        // The parent starts it again at once.
        () = raft.starts_again() => ExitCode::SUCCESS,
        reason = raft.failed() => {
            tracing::error!(reason, "this server can't go on and ends, so that it does no harm");
            ExitCode::FAILURE
        }
    };
    if code == ExitCode::SUCCESS {
        raft.relinquish(HAND_OVER_WAIT).await;
    }
    stop.cancel();
    raft.shutdown().await;
    let _ = tokio::task::spawn_blocking(move || api_thread.join()).await;
    Ok(code)
}

/// What no further try can mend: said once, and the parent ends the node instead of starting this again and again.
fn refuse(error: &StartError) -> ExitCode {
    eprintln!("paceline: {error}");
    ExitCode::from(crate::serve::EXIT_FATAL)
}

/// Connections that the kernel may hold before they are accepted: with fewer, those that a crowd of strangers leaves no
/// place for are tried again by their clients after a second. The kernel has a limit of its own, `net.core.somaxconn`.
const BACKLOG: u32 = 4_096;

fn bind(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| format!("can't listen on {address} ({what}); is another paceline running here?"))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves the public API from a runtime of its own.
fn start_api_thread(
    listener: TcpListener,
    routes: Router,
    bounds: Bounds,
    stop: CancellationToken,
) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let listener = listener.into_std().context("can't hand over the API's listener")?;
    std::thread::Builder::new()
        .name("api".to_owned())
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!(%error, "can't start the API's runtime"),
            };
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => http::serve(listener, routes, bounds, stop).await,
                    Err(error) => tracing::error!(%error, "can't serve the API"),
                }
            });
        })
        .context("can't start the API's thread")
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
