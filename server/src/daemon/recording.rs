//! What the daemon did and when, written down for the tests that hold it to its promises.
//!
//! Off unless `PACELINE_RECORDING` names a directory. It is told of every event before the daemon acts on it and of every
//! action before it is performed, decides nothing, and counts times by itself: what it writes is the outside view of the
//! lease. One JSON object a line, appended by a single write, so that what was written before a SIGKILL is there. A
//! recording that can't be written ends, and the daemon goes on.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::event::{DaemonAction, DaemonEvent};
use super::record::Record;
use crate::supervisor::clock::boottime_ns;
use crate::supervisor::protocol::{News, Order};

/// Names the directory.
const VARIABLE: &str = "PACELINE_RECORDING";
/// Renewals whose time of sending is remembered.
const SENT_MAX: usize = 64;

/// A line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// CLOCK_BOOTTIME at the same moment: deadlines are on this clock.
    pub boot_ns: u64,
    /// The node's name.
    pub node: String,
    /// The daemon's process id.
    pub pid: u32,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// The daemon has begun.
    Began,
    /// It is about to ask for a session, and says that these are over.
    Registering {
        /// Proven to have nothing left.
        ended: Vec<u64>,
    },
    /// It has a session.
    Registered {
        /// Which.
        session: u64,
    },
    /// A renewal that this process sent was answered.
    Answered {
        /// When it was sent, CLOCK_MONOTONIC.
        sent_ns: u64,
        /// The lease that it brings.
        lease_ms: u64,
    },
    /// An answer to a renewal that this process did not send, or sent too long ago.
    Foreign,
    /// Epochs that the session's record holds from now on.
    Recorded {
        /// The highest of each package that changed.
        epochs: BTreeMap<String, u64>,
    },
    /// A supervisor is about to be spawned.
    Spawning {
        /// Of which package.
        package: String,
        /// Under which epoch.
        epoch: u64,
        /// In which mode.
        mode: String,
        /// When the kernel kills it, CLOCK_BOOTTIME; none: never.
        deadline_ns: Option<u64>,
    },
    /// A supervisor is about to be told of another mode.
    Telling {
        /// Of which package.
        package: String,
        /// Under which epoch.
        epoch: u64,
        /// Which mode.
        mode: String,
    },
    /// A supervisor is about to be told of a later deadline.
    Arming {
        /// Of which package.
        package: String,
        /// When the kernel kills it, CLOCK_BOOTTIME.
        deadline_ns: u64,
    },
    /// Nothing of an instance is left.
    Gone {
        /// Of which package.
        package: String,
        /// The epoch under which its process was started.
        process: u64,
    },
}

/// A recording, on or off.
#[derive(Debug)]
pub struct Recording {
    file: Option<File>,
    node: String,
    sent: VecDeque<(u64, u64)>,
    epochs: BTreeMap<String, u64>,
}

impl Recording {
    /// As the environment says.
    ///
    /// # Errors
    /// Where the directory that it names can't be written to: who asks for a recording is not to miss it.
    pub fn from_environment(node: &str) -> io::Result<Self> {
        match std::env::var_os(VARIABLE) {
            Some(directory) => Self::begin(Some(&PathBuf::from(directory)), node),
            None => Self::begin(None, node),
        }
    }

