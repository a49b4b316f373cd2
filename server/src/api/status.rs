//! The cluster at a glance, and whether this server is alive and ready.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use client::wire::status::Status;
use statemachine::State;
use statemachine::cluster::Maintenance;
use statemachine::command::Containment;

use super::{Answered, Api, ApiError, Asked, ReadQuery, Reply, WithoutQuorum, convert};

/// `GET /v1/status`.
pub async fn status(Shared(api): Shared<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Status> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let state = &view.state;
    let raft = api.raft().status();
    let cluster = state.cluster();
    let mut warnings = Vec::new();
    if api.config().insecure {
        warnings.push(format!(
            "{} speaks plaintext beyond loopback ([tls] insecure = true)",
            api.config().name
        ));
    }
    if let Some(fatal) = &raft.fatal {
        warnings.push(format!("{} has stopped taking part: {fatal}", api.config().name));
    }
    warnings.extend(few_voters(raft.voters.len()));
    warnings.extend(not_managed(state));
    warnings.extend(loosely_contained(state));
    let body = Status {
        cluster: cluster.map_or_else(String::new, |cluster| cluster.spec.name.clone()),
        cluster_id: cluster.map_or_else(String::new, |cluster| cluster.id.to_string()),
        node: api.config().name.clone(),
        leader: api.leader_name(state),
        term: raft.term.0,
        quorate: !view.stale,
        stale: view.stale,
        index: state.applied().0,
        raft_committed: raft.committed,
        raft_applied: raft.applied,
        digest: statemachine::digest(state).to_string(),
        lease_ms: cluster.map_or(0, |cluster| cluster.spec.lease.0),
        maintenance: cluster
            .and_then(|cluster| cluster.maintenance)
            .map(convert::maintenance),
        stopped: cluster.is_some_and(|cluster| cluster.stopped),
        members: convert::members(state, &raft),
        nodes: convert::nodes(state),
        packages: convert::packages(state),
        warnings,
    };
    Ok(Reply::ok(state.applied(), body))
}

/// What is to be said of nodes that hold processes together by groups only.
fn loosely_contained(state: &State) -> Option<String> {
    let nodes: Vec<&str> = state
        .nodes()
        .filter(|node| node.is_up() && node.containment == Some(Containment::Group))
        .map(|node| node.name.as_str())
        .collect();
    (!nodes.is_empty()).then(|| {
        format!(
            "supervisors without a pid namespace on {}: a process that leaves its package's group is killed by the daemon \
             after the deadline, not by the kernel at it; run paceline as root, or permit user namespaces",
            nodes.join(", ")
        )
    })
}

/// What is to be said of what the manager does not act for.
fn not_managed(state: &State) -> Vec<String> {
    let until = |row: Maintenance| match convert::maintenance(row).until {
        Some(until) => format!("until {until}"),
        None => "until somebody ends it".to_owned(),
    };
    let mut said = Vec::new();
    if let Some(cluster) = state.cluster() {
        if cluster.stopped {
            said.push("the cluster is stopped: `paceline cluster start` starts what is to run".to_owned());
        }
        said.extend(cluster.maintenance.map(|row| {
            let until = until(row);
            format!("the whole cluster is in maintenance {until}: nothing is started, stopped or taken over (`paceline maintenance off`)")
        }));
    }
    for node in state.nodes() {
        said.extend(node.maintenance.map(|row| {
            let (name, until) = (&node.name, until(row));
            format!("node {name} is in maintenance {until} (`paceline maintenance off --node {name}`)")
        }));
    }
    for package in state.packages() {
        said.extend(package.maintenance.map(|row| {
            let (name, until) = (package.name(), until(row));
            format!("package {name} is in maintenance {until} (`paceline maintenance off --package {name}`)")
        }));
    }
    said
}

/// What is to be said where too few servers vote for a failover.
fn few_voters(voters: usize) -> Option<String> {
    match voters {
        1 => Some("one server votes: its loss stops the cluster; run three, or two and a witness".to_owned()),
        2 => Some(
            "two servers vote: when one is lost the other can't go on, so this cluster can't fail over; add a third server, or \
             a witness (roles = [\"witness\"]) on a third machine"
                .to_owned(),
        ),
        _ => None,
    }
}

/// `GET /healthz`: this process works. It says nothing of the cluster.
pub async fn healthz(Shared(api): Shared<Api>) -> Result<&'static str, ApiError> {
    match api.raft().status().fatal {
        None => Ok("ok\n"),
        Some(fatal) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", fatal)),
    }
}

/// `GET /readyz`: a read confirmed by a quorum works here.
pub async fn readyz(Shared(api): Shared<Api>) -> Result<&'static str, ApiError> {
    api.view(&ReadQuery::default(), WithoutQuorum::Refuse).await?;
    Ok("ready\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use statemachine::Entry;
    use statemachine::command::{Capacity, Command, RegisterNode};
    use statemachine::id::{Index, NodeName, Term};
    use statemachine::time::Timestamp;

    use super::*;

    #[test]
    fn nodes_without_namespaces_are_named() {
        let mut state = State::new();
        let mut apply = |command| {
            let entry = Entry {
                index: Index(state.applied().0 + 1),
                term: Term(1),
                at: Timestamp(0),
                wall_ms: 0,
                request: None,
                command,
            };
            statemachine::apply(&mut state, &entry).outcome.unwrap();
        };
        apply(Command::CreateCluster {
            id: "c".to_owned(),
            member: NodeName::new("n1").unwrap(),
            peer: vec!["127.0.0.1:1".to_owned()],
            api: "127.0.0.1:2".to_owned(),
        });
        for (name, containment) in [
            ("n1", Some(Containment::Namespace)),
            ("n2", Some(Containment::Group)),
            ("n3", None),
        ] {
            apply(Command::RegisterNode(RegisterNode {
                name: NodeName::new(name).unwrap(),
                machine: name.to_owned(),
                boot: "b".to_owned(),
                nonce: name.to_owned(),
                ended: Vec::new(),
                capacity: Capacity::default(),
                labels: BTreeMap::new(),
                api: String::new(),
                containment,
                cut_off: None,
            }));
        }
        let warning = loosely_contained(&state).unwrap();
        assert!(
            warning.starts_with("supervisors without a pid namespace on n2:"),
            "{warning}"
        );
    }

    #[test]
    fn two_voters_are_told_what_to_add() {
        assert!(few_voters(1).unwrap().contains("one server votes"));
        assert!(few_voters(2).unwrap().contains("roles = [\"witness\"]"));
        assert_eq!(few_voters(3), None);
    }
}
