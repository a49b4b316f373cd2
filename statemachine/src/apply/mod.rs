//! The only function that changes the state.
//!
//! [`apply`] is total: whatever decodes is accepted or rejected, never a panic. Every command's own file first checks
//! all that it claims and then changes the facts; `Configure`, which is a list, is undone as a whole by taking back the
//! clone from before. Then the plan decides what follows, and the rules (M5) of what happened fire (`cascade.rs`).

mod admin;
mod cascade;
mod cluster;
mod conditions;
mod configure;
mod control;
mod facts;
mod load;
mod maintenance;
mod node;
mod observe;
mod order;
mod rebalance;
pub(crate) mod resource;
mod session;
mod tick;
mod unchanged;
mod validate;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::command::{Command, RequestId};
use crate::digest::fingerprint;
use crate::draft::Draft;
use crate::effect::Effect;
use crate::entry::Entry;
use crate::nearest::nearest;
use crate::outcome::{Accepted, Applied, Outcome, Rejection};
use crate::plan::plan;
use crate::requests::{KEY_BYTES_MAX, Seen};
use crate::state::State;

pub use facts::check_rules;

/// Applies one committed entry.
pub fn apply(state: &mut State, entry: &Entry) -> Applied {
    let index = entry.index;
    if index != state.applied.next() {
        let outcome = Err(Rejection::OutOfOrder {
            applied: state.applied,
            found: index,
        });
        return Applied {
            index,
            outcome,
            events: Vec::new(),
            effects: Vec::new(),
        };
    }
    state.applied = index;
    state.at = state.at.max(entry.at);
    if let Some(request) = &entry.request
        && let Some(outcome) = repeated(state, request, entry)
    {
        return Applied {
            index,
            outcome,
            events: Vec::new(),
            effects: Vec::new(),
        };
    }
    let (outcome, events, effects) = perform(state, entry);
    if let (Ok(accepted), Some(request)) = (&outcome, &entry.request) {
        let seen = Seen {
            index,
            at: state.at,
            fingerprint: fingerprint(&entry.command),
            accepted: accepted.clone(),
        };
        state.requests.insert(request, seen);
    }
    state.settle();
    Applied {
        index,
        outcome,
        events,
        effects,
    }
}

/// The answer to a request that was applied before, or whose key can't be taken.
fn repeated(state: &State, request: &RequestId, entry: &Entry) -> Option<Outcome> {
    if request.client.len() > KEY_BYTES_MAX || request.key.len() > KEY_BYTES_MAX {
        let text = alloc::format!("a request key has at most {KEY_BYTES_MAX} bytes: take a shorter one");
        return Some(Err(Rejection::Invalid { text }));
    }
    let seen = state.requests.get(request)?;
    if seen.fingerprint != fingerprint(&entry.command) {
        return Some(Err(Rejection::KeyReused { index: seen.index }));
    }
    Some(Ok(Accepted::Repeated {
        index: seen.index,
        first: Box::new(seen.accepted.clone()),
    }))
}

fn perform(state: &mut State, entry: &Entry) -> (Outcome, Vec<crate::event::Event>, Vec<Effect>) {
    let deadline = state.next_deadline();
    let (since, command) = entry.command.unwrapped();
    let before = matches!(command, Command::Configure { .. }).then(|| state.clone());
    let mut draft = Draft::new(state, entry);
    let outcome = match since.map(|since| unchanged::check(&draft, since, command)) {
        Some(Err(rejection)) => Err(rejection),
        Some(Ok(())) | None => dispatch(&mut draft, entry, command),
    };
    if outcome.is_ok() {
        plan(&mut draft);
        cascade::run(&mut draft, entry);
        draft.number_generations();
    }
    let (events, mut effects) = draft.into_parts();
    if let (Err(_), Some(before)) = (&outcome, before) {
        *state = before;
        return (outcome, Vec::new(), Vec::new());
    }
    if state.next_deadline() != deadline {
        effects.push(Effect::DeadlineChanged);
    }
    (outcome, events, effects)
}

fn dispatch(draft: &mut Draft<'_>, entry: &Entry, command: &Command) -> Outcome {
    if draft.state.cluster.is_none() && !matches!(command, Command::CreateCluster { .. }) {
        return Err(Rejection::NoCluster);
    }
    match command {
        Command::CreateCluster { id, member, peer, api } => admin::create_cluster(draft, id, member, peer, api),
        Command::AddMember {
            name,
            peer,
            api,
            witness,
        } => admin::add_member(draft, name, peer, api, *witness),
        Command::RemoveMember { member } => admin::remove_member(draft, *member),
        Command::Configure { expect, changes } => configure::configure(draft, *expect, changes),
        Command::SetWish { package, wish } => control::set_wish(draft, package, *wish),
        Command::Promote { package } => control::promote(draft, package),
        Command::Move { package, to } => control::move_package(draft, package, to),
        Command::Clear { package } => control::clear(draft, package),
        Command::SetDrain { node, drain } => node::set_drain(draft, node, *drain),
        Command::SetAttribute {
            node,
            key,
            value,
            expect,
        } => node::set_attribute(draft, node, key, value.as_deref(), *expect),
        Command::ConfirmDown { node, by } => session::confirm_down(draft, node, by),
        Command::RegisterNode(registration) => node::register(draft, registration),
        Command::Observe {
            node,
            session,
            sequence,
            observations,
        } => observe::observe(draft, *node, *session, *sequence, observations),
        Command::NodeLost { sessions, term } => session::node_lost(draft, sessions, *term, entry.term),
        Command::ExtendLease { node, session, lease } => session::extend_lease(draft, *node, *session, *lease),
        Command::LeaveNode { node, session } => session::leave_node(draft, *node, *session),
        Command::Tick => tick::tick(draft),
        Command::BeginMaintenance { of, length } => maintenance::begin(draft, of, *length),
        Command::EndMaintenance { of } => maintenance::end(draft, of),
        Command::StopCluster => cluster::stop(draft),
        Command::StartCluster => cluster::start(draft),
        Command::Demote { package } => control::demote(draft, package),
        Command::SetMode { package, mode } => control::set_mode(draft, package, mode),
        Command::Rebalance { at_most } => rebalance::rebalance(draft, *at_most),
        // Taken apart before: see `Command::unwrapped`.
        Command::IfUnchanged { .. } => Err(conflict(String::from("a condition can't stand in a condition"))),
    }
}

/// A name that nothing has, with the nearest that something has.
fn not_found<'a>(kind: &'static str, name: &str, names: impl Iterator<Item = &'a str>) -> Rejection {
    Rejection::NotFound {
        kind,
        name: String::from(name),
        nearest: nearest(name, names),
    }
}

fn conflict(text: String) -> Rejection {
    Rejection::Conflict { text }
}
