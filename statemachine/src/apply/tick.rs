//! What happens by time alone. A late, early or doubled tick is harmless: each deadline is compared with cluster time.

use alloc::vec::Vec;

use super::maintenance;
use super::session::{drop_extension, update_lease_high};
use crate::draft::Draft;
use crate::outcome::{Accepted, Outcome};
use crate::plan::takeover::allow_failovers;
use crate::state::Deadline;
use crate::time::Timestamp;

pub(super) fn tick(draft: &mut Draft<'_>) -> Outcome {
    let now = draft.at();
    let due: Vec<(Timestamp, Deadline)> = draft
        .state
        .deadlines
        .iter()
        .take_while(|(at, _)| *at <= now)
        .copied()
        .collect();
    for (at, deadline) in due {
        match deadline {
            // The plan's first step compares the gate with the time.
            Deadline::Gate => {}
            Deadline::LeaseBefore => {
                draft.drop_deadline(at, deadline);
                if let Some(cluster) = draft.state.cluster_mut() {
                    cluster.lease_before = None;
                }
                update_lease_high(draft);
            }
            Deadline::Extension(node) => drop_extension(draft, node),
            Deadline::Failovers(group) => allow_failovers(draft, group),
            Deadline::Maintenance(of) => maintenance::expire(draft, of),
        }
    }
    Ok(Accepted::Done)
}
