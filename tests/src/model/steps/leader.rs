//! What leaders do: `server/src/lease/table.rs`. The quorum itself is abstracted: there is one leader that can commit and
//! confirm, and perhaps a deposed one that has not heard of it.

use crate::model::action::NodeIndex;
use crate::model::lease_model::LeaseModel;
use crate::model::rules::{Confirmation, Takeover};
use crate::model::state::{GRANTING, Mode, Renewal, State, Want};

/// The leader answers a renewal that has arrived, after a round of its own begun after that, and the wait starts anew.
pub fn answer(model: &LeaseModel, state: &mut State, place: NodeIndex) -> bool {
    let (node, row, leader) = (&mut state.nodes[place], &state.rows[place], &mut state.leader);
    if node.renewal != Renewal::Sent || (model.rules.leftovers_first && !leader.ready) {
        return false;
    }
    let proposed = leader.lost[place] == row.session && !leader.left_over[place] && model.rules.lost_is_final;
    if !row.up || row.session != node.session || proposed {
        node.renewal = Renewal::Ended;
        return true;
    }
    let extended = row.extended == GRANTING;
    let wait = if extended && model.rules.waits_for_extended {
        model.scope.wait_extended()
    } else {
        model.scope.wait
    };
    leader.wait[place] = leader.wait[place].max(wait);
    let desired = row.start > 0 && !row.stopping && !row.stranded;
    let want = Want {
        start: row.start,
        epoch: row.epoch,
        active: row.active,
    };
    node.renewal = Renewal::Answered {
        want: if desired { want } else { Want::default() },
        extended,
    };
    true
}

/// A leader that was deposed answers, from what it knows: that all is as it was.
pub fn answer_deposed(model: &LeaseModel, state: &mut State, place: NodeIndex) -> bool {
    let may = match model.rules.confirmation {
        Confirmation::Own => false,
        Confirmation::Earlier => state.leader.old_round,
        Confirmation::Missing => true,
    };
    let node = &mut state.nodes[place];
    if !may || state.leader.term < 2 || node.renewal != Renewal::Sent {
        return false;
    }
    let want = if node.process.mode == Mode::Off {
        Want::default()
    } else {
        Want {
            start: node.process.start,
            epoch: node.process.epoch,
            active: node.process.mode == Mode::Active,
        }
    };
    node.renewal = Renewal::Answered { want, extended: false };
    true
}

/// A round is completed, to be used for renewals that arrive later.
pub fn keep_round(model: &LeaseModel, state: &mut State) -> bool {
    let can = model.rules.confirmation == Confirmation::Earlier && state.leader.term == 1 && !state.leader.old_round;
    state.leader.old_round |= can;
    can
}

/// The wait is over: the session is surely lost, which goes into this leader's log.
pub fn propose(state: &mut State, node: NodeIndex) -> bool {
    let (row, leader) = (&state.rows[node], &mut state.leader);
    if !leader.ready || !row.up || leader.wait[node] > 0 || leader.lost[node] > 0 {
        return false;
    }
    leader.lost[node] = row.session;
    true
}

/// Another leader. What the old one had put into its log last is in the new one's, or gone.
pub fn elect(model: &LeaseModel, state: &mut State, has: bool) -> bool {
    let leader = &mut state.leader;
    if leader.term >= model.scope.terms || (has && leader.lost == [0; 2]) {
        return false;
    }
    let extended = state.rows.iter().any(|row| row.extended > 0) && model.rules.new_leader_waits_for_extended;
    let whole = if extended {
        model.scope.wait_extended()
    } else {
        model.scope.wait
    };
    let table = leader.table;
    leader.wait = match model.rules.takeover {
        Takeover::AtOnce => [0; 2],
        Takeover::Table if leader.table_term == leader.term => table,
        Takeover::OldTable if leader.table_term > 0 && leader.table_term < leader.term => table,
        Takeover::Waits | Takeover::Table | Takeover::OldTable => [whole; 2],
    };
    leader.term += 1;
    leader.ready = false;
    if has {
        leader.left_over = leader.lost.map(|lost| lost > 0);
    } else {
        leader.lost = [0; 2];
    }
    true
}

/// The waits are handed over; the leader goes on answering.
pub fn hand_table(model: &LeaseModel, state: &mut State) -> bool {
    let leader = &mut state.leader;
    let handed = matches!(model.rules.takeover, Takeover::Table | Takeover::OldTable);
    if !handed || !leader.ready || leader.table_term > 0 {
        return false;
    }
    (leader.table, leader.table_term) = (leader.wait, leader.term);
    true
}

/// The new leader has applied its own first entry, and before that all that older terms left over.
pub fn ready(model: &LeaseModel, state: &mut State) -> bool {
    if state.leader.ready {
        return false;
    }
    state.leader.ready = true;
    if model.rules.lost_has_a_term {
        for node in 0..2 {
            super::log::commit_lost(model, state, node);
        }
    }
    true
}
