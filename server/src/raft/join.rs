//! A server's first steps: it creates the cluster, or asks any member to be let in.
//!
//! Asking is two steps. *Admission* puts `AddMember` in the log, which gives this server its id; that and the cluster's id
//! are on disk here before Raft starts. *Promotion* makes it a learner, lets it catch up, and lets it vote. Both may be
//! asked for again after a crash: the nonce of the data directory makes the first count once.

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{InitializeError, RaftError};
use serde::{Deserialize, Serialize};

use super::codec;
use super::core::Core;
use super::options::StartError;
use super::transport::{CallError, Lane, Target};
use super::type_config::Peer;
use crate::storage::{Identity, Phase};

/// Between two attempts: short, because in a new cluster the others are just starting.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long an answer may take: a promotion includes catching up for a while.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How often to say that nobody answers.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// `POST join`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskAdmission {
    pub name: String,
    pub peer: Vec<String>,
    pub api: String,
    pub nonce: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub witness: bool,
}

/// Its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Admission {
    /// Let in under this id.
    Admitted { cluster_id: String, member: u64 },
    /// Ask the leader, at these addresses.
    AskLeader { addresses: Vec<String> },
    /// Not now: ask again.
    Later,
    /// Never, and why.
    Refused { reason: String },
}

/// `POST promote`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskPromotion {
    pub member: u64,
}

/// Its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Promotion {
    /// It votes.
    Voter,
    /// Ask the leader, at these addresses.
    AskLeader { addresses: Vec<String> },
    /// It is catching up: ask again.
    Later,
    /// It can't, and why.
    Refused { reason: String },
}

pub(super) async fn run(core: &Arc<Core>) -> Result<(), StartError> {
    let identity = match core.identity() {
        Some(identity) => identity,
        None => begin(core).await?,
    };
    match identity.phase {
        Phase::Bootstrapping => bootstrap(core, identity).await,
        Phase::Joining { ref nonce } => {
            let nonce = nonce.clone();
            let member = admission(core, identity, nonce).await?;
            promotion(core, &member).await
        }
        // A crash between admission and promotion: go on where it ended.
        Phase::Member if votes(core, identity.member).await => Ok(()),
        Phase::Member if core.options.join.is_empty() => Ok(()),
        Phase::Member => promotion(core, &identity).await,
    }
}

async fn begin(core: &Arc<Core>) -> Result<Identity, StartError> {
    let identity = if core.options.join.is_empty() {
        Identity::bootstrapping(&core.options.name, random_hex()?)
    } else {
        Identity::joining(&core.options.name, random_hex()?)
    };
    core.set_identity(identity.clone()).await?;
    Ok(identity)
}

async fn bootstrap(core: &Arc<Core>, identity: Identity) -> Result<(), StartError> {
    if core.raft().is_none() {
        core.start_raft(&identity).await?;
    }
    let raft = core
        .raft()
        .ok_or_else(|| StartError::Raft("it is not running".to_owned()))?;
    let peer = Peer {
        name: core.options.name.clone(),
        addresses: core.options.peer.clone(),
    };
    match raft
        .initialize(std::collections::BTreeMap::from([(identity.member, peer)]))
        .await
    {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
        Err(error) => return Err(StartError::Raft(error.to_string())),
    }
    core.create_cluster(&identity).await?;
    let (cluster_id, member) = (identity.cluster_id.clone(), identity.member);
    tracing::info!(cluster_id, "the cluster is created");
    core.set_identity(identity.into_member(cluster_id, member)).await
}

async fn admission(core: &Arc<Core>, identity: Identity, nonce: String) -> Result<Identity, StartError> {
    let ask = AskAdmission {
        name: core.options.name.clone(),
        peer: core.options.peer.clone(),
        api: core.options.api.clone(),
        nonce,
        witness: core.options.witness,
    };
    let mut asking = Asking::new(core)?;
    loop {
        match asking.ask(core, 0, "join", &ask).await {
            Ok(Admission::Admitted { cluster_id, member }) => {
                let identity = identity.into_member(cluster_id, member);
                core.set_identity(identity.clone()).await?;
                core.start_raft(&identity).await?;
                return Ok(identity);
            }
            Ok(Admission::AskLeader { addresses }) => asking.prefer(addresses),
            Ok(Admission::Later) => asking.pause("the cluster is busy").await,
            Ok(Admission::Refused { reason }) => {
                return Err(StartError::Refused {
                    name: identity.name,
                    reason,
                });
            }
            Err(error) => asking.pause(&error.to_string()).await,
        }
    }
}

