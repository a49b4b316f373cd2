//! The times of supervisors: what the kernel does at the deadline, and what they mind themselves.

use server::daemon::event::DaemonEvent;
use server::supervisor::protocol::EndCause;
use server::timers::KILL_MS;

use super::super::planted::Planted;
use super::super::program::ProgramEvent;
use super::super::world::{Event, MS, World};
use super::{SOCKET_NS, Stopping};

impl World {
    pub(super) fn stop_until(&mut self, host: usize, id: u64, cause: EndCause, kill_at_ns: u64) {
        let now_ns = self.hosts[host].clock.local(self.now);
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        match &mut supervisor.stopping {
            Some(stopping) => stopping.kill_at_ns = stopping.kill_at_ns.min(kill_at_ns),
            None => {
                supervisor.stopping = Some(Stopping {
                    cause,
                    kill_at_ns,
                    killed: false,
                });
                let polite = kill_at_ns > now_ns && supervisor.started && !supervisor.behaviour.ignores_stop;
                if polite {
                    let delay = supervisor.behaviour.stop_ns;
                    self.after(host, id, delay, ProgramEvent::Exited);
                }
            }
        }
    }

    /// The kernel's deadline, then what the supervisor minds itself; and when to look again.
    pub fn mind_supervisor(&mut self, host: usize, id: u64) {
        let now_ns = self.hosts[host].clock.local(self.now);
        let paused = self.hosts[host].supervisors_paused > 0;
        let user_space = self.plants(Planted::DeadmanInUserSpace);
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        let armed = supervisor.armed_ns;
        if armed > 0 && now_ns >= armed && !supervisor.dying && !(user_space && paused) {
            supervisor.dying = true;
            supervisor.inbox.clear();
            let delay = self.random.below(KILL_MS * MS);
            self.at(self.now + delay, Event::DeadmanDone(host, id));
        }
        if paused {
            return self.look_again(host, id);
        }
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        if !supervisor.dying && supervisor.stopping.is_none() && armed > 0 && now_ns >= supervisor.soft_ns {
            self.stop_until(host, id, EndCause::LeaseEnded, armed);
        }
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        if let Some(stopping) = &mut supervisor.stopping
            && !stopping.killed
            && now_ns >= stopping.kill_at_ns
        {
            stopping.killed = true;
            if !supervisor.dying {
                supervisor.dying = true;
                let delay = self.random.below(KILL_MS * MS / 2);
                self.after(host, id, delay, ProgramEvent::Killed);
            }
        }
        let Some(supervisor) = self.hosts[host].supervisors.get(&id) else {
            return;
        };
        if supervisor.asked.as_ref().is_some_and(|asked| now_ns >= asked.until_ns) {
            let how = if supervisor.asked.as_ref().is_some_and(|asked| asked.by_command) {
                "the command did not end in time and was killed"
            } else {
                "the package did not answer on its control socket in time"
            };
            self.answered(host, id, Some(how.to_owned()));
        }
        self.look_again(host, id);
    }

    pub(super) fn look_again(&mut self, host: usize, id: u64) {
        let now = self.now;
        let clock = self.hosts[host].clock.clone();
        let paused = self.hosts[host].supervisors_paused > 0;
        let sleeps = paused && self.plants(Planted::DeadmanInUserSpace);
        let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) else {
            return;
        };
        let mut next = u64::MAX;
        if supervisor.armed_ns > 0 && !supervisor.dying && !sleeps {
            next = supervisor.armed_ns;
            if supervisor.stopping.is_none() && !paused {
                next = next.min(supervisor.soft_ns);
            }
        }
        if !paused {
            if let Some(stopping) = supervisor.stopping.as_ref().filter(|stop| !stop.killed) {
                next = next.min(stopping.kill_at_ns);
            }
            if let Some(asked) = &supervisor.asked {
                next = next.min(asked.until_ns);
            }
        }
        if next == u64::MAX {
            return;
        }
        let at = clock.when(next).max(now + 1);
        // An earlier look that is due already sees that there is nothing to do, and looks again.
        if at < supervisor.timer_ns || supervisor.timer_ns <= now {
            supervisor.timer_ns = at;
            self.at(at, Event::SupervisorLooks(host, id));
        }
    }

    /// The kernel has killed the supervisor and all below it.
    pub fn deadman_done(&mut self, host: usize, id: u64) {
        self.becomes_inactive(host, id);
        let Some(supervisor) = self.hosts[host].supervisors.remove(&id) else {
            return;
        };
        let Some(incarnation) = supervisor.daemon else { return };
        let event = DaemonEvent::Gone {
            key: supervisor.key,
            process: supervisor.process,
        };
        let at = self.now + SOCKET_NS + self.random.below(3 * MS);
        self.at(at, Event::DaemonHears(host, incarnation, Box::new(event)));
    }

    /// Somebody kills a supervisor, or with it the whole host.
    pub fn kill_supervisor(&mut self, host: usize, id: u64) {
        let delay = self.random.below(KILL_MS * MS / 4);
        if let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id)
            && !supervisor.dying
        {
            supervisor.dying = true;
            supervisor.inbox.clear();
            self.at(self.now + delay, Event::DeadmanDone(host, id));
        }
    }

    /// The daemon's end of its sockets closes: whoever waits for "go" ends.
    pub fn daemon_closed_sockets(&mut self, host: usize, incarnation: u64) {
        let waiting: Vec<u64> = self.hosts[host]
            .supervisors
            .iter_mut()
            .filter(|(_, supervisor)| supervisor.daemon == Some(incarnation))
            .filter_map(|(id, supervisor)| {
                supervisor.daemon = None;
                (!supervisor.go).then_some(*id)
            })
            .collect();
        for id in waiting {
            self.kill_supervisor(host, id);
        }
    }
}
