//! openraft's own suite of a store's duties, on ours.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::raft::BlockingThreads;
use crate::raft::log_store::LogStore;
use crate::raft::machine::{Applied, Machine};
use crate::raft::type_config::TypeConfig;
use crate::storage::{Backend, Database, Fatal, FatalAction, Journal, Log, SnapshotDirectory, Writer};

/// Ends the writer thread before the folder goes.
struct Guard {
    writer: Writer,
    database: Arc<Database>,
    _folder: TempDir,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.writer.stop();
        self.database.close();
    }
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, Guard> for Builder {
    async fn build(&self) -> Result<(Guard, LogStore, Machine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let fatal = Fatal::new(folder.path(), FatalAction::Keep);
        let database = Arc::new(Database::open(&folder.path().join("db")).unwrap());
        let writer = Writer::start(database.clone(), fatal.clone()).unwrap();
        let log = Log::open(database.clone(), writer.clone()).unwrap();
        let journal = Journal::open(database.clone(), writer.clone()).unwrap();
        let snapshots = SnapshotDirectory::open(&folder.path().join("snapshots")).unwrap();
        let machine = Machine::new(Applied::new(), journal, snapshots, fatal, Arc::new(BlockingThreads));
        Ok((
            Guard {
                writer,
                database,
                _folder: folder,
            },
            LogStore::new(log),
            machine,
        ))
    }
}

#[tokio::test]
async fn openrafts_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}
