//! The cluster's own rows: its settings, and its servers.

use alloc::sync::Arc;

use super::v1;
use crate::cluster::{Cluster, LeaseTail, Member, StartGate};
use crate::time::{Millis, Timestamp};

pub(super) fn cluster(row: v1::ClusterRow) -> Cluster {
    let v1::ClusterRow {
        id,
        spec,
        config_index,
        lease_high,
        lease_before,
        gate,
        rules,
        maintenance,
        stopped,
        acted,
    } = row;
    Cluster {
        id: Arc::from(id),
        spec,
        config_index,
        lease_high,
        lease_before: lease_before.map(tail),
        gate: match gate {
            v1::Gate::Closed => StartGate::Closed,
            v1::Gate::Waiting(until) => StartGate::Waiting { until },
            v1::Gate::Open => StartGate::Open,
        },
        rules: Arc::from(rules),
        maintenance: maintenance.map(super::kept),
        stopped,
        acted,
    }
}

pub(super) fn member(row: v1::MemberRow) -> Member {
    let v1::MemberRow {
        id,
        name,
        peer,
        api,
        witness,
    } = row;
    Member {
        id,
        name,
        peer,
        api,
        witness,
    }
}

pub(super) fn tail((lease, until): (Millis, Timestamp)) -> LeaseTail {
    LeaseTail { lease, until }
}
