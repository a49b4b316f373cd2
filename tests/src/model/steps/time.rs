//! Time, and what makes states equal that can't be told apart.

use crate::model::lease_model::LeaseModel;
use crate::model::scope::EXTENSION;
use crate::model::state::{Daemon, GRANTING, Mode, NEVER, NO_PROCESS, Renewal, Report, State, Want};

/// One tick for everybody. A process whose time is over may be active up to this moment, and not after it.
pub fn tick(model: &LeaseModel, state: &mut State) -> bool {
    let age_max = age_max(model);
    for node in &mut state.nodes {
        node.lease = node.lease.saturating_sub(1);
        node.age = (node.age + 1).min(age_max);
        match node.process.left {
            NEVER => {}
            0 if model.rules.deadman => node.process = NO_PROCESS,
            0 => {}
            _ => node.process.left -= 1,
        }
        if node.orphan <= NEVER {
            node.orphan = node.orphan.saturating_sub(1);
        }
    }
    for row in &mut state.rows {
        if row.extended < GRANTING {
            row.extended = row.extended.saturating_sub(1);
        }
    }
    for wait in &mut state.leader.wait {
        *wait = wait.saturating_sub(1);
    }
    if state.leader.table_term > 0 {
        for wait in &mut state.leader.table {
            *wait = wait.saturating_sub(1);
        }
    }
    true
}

const fn age_max(model: &LeaseModel) -> u8 {
    model.scope.lease + if model.scope.extends { EXTENSION } else { 0 }
}

/// Forgets what can't matter any more, so that fewer states differ.
pub fn tidy(model: &LeaseModel, state: &mut State) {
    let terms_over = state.leader.term == model.scope.terms;
    if terms_over && state.leader.table_term > 0 {
        (state.leader.table, state.leader.table_term) = ([255; 2], 0);
    }
    for (place, node) in state.nodes.iter_mut().enumerate() {
        let row = &state.rows[place];
        if !row.up {
            state.leader.wait[place] = 0;
            state.leader.lost[place] = 0;
        }
        if state.leader.lost[place] == 0 {
            state.leader.left_over[place] = false;
        }
        // An answer that is as old as the lease grants nothing.
        if model.rules.counts_from_send && node.age >= age_max(model) && !node.foreign {
            node.renewal = Renewal::None;
        }
        if node.renewal == Renewal::None {
            (node.age, node.foreign) = (0, false);
        }
        if node.daemon == Daemon::Down {
            (node.lease, node.want) = (0, Want::default());
        }
        // Nothing starts without a lease, and with the next lease comes a newer desired set.
        if node.lease == 0 && node.process.mode == Mode::Off && !model.scope.leaves {
            node.want = Want::default();
        }
        let useless = match node.report {
            Report::None => false,
            Report::Ended(start) => row.start != start,
            Report::Standby(epoch) => row.epoch != epoch,
        };
        if useless && model.rules.reports_are_exact {
            node.report = Report::None;
        }
    }
}
