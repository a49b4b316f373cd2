//! What a callback promises is on disk: a copy of the directory taken at the callback holds it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tempfile::TempDir;

use crate::storage::{
    Backend, Batch, Database, EventFilter, EventRecord, Family, Fatal, FatalAction, Identity, IdentityError, Journal,
    Log, LogEntry, LogId, Payload, Vote, Writer,
};

struct Store {
    database: Arc<dyn Backend>,
    writer: Writer,
    log: Log,
}

impl Store {
    fn open(path: &Path) -> Self {
        Self::try_open(path).unwrap()
    }

    fn try_open(path: &Path) -> Result<Self, String> {
        let database = Arc::new(Database::open(path).map_err(|error| format!("{error} {error:?}"))?);
        Self::on(database, path)
    }

    fn on(database: Arc<dyn Backend>, path: &Path) -> Result<Self, String> {
        let writer =
            Writer::start(database.clone(), Fatal::new(path, FatalAction::Keep)).map_err(|error| error.to_string())?;
        let log = Log::open(database.clone(), writer.clone()).map_err(|error| error.to_string())?;
        Ok(Self { database, writer, log })
    }

    fn append(&self, entries: Vec<LogEntry>) -> io::Result<()> {
        let (tell, hear) = sync_channel(1);
        self.log
            .append(entries, Box::new(move |outcome| tell.send(outcome).unwrap()));
        hear.recv().unwrap()
    }

    fn settle(&self) {
        let (tell, hear) = sync_channel(1);
        self.writer
            .write_durably(Batch::default(), Box::new(move |outcome| tell.send(outcome).unwrap()));
        hear.recv().unwrap().unwrap();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.writer.stop();
        self.database.close();
    }
}

fn entry(term: u64, index: u64) -> LogEntry {
    LogEntry {
        id: LogId { term, index },
        payload: Payload::Batch(Bytes::from(format!("{term}.{index}"))),
    }
}

fn entries(term: u64, range: std::ops::Range<u64>) -> Vec<LogEntry> {
    range.map(|index| entry(term, index)).collect()
}

/// The directory as a power cut at this moment would leave it, at best: only what the process gave to the kernel.
fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for found in fs::read_dir(from).unwrap() {
        let path = found.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_into(&path, &target);
        } else if path.file_name().unwrap() != "LOCK" {
            fs::copy(&path, target).unwrap();
        }
    }
}

#[test]
fn a_copy_taken_at_the_callback_holds_entries_and_vote() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let store = Store::open(&path);
    let copies = Arc::new(Mutex::new(Vec::new()));
    for round in 0..20u64 {
        let vote = Vote {
            term: round + 1,
            member: 2,
            committed: round % 2 == 0,
        };
        let (tell, hear) = sync_channel(2);
        let told = tell.clone();
        store
            .log
            .save_vote(vote, Box::new(move |outcome| told.send(outcome).unwrap()));
        let (from, into) = (path.clone(), copies.clone());
        store.log.append(
            entries(round + 1, round * 10..round * 10 + 10),
            Box::new(move |outcome| {
                into.lock().unwrap().push((round, vote, copy(&from)));
                tell.send(outcome).unwrap();
            }),
        );
        hear.recv().unwrap().unwrap();
        hear.recv().unwrap().unwrap();
    }
    for (round, vote, copied) in copies.lock().unwrap().iter() {
        let again = Store::open(copied.path());
        assert_eq!(again.log.vote(), Some(*vote));
        assert_eq!(
            again.log.last(),
            Some(LogId {
                term: round + 1,
                index: round * 10 + 9
            })
        );
        let found = again.log.entries(0..u64::MAX).unwrap();
        assert_eq!(found.len() as u64, round * 10 + 10);
        assert_eq!(found[3], entry(1, 3));
    }
}

#[test]
fn what_was_not_synced_may_go_but_leaves_no_hole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    store.append(entries(1, 0..5)).unwrap();
    // Nothing of a lazy write has to be there, all of what was acknowledged has.
    store.log.save_committed(Some(LogId { term: 1, index: 4 }));
    let copied = copy(folder.path());
    let again = Store::open(copied.path());
    assert_eq!(again.log.last(), Some(LogId { term: 1, index: 4 }));
}

#[test]
fn truncation_and_what_follows_survive() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    store.append(entries(1, 0..10)).unwrap();
    store.log.truncate_from(5).unwrap();
    assert_eq!(store.log.last(), Some(LogId { term: 1, index: 4 }));
    assert_eq!(store.log.entries(0..u64::MAX).unwrap().len(), 5);
    store.append(entries(2, 5..7)).unwrap();
    let copied = copy(folder.path());
    let again = Store::open(copied.path());
    let found: Vec<_> = again
        .log
        .entries(0..u64::MAX)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.id.term, entry.id.index))
        .collect();
    assert_eq!(found, [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6)]);
}

