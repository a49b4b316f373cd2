//! Messages on their way: among servers over the network, and between a server and those who ask it.

use std::time::Duration;

use bytes::Bytes;
use server::raft::{CallError, Lane};

use super::plan::Plant;
use super::server::{Ask, Message, Reply, Told, address};
use super::simulation::{Asker, CLIENT_DELAY, Event, Simulation};

/// Connecting to a host that answers nothing is given up after this.
const CONNECT_WAIT: Duration = Duration::from_millis(300);
/// What was sent into a cut is sent again after this.
const SENT_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(1600));
/// What a follower answers to an append that it has stored, as the planted fault makes it up.
const STORED: &[u8] = b"\x01\xa7Success";

/// A message that has no outcome yet.
pub(super) struct Call {
    /// Which server has sent it, and in which of its runs.
    from: (usize, u64),
    /// To which server, and to which of its runs.
    to: (usize, u64),
    lane: Lane,
    reply: Reply,
}

impl Simulation {
    /// A server sends a message.
    pub(super) fn send(&mut self, from: usize, message: Message, reply: Reply) {
        self.note(message.method, from, message.body.len() as u64, &message.body);
        self.report.messages += 1;
        self.report.snapshots_sent += u64::from(message.lane == Lane::Snapshot);
        self.next_call += 1;
        let call = self.next_call;
        if call.is_multiple_of(4096) {
            self.calls.retain(|_, call| !call.reply.is_closed());
        }
        let Some(to) = self
            .servers
            .iter()
            .position(|server| address(&server.name) == message.address)
        else {
            return;
        };
        let pending = Call {
            from: (from, self.servers[from].runs),
            to: (to, self.servers[to].runs),
            lane: message.lane,
            reply,
        };
        self.calls.insert(call, pending);
        let delay = self.network.delay(&mut self.random);
        let off = self.servers[to].power.is_none();
        let cut = self.network.is_cut(from, to) || self.network.is_cut(to, from);
        if (off || cut) && self.settings.plant == Some(Plant::FalseQuorum) && message.method == "append" {
            self.plan(delay, Event::Outcome(call, Ok(Bytes::from_static(STORED))));
        } else if off && self.random.chance(7000) {
            self.plan(
                delay * 2,
                Event::Outcome(call, Err(unreachable(&message, "connection refused"))),
            );
        } else if off || cut {
            // A new connection is given up early; over one that was open nothing more is heard.
            if self.random.chance(5000) && message.wait > CONNECT_WAIT {
                let outcome = Err(unreachable(&message, "no connection in time"));
                self.plan(CONNECT_WAIT, Event::Outcome(call, outcome));
            } else if !off {
                self.plan(delay, Event::Deliver(to, Some(call), message));
            }
        } else if self.network.loses(&mut self.random) {
            self.report.count("message lost");
            self.sent_again(to, Some(call), message);
        } else {
            if self.network.doubles(&mut self.random) {
                self.report.count("message doubled");
                let later = self.network.delay(&mut self.random);
                self.plan(later, Event::Deliver(to, None, message.clone()));
            }
            self.plan(delay, Event::Deliver(to, Some(call), message));
        }
    }

    /// TCP sends again what has not arrived, later each time. Snapshots are waited for long enough to live from that; all
    /// else is given up before, and counts as lost.
    fn sent_again(&mut self, to: usize, call: Option<u64>, message: Message) {
        if message.lane == Lane::Snapshot {
            let later = self.random.time(SENT_AGAIN.0, SENT_AGAIN.1);
            self.plan(later, Event::Deliver(to, call, message));
        }
    }

    /// The connections to a server break: its process is gone, or it is back and knows nothing of them.
    pub(super) fn reset_calls_to(&mut self, number: usize) {
        let to = |call: &Call| call.to.0 == number;
        let broken: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, call)| to(call))
            .map(|(call, _)| *call)
            .collect();
        let address = address(&self.servers[number].name);
        for call in broken {
            let error = CallError::Unknown {
                address: address.clone(),
                reason: "connection reset".to_owned(),
            };
            let delay = self.network.delay(&mut self.random);
            self.plan(delay, Event::Outcome(call, Err(error)));
        }
    }

    /// A message comes.
    pub(super) fn deliver(&mut self, to: usize, call: Option<u64>, message: Message) {
        let Some(power) = &self.servers[to].power else { return };
        let (run, outbox) = (power.run.clone(), power.outbox.clone());
        let known = call.and_then(|call| self.calls.get(&call));
        if known.is_some_and(|call| call.to.1 != self.servers[to].runs) {
            return;
        }
        if known.is_some_and(|call| self.network.is_cut(call.from.0, to)) {
            self.sent_again(to, call, message);
            return;
        }
        self.enter(to, Box::new(move || run.deliver(&outbox, call.unwrap_or(0), &message)));
    }

    /// A server answers one.
    pub(super) fn answer(&mut self, from: usize, call: u64, status: u16, body: Bytes) {
        self.note("answer", from, u64::from(status), &body);
        let Some((to, lane)) = self.calls.get(&call).map(|call| (call.from.0, call.lane)) else {
            return;
        };
        let mut delay = self.network.delay(&mut self.random);
        if self.network.is_cut(from, to) || self.network.loses(&mut self.random) {
            if lane != Lane::Snapshot {
                return;
            }
            delay += self.random.time(SENT_AGAIN.0, SENT_AGAIN.1);
        }
        let outcome = if status == 200 {
            Ok(body)
        } else {
            Err(CallError::Refused {
                address: address(&self.servers[from].name),
                reason: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        self.plan(delay, Event::Outcome(call, outcome));
    }

    /// Whoever has sent a message hears what became of it.
    pub(super) fn outcome(&mut self, call: u64, outcome: Result<Bytes, CallError>) {
        let Some(Call {
            from: (server, run),
            reply,
            ..
        }) = self.calls.remove(&call)
        else {
            return;
        };
        if self.servers[server].runs == run {
            self.enter(server, Box::new(move || drop(reply.send(outcome))));
        }
    }

    /// A question on its way to a server; answers its number.
    pub fn ask(&mut self, asker: Asker, server: usize, ask: Ask) -> u64 {
        self.next_question += 1;
        let question = self.next_question;
        self.questions.insert(question, asker);
        let delay = self.random.time(CLIENT_DELAY.0, CLIENT_DELAY.1);
        if self.network.loses(&mut self.random) {
            self.report.count("question lost");
        } else {
            self.plan(delay, Event::Ask(server, question, ask));
        }
        question
    }

    /// A question comes.
    pub(super) fn asked(&mut self, number: usize, question: u64, ask: Ask) {
        let Some(power) = &self.servers[number].power else {
            let delay = self.random.time(CLIENT_DELAY.0, CLIENT_DELAY.1);
            self.plan(delay, Event::Told(question, Told::NotRunning));
            return;
        };
        let (run, outbox, plant) = (power.run.clone(), power.outbox.clone(), self.settings.plant);
        self.note("ask", number, question, &[]);
        self.enter(number, Box::new(move || run.ask(&outbox, question, ask, plant)));
    }
}

fn unreachable(message: &Message, reason: &str) -> CallError {
    CallError::Unreachable {
        address: message.address.clone(),
        reason: reason.to_owned(),
    }
}
