//! What a server does as leader: rounds of confirmation, answers to renewals, sweeps and ticks, as
//! `server/src/lease.rs` and `server/src/raft/timer.rs` do.

use std::time::Duration;

use server::api::protocol;
use server::lease::{Decision, Moment, RenewError, Round};
use server::raft::BootTime;
use statemachine::command::Command;
use statemachine::id::Term;
use statemachine::log::v1::Proposal;
use statemachine::time::Timestamp;

use super::super::consensus::Role;
use super::super::message::{Body, Envelope, Origin, ReplyTo, Request, Response};
use super::super::planted::Planted;
use super::super::world::{MS, World};
use super::{ROUND_WAIT_NS, Renewal, RoundUnderWay, boot};

impl World {
    pub(super) fn follow_leadership(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let no_wait = self.plants(Planted::NewLeaderDoesNotWait);
        let it = &mut self.servers[server];
        let term = it.raft.term;
        let leads = it.raft.role == Role::Leader;
        if leads && it.led.is_none_or(|(led, _)| led != term) {
            let mut since = boot(now_ns);
            it.led = Some((term, since));
            if no_wait {
                since = BootTime(since.0.saturating_sub(Duration::from_secs(3600)));
            }
            it.ready = false;
            it.answered.clear();
            it.leases.lead(Term(term), since);
            it.sweep_ns = now_ns;
            self.checks.leads(server, term);
            self.leader_changes += 1;
            self.note(|| format!("s{server} leads in term {term}"));
        }
        let it = &mut self.servers[server];
        if leads && !it.ready && it.applied >= it.raft.blank {
            it.ready = true;
            if let Some((_, since)) = it.led {
                it.clock.take_over(Term(term), it.state.at(), since);
            }
        }
        if !leads && it.led.is_some() {
            it.led = None;
            it.ready = false;
            it.round = None;
            let renewals = it.leases.resign();
            let waiting = std::mem::take(&mut it.waiting);
            for renewal in renewals {
                self.refuse(server, renewal.reply, "no_quorum");
            }
            for waits in waiting.into_values().flat_map(|(_, waiting)| waiting).flatten() {
                self.refuse(server, waits.reply, "outcome_unknown");
            }
        }
        self.forward_lost(server);
    }

    /// Planted: what a deposed leader thought lost goes to its successor.
    pub(super) fn forward_lost(&mut self, server: usize) {
        let planted = self.plants(Planted::LostInAnyTerm);
        let it = &mut self.servers[server];
        if !planted || it.raft.role != Role::Follower {
            return;
        }
        let Some(leader) = it.raft.leader.filter(|leader| *leader != server) else {
            return;
        };
        if let Some(command) = it.lost.take() {
            let origin = Origin::Server {
                server,
                incarnation: it.incarnation,
            };
            let proposal = Proposal { request: None, command };
            let body = Body::Request(ReplyTo { origin, call: 0 }, Request::Propose(Box::new(proposal)));
            self.send(Envelope {
                from: server,
                to: leader,
                for_server: true,
                body,
            });
        }
    }

    pub(super) fn rounds(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let unconfirmed = self.plants(Planted::NoQuorumRound);
        let it = &mut self.servers[server];
        if let Some(way) = &it.round {
            let good = way.term == it.raft.term && it.applied >= way.read && it.applied >= it.raft.blank;
            if good && (unconfirmed || it.raft.confirmed(way.number)) {
                let round = way.round;
                it.round = None;
                self.grant(server, round);
            } else if now_ns >= way.until_ns || way.term != it.raft.term || it.raft.role != Role::Leader {
                let round = way.round;
                it.round = None;
                let decisions = it.leases.on_round_failed(round);
                self.decide(server, decisions);
            }
        }
        let it = &mut self.servers[server];
        if it.round.is_none()
            && it.raft.role == Role::Leader
            && let Some(round) = it.leases.begin_round()
        {
            let number = it.raft.begin_round(now_ns);
            it.round = Some(RoundUnderWay {
                round,
                number,
                term: it.raft.term,
                read: it.raft.commit.max(it.raft.blank),
                until_ns: now_ns + ROUND_WAIT_NS,
            });
        }
    }

    pub(super) fn grant(&mut self, server: usize, round: Round) {
        let now_ns = self.boot_ns(server);
        let it = &mut self.servers[server];
        let term = Term(it.raft.term);
        let moment = Moment {
            boot: boot(now_ns),
            at: it.clock.now(term, boot(now_ns)).unwrap_or(Timestamp(u64::MAX)),
            state: &it.state,
        };
        let decisions = it.leases.on_round_confirmed(round, term, moment);
        self.decide(server, decisions);
    }

    pub(super) fn decide(&mut self, server: usize, decisions: Vec<Decision<Renewal>>) {
        let now_ns = self.boot_ns(server);
        for Decision { renewal, grant } in decisions {
            let Renewal { request, reply } = renewal;
            let response = match grant {
                Ok(grant) => {
                    let it = &mut self.servers[server];
                    it.answered.insert(request.session, now_ns);
                    match protocol::renewed(&it.state, &request, grant) {
                        Some(answer) => Response::Renewed(Box::new(answer)),
                        None => Response::Failed("session_ended".to_owned()),
                    }
                }
                Err(RenewError::SessionEnded) => Response::Failed("session_ended".to_owned()),
                Err(_) => Response::Failed("no_quorum".to_owned()),
            };
            self.respond(server, reply, response);
        }
    }

    pub(super) fn sweep(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let early_ns = if self.plants(Planted::WaitTooShort) {
            self.timers.wait_ms.saturating_sub(self.timers.lease_ms) * MS
        } else {
            0
        };
        let lease_ns = self.timers.lease_ms * MS;
        let it = &mut self.servers[server];
        if !it.ready || now_ns < it.sweep_ns {
            return;
        }
        let lost = it.leases.sweep(boot(now_ns + early_ns), &it.state);
        // Looked at often only when something may be due: a sweep more would find nothing.
        let present: Vec<u64> = it.state.nodes().filter_map(|node| Some(node.session()?.0)).collect();
        it.answered.retain(|session, _| present.contains(session));
        let all_known = present.iter().all(|session| it.answered.contains_key(session));
        let quiet = all_known && it.quiet_since().is_none_or(|since| now_ns < since + lease_ns * 3 / 4);
        let pause = if quiet { (lease_ns / 4).min(200 * MS) } else { 10 * MS };
        it.sweep_ns = now_ns + pause;
        if lost.is_empty() {
            return;
        }
        let command = Command::NodeLost {
            sessions: lost.clone(),
            term: Term(it.raft.term),
        };
        it.lost = Some(command.clone());
        self.note(|| format!("s{server} proposes lost {lost:?}"));
        self.append(server, vec![Proposal { request: None, command }]);
        self.on_lost_proposed(server);
    }

    pub(super) fn tick(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let it = &mut self.servers[server];
        let due = it.ready.then(|| it.state.next_deadline()).flatten();
        let at = it.clock.now(Term(it.raft.term), boot(now_ns));
        if let (Some(due), Some(at)) = (due, at)
            && due <= at
            && now_ns >= it.tick_after_ns
        {
            it.tick_after_ns = now_ns + 50 * MS;
            let command = Command::Tick;
            self.append(server, vec![Proposal { request: None, command }]);
        }
    }
}
