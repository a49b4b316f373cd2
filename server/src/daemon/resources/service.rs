//! Services: probes that the node file names under `[monitor.service]`, each asked at its interval.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use client::wire::definition::ProbeDefinition;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::daemon::core::Condition;
use crate::daemon::event::DaemonEvent;
use crate::daemon::probes;

/// Keeps a task for each service that is looked at.
pub(super) async fn look(
    mut names: watch::Receiver<BTreeSet<String>>,
    events: mpsc::Sender<DaemonEvent>,
    http: reqwest::Client,
    services: BTreeMap<String, ProbeDefinition>,
) {
    let mut tasks: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
    loop {
        let wanted = names.borrow_and_update().clone();
        // Whoever asks anew wants to hear of all of them: every task begins again.
        for task in std::mem::take(&mut tasks).into_values() {
            task.abort();
        }
        for name in wanted {
            let Some(service) = name.strip_prefix("service:") else {
                continue;
            };
            match services.get(service) {
                Some(probe) => {
                    let task = ask(name.clone(), probe.clone(), events.clone(), http.clone());
                    tasks.insert(name, tokio::spawn(task));
                }
                None => {
                    let detail = format!("the node file names no [monitor.service.{service}]");
                    if say(&events, &name, Condition { up: false, detail }).await.is_err() {
                        return;
                    }
                }
            }
        }
        if names.changed().await.is_err() {
            return;
        }
    }
}

/// Asks one service for ever. It is down after as many failures in a row as its probe allows, and up after one success.
async fn ask(name: String, probe: ProbeDefinition, events: mpsc::Sender<DaemonEvent>, http: reqwest::Client) {
    let mut failures = 0_u32;
    let mut last: Option<bool> = None;
    loop {
        let answer = match &probe.exec {
            Some(command) => run(command, Duration::from_millis(probe.timeout.ms)).await,
            None => probes::once(&http, &probe).await,
        };
        let condition = match answer {
            Ok(()) => {
                failures = 0;
                Some(Condition {
                    up: true,
                    detail: String::new(),
                })
            }
            Err(detail) => {
                failures = failures.saturating_add(1);
                (failures >= probe.failures || last.is_none()).then_some(Condition { up: false, detail })
            }
        };
        if let Some(condition) = condition
            && last != Some(condition.up)
        {
            last = Some(condition.up);
            if say(&events, &name, condition).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(probe.interval.ms)).await;
    }
}

async fn say(events: &mpsc::Sender<DaemonEvent>, name: &str, condition: Condition) -> Result<(), ()> {
    let found = BTreeMap::from([(name.to_owned(), condition)]);
    events.send(DaemonEvent::Looked(found)).await.map_err(drop)
}

/// A program that exits with 0 in time.
async fn run(command: &[String], timeout: Duration) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else {
        return Err("the probe names no program".to_owned());
    };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| format!("{program}: {error}"))?;
    match tokio::time::timeout(timeout, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program}: {status}")),
        Ok(Err(error)) => Err(format!("{program}: {error}")),
        Err(_) => Err(format!("{program} did not end within {} ms", timeout.as_millis())),
    }
}
