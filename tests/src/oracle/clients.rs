//! Clients that read, write, and compare and swap the same keys, and record what they did and were told.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{ANSWER_LIMIT, index_of, says_unknown};
use crate::history::{CHANGED, Function, History, Recorder, Value};
use crate::http::{self, Answer, Request};
use crate::nemesis::Random;
use crate::wait::{monotonic_ns, pause};

/// Clients at a time: the search for an order takes exponential time in them.
const CLIENTS_MAX: usize = 10;
/// Keys that clients go round at a time.
const KEYS: u64 = 4;
/// Operations on a key before its place is taken by a new one, so that each key's history stays short.
const OPERATIONS_A_KEY: u64 = 250;

/// Clients that run until they are stopped.
#[derive(Debug)]
pub struct Clients {
    stop: Arc<AtomicBool>,
    recorder: Recorder,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts so many clients, ten at most, spread over the servers; the keys are attributes of these nodes.
    ///
    /// # Panics
    /// Where no server or no node is named.
    #[must_use]
    pub fn start(count: usize, servers: &[SocketAddr], nodes: &[&str], seed: u64) -> Self {
        assert!(
            !servers.is_empty() && !nodes.is_empty(),
            "clients need a server and a node"
        );
        let stop = Arc::new(AtomicBool::new(false));
        let recorder = Recorder::default();
        let operations = Arc::new(AtomicU64::new(0));
        // Keys and request ids of one run are never those of another.
        let run = monotonic_ns() / 1_000_000;
        let threads = (0..count.min(CLIENTS_MAX))
            .map(|number| {
                let client = Client {
                    run,
                    server: number,
                    servers: servers.to_vec(),
                    nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
                    random: Random::new(seed ^ (number as u64) << 32),
                    recorder: recorder.clone(),
                    process: recorder.process(),
                    operations: Arc::clone(&operations),
                    seen_index: 0,
                    requests: 0,
                    acknowledged: None,
                };
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || client.run(&stop))
            })
            .collect();
        Self {
            stop,
            recorder,
            threads,
        }
    }

    /// What they did so far.
    #[must_use]
    pub fn history(&self) -> History {
        self.recorder.history()
    }

    /// Stops them and answers what they did.
    #[must_use]
    pub fn stop(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
        self.recorder.history()
    }
}

/// A request that changes something, as often as it is sent.
#[derive(Clone, Debug)]
struct Change {
    key: String,
    path: String,
    value: String,
    id: String,
    expect: Option<u64>,
    index: u64,
}

/// What came of a request.
enum Told {
    Done(u64),
    Refused(u16),
    Unknown,
}

struct Client {
    run: u64,
    server: usize,
    servers: Vec<SocketAddr>,
    nodes: Vec<String>,
    random: Random,
    recorder: Recorder,
    process: u64,
    operations: Arc<AtomicU64>,
    /// The highest index of any answer: whatever it has read since is not older.
    seen_index: u64,
    requests: u64,
    acknowledged: Option<Change>,
}

impl Client {
    fn run(mut self, stop: &AtomicBool) {
        self.seen_index = self.present_index();
        while !stop.load(Ordering::Relaxed) {
            let (key, path) = self.next_key();
            let went_well = match self.random.below(20) {
                0..=5 => self.read(&key, &path).is_some(),
                6 | 7 => self.stale_read(&key, &path),
                8..=11 => self.write(key, path),
                12..=18 => self.swap(key, path),
                _ => self.again(),
            };
            if !went_well {
                self.server += 1;
                pause(Duration::from_millis(5), "a client that is refused does not hammer");
            }
        }
    }

    /// The index that the cluster has reached, 0 where nobody says. Of a key that is not there a server knows only when any
    /// key of that node was last removed: a swap that expects an older index is refused, whatever this key has seen.
    fn present_index(&self) -> u64 {
        let answer = self.send("GET", "/v1/status", &[], "").ok();
        let index = answer.and_then(|answer| answer.header("x-index")?.parse::<u64>().ok());
        index.unwrap_or(0)
    }

