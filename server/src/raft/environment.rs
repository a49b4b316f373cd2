//! What a server runs on: its network, its disk, and where slow work is done. A server takes those of its machine; a
//! simulation puts its own in their place, so that a whole cluster runs in one thread and the same seed gives the same run.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::options::StartError;
use super::transport::{HttpTransport, PeerTransport};
use crate::storage::{Backend, Database, Fatal, Writer};

/// Slow work, that must not be done on Raft's thread.
pub type Work = Box<dyn FnOnce() + Send>;

/// Where slow work is done: reading and writing whole files, and encoding whole states.
pub trait Workers: Send + Sync + 'static {
    /// Does the work; resolves once it is done.
    fn run(&self, work: Work) -> BoxFuture<'static, ()>;
}

/// The runtime's threads for slow work.
pub struct BlockingThreads;

impl Workers for BlockingThreads {
    fn run(&self, work: Work) -> BoxFuture<'static, ()> {
        let done = tokio::task::spawn_blocking(work);
        Box::pin(async move {
            // Where the work has panicked its outcome is missed by whoever waits for it.
            let _ = done.await;
        })
    }
}

/// Has work done by `workers` and returns its outcome.
///
/// # Errors
/// Where it panicked or the runtime is ending.
pub(super) async fn done_by<T: Send + 'static>(
    workers: &Arc<dyn Workers>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (tell, hear) = oneshot::channel();
    workers.run(Box::new(move || drop(tell.send(work())))).await;
    hear.await.map_err(io::Error::other)
}

/// What a server runs on.
#[derive(Clone)]
pub struct Environment {
    /// Carries messages to the other servers.
    pub transport: Arc<dyn PeerTransport>,
    /// The database, as it is read.
    pub backend: Arc<dyn Backend>,
    /// The one that writes to it.
    pub writer: Writer,
    /// Who does slow work.
    pub workers: Arc<dyn Workers>,
}

impl Environment {
    /// This machine's: HTTP, RocksDB in `directory/db` with a thread that writes, threads for slow work.
    ///
    /// # Errors
    /// Where the database refuses or the system gives no thread.
    pub fn of_this_machine(directory: &Path, fatal: &Fatal) -> Result<Self, StartError> {
        let backend: Arc<dyn Backend> = Arc::new(Database::open(&directory.join("db"))?);
        let writer = Writer::start(Arc::clone(&backend), fatal.clone()).map_err(|source| StartError::Log {
            path: directory.to_owned(),
            source,
        })?;
        Ok(Self {
            transport: Arc::new(HttpTransport::default()),
            backend,
            writer,
            workers: Arc::new(BlockingThreads),
        })
    }
}
