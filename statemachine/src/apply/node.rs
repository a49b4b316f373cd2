//! Nodes: their registration, drain and attributes.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::conflict;
use super::control::find_node;
use super::resource;
use super::session::{self, end_session};
use super::validate::check_registration;
use crate::command::RegisterNode;
use crate::draft::{Cause, Draft};
use crate::effect::Effect;
use crate::event::{Arrival, EventKind, Proof};
use crate::id::{Generation, Index, NodeId, NodeIx, NodeName, SessionId};
use crate::load::Loads;
use crate::node::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX, Attributes, Node, NodeStatus};
use crate::outcome::{Accepted, Outcome, Rejection};
use crate::plan::{maintenance, together};
use crate::resource::Resources;

/// A daemon's new stay.
///
/// A name belongs to one machine. Another machine may take it over only once the node has left in order, or an operator
/// has confirmed that it is off.
pub(super) fn register(draft: &mut Draft<'_>, registration: &RegisterNode) -> Outcome {
    check_registration(registration)?;
    let known = draft.state.nodes_by_name.get(&registration.name).copied();
    let number = match known {
        None => insert(draft, registration),
        Some(number) => {
            if let Some(accepted) = check_known(draft, number, registration)? {
                return Ok(accepted);
            }
            number
        }
    };
    let session = SessionId(draft.index.0);
    let lease = draft
        .state
        .cluster()
        .map(|cluster| cluster.spec.lease)
        .unwrap_or_default();
    let now = draft.now;
    let was_up = draft.state.node_at(number).is_some_and(Node::is_up);
    let kind = EventKind::NodeRegistered {
        node: registration.name.clone(),
        session,
        arrival: match known
            .and_then(|number| draft.state.node_at(number))
            .map(|node| node.status)
        {
            None => Arrival::First,
            Some(NodeStatus::Lost { .. }) => Arrival::DeclaredDown {
                cut_off: registration.cut_off,
            },
            Some(NodeStatus::Up { .. } | NodeStatus::Left { .. }) => Arrival::Again,
        },
    };
    let registered = draft.say_node(number, Cause::Outside, kind);
    if known.is_some() {
        let named = |session: SessionId| registration.ended.contains(&session);
        session::drop_extension(draft, number);
        end_session(draft, number, named, Proof::NodeRestarted, Some(registered));
    }
    resource::forget(draft, number);
    draft.change_node(number, |node| {
        node.status = NodeStatus::Up { session, lease };
        node.overload = None;
        node.since = now;
        node.machine = Arc::from(registration.machine.as_str());
        node.boot = Arc::from(registration.boot.as_str());
        node.nonce = Arc::from(registration.nonce.as_str());
        node.capacity = Arc::new(registration.capacity.clone());
        node.labels = Arc::new(registration.labels.clone());
        node.api = Arc::from(registration.api.as_str());
        node.containment = registration.containment;
        node.sequence = 0;
    });
    if !was_up {
        draft.state.up = draft.state.up.saturating_add(1);
    }
    draft.gained.insert(number);
    draft.touch(number);
    draft.effect(Effect::LeaseChanged);
    let node = draft.state.node_at(number).map(|node| node.id).unwrap_or_default();
    Ok(Accepted::Registered { node, session })
}

fn insert(draft: &mut Draft<'_>, registration: &RegisterNode) -> NodeIx {
    let id = NodeId(draft.index.0);
    let empty: Arc<str> = Arc::from("");
    let number = NodeIx(draft.state.nodes.insert(Node {
        id,
        name: registration.name.clone(),
        status: NodeStatus::Left { session: SessionId(0) },
        since: draft.now,
        drain: false,
        machine: empty.clone(),
        boot: empty.clone(),
        nonce: empty.clone(),
        capacity: Arc::default(),
        labels: Arc::default(),
        api: empty,
        attributes: Attributes::default(),
        generation: Generation(0),
        sequence: 0,
        extended: None,
        containment: None,
        instances: Vec::new(),
        planned: Loads::default(),
        maintenance: None,
        trail: None,
        leaving: Loads::default(),
        claims: Vec::new(),
        claimed: Loads::default(),
        alone: 0,
        resources: Resources::default(),
        overload: None,
    }));
    draft.state.nodes_by_name.insert(registration.name.clone(), number);
    Arc::make_mut(&mut draft.state.nodes_by_id).insert(id, number);
    number
}

