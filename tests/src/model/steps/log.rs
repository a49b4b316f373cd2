//! What committed commands do: `statemachine/src/apply/{session,node,observe}.rs` and the placement after them.

use super::other;
use crate::model::action::NodeIndex;
use crate::model::lease_model::LeaseModel;
use crate::model::scope::Safety;
use crate::model::state::{GRANTING, Mode, Report, Row, State};

/// The instance of a node is gone for certain, or as good as: whoever needs the unit gets it under a new epoch.
fn release(model: &LeaseModel, state: &mut State, node: NodeIndex, prefer: NodeIndex) {
    let row = &mut state.rows[node];
    let held = row.holds;
    *row = Row {
        start: 0,
        epoch: 0,
        active: false,
        holds: false,
        stopping: false,
        stranded: false,
        ..*row
    };
    if held {
        place(model, state, prefer);
    }
}

/// The unit goes to a node that is up, the preferred one first: its standby is promoted, or an instance is started.
fn place(model: &LeaseModel, state: &mut State, prefer: NodeIndex) {
    if state.epoch >= model.scope.epochs || state.rows.iter().any(|row| row.holds) {
        return;
    }
    let free = |node: &NodeIndex| {
        let row = &state.rows[*node];
        row.up && !row.stopping && !row.stranded
    };
    let Some(node) = [prefer, other(prefer)].into_iter().find(free) else {
        return;
    };
    state.epoch += 1;
    let row = &mut state.rows[node];
    if row.start == 0 {
        row.start = state.epoch;
    }
    (row.epoch, row.active, row.holds) = (state.epoch, true, true);
}

/// A loss that was proposed is committed by the leader that proposed it.
pub fn lose(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    if !state.leader.ready || state.leader.lost[node] == 0 {
        return false;
    }
    commit_lost(model, state, node);
    true
}

/// `NodeLost` is applied: nothing where the session is not the present one.
pub fn commit_lost(model: &LeaseModel, state: &mut State, node: NodeIndex) {
    let lost = std::mem::take(&mut state.leader.lost[node]);
    let row = &mut state.rows[node];
    if lost == 0 || !row.up || row.session != lost {
        return;
    }
    (row.up, row.extended) = (false, 0);
    let outlives = model.scope.safety != Safety::Lease && row.holds && model.rules.outliving_is_kept;
    if outlives {
        row.stranded = true;
    } else if row.start > 0 {
        release(model, state, node, other(node));
    }
}

/// A report is committed. It says nothing where the session, the instance or the epoch is another.
pub fn reported(model: &LeaseModel, state: &mut State, place_of: NodeIndex, stay: bool) -> bool {
    let (node, row) = (&mut state.nodes[place_of], &mut state.rows[place_of]);
    let exact = model.rules.reports_are_exact;
    let prefer = if stay { place_of } else { other(place_of) };
    let present = state.leader.ready && row.up && row.session == node.session && row.start > 0;
    match node.report {
        Report::Ended(start) if present && (start == row.start || !exact) => {
            if exact {
                node.report = Report::None;
            }
            release(model, state, place_of, prefer);
            true
        }
        Report::Standby(epoch) if present && (epoch == row.epoch || !exact) && !row.active && row.holds => {
            node.report = Report::None;
            row.holds = false;
            place(model, state, prefer);
            true
        }
        Report::None | Report::Ended(_) | Report::Standby(_) => false,
    }
}

/// A registration is committed: taken where the present session is named or over, and once.
pub fn register(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let row = &mut state.rows[node];
    let strict = model.rules.registrations_name_the_present;
    let registration = state.nodes[node].registration;
    let known = registration > 0 && state.leader.ready && row.session < model.scope.sessions;
    let named = registration == row.session + 1;
    if !known || (strict && row.up && !named) {
        return false;
    }
    if strict {
        state.nodes[node].registration = 0;
    }
    let ends = row.start > 0 && (named || row.up);
    row.session += 1;
    (row.up, row.extended) = (true, 0);
    state.leader.lost[node] = 0;
    state.leader.wait[node] = if state.rows.iter().any(|row| row.extended > 0) {
        model.scope.wait_extended()
    } else {
        model.scope.wait
    };
    if ends {
        release(model, state, node, other(node));
    }
    place(model, state, node);
    true
}

/// A leave is committed.
pub fn left(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let leave = state.nodes[node].leave;
    if leave == 0 || !state.leader.ready {
        return false;
    }
    state.nodes[node].leave = 0;
    let row = &mut state.rows[node];
    if row.up && row.session == leave {
        (row.up, row.extended) = (false, 0);
        release(model, state, node, other(node));
    }
    true
}

/// An operator moves the unit: its instance is to be stopped first.
pub fn move_away(state: &mut State, node: NodeIndex) -> bool {
    let row = &mut state.rows[node];
    if !state.leader.ready || !row.up || !row.holds || row.stopping {
        return false;
    }
    row.stopping = true;
    true
}

/// A standby is placed beside the holder.
pub fn place_standby(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let held = state.rows[other(node)].holds;
    let row = &mut state.rows[node];
    if !state.leader.ready || !row.up || row.start > 0 || !held || state.epoch >= model.scope.epochs {
        return false;
    }
    state.epoch += 1;
    (row.start, row.epoch) = (state.epoch, state.epoch);
    true
}

/// The holder is to become standby under a new epoch. It holds the unit until it has answered.
pub fn demote(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let row = &mut state.rows[node];
    let active = row.up && row.holds && row.active && !row.stopping;
    if !state.leader.ready || !active || state.epoch >= model.scope.epochs {
        return false;
    }
    state.epoch += 1;
    (row.epoch, row.active) = (state.epoch, false);
    true
}

/// An extended lease, for a planned restart.
pub fn extend(state: &mut State, node: NodeIndex) -> bool {
    let row = &mut state.rows[node];
    if !state.leader.ready || !row.up || row.extended > 0 {
        return false;
    }
    row.extended = GRANTING;
    true
}

/// It is granted no longer, and stays known until the last lease that it gave is surely over.
pub fn end_extension(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let row = &mut state.rows[node];
    if !state.leader.ready || row.extended != GRANTING {
        return false;
    }
    row.extended = if model.rules.extension_is_kept {
        model.scope.wait_extended()
    } else {
        0
    };
    true
}

/// Another machine of that name registers with its own boot id. It names a session that it can't have ended.
pub fn twin(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let row = &mut state.rows[node];
    let refused = row.up && model.rules.boot_id_is_no_proof;
    if !state.leader.ready || refused || row.session >= model.scope.sessions {
        return false;
    }
    row.session += 1;
    row.up = true;
    state.leader.lost[node] = 0;
    state.leader.wait[node] = model.scope.wait;
    release(model, state, node, other(node));
    true
}

/// An operator has made sure that nothing of the node runs, and says so.
pub fn confirm(model: &LeaseModel, state: &mut State, place_of: NodeIndex) -> bool {
    let node = &state.nodes[place_of];
    let off = node.process.mode == Mode::Off && node.orphan == 0;
    let row = &state.rows[place_of];
    let lost = !row.up || !model.rules.confirms_lost_only;
    if !state.leader.ready || !off || !lost || row.start == 0 {
        return false;
    }
    release(model, state, place_of, other(place_of));
    true
}
