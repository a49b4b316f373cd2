//! How daemons end, continue, begin anew and leave: `Daemon::begin`, `clear`, `leave` in `server/src/daemon/core.rs`.

use crate::model::action::NodeIndex;
use crate::model::lease_model::LeaseModel;
use crate::model::rules::OwnAnswers;
use crate::model::state::{Daemon, Mode, NEVER, NO_PROCESS, Renewal, Report, State, Want};

/// A daemon dies; its record, its supervisors and what it sent remain.
pub fn die(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    if node.daemon == Daemon::Down || node.restarts >= model.scope.restarts {
        return false;
    }
    node.daemon = Daemon::Down;
    match model.rules.answers {
        OwnAnswers::Only => node.renewal = Renewal::None,
        OwnAnswers::AndPredecessors => node.foreign = node.renewal != Renewal::None,
    }
    true
}

/// The next daemon continues: it has the record, and no lease before the first answer to its own renewal.
pub fn go_on(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    if node.daemon != Daemon::Down || node.restarts >= model.scope.restarts {
        return false;
    }
    node.restarts += 1;
    node.daemon = if node.left_session {
        Daemon::Over
    } else if node.registration > 0 {
        Daemon::Registering
    } else {
        Daemon::Serving
    };
    if !model.rules.marks_survive {
        (node.mark, node.start) = (0, 0);
    }
    true
}

/// The next daemon can't look into what the record names, as from another process namespace: it names the session only
/// where nothing ran. What ran runs on, until its deadline.
pub fn forget(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    let can = node.daemon == Daemon::Down && node.restarts < model.scope.restarts && model.scope.sessions > 1;
    if !can || node.orphan > 0 || node.registration > 0 {
        return false;
    }
    node.restarts += 1;
    node.daemon = Daemon::Registering;
    let proven = node.process.mode == Mode::Off || !model.rules.unproven_is_not_named;
    node.registration = if proven { node.session + 1 } else { 1 };
    if node.process.mode == Mode::Active {
        node.orphan = node.process.left.min(NEVER) + 1;
    }
    node.process = NO_PROCESS;
    (node.mark, node.start, node.left_session) = (0, 0, false);
    node.report = Report::None;
    true
}

/// The session is over: all is killed and proven gone, and a registration names it.
pub fn clear(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    if node.daemon != Daemon::Over {
        return false;
    }
    node.process = NO_PROCESS;
    (node.lease, node.want, node.start) = (0, Want::default(), 0);
    if model.scope.sessions > 1 {
        node.daemon = Daemon::Registering;
        node.registration = node.session + 1;
    } else {
        node.daemon = Daemon::Down;
    }
    true
}

/// The daemon hears of its new session.
pub fn registered(model: &LeaseModel, state: &mut State, place: NodeIndex) -> bool {
    let (node, row) = (&mut state.nodes[place], &state.rows[place]);
    let taken = node.registration == 0 || !model.rules.registrations_name_the_present;
    if node.daemon != Daemon::Registering || row.session <= node.session || !taken {
        return false;
    }
    node.daemon = Daemon::Serving;
    node.session = row.session;
    (node.lease, node.want, node.start) = (0, Want::default(), 0);
    (node.renewal, node.report, node.left_session) = (Renewal::None, Report::None, false);
    true
}

/// The daemon is told to end. It stops what runs, and reports the end of that or of what it never started.
pub fn leave(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    if !model.scope.leaves || node.daemon != Daemon::Serving {
        return false;
    }
    node.daemon = Daemon::Leaving;
    if node.want.start > node.mark {
        node.report = Report::Ended(node.want.start);
        if model.rules.never_started_is_marked {
            node.mark = node.want.start;
        }
    } else if node.start > 0 {
        node.report = Report::Ended(node.start);
    }
    node.process = NO_PROCESS;
    true
}

/// It asks for the end of its session and exits, or dies.
pub fn ask_to_leave(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    if node.daemon != Daemon::Leaving {
        return false;
    }
    node.leave = node.session;
    node.left_session = model.rules.leaving_is_recorded;
    node.daemon = Daemon::Down;
    node.renewal = Renewal::None;
    true
}
