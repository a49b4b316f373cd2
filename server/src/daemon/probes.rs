//! Probes over the network. Programs that probe run beside the package, under its supervisor, and not here.

use std::time::Duration;

use client::wire::definition::ProbeDefinition;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::event::DaemonEvent;
use super::instance::InstanceKey;

/// Asks once, in a task of its own; the answer comes as an event.
pub fn ask(
    http: &reqwest::Client,
    events: &mpsc::Sender<DaemonEvent>,
    key: InstanceKey,
    serial: u64,
    probe: ProbeDefinition,
) {
    let (http, events) = (http.clone(), events.clone());
    tokio::spawn(async move {
        let error = once(&http, &probe).await.err();
        let _ = events.send(DaemonEvent::Probed { key, serial, error }).await;
    });
}

/// Asks once, for as long as the probe allows.
pub(super) async fn once(http: &reqwest::Client, probe: &ProbeDefinition) -> Result<(), String> {
    match tokio::time::timeout(Duration::from_millis(probe.timeout.ms), answer(http, probe)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} ms", probe.timeout.ms)),
    }
}

async fn answer(http: &reqwest::Client, probe: &ProbeDefinition) -> Result<(), String> {
    if let Some(address) = &probe.tcp {
        return TcpStream::connect(address)
            .await
            .map(drop)
            .map_err(|error| format!("{address}: {error}"));
    }
    if let Some(url) = &probe.http {
        let answer = http
            .get(url)
            .send()
            .await
            .map_err(|error| format!("{url}: {}", root_cause(&error)))?;
        let status = answer.status();
        return if status.is_success() || status.is_redirection() {
            Ok(())
        } else {
            Err(format!("{url} answered {status}"))
        };
    }
    Err("the probe names neither exec, tcp nor http".to_owned())
}

/// The innermost source says what happened; the outer ones only say that a request failed.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
