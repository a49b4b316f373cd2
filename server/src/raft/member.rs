//! The Raft group's members, seen from the leader: admission, promotion, removal, and handing over the lead. One change at
//! a time.

use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::type_config::async_runtime::watch::WatchReceiver as _;
use serde::{Deserialize, Serialize};
use statemachine::command::{Command, RequestId};
use statemachine::id::{Index, MemberId, NodeName};
use statemachine::log::v1::Proposal;

use super::answer::{Answer, Fact, ProposeError};
use super::core::Core;
use super::join::{Admission, AskAdmission, Promotion};
use super::propose::Scope;
use super::transport::Lane;
use super::type_config::{Peer, Raft, TypeConfig};

/// A learner this close to the leader's last entry may vote: it has the rest within a round.
const CAUGHT_UP_ENTRIES: u64 = 16;
/// How long one request for promotion waits for the learner; then it is to ask again.
const CATCH_UP_WAIT: Duration = Duration::from_secs(2);
/// How long a hand-over may take.
const HAND_OVER_WAIT: Duration = Duration::from_secs(3);
/// How long a forwarded change may take.
const FORWARD_WAIT: Duration = Duration::from_secs(10);
/// How often a change is tried while the one before it is being committed.
const ATTEMPTS_MAX: u32 = 50;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Why the membership is as it was, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum MemberError {
    /// It can't be done as things are.
    #[error("{0}")]
    Conflict(String),
    /// Nobody leads, or the leader could not be reached: what became of it must be looked at.
    #[error("{0}; look at `paceline members list` and repeat")]
    Unknown(String),
}

/// A change that a follower passes on to the leader.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Change {
    Remove { member: u64 },
    HandOver { to: Option<u64> },
}

/// Admits a server: gives it its id.
pub(super) async fn admit(core: &Arc<Core>, ask: AskAdmission) -> Admission {
    let now = *core.leadership.borrow();
    if !now.is_leader {
        return match now.leader.and_then(|leader| core.target(leader)) {
            Some(leader) => Admission::AskLeader {
                addresses: leader.addresses,
            },
            None => Admission::Later,
        };
    }
    let Some(cluster_id) = core.applied.state().cluster().map(|cluster| cluster.id.to_string()) else {
        return Admission::Later;
    };
    let name = match NodeName::new(&ask.name) {
        Ok(name) => name,
        Err(error) => {
            return Admission::Refused {
                reason: format!("name {:?}: {error}", ask.name),
            };
        }
    };
    let add = Proposal {
        request: Some(RequestId {
            client: "join".to_owned(),
            key: ask.nonce,
        }),
        command: Command::AddMember {
            name,
            peer: ask.peer,
            api: ask.api,
            witness: ask.witness,
        },
    };
    match core.proposals.propose(&add, Scope::Here, core.leader_wait()).await {
        Ok(Answer {
            result: Ok(Fact::MemberAdded { member }),
            ..
        }) => {
            tracing::info!(name = ask.name, member = member.0, "a server is let in");
            Admission::Admitted {
                cluster_id,
                member: member.0,
            }
        }
        Ok(Answer { result: Ok(other), .. }) => Admission::Refused {
            reason: format!("the cluster answered {other:?}"),
        },
        Ok(Answer {
            result: Err(refusal), ..
        }) => {
            let reason = format!(
                "{}; if the data directory of {} was emptied, remove its old member first: `paceline members remove {}`",
                refusal.text, ask.name, ask.name
            );
            Admission::Refused { reason }
        }
        Err(_) => Admission::Later,
    }
}

/// Makes an admitted server a learner, lets it catch up, and lets it vote.
pub(super) async fn promote(core: &Arc<Core>, member: MemberId) -> Promotion {
    let now = *core.leadership.borrow();
    if !now.is_leader {
        return match now.leader.and_then(|leader| core.target(leader)) {
            Some(leader) => Promotion::AskLeader {
                addresses: leader.addresses,
            },
            None => Promotion::Later,
        };
    }
    let Some(raft) = core.raft() else {
        return Promotion::Later;
    };
    // A server that was stopped for a while may take itself for the leader and not know a member that its successor let in;
    // and what is said here is final for who asks.
    let is_known = core.applied.state().members().any(|known| known.id == member);
    if !is_known && core.confirm_leadership().await.is_err() {
        return Promotion::Later;
    }
    let state = core.applied.state();
    let Some(known) = state.members().find(|known| known.id == member) else {
        return Promotion::Refused {
            reason: format!("member {member} is not in the cluster any more: empty its data directory to join anew"),
        };
    };
    let peer = Peer {
        name: known.name.as_str().to_owned(),
        addresses: known.peer.clone(),
    };
    let _one_at_a_time = core.changing.lock().await;
    let (voter, learner) = role(raft, member);
    if voter {
        return Promotion::Voter;
    }
    if !learner {
        let add = ChangeMembers::AddNodes([(member.0, peer)].into());
        if let Err(error) = change(raft, add).await {
            tracing::info!(%error, member = member.0, "a server could not be made a learner yet");
            return Promotion::Later;
        }
    }
    if !catches_up(raft, member).await {
        return Promotion::Later;
    }
    match change(raft, ChangeMembers::AddVoterIds([member.0].into())).await {
        Ok(()) => {
            tracing::info!(member = member.0, "a server votes now");
            if raft.voter_ids().count() == 2 {
                tracing::warn!(
                    "two servers vote: when one is lost the other can't go on; add a third, or a witness (roles = [\"witness\"])"
                );
            }
            Promotion::Voter
        }
        Err(error) => {
            tracing::info!(%error, member = member.0, "a server could not be made a voter yet");
            Promotion::Later
        }
    }
}

