//! Requests to servers, each in a task of its own; answers come back as events. Retries are the core's business.

use std::time::Duration;

use client::wire::daemon::{Extend, Leave, Register, Registered, Renew, Renewed, Report, Reported, Waited};
use client::wire::error::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use super::event::DaemonEvent;
use super::probes::root_cause;

/// A renewal that took longer is of no use any more.
const RENEW_WAIT: Duration = Duration::from_millis(1_000);
/// A change is in the log by then, or its server has lost the leader.
const CHANGE_WAIT: Duration = Duration::from_millis(2_000);
/// To be connected: servers are near.
const CONNECT_WAIT: Duration = Duration::from_millis(500);
/// How long one question for a newer desired set is held.
const HINT_WAIT_MS: u64 = 20_000;
/// Between two such questions where the first failed or told nothing new.
const HINT_PAUSE: Duration = Duration::from_millis(100);

/// Why a request has no answer.
struct Failure {
    code: String,
    detail: String,
}

/// What the daemon watches for: server, node, generation.
pub type Watched = Option<(String, u64, u64)>;

/// Speaks with servers.
#[derive(Clone)]
pub struct ServerLink {
    http: reqwest::Client,
    events: mpsc::Sender<DaemonEvent>,
}

impl ServerLink {
    /// A link without connections.
    ///
    /// # Errors
    /// Where the HTTP client can't be made.
    pub fn new(events: mpsc::Sender<DaemonEvent>) -> Result<Self, reqwest::Error> {
        // Connections are kept: a renewal must not wait for a handshake.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_WAIT)
            .tcp_nodelay(true)
            .no_proxy()
            .build()?;
        Ok(Self { http, events })
    }

    /// The client, for probes.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// `POST register`.
    pub fn register(&self, server: String, request: Register) {
        let link = self.clone();
        tokio::spawn(async move {
            let event = match link
                .post::<_, Registered>(&server, "register", &request, CHANGE_WAIT)
                .await
            {
                Ok(answer) => DaemonEvent::Registered(Box::new(answer)),
                Err(Failure { code, detail }) => {
                    if code != "unreachable" {
                        tracing::warn!(server, code, detail, "can't register");
                    }
                    DaemonEvent::RegisterFailed { code, detail }
                }
            };
            let _ = link.events.send(event).await;
        });
    }

    /// `POST renew`.
    pub fn renew(&self, server: String, request: Renew) {
        let link = self.clone();
        let session = request.session;
        tokio::spawn(async move {
            let event = match link.post::<_, Renewed>(&server, "renew", &request, RENEW_WAIT).await {
                Ok(answer) => DaemonEvent::Renewed {
                    server,
                    answer: Box::new(answer),
                },
                Err(Failure { code, detail }) => {
                    tracing::debug!(server, code, detail, "a renewal was not answered");
                    DaemonEvent::RenewFailed { session, code }
                }
            };
            let _ = link.events.send(event).await;
        });
    }

    /// `POST report`.
    pub fn report(&self, server: String, request: Report) {
        let link = self.clone();
        let session = request.session;
        tokio::spawn(async move {
            let event = match link.post::<_, Reported>(&server, "report", &request, CHANGE_WAIT).await {
                Ok(answer) => DaemonEvent::Reported {
                    session,
                    sequence: request.sequence,
                    generation: answer.generation,
                },
                Err(Failure { code, detail }) => {
                    tracing::warn!(server, code, detail, "a report was not taken; it is sent again");
                    DaemonEvent::ReportFailed { session, code, detail }
                }
            };
            let _ = link.events.send(event).await;
        });
    }

    /// `POST extend`.
    pub fn extend(&self, server: String, request: Extend) {
        let link = self.clone();
        tokio::spawn(async move {
            let event = match link.post::<_, Reported>(&server, "extend", &request, CHANGE_WAIT).await {
                Ok(_) => DaemonEvent::Extended,
                Err(Failure { code, detail }) => {
                    tracing::warn!(server, code, detail, "the lease was not extended");
                    DaemonEvent::ExtendFailed
                }
            };
            let _ = link.events.send(event).await;
        });
    }

    /// `POST leave`.
    pub fn leave(&self, server: String, request: Leave) {
        let link = self.clone();
        tokio::spawn(async move {
            if let Err(Failure { code, detail }) =
                link.post::<_, Reported>(&server, "leave", &request, CHANGE_WAIT).await
            {
                tracing::warn!(
                    server,
                    code,
                    detail,
                    "the end of the session was not taken; it ends with its lease"
                );
            }
            let _ = link.events.send(DaemonEvent::Left).await;
        });
    }

    /// Asks for a newer desired set for as long as the daemon lives. The answer is only a hint to renew at once.
    pub async fn hints(self, mut watched: watch::Receiver<Watched>) {
        loop {
            let target = watched.borrow_and_update().clone();
            let Some((server, node, generation)) = target else {
                if watched.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let asked = self.wait(&server, node, generation);
            tokio::select! {
                newer = asked => {
                    let newer = newer.filter(|newer| *newer > generation);
                    match newer {
                        Some(generation) => {
                            let _ = self.events.send(DaemonEvent::Hint { generation }).await;
                            // The renewal that follows brings the set, and with it a new generation to wait for.
                            let _ = tokio::time::timeout(HINT_PAUSE, watched.changed()).await;
                        }
                        None => tokio::time::sleep(HINT_PAUSE).await,
                    }
                }
                changed = watched.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn wait(&self, server: &str, node: u64, generation: u64) -> Option<u64> {
        let url = format!("http://{server}/daemon/v1/wait?node={node}&generation={generation}&wait_ms={HINT_WAIT_MS}");
        let limit = Duration::from_millis(HINT_WAIT_MS) + CHANGE_WAIT;
        let answer = self.http.get(url).timeout(limit).send().await.ok()?;
        answer.json::<Waited>().await.ok().map(|waited| waited.generation)
    }

    async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        server: &str,
        name: &str,
        request: &Q,
        wait: Duration,
    ) -> Result<A, Failure> {
        let unreachable = |error: reqwest::Error| Failure {
            code: "unreachable".to_owned(),
            detail: root_cause(&error),
        };
        let url = format!("http://{server}/daemon/v1/{name}");
        let answer = self
            .http
            .post(url)
            .timeout(wait)
            .json(request)
            .send()
            .await
            .map_err(unreachable)?;
        if answer.status().is_success() {
            return answer.json().await.map_err(unreachable);
        }
        let status = answer.status();
        match answer.json::<Problem>().await {
            Ok(problem) => Err(Failure {
                code: problem.code,
                detail: problem.detail,
            }),
            Err(_) => Err(Failure {
                code: "unreachable".to_owned(),
                detail: format!("{server} answered {status} without a reason"),
            }),
        }
    }
}
