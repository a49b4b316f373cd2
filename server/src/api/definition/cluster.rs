//! `[cluster]` between the wire and the core.

use client::wire::definition as wire;
use statemachine::command as core;

use super::{millis, text};

/// The settings of a cluster that was given none yet, as a file would say them.
pub fn default_cluster() -> wire::ClusterDefinition {
    wire::ClusterDefinition {
        name: wire::default_cluster_name(),
        lease: wire::default_lease(),
        min_nodes: 1,
        start_wait: wire::default_start_wait(),
        rules: String::new(),
    }
}

/// The settings of a cluster that was given none yet.
pub fn default_cluster_spec() -> core::ClusterSpec {
    cluster_to_core(&default_cluster())
}

pub(super) fn cluster_to_core(cluster: &wire::ClusterDefinition) -> core::ClusterSpec {
    let wire::ClusterDefinition {
        name,
        lease,
        min_nodes,
        start_wait,
        // A change of its own: rules are checked against all that is defined.
        rules: _,
    } = cluster;
    core::ClusterSpec {
        name: name.clone(),
        lease: millis(*lease),
        min_nodes: *min_nodes,
        start_wait: millis(*start_wait),
    }
}

pub(super) fn cluster_to_wire(cluster: &core::ClusterSpec, rules: &str) -> wire::ClusterDefinition {
    let core::ClusterSpec {
        name,
        lease,
        min_nodes,
        start_wait,
    } = cluster;
    wire::ClusterDefinition {
        name: name.clone(),
        lease: text(*lease),
        min_nodes: *min_nodes,
        start_wait: text(*start_wait),
        rules: rules.to_owned(),
    }
}
