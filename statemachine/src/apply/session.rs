//! Sessions: how they end, what their end releases, and how long their leases are.

use alloc::format;
use alloc::string::ToString;

use super::control::find_node;
use super::validate::check_address;
use super::{conflict, not_found};
use crate::cluster::LeaseTail;
use crate::draft::{Cause, Draft, Release};
use crate::effect::Effect;
use crate::event::{EventId, EventKind, Proof};
use crate::id::{NodeId, NodeIx, NodeName, PackageIx, SessionId, Term};
use crate::node::NodeStatus;
use crate::outcome::{Accepted, Outcome, Rejection};
use crate::package::Phase;
use crate::state::Deadline;
use crate::time::Millis;

/// The longest lease for a planned restart.
pub(super) const EXTENDED_LEASE_MAX: Millis = Millis(60_000);

/// The row of a node whose present session this is.
pub(super) fn find_session(draft: &Draft<'_>, node: NodeId, session: SessionId) -> Result<NodeIx, Rejection> {
    let Some(number) = draft.state.nodes_by_id.get(&node).copied() else {
        return Err(not_found("node", &node.to_string(), core::iter::empty()));
    };
    let present = draft.state.node_at(number).and_then(crate::node::Node::session);
    if present == Some(session) {
        Ok(number)
    } else {
        Err(Rejection::SessionEnded { node, session })
    }
}

/// The leases of these sessions have surely ended. A session that is not present any more is passed over.
pub(super) fn node_lost(
    draft: &mut Draft<'_>,
    sessions: &[(NodeId, SessionId)],
    proposed: Term,
    found: Term,
) -> Outcome {
    let stale = Rejection::Stale { proposed, found };
    if proposed != found {
        return Err(stale);
    }
    let mut numbers = alloc::vec::Vec::new();
    for (node, session) in sessions {
        if let Ok(number) = find_session(draft, *node, *session) {
            numbers.push((number, *session));
        }
    }
    numbers.sort();
    numbers.dedup();
    if numbers.is_empty() {
        return Err(stale);
    }
    // Every node of the batch is down before anything of any of them is released, so that nothing is placed on another.
    for (number, session) in &numbers {
        set_down(
            draft,
            *number,
            NodeStatus::Lost {
                session: *session,
                confirmed: false,
            },
        );
    }
    for (number, session) in numbers {
        let Some(node) = draft.state.node_at(number).map(|node| node.name.clone()) else {
            continue;
        };
        let lost = draft.say_node(number, Cause::Outside, EventKind::NodeLost { node, session });
        end_session(draft, number, |_| true, Proof::LeaseEnded, Some(lost));
    }
    Ok(Accepted::Done)
}

/// A daemon's word that nothing of its session is left.
pub(super) fn leave_node(draft: &mut Draft<'_>, node: NodeId, session: SessionId) -> Outcome {
    let number = find_session(draft, node, session)?;
    set_down(draft, number, NodeStatus::Left { session });
    let Some(node) = draft.state.node_at(number).map(|node| node.name.clone()) else {
        return Ok(Accepted::Done);
    };
    let left = draft.say_node(number, Cause::Outside, EventKind::NodeLeft { node });
    end_session(draft, number, |ended| ended == session, Proof::NodeLeft, Some(left));
    Ok(Accepted::Done)
}

/// An operator's word that a lost node is off, or, where the node is up again, that nothing of its earlier sessions is
/// left. Its present session is never ended so: the daemon may still renew it.
pub(super) fn confirm_down(draft: &mut Draft<'_>, name: &NodeName, by: &str) -> Outcome {
    let number = find_node(draft, name)?;
    check_address("the name of who confirms", by)?;
    let Some(node) = draft.state.node_at(number) else {
        return Ok(Accepted::Done);
    };
    let status = node.status;
    let present = node.session();
    match status {
        NodeStatus::Lost { session, .. } => {
            draft.change_node(number, |node| {
                node.status = NodeStatus::Lost {
                    session,
                    confirmed: true,
                }
            });
        }
        NodeStatus::Up { .. } | NodeStatus::Left { .. } if has_stranded(draft, number) => {}
        NodeStatus::Up { .. } => {
            return Err(conflict(format!(
                "node {name} is up: cut it off or switch it off, wait until it is lost, then repeat"
            )));
        }
        NodeStatus::Left { .. } => {
            return Err(conflict(format!(
                "node {name} has left in order: there is nothing to confirm"
            )));
        }
    }
    let kind = EventKind::NodeConfirmedDown {
        node: name.clone(),
        by: by.to_string(),
    };
    let confirmed = draft.say_node(number, Cause::Outside, kind);
    end_session(
        draft,
        number,
        |session| Some(session) != present,
        Proof::Confirmed,
        Some(confirmed),
    );
    Ok(Accepted::Done)
}

