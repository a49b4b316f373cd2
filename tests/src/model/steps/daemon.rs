//! What daemons and supervisors do: `server/src/daemon/{lease,core,reconcile}.rs` and `server/src/supervisor`.

use crate::model::action::NodeIndex;
use crate::model::lease_model::LeaseModel;
use crate::model::rules::{Freshness, InPlace};
use crate::model::scope::{EXTENSION, Safety};
use crate::model::state::{Asked, Daemon, Mode, NEVER, NO_PROCESS, Node, Process, Renewal, Report, State};

/// A renewal is sent; what was on its way is lost with it.
pub fn send(state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    if node.daemon != Daemon::Serving {
        return false;
    }
    (node.renewal, node.age, node.foreign) = (Renewal::Sent, 0, false);
    true
}

/// The answer is taken: the lease counts from when the renewal was sent, and the supervisor is told.
pub fn receive(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    if node.daemon != Daemon::Serving || node.foreign {
        return false;
    }
    match node.renewal {
        Renewal::None | Renewal::Sent => return false,
        Renewal::Ended => node.daemon = Daemon::Over,
        Renewal::Answered { want, extended } => {
            let granted = model.scope.lease + if extended { EXTENSION } else { 0 };
            let passed = if model.rules.counts_from_send { node.age } else { 0 };
            node.lease = node.lease.max(granted.saturating_sub(passed));
            node.want = want;
            arm(model, node);
        }
    }
    node.renewal = Renewal::None;
    true
}

/// Whatever may be active is under the lease's deadline; a deadline never goes back.
fn arm(model: &LeaseModel, node: &mut Node) {
    let left = node.lease + model.scope.kill;
    if node.process.mode == Mode::Active && node.process.left != NEVER {
        node.process.left = node.process.left.max(left);
    }
}

/// A predecessor's answer is taken for the answer to a renewal that is sent now.
pub fn mistake(state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    let answered = matches!(node.renewal, Renewal::Answered { .. });
    if node.daemon != Daemon::Serving || !node.foreign || !answered {
        return false;
    }
    (node.foreign, node.age) = (false, 0);
    true
}

fn may_start(model: &LeaseModel, node: &Node) -> bool {
    let fresh = match model.rules.freshness {
        Freshness::EpochAndStart => node.want.start > node.mark,
        Freshness::EpochOnly => node.want.epoch > node.mark,
        Freshness::None => node.want.epoch >= node.mark,
    };
    let serving = node.daemon == Daemon::Serving && node.lease > 0;
    serving && node.want.start > 0 && node.process.mode == Mode::Off && fresh
}

/// The deadline of what becomes active now.
fn deadline(model: &LeaseModel, node: &Node) -> u8 {
    match model.scope.safety {
        Safety::Freeze => NEVER,
        Safety::Lease | Safety::Fenced => node.lease + model.scope.kill,
    }
}

/// Recorded, then started: active or as standby.
pub fn start(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    if !may_start(model, node) {
        return false;
    }
    let want = node.want;
    (node.mark, node.start) = (want.epoch, want.start);
    node.process = Process {
        start: want.start,
        epoch: want.epoch,
        mode: if want.active { Mode::Active } else { Mode::Standby },
        asked: Asked::Nothing,
        left: if want.active { deadline(model, node) } else { NEVER },
    };
    if want.active {
        state.activated(want.epoch);
    }
    true
}

/// The epoch is recorded, and the daemon dies: the supervisor was not told to go, so nothing runs. Where the supervisor
/// is told before it is recorded, it runs and nobody knows it.
pub fn start_and_die(model: &LeaseModel, state: &mut State, place: NodeIndex) -> bool {
    let node = &mut state.nodes[place];
    if !may_start(model, node) || node.restarts >= model.scope.restarts || node.orphan > 0 {
        return false;
    }
    let want = node.want;
    (node.mark, node.start) = (want.epoch, want.start);
    if !model.rules.supervisor_recorded && want.active {
        node.orphan = deadline(model, node) + 1;
        state.activated(want.epoch);
    }
    super::session::die(model, state, place)
}

/// The process is told of another mode under a larger epoch. It counts as active from before a promotion is told, and
/// until a demotion is answered.
pub fn tell(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    let want = node.want;
    let running = node.process.mode != Mode::Off && want.start == node.process.start;
    let serving = node.daemon == Daemon::Serving && node.lease > 0;
    if !running || !serving || want.epoch <= node.mark {
        return false;
    }
    let passes = model.rules.in_place == InPlace::OtherChannel && !want.active && node.process.asked == Asked::Promote;
    if node.process.asked != Asked::Nothing && !passes {
        return false;
    }
    node.mark = want.epoch;
    node.process.epoch = want.epoch;
    if want.active {
        node.process.mode = Mode::Active;
        node.process.asked = Asked::Promote;
        node.process.left = match model.rules.in_place {
            InPlace::ArmedLate => NEVER,
            InPlace::Ordered | InPlace::OtherChannel | InPlace::ConfirmedUnanswered => deadline(model, node),
        };
        state.activated(want.epoch);
    } else if passes {
        // The demotion is answered at once, and the promotion is still on its way.
        node.process.mode = Mode::Standby;
        node.report = Report::Standby(want.epoch);
    } else {
        node.process.asked = Asked::Demote;
        if model.rules.in_place == InPlace::ConfirmedUnanswered {
            node.report = Report::Standby(want.epoch);
        }
    }
    true
}

/// The process answers; a demotion is reported.
pub fn obey(model: &LeaseModel, state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    match node.process.asked {
        Asked::Nothing => return false,
        Asked::Promote => {
            node.process.mode = Mode::Active;
            if node.process.left == NEVER {
                node.process.left = deadline(model, node);
            }
        }
        Asked::Demote => {
            node.process.mode = Mode::Standby;
            node.process.left = NEVER;
            node.report = Report::Standby(node.process.epoch);
        }
    }
    node.process.asked = Asked::Nothing;
    true
}

/// What the desired set does not hold is stopped; it takes as long as this action is put off.
pub fn stop(state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    let unwanted = node.process.mode != Mode::Off && node.want.start != node.process.start;
    if node.daemon != Daemon::Serving || !unwanted {
        return false;
    }
    node.process = NO_PROCESS;
    true
}

/// The program ends by itself.
pub fn end(state: &mut State, node: NodeIndex) -> bool {
    let node = &mut state.nodes[node];
    if node.process.mode == Mode::Off {
        return false;
    }
    node.process = NO_PROCESS;
    true
}

/// The daemon reports that nothing is left of what it started last.
pub fn report_end(model: &LeaseModel, state: &mut State, place: NodeIndex) -> bool {
    let node = &mut state.nodes[place];
    let over =
        node.process.mode == Mode::Off || (!model.rules.stops_are_proven && node.want.start != node.process.start);
    let useful = node.start > 0 && state.rows[place].start == node.start;
    let report = Report::Ended(node.start);
    if node.daemon != Daemon::Serving || !over || !useful || node.report == report {
        return false;
    }
    node.report = report;
    true
}
