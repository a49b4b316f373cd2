//! Getting one request answered by any of several servers.
//!
//! A request goes to the server that answered last, then to the others in turn, and round again for a while. That is safe
//! for changes because each carries an `Idempotency-Key` that stays the same through all its attempts: it takes effect
//! once however often it arrives.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, IF_MATCH, RETRY_AFTER};
use reqwest::{Method, StatusCode};

use crate::error::{ClientError, Tried};
use crate::wire::error::Problem;

/// How long connecting to one server may take: the next one may be alive.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one server may take to answer, beyond what the request asks it to hold the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long servers that answer without a quorum, or break off, are asked again: an election takes less than a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long servers that can't be connected to are asked again: longer only delays the news.
const PATIENCE_UNREACHABLE: Duration = Duration::from_millis(800);
/// Pauses between rounds start here and double.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// The longest pause between rounds that no server asked for.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// The longest pause that a server can ask for by `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// An idle connection is dropped after this: a restarted server must not cost a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is sent as the body.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// Nothing.
    None,
    /// JSON.
    Json(Vec<u8>),
    /// A cluster file.
    Toml(String),
}

/// One request, as it is sent to whichever server answers.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// With its query string.
    pub(crate) target: String,
    pub(crate) payload: Payload,
    /// The idempotency key of a change.
    pub(crate) key: Option<String>,
    pub(crate) if_match: Option<u64>,
    /// How long the server was asked to hold its answer.
    pub(crate) hold: Duration,
}

/// An answer that is not a refusal.
#[derive(Clone, Debug)]
pub(crate) struct RawAnswer {
    pub(crate) endpoint: String,
    pub(crate) index: Option<u64>,
    pub(crate) body: Vec<u8>,
}

/// The servers and how to reach them.
#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    endpoints: Vec<String>,
    /// The one that answered last.
    preferred: AtomicUsize,
    patience: Duration,
}

/// What one server did with a request.
enum Attempt {
    Answered(RawAnswer),
    /// Any other server would say the same.
    Refused(Problem),
    /// Another server, or the same one later, may do better.
    Later {
        failure: Failure,
        pause: Option<Duration>,
    },
}

/// Why an attempt was in vain.
enum Failure {
    /// It never reached the server.
    NotSent(String),
    /// It may have arrived.
    Lost(String),
    /// The server can't do it now, and has done nothing.
    Unable(Problem),
    /// The server itself does not know.
    Unknown(Problem),
}

impl Transport {
    /// Takes addresses like `http://10.0.0.1:7400` or `10.0.0.1:7400`.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`] for a text that is no address.
    pub(crate) fn new(endpoints: &[String], patience: Duration) -> Result<Self, ClientError> {
        let endpoints: Vec<String> = endpoints.iter().map(|text| endpoint(text)).collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            let problem = "expected at least one address, like http://10.0.0.1:7400";
            return Err(ClientError::Endpoint {
                text: String::new(),
                problem,
            });
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()
            .map_err(|error| ClientError::Setup(chain(&error)))?;
        Ok(Self {
            http,
            endpoints,
            preferred: AtomicUsize::new(0),
            patience,
        })
    }