    fn begin(directory: Option<&Path>, node: &str) -> io::Result<Self> {
        let file = match directory {
            None => None,
            Some(directory) => {
                fs::create_dir_all(directory)?;
                let name = format!("{node}-{}-{}.jsonl", std::process::id(), monotonic_ns());
                let path = directory.join(name);
                Some(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        let mut recording = Self {
            file,
            node: node.to_owned(),
            sent: VecDeque::new(),
            epochs: BTreeMap::new(),
        };
        recording.write(What::Began);
        Ok(recording)
    }

    /// Notes an event before the daemon acts on it.
    pub fn event(&mut self, event: &DaemonEvent) {
        if self.file.is_none() {
            return;
        }
        match event {
            DaemonEvent::Registered(answer) => self.write(What::Registered {
                session: answer.session,
            }),
            DaemonEvent::Renewed { answer, .. } => {
                let sent = self.sent.iter().find(|(nonce, _)| *nonce == answer.nonce);
                let what = sent.map_or(What::Foreign, |(_, sent_ns)| What::Answered {
                    sent_ns: *sent_ns,
                    lease_ms: answer.lease_ms,
                });
                self.write(what);
            }
            DaemonEvent::News {
                key,
                process,
                news: News::Ended(_),
            }
            | DaemonEvent::Gone { key, process } => self.write(What::Gone {
                package: key.package.clone(),
                process: *process,
            }),
            _ => {}
        }
    }

    /// Notes an action before it is performed.
    pub fn action(&mut self, action: &DaemonAction) {
        if self.file.is_none() {
            return;
        }
        match action {
            DaemonAction::Renew { request, .. } => {
                if self.sent.len() >= SENT_MAX {
                    self.sent.pop_front();
                }
                self.sent.push_back((request.nonce, monotonic_ns()));
            }
            DaemonAction::Register { request, .. } => self.write(What::Registering {
                ended: request.ended.clone(),
            }),
            DaemonAction::Spawn { key, spec } => self.write(What::Spawning {
                package: key.package.clone(),
                epoch: spec.epoch,
                mode: spec.mode.clone(),
                deadline_ns: spec.deadline_ns,
            }),
            DaemonAction::Order { key, order } => match order {
                Order::Renew { deadline_ns, .. } => self.write(What::Arming {
                    package: key.package.clone(),
                    deadline_ns: *deadline_ns,
                }),
                Order::Mode { mode, epoch, .. } => self.write(What::Telling {
                    package: key.package.clone(),
                    epoch: *epoch,
                    mode: mode.clone(),
                }),
                _ => {}
            },
            _ => {}
        }
    }

    /// Notes a record that has just been written.
    pub fn recorded(&mut self, record: &Record) {
        if self.file.is_none() {
            return;
        }
        let known = &self.epochs;
        let grown = record
            .marks
            .iter()
            .filter(|(name, mark)| known.get(*name) != Some(*mark));
        let epochs: BTreeMap<String, u64> = grown.map(|(name, mark)| (name.clone(), *mark)).collect();
        if epochs.is_empty() {
            return;
        }
        self.epochs.extend(epochs.clone());
        self.write(What::Recorded { epochs });
    }

    fn write(&mut self, what: What) {
        let Some(file) = &mut self.file else { return };
        let line = Line {
            at_ns: monotonic_ns(),
            boot_ns: boottime_ns(),
            node: self.node.clone(),
            pid: std::process::id(),
            what,
        };
        let written = serde_json::to_vec(&line)
            .map_err(io::Error::from)
            .and_then(|mut bytes| {
                bytes.push(b'\n');
                file.write_all(&bytes)
            });
        if let Err(error) = written {
            tracing::warn!(%error, "the recording that {VARIABLE} asked for ends here");
            self.file = None;
        }
    }
}

fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        u64::try_from(time.tv_sec())
            .unwrap_or(0)
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::try_from(time.tv_nsec()).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use client::wire::daemon::{Renew, Renewed};

    use super::*;

    fn answer(nonce: u64) -> DaemonEvent {
        DaemonEvent::Renewed {
            server: "s".to_owned(),
            answer: Box::new(Renewed {
                nonce,
                lease_ms: 1_000,
                soft_ms: 200,
                renew_ms: 100,
                retry_ms: 25,
                generation: 1,
                desired: None,
                stopping: Vec::new(),
                servers: Vec::new(),
                watch: Vec::new(),
                thresholds: None,
            }),
        }
    }

    #[test]
    fn an_answer_is_written_with_the_time_of_its_own_renewal() {
        let directory = tempfile::tempdir().unwrap();
        let mut recording = Recording::begin(Some(directory.path()), "n1").unwrap();
        let before = monotonic_ns();
        recording.action(&DaemonAction::Renew {
            server: "s".to_owned(),
            request: Renew {
                cluster_id: "c".to_owned(),
                node: 1,
                session: 2,
                nonce: 7,
                generation: 0,
                unanswered_ms: 0,
            },
        });
        let after = monotonic_ns();
        recording.event(&answer(7));
        recording.event(&answer(8));
        let path = fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<Line> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0].what, What::Began);
        let What::Answered { sent_ns, lease_ms } = lines[1].what else {
            panic!("{:?}", lines[1])
        };
        assert!((before..=after).contains(&sent_ns), "{before} {sent_ns} {after}");
        assert_eq!((lease_ms, &lines[2].what), (1_000, &What::Foreign));
    }

    #[test]
    fn without_a_directory_nothing_is_kept() {
        let mut recording = Recording::begin(None, "n1").unwrap();
        recording.event(&answer(7));
        assert!(recording.file.is_none() && recording.sent.is_empty());
    }
}