#[test]
fn a_purge_keeps_the_journal_and_moves_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    let journal = Journal::open(store.database.clone(), store.writer.clone()).unwrap();
    store.append(entries(1, 0..10)).unwrap();
    journal.append(vec![EventRecord {
        index: 3,
        sequence: 0,
        at_ms: 0,
        wall_ms: 0,
        resource: "cluster".to_owned(),
        kind: "test".to_owned(),
        node: None,
        severity: "info".to_owned(),
        cause: None,
        text: "it happened".to_owned(),
        facts: None,
    }]);
    store.log.purge(LogId { term: 1, index: 6 });
    store.settle();
    let copied = copy(folder.path());
    let again = Store::open(copied.path());
    assert_eq!(
        (again.log.purged(), again.log.last()),
        (Some(LogId { term: 1, index: 6 }), Some(LogId { term: 1, index: 9 }))
    );
    assert_eq!(again.log.entries(0..u64::MAX).unwrap(), entries(1, 7..10));
    let journal = Journal::open(again.database.clone(), again.writer.clone()).unwrap();
    assert_eq!(journal.read(&EventFilter::default(), 10).unwrap().events.len(), 1);
}

#[test]
fn a_crash_between_marker_and_deletion_reads_as_purged() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    store.append(entries(1, 0..10)).unwrap();
    let mut marker_only = Batch::default();
    marker_only.put(Family::Meta, b"purged", LogId { term: 1, index: 6 }.encode().to_vec());
    store.writer.write_lazily(marker_only, None);
    store.settle();
    let copied = copy(folder.path());
    let again = Store::open(copied.path());
    assert_eq!(again.log.entries(0..u64::MAX).unwrap(), entries(1, 7..10));
    // All of it purged, beyond its end, as an installed snapshot does.
    again.log.purge(LogId { term: 2, index: 20 });
    again.settle();
    let copied = copy(copied.path());
    let third = Store::open(copied.path());
    assert_eq!(third.log.last(), Some(LogId { term: 2, index: 20 }));
    third.append(entries(2, 21..23)).unwrap();
    assert_eq!(third.log.entries(0..u64::MAX).unwrap().len(), 2);
}

fn write_ahead_log(path: &Path) -> std::path::PathBuf {
    let mut logs: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|found| found.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    logs.pop().unwrap()
}

#[test]
fn a_tail_that_was_synced_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    store.append(entries(1, 0..6)).unwrap();
    let copied = copy(folder.path());
    let path = write_ahead_log(copied.path());
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length - 5).unwrap();
    for _ in 0..2 {
        let error = Store::try_open(copied.path()).err().expect("what was synced is gone");
        assert!(error.contains("damaged") && error.contains("must not vote"), "{error}");
    }
}

/// As a crash leaves it that came before the sync was noted.
#[test]
fn a_torn_tail_is_cut_off_at_the_last_whole_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    store.append(entries(1, 0..3)).unwrap();
    let whole = fs::metadata(write_ahead_log(folder.path())).unwrap().len();
    store.append(entries(1, 3..6)).unwrap();
    let all = fs::metadata(write_ahead_log(folder.path())).unwrap().len();
    for length in (whole..all).step_by(7) {
        let copied = copy(folder.path());
        let file = fs::OpenOptions::new()
            .write(true)
            .open(write_ahead_log(copied.path()))
            .unwrap();
        file.set_len(length).unwrap();
        fs::remove_file(copied.path().join("SYNCED")).unwrap();
        let again = Store::open(copied.path());
        assert_eq!(
            again.log.entries(0..u64::MAX).unwrap(),
            entries(1, 0..3),
            "cut at {length} of {whole}..{all}"
        );
        again.append(entries(1, 3..4)).unwrap();
    }
}

#[test]
fn damage_before_the_tail_is_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    for index in 0..50 {
        store.append(entries(1, index..index + 1)).unwrap();
    }
    let copied = copy(folder.path());
    let path = write_ahead_log(copied.path());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&path, &bytes).unwrap();
    let error = Store::try_open(copied.path())
        .err()
        .expect("a damaged log must not open");
    assert!(error.contains("damaged") || error.contains("Corruption"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_foreign_database_is_refused_with_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(rocksdb::DB::open_cf(&options, folder.path(), ["theirs"]).unwrap());
    let error = Store::try_open(folder.path()).err().unwrap();
    assert!(
        error.contains("theirs") && error.contains("nothing was changed"),
        "{error}"
    );
}

#[test]
fn a_hole_in_the_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = Store::open(folder.path());
        store.append(entries(1, 0..3)).unwrap();
        store.append(entries(1, 4..6)).unwrap();
    }
    let error = Store::try_open(folder.path()).err().unwrap();
    assert!(error.contains("hole at 3"), "{error}");
}

