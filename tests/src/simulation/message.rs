//! What goes over the simulated network.

use client::wire::daemon as wire;
use server::raft::Answer;
use statemachine::log::v1::Proposal;

use super::consensus::RaftMessage;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A daemon process; a later one of that node does not hear the answer.
    Daemon {
        /// Its host.
        host: usize,
        /// Which process.
        incarnation: u64,
    },
    /// A client.
    Client {
        /// Which.
        client: usize,
    },
    /// A server that passes something on for another.
    Server {
        /// Which.
        server: usize,
        /// Which process.
        incarnation: u64,
    },
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
pub struct ReplyTo {
    /// To whom.
    pub origin: Origin,
    /// Its number for the question.
    pub call: u64,
}

/// A question to a server.
#[derive(Clone, Debug)]
pub enum Request {
    /// `POST register`.
    Register(Box<wire::Register>),
    /// `POST renew`.
    Renew(wire::Renew),
    /// `POST report`.
    Report(wire::Report),
    /// `POST extend`.
    Extend(wire::Extend),
    /// `POST leave`.
    Leave(wire::Leave),
    /// A change by a client, or one that a follower forwards.
    Propose(Box<Proposal>),
}

/// Its answer.
#[derive(Clone, Debug)]
pub enum Response {
    /// To `register`.
    Registered(Box<wire::Registered>),
    /// To `renew`.
    Renewed(Box<wire::Renewed>),
    /// To `report`, `extend`, `leave`.
    Reported(wire::Reported),
    /// To a change.
    Answered(Box<Answer>),
    /// A refusal, by its code.
    Failed(String),
}

/// What one message holds.
#[derive(Clone)]
pub enum Body {
    /// Between servers.
    Raft(RaftMessage),
    /// A question.
    Request(ReplyTo, Request),
    /// An answer.
    Response(ReplyTo, Response),
    /// A long poll's answer: a newer desired set.
    Hint {
        /// Which daemon process.
        incarnation: u64,
        /// Of this generation.
        generation: u64,
    },
}

/// A message on its way. Hosts are numbered; clients are on hosts of their own, after those of the cluster.
#[derive(Clone)]
pub struct Envelope {
    /// From which host.
    pub from: usize,
    /// To which.
    pub to: usize,
    /// For the server process there, else for the daemon or the client.
    pub for_server: bool,
    /// What.
    pub body: Body,
}
