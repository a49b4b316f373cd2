//! What daemons, clients and other servers ask: taken, refused, or passed on to the leader.

use client::wire::daemon as wire;
use server::api::protocol;
use server::raft::{Answer, Fact};
use statemachine::command::Command;
use statemachine::id::{NodeId, SessionId, Term};
use statemachine::log::v1::Proposal;

use super::super::client::CLUSTER;
use super::super::consensus::{Payload, Role};
use super::super::message::{Body, Envelope, Origin, ReplyTo, Request, Response};
use super::super::planted::Planted;
use super::super::world::World;
use super::{Renewal, Shape, WAITING_MAX, Waiting, boot};

impl World {
    pub(super) fn respond(&mut self, server: usize, reply: ReplyTo, response: Response) {
        let to = match reply.origin {
            Origin::Daemon { host, .. } => host,
            Origin::Client { client } => self.client_host(client),
            Origin::Server { server, .. } => server,
        };
        self.send(Envelope {
            from: server,
            to,
            for_server: matches!(reply.origin, Origin::Server { .. }),
            body: Body::Response(reply, response),
        });
    }

    pub(super) fn refuse(&mut self, server: usize, reply: ReplyTo, code: &str) {
        self.respond(server, reply, Response::Failed(code.to_owned()));
    }

    pub(super) fn asked(&mut self, server: usize, reply: ReplyTo, request: Request) {
        let it = &self.servers[server];
        if it.full > 0 || it.waiting.len() > WAITING_MAX {
            return self.refuse(server, reply, "overloaded");
        }
        let plain = |command| Proposal { request: None, command };
        match request {
            Request::Renew(renew) => self.asked_for_time(server, reply, renew),
            Request::Propose(proposal) => self.propose(server, reply, *proposal, Shape::Plain),
            Request::Register(request) => match protocol::register(*request) {
                Ok(command) => self.propose(server, reply, plain(command), Shape::Registered),
                Err(_) => self.refuse(server, reply, "malformed"),
            },
            Request::Report(report) => {
                let node = NodeId(report.node);
                match protocol::report(report) {
                    Ok(command) => self.propose(server, reply, plain(command), Shape::Reported(node)),
                    Err(_) => self.refuse(server, reply, "malformed"),
                }
            }
            Request::Extend(extend) => {
                let command = protocol::extend(&extend);
                self.propose(server, reply, plain(command), Shape::Reported(NodeId(extend.node)));
            }
            Request::Leave(leave) => {
                let command = protocol::leave(&leave);
                self.propose(server, reply, plain(command), Shape::Reported(NodeId(leave.node)));
            }
        }
    }

    pub(super) fn asked_for_time(&mut self, server: usize, reply: ReplyTo, request: wire::Renew) {
        let it = &mut self.servers[server];
        if request.cluster_id != CLUSTER {
            return self.refuse(server, reply, "cluster_conflict");
        }
        if it.raft.role == Role::Leader {
            let (node, session) = (NodeId(request.node), SessionId(request.session));
            it.leases
                .on_arrival(node, session, request.unanswered_ms, Renewal { request, reply });
            return;
        }
        let leader = it.raft.leader.filter(|leader| *leader != server);
        match (leader, reply.origin) {
            // Passed on singly, once.
            (Some(leader), Origin::Daemon { .. }) => {
                let passed = Request::Renew(request);
                self.relay(server, leader, reply, Shape::Plain, passed);
            }
            _ => self.refuse(server, reply, "no_quorum"),
        }
    }

    pub(super) fn relay(&mut self, server: usize, to: usize, reply: ReplyTo, shape: Shape, request: Request) {
        self.next_id += 1;
        let call = self.next_id;
        let it = &mut self.servers[server];
        while it.relayed.len() > WAITING_MAX {
            it.relayed.pop_first();
        }
        it.relayed.insert(call, Waiting { reply, shape });
        let origin = Origin::Server {
            server,
            incarnation: it.incarnation,
        };
        self.send(Envelope {
            from: server,
            to,
            for_server: true,
            body: Body::Request(ReplyTo { origin, call }, request),
        });
    }

    pub(super) fn relayed_answer(&mut self, server: usize, call: u64, response: Response) {
        let Some(Waiting { reply, shape }) = self.servers[server].relayed.remove(&call) else {
            return;
        };
        let response = match response {
            Response::Answered(answer) => self.shaped(server, &shape, *answer),
            other => other,
        };
        self.respond(server, reply, response);
    }

    pub(super) fn propose(&mut self, server: usize, reply: ReplyTo, proposal: Proposal, shape: Shape) {
        let it = &mut self.servers[server];
        if it.ready {
            let index = self.append(server, vec![proposal]);
            let it = &mut self.servers[server];
            it.waiting
                .insert(index, (it.raft.term, vec![Some(Waiting { reply, shape })]));
            return;
        }
        let forwarded = matches!(reply.origin, Origin::Server { .. });
        match it.raft.leader.filter(|leader| *leader != server && !forwarded) {
            Some(leader) => self.relay(server, leader, reply, shape, Request::Propose(Box::new(proposal))),
            None => self.refuse(server, reply, "no_quorum"),
        }
    }

    pub(super) fn append(&mut self, server: usize, mut proposals: Vec<Proposal>) -> u64 {
        let now_ns = self.boot_ns(server);
        let wall_ms = self.wall_ms(server);
        let any_term = self.plants(Planted::LostInAnyTerm);
        let it = &mut self.servers[server];
        for proposal in &mut proposals {
            if let (Command::NodeLost { term, .. }, true) = (&mut proposal.command, any_term) {
                *term = Term(it.raft.term);
            }
        }
        let term = Term(it.raft.term);
        let at = it.clock.now(term, boot(now_ns)).unwrap_or(it.state.at());
        let payload = Payload::Batch { at, wall_ms, proposals };
        it.raft.append(payload, &mut it.disk, now_ns)
    }

    /// In the words that whoever asked understands.
    pub(super) fn shaped(&self, server: usize, shape: &Shape, answer: Answer) -> Response {
        let state = &self.servers[server].state;
        match (shape, &answer.result) {
            (Shape::Plain, _) => Response::Answered(Box::new(answer)),
            (_, Err(refusal)) => Response::Failed(refusal.code.clone()),
            (Shape::Registered, Ok(Fact::Registered { node, session })) => {
                Response::Registered(Box::new(wire::Registered {
                    cluster_id: CLUSTER.to_owned(),
                    node: node.0,
                    session: session.0,
                    servers: protocol::servers(state),
                }))
            }
            (Shape::Registered, Ok(_)) => Response::Failed("internal".to_owned()),
            (Shape::Reported(node), Ok(_)) => Response::Reported(wire::Reported {
                index: answer.index.0,
                generation: protocol::generation(state, *node).0,
            }),
        }
    }
}