/// A disk whose syncs fail from some moment on.
struct FailingDisk {
    disk: Database,
    fails: AtomicBool,
}

impl Backend for FailingDisk {
    fn get(&self, family: Family, key: &[u8]) -> io::Result<Option<Bytes>> {
        self.disk.get(family, key)
    }
    fn scan(&self, family: Family, from: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> io::Result<()> {
        self.disk.scan(family, from, visit)
    }
    fn scan_back(&self, family: Family, visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> io::Result<()> {
        self.disk.scan_back(family, visit)
    }
    fn write(&self, batch: Batch) -> io::Result<()> {
        self.disk.write(batch)
    }
    fn sync(&self) -> io::Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.disk.sync()
    }
    fn close(&self) {
        self.disk.close();
    }
}

#[test]
fn a_failed_sync_is_never_retried_and_leaves_a_reason_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FailingDisk {
        disk: Database::open(&folder.path().join("db")).unwrap(),
        fails: AtomicBool::new(false),
    };
    let disk = Arc::new(disk);
    let fatal = Fatal::new(folder.path(), FatalAction::Keep);
    let writer = Writer::start(disk.clone(), fatal.clone()).unwrap();
    let log = Log::open(disk.clone(), writer.clone()).unwrap();
    let append = |range| {
        let (tell, hear) = sync_channel(1);
        log.append(entries(1, range), Box::new(move |outcome| tell.send(outcome).unwrap()));
        hear.recv().unwrap()
    };
    append(0..2).unwrap();
    disk.fails.store(true, Ordering::SeqCst);
    assert!(append(2..4).is_err());
    // The disk is well again, but nobody knows what the failed sync has dropped.
    disk.fails.store(false, Ordering::SeqCst);
    assert!(append(4..6).is_err());
    assert!(fatal.reason().unwrap().contains("could not be written"));
    assert!(
        fs::read_to_string(folder.path().join("FATAL"))
            .unwrap()
            .contains("start it again")
    );
    writer.stop();
    disk.close();
    let next = Fatal::new(folder.path(), FatalAction::Keep);
    assert!(next.report_last_run().unwrap().contains("could not be written"));
    assert!(!folder.path().join("FATAL").exists() && folder.path().join("FATAL.previous").exists());
}

async fn save(identity: &Identity, directory: &Path, store: &Store) {
    identity.save_in_log(directory, &store.writer).await.unwrap();
    identity.save_in_file(directory).unwrap();
}

#[tokio::test]
async fn an_identity_without_its_log_must_not_vote() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = Store::open(&folder.path().join("db"));
        assert_eq!(
            Identity::load(folder.path(), store.database.as_ref(), "n1").unwrap(),
            None
        );
        let identity = Identity::joining("n1", "nonce".to_owned());
        save(&identity, folder.path(), &store).await;
        save(&identity.into_member("c1".to_owned(), 3), folder.path(), &store).await;
        let found = Identity::load(folder.path(), store.database.as_ref(), "n1")
            .unwrap()
            .unwrap();
        assert_eq!((found.member, found.cluster_id.as_str()), (3, "c1"));
        let other = Identity::load(folder.path(), store.database.as_ref(), "n2").unwrap_err();
        assert!(
            matches!(&other, IdentityError::Name { found, .. } if found == "n1"),
            "{other}"
        );
    }
    // The readable file alone is lost: the log still knows whose it is.
    fs::remove_file(folder.path().join("identity.json")).unwrap();
    {
        let store = Store::open(&folder.path().join("db"));
        assert_eq!(
            Identity::load(folder.path(), store.database.as_ref(), "n1")
                .unwrap()
                .unwrap()
                .member,
            3
        );
        let identity = Identity::joining("n1", "x".to_owned()).into_member("c1".to_owned(), 3);
        save(&identity, folder.path(), &store).await;
    }
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let store = Store::open(&folder.path().join("db"));
    let error = Identity::load(folder.path(), store.database.as_ref(), "n1").unwrap_err();
    assert!(matches!(error, IdentityError::LogMissing { member: 3, .. }), "{error}");
    assert!(error.to_string().contains("paceline members remove n1"));
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "…").unwrap();
    let error = Identity::check_directory(folder.path()).unwrap_err();
    assert!(error.to_string().contains("thesis.tex"), "{error}");
}
