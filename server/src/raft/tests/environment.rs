//! A server on another disk than its machine's: what it does when the library underneath fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use statemachine::command::Command;
use statemachine::log::v1::Proposal;

use crate::raft::environment::{BlockingThreads, Environment};
use crate::raft::transport::HttpTransport;
use crate::raft::{RaftNode, RaftOptions, RaftTuning};
use crate::storage::{Database, Fatal, FatalAction, Job, WriteQueue, Writer};

/// Passes on what is written, until it says of everything that it could not be.
struct Failing {
    writer: Writer,
    fails: Arc<AtomicBool>,
}

impl WriteQueue for Failing {
    fn put(&self, job: Job) {
        match job.done {
            Some(done) if self.fails.load(Ordering::SeqCst) => done(Err(std::io::Error::other("planted"))),
            Some(done) if job.durable => self.writer.write_durably(job.batch, done),
            done => self.writer.write_lazily(job.batch, done),
        }
    }

    fn stop(&self) {
        self.writer.stop();
    }
}

/// When the library fails, all its channels close at once, and which of them is looked at first is left to chance: so
/// several times. Found by `simulate_raft --seed 11` and others, as a server that lived on without Raft.
#[tokio::test]
async fn a_server_whose_raft_has_failed_stops_itself() {
    for _ in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let fatal = Fatal::new(folder.path(), FatalAction::Keep);
        let backend = Arc::new(Database::open(&folder.path().join("db")).unwrap());
        let fails = Arc::new(AtomicBool::new(false));
        let writer = Failing {
            writer: Writer::start(backend.clone(), fatal).unwrap(),
            fails: Arc::clone(&fails),
        };
        let environment = Environment {
            transport: Arc::new(HttpTransport::default()),
            backend,
            writer: Writer::through(Arc::new(writer)),
            workers: Arc::new(BlockingThreads),
        };
        let options = RaftOptions {
            data_dir: folder.path().to_owned(),
            name: "n1".to_owned(),
            peer: vec!["127.0.0.1:1".to_owned()],
            api: "127.0.0.1:1".to_owned(),
            join: Vec::new(),
            witness: false,
        };
        let tuning = RaftTuning {
            on_fatal: FatalAction::Keep,
            ..RaftTuning::usual().unwrap()
        };
        let node = RaftNode::open_in(environment, options, tuning).await.unwrap();
        node.join().await.unwrap();
        fails.store(true, Ordering::SeqCst);
        let tick = Proposal {
            request: None,
            command: Command::Tick,
        };
        let proposer = node.clone();
        tokio::spawn(async move { proposer.propose(tick).await });
        let reason = tokio::time::timeout(Duration::from_secs(5), node.failed()).await;
        let reason = reason.expect("the server lives on without Raft");
        assert!(reason.contains("Raft"), "{reason}");
        node.shutdown().await;
    }
}
