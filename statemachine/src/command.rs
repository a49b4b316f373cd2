//! Everything that can be proposed.
//!
//! To add a command: (1) append a variant to [`v1::Command`](crate::log::v1::Command), never reorder or reuse a name;
//! (2) say in [`Command::feature_level`](crate::log::v1::Command) from which level on it may enter the log; (3) give it one arm in
//! `apply/mod.rs` and its work in one family file: every refusal before the first write; (4) a golden encoding and a
//! script; (5) the conversion from the wire in `server/src/api/convert.rs`.

pub use crate::log::v1::{
    Capacity, ClusterSpec, Command, ConfigChange, Containment, EndCause, Fencing, GroupKind, GroupSpec, InstanceReport,
    InstanceState, InstanceWords, Load, Maintained, Mode, ModeSpec, Need, Observation, OnQuorumLoss, Output,
    PackageSpec, ProbeKind, ProbeSpec, RegisterNode, ReloadReport, RequestId, ResourceKind, ResourceReport,
    RestartSpec, RunSpec, Shares, Wish,
};
