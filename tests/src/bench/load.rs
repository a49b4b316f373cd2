//! A closed-loop load generator over HTTP/1.1 keep-alive that costs little: one thread, one task a client, requests
//! put together once, answers read only as far as their length needs. The same for every system that is compared.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use super::report::Sample;

/// A client that gets no answer for so long calls the request lost and connects anew.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Room for an answer's head and small body.
const ANSWER_BYTES: usize = 8 * 1024;

/// Makes the bytes of request `n` of a client. Called outside of what is measured as little as possible: keep it cheap.
pub type MakeRequest = Arc<dyn Fn(usize, u64, &mut Vec<u8>) + Send + Sync>;

/// What a run is made of.
#[derive(Clone)]
pub struct Load {
    /// Clients that each wait for an answer before the next request.
    pub clients: usize,
    /// Client n talks to server n modulo their number.
    pub servers: Vec<SocketAddr>,
    /// Not measured at first: connections, caches, batches settle.
    pub warm_up: Duration,
    /// What is measured.
    pub measure: Duration,
    /// (client, request number, buffer).
    pub request: MakeRequest,
}

/// What came out of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Acknowledged (200 or 201) within the measured time.
    pub done: u64,
    /// Answered otherwise, or not at all.
    pub failed: u64,
    /// The first failure in words.
    pub first_failure: Option<String>,
    /// The measured time.
    pub elapsed: Duration,
    /// Latencies of what was acknowledged, in microseconds.
    pub latency_us: Sample,
}

impl Outcome {
    /// Acknowledged a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs the load on a thread of its own and calls `at_start` and `at_end` around the measured time.
///
/// # Errors
/// Where no client could connect.
pub fn run(load: &Load, at_start: impl FnOnce(), at_end: impl FnOnce()) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(drive(load, at_start, at_end))
}

async fn drive(load: &Load, at_start: impl FnOnce(), at_end: impl FnOnce()) -> anyhow::Result<Outcome> {
    let barrier = Arc::new(Barrier::new(load.clients + 1));
    let mut tasks = Vec::with_capacity(load.clients);
    for number in 0..load.clients {
        let mut client = Client::new(number, load)?;
        let (barrier, warm_up, measure) = (Arc::clone(&barrier), load.warm_up, load.measure);
        tasks.push(tokio::spawn(async move {
            let connected = client.connect().await;
            barrier.wait().await;
            connected?;
            client.work(warm_up, measure).await
        }));
    }
    barrier.wait().await;
    tokio::time::sleep(load.warm_up).await;
    at_start();
    tokio::time::sleep(load.measure).await;
    at_end();
    let mut outcome = Outcome {
        done: 0,
        failed: 0,
        first_failure: None,
        elapsed: load.measure,
        latency_us: Sample::default(),
    };
    let mut latencies = Vec::new();
    for task in tasks {
        let counted = task.await?.context("a client could not connect")?;
        outcome.failed += counted.failed;
        outcome.first_failure = outcome.first_failure.or(counted.first_failure);
        latencies.extend(counted.latency_us);
    }
    outcome.done = u64::try_from(latencies.len()).unwrap_or(u64::MAX);
    outcome.latency_us = Sample::new(latencies);
    Ok(outcome)
}

#[derive(Default)]
struct Counted {
    latency_us: Vec<u64>,
    failed: u64,
    first_failure: Option<String>,
}

struct Client {
    number: usize,
    server: SocketAddr,
    request: MakeRequest,
    stream: Option<TcpStream>,
}

impl Client {
    fn new(number: usize, load: &Load) -> anyhow::Result<Self> {
        let server = *load
            .servers
            .get(number % load.servers.len().max(1))
            .context("the load needs a server")?;
        Ok(Self {
            number,
            server,
            request: Arc::clone(&load.request),
            stream: None,
        })
    }

    async fn connect(&mut self) -> anyhow::Result<()> {
        let stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        Ok(())
    }

    async fn work(&mut self, warm_up: Duration, measure: Duration) -> anyhow::Result<Counted> {
        let begin = Instant::now() + warm_up;
        let end = begin + measure;
        let mut counted = Counted::default();
        let mut bytes = Vec::with_capacity(1024);
        let mut buffer = vec![0_u8; ANSWER_BYTES];
        let mut n = 0;
        loop {
            n += 1;
            bytes.clear();
            (self.request)(self.number, n, &mut bytes);
            let sent = Instant::now();
            let result = tokio::time::timeout(ANSWER_LIMIT, self.exchange(&bytes, &mut buffer)).await;
            let answered = Instant::now();
            if answered >= end {
                return Ok(counted);
            }
            let failure = match result {
                Ok(Ok(200 | 201)) => None,
                Ok(Ok(status)) => Some(format!("status {status}: {}", head_of(&buffer))),
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            if let Some(failure) = failure {
                counted.failed += 1;
                counted.first_failure.get_or_insert(failure);
                tokio::time::sleep(Duration::from_millis(10)).await;
                if self.stream.is_none() {
                    let _ = self.connect().await;
                }
            } else if answered >= begin {
                counted
                    .latency_us
                    .push(u64::try_from((answered - sent).as_micros()).unwrap_or(u64::MAX));
            }
        }
    }

    /// One request and its whole answer; the connection is dropped where anything is odd.
    async fn exchange(&mut self, request: &[u8], buffer: &mut [u8]) -> std::io::Result<u16> {
        let mut stream = self.stream.take().ok_or(std::io::ErrorKind::NotConnected)?;
        stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            if let Some((status, length)) = measure_answer(&buffer[..filled])
                && filled >= length
            {
                self.stream = Some(stream);
                return Ok(status);
            }
            if filled == buffer.len() {
                return Err(std::io::Error::other("the answer is longer than any answer to a write"));
            }
        }
    }
}

/// The status and the whole length, once the head is complete. A chunked body ends with an empty chunk.
fn measure_answer(bytes: &[u8]) -> Option<(u16, usize)> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let status = std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()?;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => Some((status, head + length)),
        None => bytes.ends_with(b"0\r\n\r\n").then_some((status, bytes.len())),
    }
}

fn head_of(buffer: &[u8]) -> String {
    let text = String::from_utf8_lossy(buffer);
    text.chars().take_while(|c| *c != '\0').take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_only_with_its_body() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(measure_answer(bytes), Some((200, bytes.len())));
        assert_eq!(measure_answer(&bytes[..20]), None);
    }
}
