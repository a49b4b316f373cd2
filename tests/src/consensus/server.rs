//! A server of the cluster as it runs on a host: the product's Raft node with its routes and its leases, on a simulated
//! network and disk.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use server::lease::{Leases, RenewError, RenewalGrant};
use server::raft::{
    Answer, CallError, Environment, HEADER_CLUSTER, HEADER_MEMBER, HEADER_VOTE, Lane, MemberError, PeerTransport,
    ProposeError, RaftNode, RaftOptions, RaftTuning, ReadError, Target, Work, Workers,
};
use server::storage::{StoredSnapshot, Writer};
use statemachine::Digest;
use statemachine::id::{Index, MemberId, NodeId, SessionId};
use statemachine::log::v1::Proposal;
use statemachine::time::Millis;
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use super::disk::Disk;
use super::plan::Plant;

/// What waits for the answer to a message.
pub type Reply = oneshot::Sender<Result<Bytes, CallError>>;
type Carried = Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send>>;

/// A message to another server.
#[derive(Clone, Debug)]
pub struct Message {
    /// Which server, by one of its addresses.
    pub address: String,
    /// Which member it must be.
    pub member: u64,
    /// On which connections.
    pub lane: Lane,
    /// Under `/peer/v1`.
    pub method: &'static str,
    /// Of which cluster it is.
    pub cluster: String,
    /// The vote that a snapshot comes under.
    pub vote: Option<String>,
    /// What it says.
    pub body: Bytes,
    /// How long the sender waits.
    pub wait: Duration,
}

/// What a client or a daemon asks of a server.
#[derive(Clone, Debug)]
pub enum Ask {
    /// To put a command in the log.
    Propose(Box<Proposal>),
    /// For the state as it is now.
    Read,
    /// To renew a session's lease.
    Renew(NodeId, SessionId),
    /// To hand the lead over.
    HandOver(Option<MemberId>),
    /// To let a member leave.
    Remove(MemberId),
}

/// The server's answer.
#[derive(Clone, Debug)]
pub enum Told {
    /// What became of a command.
    Proposed(Result<Answer, ProposeError>),
    /// The index and the digest of what was read.
    Read(Result<(Index, Digest), ReadError>),
    /// Whether the session may go on.
    Renewed(Result<RenewalGrant, RenewError>),
    /// Whether the change is made.
    Changed(Result<(), MemberError>),
    /// Nothing listens there.
    NotRunning,
}

/// What comes out of a host.
pub enum Out {
    /// A message for another server.
    Call(Message, Reply),
    /// The answer to one, with its HTTP status.
    Answer(u64, u16, Bytes),
    /// The answer to a client's or a daemon's question.
    Told(u64, Told),
    /// Work for the host's other threads, and whom to tell.
    Work(Work, oneshot::Sender<()>),
}

/// Where all that comes out of a host is put.
#[derive(Clone, Default)]
pub struct Outbox(Arc<Mutex<Vec<Out>>>);

impl Outbox {
    fn put(&self, out: Out) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(out);
    }

    /// Takes all that has come out.
    #[must_use]
    pub fn take(&self) -> Vec<Out> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The network as a server sees it.
struct Wire {
    outbox: Outbox,
    cluster: Mutex<String>,
}

impl Wire {
    fn send(
        &self,
        to: &Target,
        lane: Lane,
        method: &'static str,
        body: Bytes,
        wait: Duration,
        vote: Option<String>,
    ) -> Carried {
        let address = to.addresses.first().cloned().unwrap_or_default();
        let cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (reply, answer) = oneshot::channel();
        let message = Message {
            address: address.clone(),
            member: to.member,
            lane,
            method,
            cluster,
            vote,
            body,
            wait,
        };
        self.outbox.put(Out::Call(message, reply));
        Box::pin(async move {
            let reason = match tokio::time::timeout(wait, answer).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(_)) => "the connection broke".to_owned(),
                Err(_) => format!("nothing came within {} ms", wait.as_millis()),
            };
            Err(CallError::Unknown { address, reason })
        })
    }
}