async fn promotion(core: &Arc<Core>, identity: &Identity) -> Result<(), StartError> {
    let ask = AskPromotion {
        member: identity.member,
    };
    let mut asking = Asking::new(core)?;
    loop {
        if is_voter(core, identity.member) {
            return Ok(());
        }
        match asking.ask(core, 0, "promote", &ask).await {
            Ok(Promotion::Voter) => return Ok(()),
            Ok(Promotion::AskLeader { addresses }) => asking.prefer(addresses),
            Ok(Promotion::Later) => asking.pause("this server is catching up").await,
            Ok(Promotion::Refused { reason }) => {
                return Err(StartError::Refused {
                    name: identity.name.clone(),
                    reason,
                });
            }
            Err(error) => asking.pause(&error.to_string()).await,
        }
    }
}

/// Whether this server votes, asked of Raft itself: its metrics come a moment after its start.
async fn votes(core: &Core, member: u64) -> bool {
    let Some(raft) = core.raft() else { return false };
    let voters = raft.with_raft_state(move |state| {
        state
            .membership_state
            .effective()
            .voter_ids()
            .any(|voter| voter == member)
    });
    voters.await.unwrap_or(false)
}

fn is_voter(core: &Core, member: u64) -> bool {
    use openraft::type_config::async_runtime::watch::WatchReceiver as _;
    core.raft().is_some_and(|raft| {
        let metrics = raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.voter_ids().any(|voter| voter == member)
    })
}

/// Asks one address after the other, the leader's first once it is known.
struct Asking {
    addresses: Vec<String>,
    leader: Vec<String>,
    turn: usize,
    pause: Duration,
    said: tokio::time::Instant,
}

impl Asking {
    fn new(core: &Core) -> Result<Self, StartError> {
        let own = &core.options.peer;
        let mut addresses: Vec<String> = core
            .options
            .join
            .iter()
            .filter(|address| !own.contains(address))
            .cloned()
            .collect();
        for member in core.applied.state().members() {
            addresses.extend(member.peer.iter().filter(|address| !own.contains(address)).cloned());
        }
        if let Some(raft) = core.raft() {
            use openraft::type_config::async_runtime::watch::WatchReceiver as _;
            let metrics = raft.server_metrics();
            let metrics = metrics.borrow_watched();
            for (_, peer) in metrics.membership_config.membership().nodes() {
                addresses.extend(peer.addresses.iter().filter(|address| !own.contains(address)).cloned());
            }
        }
        if addresses.is_empty() {
            return Err(StartError::Options(format!(
                "join names only this server itself ({}): name another member, or leave it empty on the one server that creates the \
                 cluster",
                own.join(", ")
            )));
        }
        let said = tokio::time::Instant::now();
        Ok(Self {
            addresses,
            leader: Vec::new(),
            turn: 0,
            pause: PAUSE_MIN,
            said,
        })
    }

    fn prefer(&mut self, leader: Vec<String>) {
        self.leader = leader;
    }

    async fn ask<Q: Serialize, A: serde::de::DeserializeOwned>(
        &mut self,
        core: &Core,
        member: u64,
        method: &'static str,
        request: &Q,
    ) -> Result<A, CallError> {
        let address = match self.leader.pop() {
            Some(leader) => leader,
            None => {
                self.turn = self.turn.wrapping_add(1);
                self.addresses[(self.turn - 1) % self.addresses.len()].clone()
            }
        };
        let unknown = |reason: String| CallError::Unknown {
            address: address.clone(),
            reason,
        };
        let body = codec::encode(method, request).map_err(|error| unknown(error.to_string()))?;
        let target = Target {
            member,
            addresses: vec![address.clone()],
        };
        let answer = core
            .transport
            .call(&target, Lane::Proposals, method, body, ANSWER_WAIT)
            .await?;
        codec::decode(method, &answer).map_err(|error| unknown(error.to_string()))
    }

    async fn pause(&mut self, reason: &str) {
        if self.said.elapsed() > REPORT_EVERY {
            tracing::warn!(reason, asked = ?self.addresses, "still waiting to join the cluster");
            self.said = tokio::time::Instant::now();
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 3 / 2).min(PAUSE_MAX);
    }
}

fn random_hex() -> Result<String, StartError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| StartError::Options(format!("the system gives no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