    /// The addresses, as they are asked.
    pub(crate) fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Has the request answered.
    ///
    /// # Errors
    /// See [`ClientError`]: refused, no quorum, unknown, or unreachable.
    pub(crate) async fn send(&self, request: &Request) -> Result<RawAnswer, ClientError> {
        let mut first_failure: Option<Instant> = None;
        let mut pause = PAUSE_FIRST;
        // Once a change may have arrived somewhere, only an answer can say what became of it.
        let mut maybe_made = false;
        loop {
            let mut tried = Vec::new();
            let mut unable = None;
            let mut reached = false;
            let mut asked_pause: Option<Duration> = None;
            let first = self.preferred.load(Ordering::Relaxed);
            for offset in 0..self.endpoints.len() {
                let position = (first + offset) % self.endpoints.len();
                match self.attempt(position, request).await {
                    Attempt::Answered(answer) => {
                        self.preferred.store(position, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Attempt::Refused(problem) => {
                        self.preferred.store(position, Ordering::Relaxed);
                        return Err(ClientError::Refused(Box::new(problem)));
                    }
                    Attempt::Later { failure, pause } => {
                        first_failure.get_or_insert_with(Instant::now);
                        asked_pause = asked_pause.max(pause);
                        let text = match failure {
                            Failure::NotSent(text) => text,
                            Failure::Lost(text) => {
                                maybe_made |= request.key.is_some();
                                reached = true;
                                text
                            }
                            Failure::Unable(problem) => {
                                reached = true;
                                let text = problem.detail.clone();
                                unable = Some(problem);
                                text
                            }
                            Failure::Unknown(problem) => {
                                maybe_made |= request.key.is_some();
                                reached = true;
                                problem.detail
                            }
                        };
                        tried.push(Tried {
                            endpoint: self.endpoints[position].clone(),
                            failure: text,
                        });
                    }
                }
            }
            let patience = if reached || maybe_made {
                self.patience
            } else {
                self.patience.min(PATIENCE_UNREACHABLE)
            };
            if first_failure.is_some_and(|since| since.elapsed() >= patience) {
                return Err(match (maybe_made, unable) {
                    (true, _) => ClientError::Unknown { tried },
                    (false, Some(problem)) if problem.status == 503 => ClientError::NoQuorum(Box::new(problem)),
                    (false, Some(problem)) => ClientError::Refused(Box::new(problem)),
                    (false, None) => ClientError::Unreachable { tried },
                });
            }
            tokio::time::sleep(asked_pause.unwrap_or(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Opens a stream at the first server that gives one: each is asked once, and whoever wants more asks again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub(crate) async fn stream(&self, target: &str) -> Result<reqwest::Response, ClientError> {
        let (mut tried, mut unable) = (Vec::new(), None);
        let first = self.preferred.load(Ordering::Relaxed);
        for offset in 0..self.endpoints.len() {
            let position = (first + offset) % self.endpoints.len();
            let endpoint = &self.endpoints[position];
            let asked = tokio::time::timeout(ANSWER_TIMEOUT, self.http.get(format!("{endpoint}{target}")).send());
            let failure = match asked.await {
                Ok(Ok(response)) if response.status().is_success() => {
                    self.preferred.store(position, Ordering::Relaxed);
                    return Ok(response);
                }
                Ok(Ok(response)) => {
                    let status = response.status();
                    let body = response.bytes().await.unwrap_or_default();
                    let problem = problem(status, &body);
                    if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                        return Err(ClientError::Refused(Box::new(problem)));
                    }
                    let detail = problem.detail.clone();
                    unable = Some(problem);
                    detail
                }
                Ok(Err(error)) => chain(&error),
                Err(_) => "it did not answer in time".to_owned(),
            };
            tried.push(Tried {
                endpoint: endpoint.clone(),
                failure,
            });
        }
        Err(match unable {
            Some(problem) if problem.status == 503 => ClientError::NoQuorum(Box::new(problem)),
            Some(problem) => ClientError::Refused(Box::new(problem)),
            None => ClientError::Unreachable { tried },
        })
    }

    /// The server that answered last has broken off: the next one is asked first.
    pub(crate) fn prefer_next(&self) {
        let next = (self.preferred.load(Ordering::Relaxed) + 1) % self.endpoints.len();
        self.preferred.store(next, Ordering::Relaxed);
    }

    async fn attempt(&self, position: usize, request: &Request) -> Attempt {
        let endpoint = &self.endpoints[position];
        let mut builder = self
            .http
            .request(request.method.clone(), format!("{endpoint}{}", request.target))
            .timeout(ANSWER_TIMEOUT + request.hold);
        if let Some(key) = &request.key {
            builder = builder.header("idempotency-key", key);
        }
        if let Some(index) = request.if_match {
            builder = builder.header(IF_MATCH, format!("\"{index}\""));
        }
        builder = match &request.payload {
            Payload::None => builder,
            Payload::Json(bytes) => builder.header(CONTENT_TYPE, "application/json").body(bytes.clone()),
            Payload::Toml(text) => builder.header(CONTENT_TYPE, "application/toml").body(text.clone()),
        };
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return Attempt::Later {
                    failure: Failure::NotSent(chain(&error)),
                    pause: None,
                };
            }
            Err(error) => {
                return Attempt::Later {
                    failure: Failure::Lost(chain(&error)),
                    pause: None,
                };
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match response.bytes().await {
            Ok(bytes) => bytes.to_vec(),
            Err(error) => {
                return Attempt::Later {
                    failure: Failure::Lost(chain(&error)),
                    pause: None,
                };
            }
        };
        if status.is_success() {
            let index = headers
                .get("x-index")
                .and_then(|value| value.to_str().ok()?.parse().ok());
            return Attempt::Answered(RawAnswer {
                endpoint: endpoint.clone(),
                index,
                body,
            });
        }
        refusal(status, &headers, problem(status, &body))
    }
}

/// What a refusal means for the other servers.
fn refusal(status: StatusCode, headers: &HeaderMap, problem: Problem) -> Attempt {
    if problem.code == "outcome_unknown" || status == StatusCode::GATEWAY_TIMEOUT || status == StatusCode::BAD_GATEWAY {
        return Attempt::Later {
            failure: Failure::Unknown(problem),
            pause: None,
        };
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let pause = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
        return Attempt::Later {
            failure: Failure::Unable(problem),
            pause,
        };
    }
    // 503 names a pause too, for those who know one server only; here the next one is asked at once.
    if status.is_server_error() {
        return Attempt::Later {
            failure: Failure::Unable(problem),
            pause: None,
        };
    }
    Attempt::Refused(problem)
}

fn problem(status: StatusCode, body: &[u8]) -> Problem {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let detail = format!("the server answered {status} without saying why: is it a paceline server?");
        Problem::new(
            status.as_u16(),
            status.canonical_reason().unwrap_or("Error"),
            "unreadable",
            detail,
        )
    })
}

fn endpoint(text: &str) -> Result<String, ClientError> {
    let text = text.trim();
    let wrong = |problem| {
        Err(ClientError::Endpoint {
            text: text.to_owned(),
            problem,
        })
    };
    if text.starts_with("https://") {
        return wrong("https is not supported by this version yet; use http://HOST:PORT in a closed network");
    }
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    match reqwest::Url::parse(&full) {
        Ok(url) if url.scheme() == "http" && url.has_host() && matches!(url.path(), "" | "/") => {
            Ok(full.trim_end_matches('/').to_owned())
        }
        _ => wrong("expected http://HOST:PORT, like http://10.0.0.1:7400"),
    }
}

/// The reason at the bottom of an error: what stands above it only repeats the address.
fn chain(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