/// Lets a member leave: first it votes no more, then the log says so.
pub(super) async fn remove(core: &Arc<Core>, member: MemberId) -> Result<Index, MemberError> {
    let leadership = *core.leadership.borrow();
    if !leadership.is_leader {
        return pass_on(core, Change::Remove { member: member.0 }).await.map(Index);
    }
    let state = core.applied.state();
    let Some(known) = state.members().find(|known| known.id == member) else {
        return Err(MemberError::Conflict(format!("there is no member {member}")));
    };
    // Rule 13: only when its session has ended.
    if state
        .node_by_name(&known.name)
        .is_some_and(statemachine::node::Node::is_up)
    {
        let text = format!(
            "{} is up: stop paceline on it first (its packages move), then remove it",
            known.name
        );
        return Err(MemberError::Conflict(text));
    }
    let raft = core
        .raft()
        .ok_or_else(|| MemberError::Unknown("Raft is not running here".to_owned()))?;
    let (voter, learner) = role(raft, member);
    if leadership.leader == Some(member) {
        hand_over(core, None).await?;
        return pass_on(core, Change::Remove { member: member.0 }).await.map(Index);
    }
    let _one_at_a_time = core.changing.lock().await;
    if voter {
        if raft.voter_ids().count() == 1 {
            return Err(MemberError::Conflict(format!("{} is the only voter", known.name)));
        }
        change(raft, ChangeMembers::RemoveVoters([member.0].into())).await?;
    } else if learner {
        change(raft, ChangeMembers::RemoveNodes([member.0].into())).await?;
    }
    let remove = Proposal {
        request: None,
        command: Command::RemoveMember { member },
    };
    match core.proposals.propose(&remove, Scope::Here, core.leader_wait()).await {
        Ok(Answer {
            index, result: Ok(_), ..
        }) => Ok(index),
        Ok(Answer {
            result: Err(refusal), ..
        }) => Err(MemberError::Conflict(refusal.text)),
        Err(error @ ProposeError::Unknown) => Err(MemberError::Unknown(error.to_string())),
        Err(error) => Err(MemberError::Unknown(format!(
            "{} votes no more, but the log does not say so yet: {error}",
            known.name
        ))),
    }
}

/// Hands the lead over and waits until the other leads.
pub(super) async fn hand_over(core: &Arc<Core>, to: Option<MemberId>) -> Result<(), MemberError> {
    let now = *core.leadership.borrow();
    if !now.is_leader {
        if to.is_some() && to == now.leader {
            return Ok(());
        }
        return pass_on(core, Change::HandOver { to: to.map(|to| to.0) })
            .await
            .map(drop);
    }
    if to.is_some() && to == now.leader {
        return Ok(());
    }
    if let Some(guard) = core.hand_over_guard.get() {
        guard(&core.applied.state()).map_err(MemberError::Conflict)?;
    }
    let raft = core
        .raft()
        .ok_or_else(|| MemberError::Unknown("Raft is not running here".to_owned()))?;
    let (best, last) = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let witnesses: Vec<u64> = core
            .applied
            .state()
            .members()
            .filter(|known| known.witness)
            .map(|known| known.id.0)
            .collect();
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        let last = metrics.last_log_index.unwrap_or(0);
        let behind = metrics.replication.iter().flatten();
        let best = behind
            .filter(|(id, _)| voters.contains(id) && now.leader != Some(MemberId(**id)))
            .filter(|(id, _)| to.is_none_or(|to| to.0 == **id))
            .map(|(id, matched)| (matched.as_ref().map_or(0, |matched| matched.index()), *id))
            // A witness would only pass the lead on: it gets it where nobody else could take it now.
            .max_by_key(|(matched, id)| {
                let ready = last.saturating_sub(*matched) <= CAUGHT_UP_ENTRIES;
                (ready, !witnesses.contains(id), *matched, *id)
            });
        (best, last)
    };
    let Some((matched, target)) = best else {
        let text = to.map_or("no other server votes".to_owned(), |to| {
            format!("member {to} does not vote")
        });
        return Err(MemberError::Conflict(text));
    };
    if last.saturating_sub(matched) > CAUGHT_UP_ENTRIES {
        return Err(MemberError::Conflict(format!(
            "member {target} lacks {} log entries: wait until it has caught up",
            last - matched
        )));
    }
    raft.trigger()
        .transfer_leader(target)
        .await
        .map_err(|error| MemberError::Unknown(error.to_string()))?;
    let mut leadership = core.leadership.subscribe();
    let moved = leadership.wait_for(|then| then.leader.is_some() && then.leader != now.leader);
    match tokio::time::timeout(HAND_OVER_WAIT, moved).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(MemberError::Unknown(format!(
            "member {target} has not taken the lead in time"
        ))),
    }
}

