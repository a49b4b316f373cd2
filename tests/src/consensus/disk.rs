//! A server's disk, in memory, with two images: what was *written* can be read, what is *durable* survives a power cut.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use server::storage::{Backend, Batch, Change, Completion, Family, Job, LogEntry, Visit, WriteQueue};

use super::random::Random;

/// The bytes of a database.
#[derive(Clone, Debug, Default)]
struct Image {
    families: [BTreeMap<Vec<u8>, Bytes>; 3],
}

impl Image {
    fn family(&self, family: Family) -> &BTreeMap<Vec<u8>, Bytes> {
        &self.families[number(family)]
    }

    fn apply(&mut self, batch: &Batch) {
        for change in batch.changes() {
            match change {
                Change::Put { family, key, value } => {
                    self.families[number(*family)].insert(key.clone(), value.clone());
                }
                Change::DeleteRange { family, from, to } => {
                    let range = (Bound::Included(from.clone()), Bound::Excluded(to.clone()));
                    if from < to {
                        let doomed: Vec<Vec<u8>> = self.families[number(*family)]
                            .range(range)
                            .map(|(key, _)| key.clone())
                            .collect();
                        for key in doomed {
                            self.families[number(*family)].remove(&key);
                        }
                    }
                }
            }
        }
    }

    fn entry(&self, index: u64) -> Option<LogEntry> {
        let value = self.family(Family::Log).get(index.to_be_bytes().as_slice())?;
        LogEntry::decode(index, value).ok()
    }
}

fn number(family: Family) -> usize {
    match family {
        Family::Log => 0,
        Family::Meta => 1,
        Family::Journal => 2,
    }
}

/// What a disk has been told to do and has not done.
#[derive(Default)]
struct Inner {
    /// Everything that was asked for, done or not.
    asked: Image,
    written: Image,
    durable: Image,
    queued: VecDeque<Job>,
    /// Written since the last sync, in order.
    unsynced: Vec<Batch>,
    /// How many of `unsynced` the present sync covers.
    covered: usize,
    /// Which run of the server may use it: handles of an earlier one are dead.
    run: u64,
    /// The syncs so far.
    syncs: u64,
}

/// A disk. It outlives the server's runs.
#[derive(Clone, Default)]
pub struct Disk {
    inner: Arc<Mutex<Inner>>,
}

/// What a disk does next.
pub enum Next {
    /// Nothing.
    Idle,
    /// It has written; these hear of it now.
    Written(Vec<Completion>),
    /// It has written and syncs; these hear of it at the end ([`Disk::finish_sync`]), or wrongly now.
    Syncing(Vec<Completion>),
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new run of the server: it alone may use the disk now.
    #[must_use]
    pub fn open(&self) -> DiskHandle {
        let mut inner = self.lock();
        inner.run += 1;
        DiskHandle {
            disk: self.clone(),
            run: inner.run,
        }
    }

    /// The server's run has ended, by a power cut or a kill: what was not synced is gone, from some write on. A kill spares
    /// no more than that, because the write-ahead log is handed to the kernel only when it is synced.
    pub fn crash(&self, random: &mut Random) {
        let mut inner = self.lock();
        inner.run += 1;
        inner.queued.clear();
        inner.covered = 0;
        let unsynced = std::mem::take(&mut inner.unsynced);
        let kept = random.index(unsynced.len() + 1);
        for batch in &unsynced[..kept] {
            inner.durable.apply(batch);
        }
        inner.written = inner.durable.clone();
        inner.asked = inner.durable.clone();
    }

    /// Writes all that waits, as the writer's thread does; then syncs if anybody asked for it. Not while a sync is under way.
    pub fn proceed(&self) -> Next {
        let mut inner = self.lock();
        if inner.queued.is_empty() {
            return Next::Idle;
        }
        let jobs: Vec<Job> = inner.queued.drain(..).collect();
        let durable = jobs.iter().any(|job| job.durable);
        let mut done = Vec::new();
        for job in jobs {
            inner.written.apply(&job.batch);
            inner.unsynced.push(job.batch);
            done.extend(job.done);
        }
        if durable {
            inner.covered = inner.unsynced.len();
            Next::Syncing(done)
        } else {
            Next::Written(done)
        }
    }

    /// Whether something waits to be written.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.lock().queued.is_empty()
    }

    /// The sync is over.
    pub fn finish_sync(&self) {
        let mut inner = self.lock();
        let covered = std::mem::take(&mut inner.covered);
        let rest = inner.unsynced.split_off(covered);
        let synced = std::mem::replace(&mut inner.unsynced, rest);
        for batch in &synced {
            inner.durable.apply(batch);
        }
        inner.syncs += 1;
    }

    /// How often it has synced.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// A log entry that the server has appended, on disk or not.
    #[must_use]
    pub fn appended(&self, index: u64) -> Option<LogEntry> {
        self.lock().asked.entry(index)
    }

    /// The term of a log entry that would survive a power cut.
    #[must_use]
    pub fn durable_term(&self, index: u64) -> Option<u64> {
        self.lock().durable.entry(index).map(|entry| entry.id.term)
    }
}

/// A disk as one run of its server sees it.
#[derive(Clone)]
pub struct DiskHandle {
    disk: Disk,
    run: u64,
}

impl DiskHandle {
    fn lock(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let inner = self.disk.lock();
        if inner.run == self.run {
            return Ok(inner);
        }
        Err(io::Error::other("this run of the server is over"))
    }
}

impl WriteQueue for DiskHandle {
    fn put(&self, job: Job) {
        if let Ok(mut inner) = self.lock() {
            inner.asked.apply(&job.batch);
            inner.queued.push_back(job);
        }
    }

    fn stop(&self) {}
}

impl Backend for DiskHandle {
    fn get(&self, family: Family, key: &[u8]) -> io::Result<Option<Bytes>> {
        Ok(self.lock()?.written.family(family).get(key).cloned())
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> io::Result<()> {
        // A copy, because whoever visits may ask for more.
        let found: Vec<(Vec<u8>, Bytes)> = {
            let inner = self.lock()?;
            let range = inner.written.family(family).range(from.to_vec()..);
            range.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        for (key, value) in found {
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn scan_back(&self, family: Family, visit: Visit<'_>) -> io::Result<()> {
        let found: Vec<(Vec<u8>, Bytes)> = {
            let inner = self.lock()?;
            let all = inner.written.family(family).iter().rev();
            all.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        for (key, value) in found {
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        let mut inner = self.lock()?;
        inner.asked.apply(&batch);
        inner.written.apply(&batch);
        inner.unsynced.push(batch);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.lock()?;
        let unsynced = std::mem::take(&mut inner.unsynced);
        for batch in &unsynced {
            inner.durable.apply(batch);
        }
        Ok(())
    }

    fn close(&self) {}
}
