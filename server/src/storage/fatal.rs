//! The end of a server that can't go on safely.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

/// What stopping for good means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FatalAction {
    /// Ends the process at once: what a server does.
    Exit,
    /// Only keeps the reason, for tests that hold several servers in one process.
    Keep,
}

/// The exit code of a process that stopped for a reason that is in its `FATAL` file.
pub const FATAL_EXIT_CODE: i32 = 70;

/// Stops the server for good, and says why: on disk in `data_dir/FATAL`, in the log, and in the exit code.
///
/// The first reason wins: what fails after it is a consequence.
#[derive(Clone, Debug)]
pub struct Fatal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    action: FatalAction,
    reason: OnceLock<String>,
    changed: watch::Sender<bool>,
}

impl Fatal {
    /// Reasons go to `data_dir/FATAL`.
    #[must_use]
    pub fn new(data_dir: &Path, action: FatalAction) -> Self {
        let (changed, _) = watch::channel(false);
        Self {
            inner: Arc::new(Inner {
                path: data_dir.join("FATAL"),
                action,
                reason: OnceLock::new(),
                changed,
            }),
        }
    }

    /// Why the server stopped, once it has.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.inner.reason.get().map(String::as_str)
    }

    /// Becomes true when the server has stopped for good.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.inner.changed.subscribe()
    }

    /// Records the reason and ends the process (with [`FatalAction::Exit`]).
    pub fn stop(&self, reason: &str) {
        if self.inner.reason.set(reason.to_owned()).is_ok() {
            tracing::error!(reason, "this server stops for good");
            if let Err(error) = write_reason(&self.inner.path, reason) {
                tracing::error!(%error, path = %self.inner.path.display(), "the reason could not be written to disk");
            }
            self.inner.changed.send_replace(true);
        }
        if self.inner.action == FatalAction::Exit {
            eprintln!("paceline: this server stops: {reason}");
            std::process::exit(FATAL_EXIT_CODE);
        }
    }

    /// Reports why the last run stopped and puts the record aside, so that `FATAL` always speaks of this run.
    pub fn report_last_run(&self) -> Option<String> {
        let text = fs::read_to_string(&self.inner.path).ok()?;
        let text = text.trim().to_owned();
        tracing::warn!(reason = %text, "the last run of this server stopped for this reason");
        if let Err(error) = fs::rename(&self.inner.path, self.inner.path.with_extension("previous")) {
            tracing::warn!(%error, "the record of the last run's end could not be put aside");
        }
        Some(text)
    }
}

fn write_reason(path: &Path, reason: &str) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    writeln!(file, "{reason}")?;
    file.sync_all()
}
