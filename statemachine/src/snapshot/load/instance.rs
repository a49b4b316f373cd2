//! An instance from its row.

use alloc::sync::Arc;

use super::super::v1;
use super::moment;
use crate::command::{Mode, Output, PackageSpec};
use crate::id::NodeIx;
use crate::load::Loads;
use crate::package::{Instance, Phase};
use crate::reload::Reload;

/// `present` is the package's own definition: the row names another one only where it was started with that.
pub(super) fn instance(present: &Arc<PackageSpec>, row: v1::InstanceRow) -> Instance {
    let v1::InstanceRow {
        node,
        session,
        start,
        epoch,
        mode,
        phase,
        since,
        delay,
        spec,
        revision,
        load,
        detail,
        inhibited,
        score,
        busy,
        own_mode,
        held,
        reload,
    } = row;
    let output = match mode {
        Mode::Active if !inhibited => Output::Released,
        Mode::Active | Mode::Standby | Mode::Test => Output::Inhibited,
    };
    Instance {
        node: NodeIx(node),
        session,
        start,
        epoch,
        mode,
        phase: match phase {
            v1::PhaseRow::Starting => Phase::Starting,
            v1::PhaseRow::Running => Phase::Running,
            v1::PhaseRow::Changing { from } => Phase::Changing { from },
            v1::PhaseRow::Failing { cause } => Phase::Failing { cause },
            v1::PhaseRow::Stopping { why } => Phase::Stopping { why },
            v1::PhaseRow::Stranded => Phase::Stranded,
        },
        since: moment(since),
        delay,
        spec: spec.map_or_else(|| present.clone(), Arc::new),
        revision,
        load: Loads(load),
        detail: Arc::from(detail),
        output,
        score,
        busy,
        own_mode: own_mode.map(Arc::from),
        held,
        reload: reload.map(|reload| match reload {
            v1::ReloadRow::Asked(revision) => Reload::Asked(revision),
            v1::ReloadRow::Failed(revision) => Reload::Failed(revision),
        }),
    }
}
