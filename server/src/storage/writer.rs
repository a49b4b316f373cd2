//! The one thread that writes.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::oneshot;

use super::backend::{Backend, Batch};
use super::fatal::Fatal;
use super::pace::DiskPace;

/// How many jobs may wait. Raft keeps at most two batches and one append in flight, so a full queue means that the
/// disk has stopped; then whoever asks waits, and heartbeats stop too, which is what a server with a dead disk owes.
const QUEUE_JOBS_MAX: usize = 4096;
/// A batch is not drained beyond this, so that one fsync doesn't wait for an endless queue.
const DRAIN_BYTES_MAX: usize = 16 << 20;

/// Called once with the outcome, on the writer's thread: it must only pass it on.
pub type Completion = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Something to be written.
pub struct Job {
    /// What.
    pub batch: Batch,
    /// Whether it must be on disk before `done` is called.
    pub durable: bool,
    /// Who hears of it.
    pub done: Option<Completion>,
}

/// When a write must be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before anybody hears of it.
    Now,
    /// With the next durable write.
    Later,
}

/// Writes jobs in the order in which they are put: the writer's thread, or a simulated disk in its place.
pub trait WriteQueue: Send + Sync + 'static {
    /// Puts a job behind all others.
    fn put(&self, job: Job);
    /// Ends after all that was put, and waits for the end.
    fn stop(&self);
}

enum Message {
    Write(Job),
    Stop,
}

/// A handle to the one that writes.
#[derive(Clone)]
pub struct Writer {
    queue: Arc<dyn WriteQueue>,
    pace: DiskPace,
}

/// The thread that writes to a database.
struct WriterThread {
    queue: SyncSender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(backend: Arc<dyn Backend>, fatal: Fatal) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE_JOBS_MAX);
        let pace = DiskPace::default();
        let measured = pace.clone();
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || run(backend.as_ref(), &jobs, &fatal, &measured))?;
        let thread = WriterThread {
            queue,
            thread: Mutex::new(Some(thread)),
        };
        Ok(Self {
            queue: Arc::new(thread),
            pace,
        })
    }

    /// Writes through another queue than a thread of its own.
    #[must_use]
    pub fn through(queue: Arc<dyn WriteQueue>) -> Self {
        Self {
            queue,
            pace: DiskPace::default(),
        }
    }

    /// How fast the disk is.
    #[must_use]
    pub fn pace(&self) -> &DiskPace {
        &self.pace
    }

    /// Writes after all that was asked for earlier and calls `done` once it is on disk.
    pub fn write_durably(&self, batch: Batch, done: Completion) {
        self.queue.put(Job {
            batch,
            durable: true,
            done: Some(done),
        });
    }

    /// Writes after all that was asked for earlier; durable with the next durable write. `done` is called once it can be read.
    pub fn write_lazily(&self, batch: Batch, done: Option<Completion>) {
        self.queue.put(Job {
            batch,
            durable: false,
            done,
        });
    }

    /// Writes after all that was asked for earlier; resolves once it is on disk, or, where that is for later, can be read.
    ///
    /// # Errors
    /// Where it could not be written.
    pub async fn written(&self, batch: Batch, durability: Durability) -> io::Result<()> {
        let (tell, hear) = oneshot::channel();
        let done = Box::new(move |outcome| drop(tell.send(outcome)));
        match durability {
            Durability::Now => self.write_durably(batch, done),
            Durability::Later => self.write_lazily(batch, Some(done)),
        }
        hear.await
            .map_err(|_| io::Error::other("the writer of the log has stopped"))?
    }

    /// Ends the thread after all that was asked for, and waits for its end.
    pub fn stop(&self) {
        self.queue.stop();
    }
}

impl WriteQueue for WriterThread {
    fn put(&self, job: Job) {
        let Err(refused) = self.queue.send(Message::Write(job)) else {
            return;
        };
        if let Message::Write(Job { done: Some(done), .. }) = refused.0 {
            done(Err(io::Error::other("the writer of the log has stopped")));
        }
    }

    fn stop(&self) {
        let _ = self.queue.send(Message::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

fn run(backend: &dyn Backend, jobs: &Receiver<Message>, fatal: &Fatal, pace: &DiskPace) {
    loop {
        let Ok(Message::Write(first)) = jobs.recv() else { return };
        let mut stop = false;
        let mut size = first.batch.size();
        let mut durable = first.durable;
        let mut batch = first.batch;
        let mut done: Vec<Completion> = first.done.into_iter().collect();
        while size < DRAIN_BYTES_MAX {
            match jobs.try_recv() {
                Ok(Message::Write(next)) => {
                    size += next.batch.size();
                    durable |= next.durable;
                    batch.append(next.batch);
                    done.extend(next.done);
                }
                Ok(Message::Stop) => {
                    stop = true;
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        // Order: write, one sync for all, and only then anybody hears of it.
        let sync = durable || stop;
        if sync {
            pace.begin(Instant::now());
        }
        let outcome = backend
            .write(batch)
            .and_then(|()| if sync { backend.sync() } else { Ok(()) });
        if sync {
            pace.end(Instant::now());
        }
        match outcome {
            Ok(()) => done.into_iter().for_each(|done| done(Ok(()))),
            Err(error) => {
                fail(error, done, jobs, fatal);
                return;
            }
        }
        if stop {
            return;
        }
    }
}

/// Never retries: after a failed fsync the kernel may have dropped what it could not write.
fn fail(error: io::Error, done: Vec<Completion>, jobs: &Receiver<Message>, fatal: &Fatal) {
    let reason = format!(
        "the log could not be written to disk ({error}); a server that can't store what it acknowledges must stop: \
         check the disk and its free space, then start it again"
    );
    done.into_iter()
        .for_each(|done| done(Err(io::Error::new(error.kind(), reason.clone()))));
    fatal.stop(&reason);
    while let Ok(Message::Write(job)) = jobs.recv() {
        if let Some(done) = job.done {
            done(Err(io::Error::other(reason.clone())));
        }
    }
}
