//! The cluster's beginning and its servers.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::validate::{check_address, check_addresses};
use super::{conflict, not_found};
use crate::cluster::{Cluster, LEASE_DEFAULT, Member, OVERLOAD_DEFAULT, RESUME_DEFAULT, START_WAIT_DEFAULT, StartGate};
use crate::command::{ClusterSpec, Shares};
use crate::draft::Draft;
use crate::effect::Effect;
use crate::event::EventKind;
use crate::id::{MemberId, NodeName};
use crate::outcome::{Accepted, Outcome, Rejection};

/// Servers in the Raft group at most: three to seven vote, a few more may be joining.
pub(super) const MEMBERS_MAX: usize = 32;

pub(super) fn create_cluster(
    draft: &mut Draft<'_>,
    id: &str,
    member: &NodeName,
    peer: &[String],
    api: &str,
) -> Outcome {
    if let Some(cluster) = draft.state.cluster() {
        return Err(Rejection::ClusterExists {
            id: cluster.id.to_string(),
        });
    }
    check_address("the cluster's id", id)?;
    check_addresses(peer)?;
    check_address("the API's address", api)?;
    let spec = ClusterSpec {
        name: "paceline".to_string(),
        lease: LEASE_DEFAULT,
        min_nodes: 1,
        start_wait: START_WAIT_DEFAULT,
        shares: Shares::None,
        overload: OVERLOAD_DEFAULT,
        resume: RESUME_DEFAULT,
        modes: Vec::new(),
    };
    draft.state.cluster = Some(Arc::new(Cluster {
        id: Arc::from(id),
        lease_high: spec.lease,
        spec,
        config_index: draft.index,
        lease_before: None,
        gate: StartGate::Closed,
        rules: Arc::from(""),
        maintenance: None,
        stopped: false,
        acted: crate::id::Index(0),
    }));
    let first = Member {
        id: MemberId(1),
        name: member.clone(),
        peer: peer.to_vec(),
        api: api.to_string(),
        witness: false,
    };
    draft.state.members = Arc::new(BTreeMap::from([(first.id, first)]));
    draft.say(
        None,
        EventKind::ClusterCreated {
            id: id.to_string(),
            member: member.clone(),
        },
    );
    draft.effect(Effect::MembersChanged);
    Ok(Accepted::Done)
}

pub(super) fn add_member(draft: &mut Draft<'_>, name: &NodeName, peer: &[String], api: &str, witness: bool) -> Outcome {
    check_addresses(peer)?;
    check_address("the API's address", api)?;
    if let Some(same) = draft.state.members().find(|member| member.name == *name) {
        return Err(conflict(format!(
            "server {name} is member {} already: remove that member first",
            same.id
        )));
    }
    if draft.state.members.len() >= MEMBERS_MAX {
        return Err(Rejection::Limit {
            text: format!("there are {MEMBERS_MAX} members, which is the most: remove one first"),
        });
    }
    let member = MemberId(draft.index.0);
    let row = Member {
        id: member,
        name: name.clone(),
        peer: peer.to_vec(),
        api: api.to_string(),
        witness,
    };
    Arc::make_mut(&mut draft.state.members).insert(member, row);
    draft.say(
        None,
        EventKind::MemberAdded {
            member,
            name: name.clone(),
            witness,
        },
    );
    draft.effect(Effect::MembersChanged);
    Ok(Accepted::MemberAdded { member })
}

pub(super) fn remove_member(draft: &mut Draft<'_>, member: MemberId) -> Outcome {
    let Some(name) = draft.state.members.get(&member).map(|member| member.name.clone()) else {
        return Err(not_found("member", &member.to_string(), core::iter::empty()));
    };
    if draft.state.members.len() == 1 {
        return Err(conflict(format!(
            "{name} is the last server: a cluster without one can't be changed any more"
        )));
    }
    Arc::make_mut(&mut draft.state.members).remove(&member);
    draft.say(None, EventKind::MemberRemoved { member, name });
    draft.effect(Effect::MembersChanged);
    Ok(Accepted::Done)
}