    fn next_key(&mut self) -> (String, String) {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        let slot = self.random.below(KEYS);
        let generation = number / (OPERATIONS_A_KEY * KEYS);
        let place = usize::try_from(generation + slot).unwrap_or(0) % self.nodes.len();
        let key = format!("x{}-{generation}-{slot}", self.run);
        let path = format!("/v1/nodes/{}/attributes/{key}", self.nodes[place]);
        (key, path)
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> std::io::Result<Answer> {
        let request = Request {
            method,
            path,
            headers,
            body: body.as_bytes(),
            limit: ANSWER_LIMIT,
        };
        http::send(self.servers[self.server % self.servers.len()], &request)
    }

    /// The value that was read, and none in it where the key is not there. None: it was not answered.
    fn read(&mut self, key: &str, path: &str) -> Option<Option<String>> {
        self.recorder
            .invoke(self.process, Function::Read, key, Value::Nothing(()));
        let answer = self.ask(path);
        self.note_read(Function::Read, key, answer)
    }

    fn stale_read(&mut self, key: &str, path: &str) -> bool {
        self.recorder
            .invoke(self.process, Function::StaleRead, key, Value::Nothing(()));
        let answer = self.ask(&format!("{path}?consistency=local"));
        self.note_read(Function::StaleRead, key, answer).is_some()
    }

    fn ask(&self, path: &str) -> Option<(Option<String>, Option<u64>)> {
        let answer = self.send("GET", path, &[], "").ok()?;
        let index = answer.header("x-index").and_then(|text| text.parse().ok());
        match answer.status {
            200 => Some((Some(answer.json().ok()?), index)),
            404 => Some((None, index)),
            _ => None,
        }
    }

    fn note_read(
        &mut self,
        f: Function,
        key: &str,
        answer: Option<(Option<String>, Option<u64>)>,
    ) -> Option<Option<String>> {
        match answer {
            Some((value, index)) => {
                self.recorder
                    .ok(self.process, f, key, Value::read(value.clone()), index);
                if f == Function::Read {
                    self.seen_index = self.seen_index.max(index.unwrap_or(0));
                }
                Some(value)
            }
            None => {
                // A read has no effect, so that one without an answer is as good as refused.
                self.recorder
                    .fail(self.process, f, key, Value::Nothing(()), "no answer");
                None
            }
        }
    }

    fn write(&mut self, key: String, path: String) -> bool {
        let change = self.change(key, path, None);
        self.make(Function::Write, Value::One(change.value.clone()), change)
    }

    fn swap(&mut self, key: String, path: String) -> bool {
        // Before the read: whatever changes the key between this index and the swap refuses it.
        let since = self.seen_index;
        let Some(from) = self.read(&key, &path) else {
            return false;
        };
        // Of a key that is there the read's own index is known, of one that is not only an older one.
        let expect = if from.is_some() { self.seen_index } else { since };
        let change = self.change(key, path, Some(expect));
        let value = Value::Swap(from, change.value.clone());
        self.make(Function::Cas, value, change)
    }

    fn change(&mut self, key: String, path: String, expect: Option<u64>) -> Change {
        self.requests += 1;
        // Of the process, since no two clients have one of the same number.
        let value = format!("{}-{}", self.process, self.requests);
        Change {
            id: format!("{}-{key}-{value}", self.run),
            key,
            path,
            value,
            expect,
            index: 0,
        }
    }

    fn make(&mut self, f: Function, value: Value, mut change: Change) -> bool {
        self.recorder.invoke(self.process, f, &change.key, value.clone());
        let mut told = self.put(&change);
        if matches!(told, Told::Unknown) && self.random.below(2) == 0 {
            // The same request once more, elsewhere: it must take effect once. Only a definite answer says more than before.
            self.server += 1;
            match (self.put(&change), f) {
                (Told::Done(index), _) => told = Told::Done(index),
                (Told::Refused(412), Function::Cas) => told = Told::Refused(412),
                _ => {}
            }
        }
        match told {
            Told::Done(index) => self.recorder.ok(self.process, f, &change.key, value, Some(index)),
            Told::Refused(412) => self.recorder.fail(self.process, f, &change.key, value, CHANGED),
            Told::Refused(status) => {
                let error = status.to_string();
                self.recorder.fail(self.process, f, &change.key, value, &error);
            }
            Told::Unknown => self.recorder.info(self.process, f, &change.key, value),
        }
        match told {
            Told::Done(index) => {
                self.seen_index = self.seen_index.max(index);
                change.index = index;
                self.acknowledged = Some(change);
                true
            }
            Told::Refused(412) => true,
            Told::Refused(_) => false,
            Told::Unknown => {
                self.process = self.recorder.process();
                false
            }
        }
    }

    /// Sends what was acknowledged once more: it must be answered with the same index, and have no effect.
    fn again(&mut self) -> bool {
        let Some(change) = self.acknowledged.take() else {
            return true;
        };
        let value = Value::One(change.value.clone());
        self.recorder
            .invoke(self.process, Function::Again, &change.key, value.clone());
        match self.put(&change) {
            Told::Done(index) => {
                self.recorder
                    .ok(self.process, Function::Again, &change.key, value, Some(index));
                true
            }
            // A second sending has no effect whatever becomes of it.
            Told::Refused(status) => {
                let error = status.to_string();
                self.recorder
                    .fail(self.process, Function::Again, &change.key, value, &error);
                false
            }
            Told::Unknown => {
                self.recorder
                    .fail(self.process, Function::Again, &change.key, value, "no answer");
                false
            }
        }
    }

    fn put(&self, change: &Change) -> Told {
        let expect = change.expect.map(|index| index.to_string());
        let mut headers = vec![
            ("content-type", "application/json"),
            ("idempotency-key", change.id.as_str()),
        ];
        headers.extend(expect.as_deref().map(|index| ("if-match", index)));
        match self.send("PUT", &change.path, &headers, &format!("\"{}\"", change.value)) {
            Ok(answer) if answer.status == 200 => index_of(&answer).map_or(Told::Unknown, Told::Done),
            Ok(answer) if says_unknown(&answer) => Told::Unknown,
            Ok(answer) => Told::Refused(answer.status),
            // It was never sent.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Told::Refused(0),
            Err(_) => Told::Unknown,
        }
    }
}