/// Whether a known node may have a new session; an accepted answer where this registration was applied before.
fn check_known(draft: &Draft<'_>, number: NodeIx, registration: &RegisterNode) -> Result<Option<Accepted>, Rejection> {
    let Some(node) = draft.state.node_at(number) else {
        return Ok(None);
    };
    let same_machine = *node.machine == *registration.machine;
    let session = node.status.session();
    if same_machine && *node.nonce == *registration.nonce {
        return Ok(Some(Accepted::Registered { node: node.id, session }));
    }
    match node.status {
        NodeStatus::Up { .. } | NodeStatus::Lost { confirmed: false, .. } if !same_machine => {
            Err(Rejection::MachineConflict {
                node: node.name.clone(),
            })
        }
        NodeStatus::Up { session, .. } if !registration.ended.contains(&session) => Err(conflict(format!(
            "session {session} of node {} is not known to have ended: name it once nothing of it is left, or wait until its lease is over",
            node.name
        ))),
        // A machine that was copied with its whole disk names the original's session in good faith. Whoever is still up
        // has not been booted anew meanwhile, or nothing of it lives longer than its lease.
        NodeStatus::Up { session, .. } if *node.boot != *registration.boot => Err(conflict(format!(
            "session {session} of node {} was begun in another boot of its machine: wait until its lease is over; if this does not end, a copy of the machine runs",
            node.name
        ))),
        NodeStatus::Up { .. } | NodeStatus::Lost { .. } | NodeStatus::Left { .. } => Ok(None),
    }
}

pub(super) fn set_drain(draft: &mut Draft<'_>, name: &NodeName, drain: bool) -> Outcome {
    let number = find_node(draft, name)?;
    let Some(node) = draft.state.node_at(number).filter(|node| node.drain != drain) else {
        return Ok(Accepted::Done);
    };
    let packages = node.instances.clone();
    let instances = u32::try_from(packages.len()).unwrap_or(u32::MAX);
    draft.change_node(number, |node| node.drain = drain);
    let kind = if drain {
        EventKind::NodeDrained {
            node: name.clone(),
            instances,
        }
    } else {
        EventKind::NodeResumed { node: name.clone() }
    };
    let drained = draft.say_node(number, Cause::Outside, kind);
    for package in packages {
        // What is in maintenance leaves when that ends.
        if maintenance::is_held(draft.state, package) {
            continue;
        }
        if drain && !together::leave(draft, package, crate::reason::Reason::Drained, Some(drained)) {
            draft.stop(package, crate::reason::Reason::Drained, Cause::Of(Some(drained)));
        }
        draft.plan_package(package);
    }
    draft.gained.insert(number);
    Ok(Accepted::Done)
}

pub(super) fn set_attribute(
    draft: &mut Draft<'_>,
    name: &NodeName,
    key: &str,
    value: Option<&str>,
    expect: Option<Index>,
) -> Outcome {
    let index = draft.index;
    let number = find_node(draft, name)?;
    if let Err(error) = NodeName::new(key) {
        return Err(Rejection::Invalid {
            text: format!("the key of an attribute is a name: {error}"),
        });
    }
    let Some(node) = draft.state.nodes.get_mut(number.0) else {
        return Ok(Accepted::Done);
    };
    let found = node.attributes.changed(key);
    if let Some(expected) = expect
        && found > expected
    {
        return Err(Rejection::AttributeChanged {
            key: key.into(),
            expected,
            found,
        });
    }
    let Some(value) = value else {
        node.attributes.remove(key, index);
        return Ok(Accepted::Done);
    };
    if value.len() > ATTRIBUTE_BYTES_MAX {
        let text = format!(
            "an attribute has at most {ATTRIBUTE_BYTES_MAX} bytes, this one has {}",
            value.len()
        );
        return Err(Rejection::Invalid { text });
    }
    if node.attributes.get(key).is_none() && node.attributes.len() >= ATTRIBUTES_MAX {
        let text = format!("node {name} has {ATTRIBUTES_MAX} attributes, which is the most: remove one first");
        return Err(Rejection::Limit { text });
    }
    node.attributes.set(key, value, index);
    Ok(Accepted::Done)
}
