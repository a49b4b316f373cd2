//! I11: the same index has the same digest on every server.

use std::collections::BTreeMap;

use anyhow::bail;
use client::wire::status::Status;

use super::sight::Sight;
use crate::cluster::{Cluster, START_LIMIT};
use crate::wait::wait_for;

/// Compares all sights of equal index.
///
/// # Errors
/// The two servers that differ.
pub fn check(sights: &[Sight]) -> anyhow::Result<()> {
    let mut first: BTreeMap<u64, &Sight> = BTreeMap::new();
    for sight in sights {
        let known = first.entry(sight.index).or_insert(sight);
        if known.digest != sight.digest {
            bail!("I11: two servers differ at the same index: {known:?} and {sight:?}");
        }
    }
    Ok(())
}

/// Asks every server until all have applied the same index, and compares everything seen on the way.
///
/// # Errors
/// The two servers that differ, or that they never meet at one index.
pub fn check_cluster(cluster: &Cluster) -> anyhow::Result<()> {
    check(&meet(cluster)?)
}

/// Asks every server until all have applied the same index, and answers everything seen on the way.
///
/// # Errors
/// Where they never meet at one index.
pub fn meet(cluster: &Cluster) -> anyhow::Result<Vec<Sight>> {
    let mut sights = Vec::new();
    wait_for("every server at one index", START_LIMIT, || {
        let mut now = Vec::new();
        for node in cluster.nodes().iter().filter(|node| node.is_server()) {
            let status: Status = cluster
                .ask(node, "/v1/status?consistency=local")
                .map_err(|e| format!("{}: {e:#}", node.name()))?;
            now.push(Sight::of(node.name(), 0, 0, 0, &status));
        }
        sights.extend(now.iter().cloned());
        let index = now.first().map(|s| s.index);
        if now.iter().all(|s| Some(s.index) == index) {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })?;
    Ok(sights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(node: &str, index: u64, digest: &str) -> Sight {
        Sight {
            node: node.to_owned(),
            process: 1,
            asked_ns: 0,
            at_ns: 0,
            term: 1,
            leader: None,
            index,
            digest: digest.to_owned(),
            committed: index,
            applied: index,
        }
    }

    #[test]
    fn different_indexes_are_not_compared() {
        check(&[sight("n1", 1, "a"), sight("n2", 2, "b")]).expect("nothing to compare");
    }

    #[test]
    fn a_planted_divergence_is_found() {
        assert!(check(&[sight("n1", 1, "a"), sight("n2", 2, "b"), sight("n3", 1, "c")]).is_err());
    }
}
