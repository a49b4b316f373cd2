//! Whether packages are placed yet: after a start from nothing not before enough nodes are up, or the wait is over.

use crate::cluster::StartGate;
use crate::draft::Draft;
use crate::event::EventKind;
use crate::state::{Deadline, State};

/// Whether packages may be started.
pub(crate) fn is_open(state: &State) -> bool {
    !state.is_stopped() && state.cluster().is_some_and(|cluster| cluster.gate == StartGate::Open)
}

/// Opens or closes the gate after nodes came or went, settings changed or time passed.
pub(crate) fn update(draft: &mut Draft<'_>) {
    let Some(cluster) = draft.state.cluster() else { return };
    let now = draft.at();
    let up = draft.state.up;
    let wanted = cluster.spec.min_nodes;
    let before = cluster.gate;
    let after = match before {
        _ if up == 0 => StartGate::Closed,
        StartGate::Open => StartGate::Open,
        StartGate::Closed | StartGate::Waiting { .. } if up >= wanted => StartGate::Open,
        StartGate::Closed => StartGate::Waiting {
            until: now.plus(cluster.spec.start_wait),
        },
        StartGate::Waiting { until } if until <= now => StartGate::Open,
        StartGate::Waiting { until } => StartGate::Waiting { until },
    };
    if after == before {
        return;
    }
    if let StartGate::Waiting { until } = before {
        draft.drop_deadline(until, Deadline::Gate);
    }
    if let StartGate::Waiting { until } = after {
        draft.set_deadline(until, Deadline::Gate);
    }
    if let Some(cluster) = draft.state.cluster_mut() {
        cluster.gate = after;
    }
    // Whoever waits has another reason to wait now, or none.
    draft.wake_all = before == StartGate::Open || after == StartGate::Open;
    if after == StartGate::Open && matches!(before, StartGate::Waiting { .. }) {
        draft.say(None, EventKind::PlacingBegan { up, wanted });
    }
}