impl PeerTransport for Wire {
    fn call(&self, to: &Target, lane: Lane, method: &'static str, body: Bytes, wait: Duration) -> Carried {
        self.send(to, lane, method, body, wait, None)
    }

    fn send_snapshot(&self, to: &Target, vote: String, snapshot: StoredSnapshot, wait: Duration) -> Carried {
        let mut body = vec![0; usize::try_from(snapshot.length).unwrap_or(0)];
        match snapshot.read_at(0, &mut body) {
            Ok(read) => body.truncate(read),
            Err(error) => {
                let address = to.addresses.first().cloned().unwrap_or_default();
                let reason = error.to_string();
                return Box::pin(async move { Err(CallError::Unreachable { address, reason }) });
            }
        }
        self.send(to, Lane::Snapshot, "snapshot", Bytes::from(body), wait, Some(vote))
    }

    fn set_cluster(&self, id: &str) {
        id.clone_into(&mut self.cluster.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The host's other threads: slow work is done a while later, unless the power is cut before.
struct Threads {
    outbox: Outbox,
}

impl Workers for Threads {
    fn run(&self, work: Work) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (tell, done) = oneshot::channel();
        self.outbox.put(Out::Work(work, tell));
        Box::pin(async move {
            let _ = done.await;
        })
    }
}

/// What runs on a host, as far as it has come.
#[derive(Clone, Default)]
pub struct Run {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    up: Option<Up>,
    joined: bool,
    starts_again: bool,
    failed: Option<String>,
}

#[derive(Clone)]
struct Up {
    node: RaftNode,
    leases: Leases,
    routes: Router,
}

impl Run {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the server, on the host that runs at the moment.
    pub fn start(&self, outbox: &Outbox, disk: &Disk, options: RaftOptions, tuning: RaftTuning) {
        let handle = Arc::new(disk.open());
        let environment = Environment {
            transport: Arc::new(Wire {
                outbox: outbox.clone(),
                cluster: Mutex::default(),
            }),
            backend: handle.clone(),
            writer: Writer::through(handle),
            workers: Arc::new(Threads { outbox: outbox.clone() }),
        };
        let run = self.clone();
        tokio::spawn(async move {
            let node = match RaftNode::open_in(environment, options, tuning).await {
                Ok(node) => node,
                Err(error) => return run.fail(error.to_string()),
            };
            let (routes, leases) = (node.peer_routes(), Leases::start(node.clone()));
            run.lock().up = Some(Up {
                node: node.clone(),
                leases,
                routes,
            });
            let (failed, watching) = (node.failed(), run.clone());
            tokio::spawn(async move { watching.fail(failed.await) });
            let (again, watching) = (node.starts_again(), run.clone());
            tokio::spawn(async move {
                again.await;
                watching.lock().starts_again = true;
            });
            match node.join().await {
                Ok(()) => run.lock().joined = true,
                Err(error) => run.fail(error.to_string()),
            }
        });
    }

    fn fail(&self, reason: String) {
        self.lock().failed.get_or_insert(reason);
    }

    /// The server's node, once it is open.
    #[must_use]
    pub fn node(&self) -> Option<RaftNode> {
        self.lock().up.as_ref().map(|up| up.node.clone())
    }

    /// Whether it has joined its cluster.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.lock().joined
    }

    /// Whether it is to end in order and to be started again, for Raft's timers of another lease.
    #[must_use]
    pub fn starts_again(&self) -> bool {
        self.lock().starts_again
    }

    /// Why it has stopped for good, once it has.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.lock().failed.clone()
    }