/// Whether anything of an earlier session may still run on a node.
fn has_stranded(draft: &Draft<'_>, number: NodeIx) -> bool {
    let Some(node) = draft.state.node_at(number) else {
        return false;
    };
    let mut instances = node
        .instances
        .iter()
        .filter_map(|package| draft.state.package_at(*package)?.instance.as_ref());
    instances.any(|instance| instance.phase == Phase::Stranded)
}

/// A planned restart: the session may count on a longer lease until twice its length and a margin have passed.
pub(super) fn extend_lease(draft: &mut Draft<'_>, node: NodeId, session: SessionId, lease: Millis) -> Outcome {
    let number = find_session(draft, node, session)?;
    if lease == Millis(0) || lease > EXTENDED_LEASE_MAX {
        let text = format!(
            "a lease is extended to 1 to {} ms, not {} ms",
            EXTENDED_LEASE_MAX.0, lease.0
        );
        return Err(Rejection::Invalid { text });
    }
    let before = draft.state.node_at(number).and_then(|node| node.extended);
    let longest = before.map_or(lease, |before| before.lease.max(lease));
    drop_extension(draft, number);
    let tail = LeaseTail::from_now(longest, draft.at());
    draft.set_deadline(tail.until, Deadline::Extension(number));
    draft.change_node(number, |node| {
        node.extended = Some(tail);
        if let NodeStatus::Up { lease: granted, .. } = &mut node.status {
            *granted = longest.max(*granted);
        }
    });
    update_lease_high(draft);
    if let Some(name) = draft.state.node_at(number).map(|node| node.name.clone()) {
        draft.say_node(number, Cause::Outside, EventKind::LeaseExtended { node: name, lease });
    }
    draft.effect(Effect::LeaseChanged);
    Ok(Accepted::Done)
}

/// Forgets a node's extended lease: it has ended, or its session has.
pub(super) fn drop_extension(draft: &mut Draft<'_>, number: NodeIx) {
    let Some(extended) = draft.state.node_at(number).and_then(|node| node.extended) else {
        return;
    };
    let lease = draft
        .state
        .cluster()
        .map(|cluster| cluster.spec.lease)
        .unwrap_or_default();
    draft.drop_deadline(extended.until, Deadline::Extension(number));
    draft.change_node(number, |node| {
        node.extended = None;
        if let NodeStatus::Up { lease: granted, .. } = &mut node.status {
            *granted = lease;
        }
    });
    update_lease_high(draft);
}

/// The longest lease that any daemon may still count on.
pub(super) fn update_lease_high(draft: &mut Draft<'_>) {
    let extended = draft.state.deadlines.iter().filter_map(|(_, deadline)| match deadline {
        Deadline::Extension(node) => draft.state.node_at(*node)?.extended.map(|extended| extended.lease),
        Deadline::Gate | Deadline::LeaseBefore | Deadline::Failovers(_) | Deadline::Maintenance(_) => None,
    });
    let longest = extended.max().unwrap_or_default();
    let Some(cluster) = draft.state.cluster_mut() else {
        return;
    };
    let before = cluster.lease_before.map(|tail| tail.lease).unwrap_or_default();
    let high = cluster.spec.lease.max(before).max(longest);
    if cluster.lease_high != high {
        cluster.lease_high = high;
        draft.effect(Effect::LeaseChanged);
    }
}

/// Releases what a node ran in the sessions that end.
///
/// The end of a lease proves nothing for what outlives it (`fenced`, `freeze`): that stays, and holds its unit.
pub(super) fn end_session(
    draft: &mut Draft<'_>,
    number: NodeIx,
    ends: impl Fn(SessionId) -> bool,
    proof: Proof,
    event: Option<EventId>,
) {
    let packages = draft
        .state
        .node_at(number)
        .map(|node| node.instances.clone())
        .unwrap_or_default();
    let cause = Cause::Of(event);
    for package in packages {
        match outlives(draft, package, &ends, proof) {
            None => {}
            Some(true) => draft.strand(package, cause),
            Some(false) => {
                let failure = proof != Proof::NodeLeft;
                draft.release(
                    package,
                    Release {
                        proof,
                        failure,
                        stay: proof == Proof::NodeRestarted,
                        cause,
                    },
                );
            }
        }
    }
}

/// Whether an instance of a session that ends outlives this proof; none where its session does not end.
fn outlives(draft: &Draft<'_>, number: PackageIx, ends: &impl Fn(SessionId) -> bool, proof: Proof) -> Option<bool> {
    let package = draft.state.package_at(number)?;
    let instance = package.instance.as_ref().filter(|instance| ends(instance.session))?;
    Some(proof == Proof::LeaseEnded && instance.outlives_lease(package))
}

fn set_down(draft: &mut Draft<'_>, number: NodeIx, status: NodeStatus) {
    drop_extension(draft, number);
    let now = draft.now;
    draft.change_node(number, |node| {
        node.status = status;
        node.since = now;
    });
    draft.state.up = draft.state.up.saturating_sub(1);
    draft.effect(Effect::LeaseChanged);
}