/// Does what a follower passed on, as leader.
pub(super) async fn passed_on(core: &Arc<Core>, asked: Change) -> Result<u64, MemberError> {
    if !core.leadership.borrow().is_leader {
        return Err(MemberError::Unknown("this server does not lead any more".to_owned()));
    }
    match asked {
        Change::Remove { member } => remove(core, MemberId(member)).await.map(|index| index.0),
        Change::HandOver { to } => hand_over(core, to.map(MemberId)).await.map(|()| 0),
    }
}

async fn pass_on(core: &Arc<Core>, asked: Change) -> Result<u64, MemberError> {
    let leader = core.leadership.borrow().leader.and_then(|leader| core.target(leader));
    let leader = leader.ok_or_else(|| MemberError::Unknown("no server leads at the moment".to_owned()))?;
    core.ask::<_, Result<u64, MemberError>>(&leader, Lane::Proposals, "change", &asked, FORWARD_WAIT)
        .await
        .map_err(MemberError::Unknown)?
}

/// As leader: finishes a joint membership that a former leader left behind.
pub(super) async fn tidy(core: Arc<Core>) {
    let mut leadership = core.leadership.subscribe();
    loop {
        let Ok(now) = leadership.wait_for(|now| now.ready).await.map(|now| *now) else {
            return;
        };
        if let Some(raft) = core.raft() {
            let left_over = {
                let metrics = raft.server_metrics();
                let metrics = metrics.borrow_watched();
                metrics.membership_config.get_joint_config().len() > 1
            };
            if left_over {
                let _one_at_a_time = core.changing.lock().await;
                tracing::info!("finishing a change of the membership that a former leader began");
                if let Err(error) = change(raft, ChangeMembers::AddVoterIds([].into())).await {
                    tracing::warn!(%error, "the membership could not be made simple yet");
                }
            }
        }
        if leadership
            .wait_for(|then| then.term != now.term || !then.is_leader)
            .await
            .is_err()
        {
            return;
        }
    }
}

fn role(raft: &Raft, member: MemberId) -> (bool, bool) {
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let membership = metrics.membership_config.membership();
    let voter = membership.voter_ids().any(|id| id == member.0);
    let learner = membership.learner_ids().any(|id| id == member.0);
    (voter, learner)
}

async fn catches_up(raft: &Raft, member: MemberId) -> bool {
    let wait = raft.wait(Some(CATCH_UP_WAIT));
    let caught_up = wait.metrics(
        |metrics| {
            let last = metrics.last_log_index.unwrap_or(0);
            let matched = metrics
                .replication
                .as_ref()
                .and_then(|others| others.get(&member.0)?.as_ref());
            matched.is_some_and(|matched| last.saturating_sub(matched.index()) <= CAUGHT_UP_ENTRIES)
        },
        "a learner catches up",
    );
    caught_up.await.is_ok()
}

/// Changes the membership, waiting for the change before it to be committed.
async fn change(raft: &Raft, changes: ChangeMembers<u64, Peer>) -> Result<(), MemberError> {
    let mut attempts = 0;
    loop {
        let outcome = raft.change_membership(changes.clone(), false).await;
        let error: RaftError<TypeConfig, ClientWriteError<TypeConfig>> = match outcome {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        attempts += 1;
        let passes = matches!(
            &error,
            RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_)
            ))
        );
        if !passes || attempts >= ATTEMPTS_MAX {
            return Err(MemberError::Unknown(format!(
                "the membership could not be changed: {error}"
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
