//! Clients: each writes and reads, one request at a time, and repeats a write with its key until it is answered.

use std::time::Duration;

use server::raft::ProposeError;
use statemachine::command::{ClusterSpec, Command, ConfigChange, RequestId, Shares};
use statemachine::id::{Index, NodeName};
use statemachine::log::v1::Proposal;
use statemachine::time::Millis;

use super::server::{Ask, Told};
use super::simulation::{Asker, Event, Simulation};

/// A client asks another server after this.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(3000));
/// After a refusal it asks again after this.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(60));

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    number: usize,
    /// Steps that are older than this do not count.
    step: u64,
    doing: Option<Doing>,
    /// Requests so far.
    requests: u64,
    /// Whether it goes on after its present request.
    pub stopped: bool,
}

/// A request under way.
#[derive(Clone, Debug)]
struct Doing {
    question: u64,
    /// The question with which it began: an answer to an earlier one is for another request.
    first: u64,
    /// The newest index that had been answered to anybody when it was first sent.
    after: Index,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Write(Box<Proposal>),
    Read,
}

impl Client {
    /// A client that has done nothing.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self {
            number,
            step: 0,
            doing: None,
            requests: 0,
            stopped: false,
        }
    }
}

impl Simulation {
    /// Begins: each client's and daemon's first step.
    pub fn begin(&mut self) {
        for client in 0..self.clients.len() {
            self.plan_client(client, (Duration::from_millis(1), Duration::from_millis(300)));
        }
        for daemon in 0..self.daemons.len() {
            let begin = self.random.time(Duration::from_millis(1), Duration::from_millis(300));
            self.plan(begin, Event::Daemon(daemon, 0));
        }
    }

    fn plan_client(&mut self, client: usize, within: (Duration, Duration)) {
        self.clients[client].step += 1;
        let step = self.clients[client].step;
        let after = self.random.time(within.0, within.1);
        self.plan(after, Event::Client(client, step));
    }

    /// A client's next step: a new request, or the present one at another server.
    pub(super) fn client_step(&mut self, number: usize, step: u64) {
        if self.clients[number].step != step {
            return;
        }
        if self.clients[number].doing.is_none() {
            if self.clients[number].stopped {
                return;
            }
            let what = self.next_request(number);
            self.clients[number].doing = Some(Doing {
                question: 0,
                first: 0,
                after: self.answered,
                what,
            });
        }
        let Some(ask) = self.clients[number].doing.as_ref().map(|doing| match &doing.what {
            What::Write(proposal) => Ask::Propose(proposal.clone()),
            What::Read => Ask::Read,
        }) else {
            return;
        };
        let server = self.some_server();
        let question = self.ask(Asker::Client(number), server, ask);
        if let Some(doing) = &mut self.clients[number].doing {
            doing.question = question;
            if doing.first == 0 {
                doing.first = question;
            }
        }
        self.plan_client(number, PATIENCE);
    }

    /// Any server that has not left.
    pub fn some_server(&mut self) -> usize {
        let present: Vec<usize> = (0..self.servers.len())
            .filter(|at| !self.servers[*at].removed)
            .collect();
        present[self.random.index(present.len())]
    }

    fn next_request(&mut self, number: usize) -> What {
        let client = &mut self.clients[number];
        client.requests += 1;
        if self.random.chance(2500) {
            return What::Read;
        }
        let request = RequestId {
            client: format!("c{}", client.number),
            key: client.requests.to_string(),
        };
        let draw = self.random.next();
        let command = if (self.faults.over || self.random.chance(8500)) && !self.daemons.is_empty() {
            let daemon = self.random.index(self.daemons.len());
            let node = NodeName::new(&format!("d{}", daemon + 1)).ok();
            node.map(|node| Command::SetAttribute {
                node,
                key: format!("a{}", draw % 20),
                expect: None,
                value: (!draw.is_multiple_of(7)).then(|| (draw % 1000).to_string()),
            })
        } else {
            None
        };
        let command = command.unwrap_or_else(|| Command::Configure {
            expect: None,
            changes: vec![ConfigChange::PutCluster(ClusterSpec {
                name: format!("c{}", draw % 100),
                lease: self.settings.lease,
                min_nodes: 1 + u32::try_from(draw % 3).unwrap_or(0),
                start_wait: Millis(draw % 5000),
                shares: Shares::None,
                overload: 100,
                resume: 85,
                modes: Vec::new(),
            })],
        });
        What::Write(Box::new(Proposal {
            request: Some(request),
            command,
        }))
    }

    /// A client has an answer.
    pub(super) fn client_told(&mut self, number: usize, question: u64, told: Told) {
        let doing = self.clients[number]
            .doing
            .clone()
            .filter(|doing| question >= doing.first);
        let Some(doing) = doing else { return };
        let late = doing.question != question;
        match (&doing.what, told) {
            (What::Write(proposal), Told::Proposed(Ok(answer))) => {
                // An answer to an earlier attempt is one as well.
                self.acknowledged(&doing, proposal, &answer);
            }
            (What::Read, Told::Read(Ok((index, digest)))) if !late => {
                self.report.reads += 1;
                let same = self.reference.compare_digest(index, digest.0);
                if let Err(text) = same {
                    self.violated(&format!("a read: {text}"));
                }
                if index < doing.after {
                    self.violated(&format!(
                        "I9: a read sees command {index}, but {} was acknowledged before it began",
                        doing.after
                    ));
                }
                self.answered = self.answered.max(index);
            }
            (What::Write(_), Told::Proposed(Err(ProposeError::TooLarge { .. }))) => {
                self.violated("a small proposal was refused as too large");
            }
            (_, _) if late => return,
            (_, _) => {
                self.plan_client(number, PAUSE);
                return;
            }
        }
        self.clients[number].doing = None;
        let think = self.settings.think;
        self.plan_client(number, (Duration::ZERO, think));
    }

    fn acknowledged(&mut self, doing: &Doing, proposal: &Proposal, answer: &server::raft::Answer) {
        self.report.acknowledged += 1;
        self.note("acknowledged", 0, answer.index.0, &[]);
        if let Err(text) = self.reference.compare_answer(proposal.request.as_ref(), answer) {
            self.violated(&text);
        }
        if answer.index <= doing.after {
            self.violated(&format!(
                "I9: {:?} is at {}, but {} was acknowledged before it was sent",
                proposal.request, answer.index, doing.after
            ));
        }
        self.answered = self.answered.max(answer.index);
    }

    /// Whether a client still asks for another definition of the cluster, perhaps with a lease of before.
    #[must_use]
    pub fn configures(&self) -> bool {
        let configures = |doing: &Doing| matches!(&doing.what, What::Write(proposal) if matches!(proposal.command, Command::Configure { .. }));
        self.clients
            .iter()
            .filter_map(|client| client.doing.as_ref())
            .any(configures)
    }

    /// How many clients wait for an answer.
    #[must_use]
    pub fn waiting_clients(&self) -> usize {
        self.clients.iter().filter(|client| client.doing.is_some()).count()
    }
}
