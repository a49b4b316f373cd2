//! What clients were told: writers that record every attempt and every answer, to be compared with what is there later,
//! and [`Clients`] that share keys and record a history.

mod clients;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::http::{self, Request};
use crate::wait::{monotonic_ns, pause};

pub use clients::Clients;

/// Keys that one writer goes round: few enough that each is overwritten often.
const KEYS_A_WRITER: u64 = 4;
/// A writer gives up on an answer after this and calls the outcome unknown.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What a writer knows of one of its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged with this index.
    Done {
        /// The index.
        index: u64,
    },
    /// Refused: it has no effect.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// No answer: it may have an effect, now or later.
    Unknown,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The attribute's key.
    pub key: String,
    /// The value: grows with each write of its writer.
    pub value: u64,
    /// When it was sent, CLOCK_MONOTONIC.
    pub sent_ns: u64,
    /// When the answer was complete, or was given up on.
    pub answered_ns: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// Writers that run until they are stopped.
#[derive(Debug)]
pub struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Write>>>,
}

impl Writers {
    /// Starts so many writers of attributes of `node`, spread over the servers. Each goes on to the next server when
    /// one does not answer.
    #[must_use]
    pub fn start(count: usize, servers: &[SocketAddr], node: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let run = monotonic_ns();
        let threads = (0..count)
            .map(|number| {
                let writer = Writer {
                    number,
                    run,
                    servers: servers.to_vec(),
                    node: node.to_owned(),
                    stop: Arc::clone(&stop),
                };
                std::thread::spawn(move || writer.run())
            })
            .collect();
        Self { stop, threads }
    }

    /// Stops them and answers every write that they attempted.
    #[must_use]
    pub fn stop(self) -> Vec<Write> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .flat_map(|t| t.join().unwrap_or_default())
            .collect()
    }
}

struct Writer {
    number: usize,
    /// Tells writers of one round from those of the next: the same idempotency key would have no second effect.
    run: u64,
    servers: Vec<SocketAddr>,
    node: String,
    stop: Arc<AtomicBool>,
}

impl Writer {
    fn run(self) -> Vec<Write> {
        let mut writes = Vec::new();
        let mut server = self.number;
        let mut value = 0;
        while !self.stop.load(Ordering::Relaxed) {
            value += 1;
            let write = self.write(self.servers[server % self.servers.len()], value);
            if !matches!(write.outcome, Outcome::Done { .. }) {
                server += 1;
                pause(Duration::from_millis(5), "a client that is refused does not hammer");
            }
            writes.push(write);
        }
        writes
    }

    fn write(&self, server: SocketAddr, value: u64) -> Write {
        let key = format!("w{}-{}", self.number, value % KEYS_A_WRITER);
        let path = format!("/v1/nodes/{}/attributes/{key}", self.node);
        let id = format!("{}-{key}-{value}", self.run);
        let headers = [("content-type", "application/json"), ("idempotency-key", id.as_str())];
        let body = format!("\"{value}\"");
        let request = Request {
            method: "PUT",
            path: &path,
            headers: &headers,
            body: body.as_bytes(),
            limit: ANSWER_LIMIT,
        };
        let sent_ns = monotonic_ns();
        let answer = http::send(server, &request);
        let answered_ns = monotonic_ns();
        let outcome = match answer {
            Ok(answer) if answer.status == 200 => {
                index_of(&answer).map_or(Outcome::Unknown, |index| Outcome::Done { index })
            }
            Ok(answer) if says_unknown(&answer) => Outcome::Unknown,
            Ok(answer) => Outcome::Refused { status: answer.status },
            Err(_) => Outcome::Unknown,
        };
        Write {
            key,
            value,
            sent_ns,
            answered_ns,
            outcome,
        }
    }
}

fn index_of(answer: &http::Answer) -> Option<u64> {
    answer.json::<client::wire::plan::Done>().ok().map(|done| done.index)
}

/// A 5xx that does not promise that nothing was done: the outcome is unknown.
fn says_unknown(answer: &http::Answer) -> bool {
    let problem = answer.json::<client::wire::error::Problem>().ok();
    answer.status >= 500 && problem.is_none_or(|p| p.code != "no_quorum" && p.code != "not_ready")
}
