//! Somebody who watches a cluster through the typed client, as a program of a user would, and remembers all of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use client::wire::event::Event;
use client::{Client, ClientError, Dual, DualWatch, Notice, Watch, WatchQuery};
use tokio::sync::oneshot;

use crate::invariants::Told;
use crate::wait::wait_for;

/// For the last events to arrive once nothing happens any more.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(30);

/// A watch at one node or at two.
enum Either {
    One(Box<Watch>),
    Two(Box<DualWatch>),
}

impl Either {
    async fn next(&mut self) -> Result<Notice, ClientError> {
        match self {
            Self::One(watch) => watch.next().await,
            Self::Two(watch) => watch.next().await,
        }
    }
}

/// What came so far.
#[derive(Clone, Debug, Default)]
struct Came {
    begun_after: Option<u64>,
    events: Vec<Event>,
    arrived: Vec<Instant>,
    interruptions: usize,
    failed: Option<String>,
}

/// Watches until it is stopped.
#[derive(Debug)]
pub struct Subscriber {
    name: String,
    came: Arc<Mutex<Came>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Subscriber {
    /// Watches everything at one of these, and at the others when it breaks off.
    ///
    /// # Errors
    /// Where it does not get the present state in time.
    pub fn start(name: &str, servers: &[SocketAddr]) -> anyhow::Result<Self> {
        let client = Client::new(&addresses(servers))?;
        Self::run(name, move || Either::One(Box::new(client.watch(WatchQuery::default()))))
    }

    /// Watches everything at two of these at once.
    ///
    /// # Errors
    /// Where it does not get the present state in time.
    pub fn start_dual(name: &str, servers: &[SocketAddr]) -> anyhow::Result<Self> {
        let dual: Dual = Client::dual(&addresses(servers))?;
        Self::run(name, move || Either::Two(Box::new(dual.watch(WatchQuery::default()))))
    }

    fn run(name: &str, watch: impl FnOnce() -> Either + Send + 'static) -> anyhow::Result<Self> {
        let came = Arc::new(Mutex::new(Came::default()));
        let (stop, stopped) = oneshot::channel();
        let noted = Arc::clone(&came);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let mut watch = watch();
                tokio::select! {
                    _ = stopped => {}
                    () = note(&mut watch, &noted) => {}
                }
            });
        });
        let subscriber = Self {
            name: name.to_owned(),
            came,
            stop: Some(stop),
            thread: Some(thread),
        };
        wait_for("the present state", ARRIVAL_LIMIT, || {
            subscriber
                .look()
                .begun_after
                .ok_or_else(|| format!("{:?}", subscriber.look()))
        })?;
        Ok(subscriber)
    }

    fn look(&self) -> Came {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many events came.
    #[must_use]
    pub fn count(&self) -> usize {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).events.len()
    }

    /// How often a stream broke off, as far as the client told of it.
    #[must_use]
    pub fn interruptions(&self) -> usize {
        self.look().interruptions
    }

    /// The longest time between two events that came within this span.
    #[must_use]
    pub fn longest_gap(&self, from: Instant, until: Instant) -> Duration {
        let arrived = self.look().arrived;
        let within: Vec<&Instant> = arrived.iter().filter(|at| **at >= from && **at <= until).collect();
        let gaps = within.windows(2).map(|two| two[1].duration_since(*two[0]));
        gaps.max().unwrap_or(until.duration_since(from))
    }

    /// Waits until the last event of a journal came, and tells everything that did.
    ///
    /// # Errors
    /// Where it does not come in time, or the watch has failed.
    pub fn told(&self, journal: &[Event]) -> anyhow::Result<Told> {
        let last = journal.last().context("the journal is empty")?.index;
        wait_for(&format!("{} to be told of {last}", self.name), ARRIVAL_LIMIT, || {
            let came = self.look();
            match (came.failed, came.events.last()) {
                (None, Some(event)) if event.index >= last => Ok(()),
                (None, None) if came.begun_after.is_some_and(|after| after >= last) => Ok(()),
                (failed, event) => Err(format!("{failed:?}, last {event:?}")),
            }
        })?;
        let came = self.look();
        Ok(Told {
            name: self.name.clone(),
            after: came.begun_after.unwrap_or(0),
            upto: last,
            // What came since the journal was read is not in it.
            events: came.events.into_iter().filter(|event| event.index <= last).collect(),
        })
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn addresses(servers: &[SocketAddr]) -> Vec<String> {
    servers.iter().map(ToString::to_string).collect()
}

async fn note(watch: &mut Either, came: &Mutex<Came>) {
    loop {
        let told = watch.next().await;
        let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
        match told {
            Ok(Notice::State(_)) => {}
            Ok(Notice::Current(current)) => came.begun_after = Some(current.index),
            Ok(Notice::Change(event)) => {
                came.events.push(event);
                came.arrived.push(Instant::now());
            }
            Ok(Notice::Interrupted(_)) => came.interruptions += 1,
            Err(error) => {
                came.failed = Some(error.to_string());
                return;
            }
        }
    }
}
