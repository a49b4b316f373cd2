//! A reload: the package's own command, run beside it as all that acts for it is, in the environment of its changed
//! definition.

use std::collections::BTreeMap;

use super::clock::{boottime_ns, ms};
use super::protocol::News;
use super::supervise::{PROGRAMS_MAX, Supervisor};

/// A reload command that runs.
pub(super) struct Reloading {
    /// The change of which the package is told.
    pub(super) revision: u64,
    /// The environment of the changed definition.
    pub(super) env: BTreeMap<String, String>,
    /// From the request to stop to the kill, afterwards.
    pub(super) stop_timeout_ms: u64,
    /// The command's id.
    pub(super) program: u64,
}

impl Supervisor {
    /// Runs the command. A later daemon that does not know that it was run, or how it ended, may ask for it again: it gets
    /// the answer, now or once there is one, and the command is not run twice.
    pub(super) fn reload(&mut self, mut reloading: Reloading, command: Vec<String>, timeout_ms: u64) {
        let revision = reloading.revision;
        if self.reloaded == Some(revision) {
            return self.tell_daemon(&News::Reloaded { revision, error: None });
        }
        if self
            .reloading
            .as_ref()
            .is_some_and(|under_way| under_way.revision == revision)
        {
            return;
        }
        let refused = if self.stopping.is_some() {
            Some("it is being stopped")
        } else if self.reloading.is_some() {
            Some("an earlier reload still runs")
        } else if self.programs.len() >= PROGRAMS_MAX {
            Some("too many programs run beside this package")
        } else {
            None
        };
        if let Some(error) = refused {
            let error = Some(error.to_owned());
            return self.tell_daemon(&News::Reloaded { revision, error });
        }
        let id = self.add_program(None, boottime_ns().saturating_add(ms(timeout_ms)));
        reloading.program = id;
        self.reloading = Some(reloading);
        self.launch(id, command, None);
    }

    /// Says how the reload ended, where it was this program.
    pub(super) fn reload_ended(&mut self, program: u64, error: Option<&str>) -> bool {
        let Some(reloading) = self.reloading.take_if(|reloading| reloading.program == program) else {
            return false;
        };
        let revision = reloading.revision;
        if error.is_none() {
            self.reloaded = Some(revision);
            self.spec.env = reloading.env;
            self.spec.stop_timeout_ms = reloading.stop_timeout_ms;
        }
        let error = error.map(|error| format!("the reload command {error}"));
        self.tell_daemon(&News::Reloaded { revision, error });
        true
    }
}
