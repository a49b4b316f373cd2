//! Times and ends: the soft stop before the lease's end, the kill, and the proof that nothing is left.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::birth::save_state;
use super::clock::{boottime_ns, ms};
use super::process;
use super::protocol::{EndCause, Ended, News};
use super::supervise::{Stopping, Supervisor};

impl Supervisor {
    pub(super) fn mind_the_time(&mut self) {
        let now = boottime_ns();
        if self.stopping.is_none()
            && self.spec.deadline_ns.is_some()
            && let Some(soft) = self.soft_ns
            && now >= soft
        {
            self.stop_until(EndCause::LeaseEnded, self.deadline.armed_ns());
        }
        if let Some(stopping) = &mut self.stopping
            && !stopping.killed
            && now >= stopping.kill_at_ns
        {
            stopping.killed = true;
            self.kill_all();
        }
        for program in self
            .programs
            .iter_mut()
            .filter(|program| !program.timed_out && now >= program.until_ns)
        {
            program.timed_out = true;
            if let Some(pid) = program.pid {
                let _ = killpg(pid, Signal::SIGKILL);
            }
        }
        if self
            .asked
            .as_ref()
            .is_some_and(|asked| now >= asked.until_ns && asked.program.is_none())
        {
            self.answered(Err(
                "the package did not answer on its control socket in time".to_owned()
            ));
        }
    }

    pub(super) fn stop(&mut self, cause: EndCause, timeout_ms: u64) {
        self.stop_until(cause, boottime_ns().saturating_add(ms(timeout_ms)));
    }

    /// A later stop can make the time shorter, never longer, and does not change the cause.
    pub(super) fn stop_until(&mut self, cause: EndCause, kill_at_ns: u64) {
        match &mut self.stopping {
            Some(stopping) => stopping.kill_at_ns = stopping.kill_at_ns.min(kill_at_ns),
            None => {
                self.stopping = Some(Stopping {
                    cause,
                    kill_at_ns,
                    killed: false,
                });
                if kill_at_ns > boottime_ns() {
                    self.signal_package(Signal::SIGTERM);
                }
            }
        }
        self.mind_the_time_of_stop();
    }

    pub(super) fn mind_the_time_of_stop(&mut self) {
        if let Some(stopping) = &mut self.stopping
            && !stopping.killed
            && boottime_ns() >= stopping.kill_at_ns
        {
            stopping.killed = true;
            self.kill_all();
        }
    }

    pub(super) fn signal_package(&self, signal: Signal) {
        // The package leads a session of its own, so its number is that of its process group too.
        if let Some(pid) = self.package_pid
            && killpg(pid, signal).is_err()
        {
            let _ = kill(pid, signal);
        }
    }

    pub(super) fn kill_all(&self) {
        let _ = kill(self.init.pid, Signal::SIGKILL);
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill_package();
        }
    }

    /// Of a namespace's first process, having been reaped means that the kernel has ended all others before.
    pub(super) fn init_is_gone(&mut self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if pid == self.init.pid => {
                    return true;
                }
                Err(Errno::ECHILD) => return true,
                Ok(WaitStatus::StillAlive) => return false,
                Ok(_) | Err(_) => {}
            }
        }
    }

    pub(super) fn finish(mut self) {
        self.hear_init();
        if !self.init.containment.is_namespace() {
            process::kill_descendants();
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill_package();
        }
        if self.ended.is_none() {
            // Init was killed, by this process or by somebody with the power to.
            let cause = self
                .stopping
                .as_ref()
                .map_or(EndCause::Signalled, |stopping| stopping.cause);
            self.ended = Some(Ended {
                cause,
                code: Some(Signal::SIGKILL as i32),
                detail: "ended by signal 9".to_owned(),
            });
        }
        self.state.ended = self.ended.clone();
        if let Some(ended) = self.ended.take() {
            self.tell_daemon(&News::Ended(ended));
        }
        // Nothing of the package is left, so waiting for a disk does no harm now.
        let _ = save_state(&self.state);
        if let Some(daemon) = &mut self.daemon {
            daemon.flush();
        }
    }
}