    /// Has the server answer another one's message, as if it came over HTTP.
    pub fn deliver(&self, outbox: &Outbox, call: u64, message: &Message) {
        let routes = self.lock().up.as_ref().map(|up| up.routes.clone());
        let outbox = outbox.clone();
        let Some(routes) = routes else {
            outbox.put(Out::Answer(call, 503, Bytes::from_static(b"it is just starting")));
            return;
        };
        let mut request = Request::post(format!("/peer/v1/{}", message.method))
            .header(HEADER_CLUSTER, &message.cluster)
            .header(HEADER_MEMBER, message.member.to_string());
        if let Some(vote) = &message.vote {
            request = request.header(HEADER_VOTE, vote);
        }
        let Ok(request) = request.body(Body::from(message.body.clone())) else {
            return;
        };
        tokio::spawn(async move {
            let Ok(response) = routes.oneshot(request).await;
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
            outbox.put(Out::Answer(call, status, body.unwrap_or_default()));
        });
    }

    /// Has the server answer a client or a daemon.
    pub fn ask(&self, outbox: &Outbox, question: u64, ask: Ask, plant: Option<Plant>) {
        let up = self.lock().up.clone();
        let outbox = outbox.clone();
        let Some(up) = up else {
            outbox.put(Out::Told(question, Told::NotRunning));
            return;
        };
        tokio::spawn(async move {
            let told = up.answer(ask, plant).await;
            outbox.put(Out::Told(question, told));
        });
    }
}

impl Up {
    async fn answer(&self, ask: Ask, plant: Option<Plant>) -> Told {
        match ask {
            Ask::Propose(proposal) => Told::Proposed(self.node.propose(*proposal).await),
            Ask::Read if plant == Some(Plant::ReadWithoutRound) && self.leads() => Told::Read(Ok(self.read())),
            Ask::Read => Told::Read(self.node.read_barrier().await.map(|()| self.read())),
            Ask::Renew(node, session) if plant == Some(Plant::RenewalWithoutRound) => {
                Told::Renewed(self.renew_without_round(node, session).await)
            }
            Ask::Renew(node, session) => Told::Renewed(self.leases.renew(node, session, 0).await),
            Ask::HandOver(to) => Told::Changed(self.node.transfer_leader(to).await),
            Ask::Remove(member) => Told::Changed(self.node.remove_member(member).await.map(drop)),
        }
    }

    fn read(&self) -> (Index, Digest) {
        let state = self.node.state();
        (state.applied(), statemachine::digest(&state))
    }

    fn leads(&self) -> bool {
        self.node.leadership().borrow().is_leader
    }

    /// The planted fault: whoever believes to lead answers soon, whether a round has confirmed it or not.
    async fn renew_without_round(&self, node: NodeId, session: SessionId) -> Result<RenewalGrant, RenewError> {
        const SOON: Duration = Duration::from_millis(50);
        match tokio::time::timeout(SOON, self.leases.renew(node, session, 0)).await {
            Ok(Err(RenewError::NoQuorum)) | Err(_) if self.leads() => {}
            Ok(answer) => return answer,
            Err(_) => return Err(RenewError::NoQuorum),
        }
        let timers = self.node.timers();
        Ok(RenewalGrant {
            lease: Millis(timers.lease_ms),
            soft: Millis(timers.soft_ms),
            renew: Millis(timers.renew_ms),
            retry: Millis(timers.retry_ms),
        })
    }
}

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It may lead.
    Server,
    /// It votes, and gets the lead last.
    Witness,
}

/// What a server is started with.
#[must_use]
pub fn options(directory: &Path, name: &str, join: &[String], role: Role) -> RaftOptions {
    RaftOptions {
        data_dir: directory.to_owned(),
        name: name.to_owned(),
        peer: vec![address(name)],
        api: format!("{name}:api"),
        join: join.to_vec(),
        witness: role == Role::Witness,
    }
}

/// A server's peer address.
#[must_use]
pub fn address(name: &str) -> String {
    format!("{name}:peer")
}
