//! What must hold in every run, a file per property; names and numbers are those of `docs/SAFETY.md`.
//!
//! Each property is a function over plain data, so that a planted violation can be given to it: every file ends with
//! a test in which it must find one.

pub mod acked_survives;
pub mod activation_logged;
pub mod epoch_grows;
pub mod replicas_agree;
pub mod single_active;

use crate::cluster::Cluster;
use crate::witness::{Record, intervals};

/// Checks what the test programs saw, against each other and against what the cluster says.
///
/// # Errors
/// The first invariant that is broken, with what broke it.
pub fn check_all(cluster: &Cluster) -> anyhow::Result<()> {
    let records = cluster.witnessed()?;
    check_witnessed(&records)?;
    activation_logged::check(&intervals(&records), &cluster.events()?)?;
    replicas_agree::check_cluster(cluster)
}

/// Checks what can be checked without asking the cluster.
///
/// # Errors
/// The first invariant that is broken, with what broke it.
pub fn check_witnessed(records: &[Record]) -> anyhow::Result<()> {
    single_active::check(records)?;
    epoch_grows::check(&intervals(records))
}
