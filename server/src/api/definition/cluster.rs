//! `[cluster]` between the wire and the core.

use client::wire::definition as wire;
use statemachine::cluster::{OVERLOAD_DEFAULT, RESUME_DEFAULT};
use statemachine::command as core;

use super::{millis, text};

/// The settings of a cluster that was given none yet, as a file would say them.
pub fn default_cluster() -> wire::ClusterDefinition {
    wire::ClusterDefinition {
        name: wire::default_cluster_name(),
        lease: wire::default_lease(),
        min_nodes: 1,
        start_wait: wire::default_start_wait(),
        shares: wire::default_shares(),
        overload: OVERLOAD_DEFAULT,
        resume: RESUME_DEFAULT,
        rules: String::new(),
    }
}

/// The settings of a cluster that was given none yet.
pub fn default_cluster_spec() -> core::ClusterSpec {
    cluster_to_core(&default_cluster(), &[])
}

pub(super) fn cluster_to_core(cluster: &wire::ClusterDefinition, modes: &[wire::ModeDefinition]) -> core::ClusterSpec {
    let wire::ClusterDefinition {
        name,
        lease,
        min_nodes,
        start_wait,
        shares,
        overload,
        resume,
        // A change of its own: rules are checked against all that is defined.
        rules: _,
    } = cluster;
    core::ClusterSpec {
        name: name.clone(),
        lease: millis(*lease),
        min_nodes: *min_nodes,
        start_wait: millis(*start_wait),
        shares: match shares.as_str() {
            "half" => core::Shares::Half,
            "priority" => core::Shares::Priority,
            // The file's check knows no other word.
            _ => core::Shares::None,
        },
        overload: *overload,
        resume: *resume,
        modes: modes.iter().map(mode_to_core).collect(),
    }
}

pub(super) fn cluster_to_wire(cluster: &core::ClusterSpec, rules: &str) -> wire::ClusterDefinition {
    let core::ClusterSpec {
        name,
        lease,
        min_nodes,
        start_wait,
        shares,
        overload,
        resume,
        // A list of its own in the file.
        modes: _,
    } = cluster;
    wire::ClusterDefinition {
        name: name.clone(),
        lease: text(*lease),
        min_nodes: *min_nodes,
        start_wait: text(*start_wait),
        shares: match shares {
            core::Shares::None => "none",
            core::Shares::Half => "half",
            core::Shares::Priority => "priority",
        }
        .to_owned(),
        overload: *overload,
        resume: *resume,
        rules: rules.to_owned(),
    }
}

fn mode_to_core(mode: &wire::ModeDefinition) -> core::ModeSpec {
    let wire::ModeDefinition { name, from, to } = mode;
    core::ModeSpec {
        name: name.clone(),
        from: from.clone(),
        to: to.clone(),
    }
}

/// `[[mode]]`.
pub(super) fn modes_to_wire(cluster: &core::ClusterSpec) -> Vec<wire::ModeDefinition> {
    let to_wire = |core::ModeSpec { name, from, to }: &core::ModeSpec| wire::ModeDefinition {
        name: name.clone(),
        from: from.clone(),
        to: to.clone(),
    };
    cluster.modes.iter().map(to_wire).collect()
}
