//! The cluster at a glance, and whether this server is alive and ready.

use axum::extract::State;
use axum::http::StatusCode;
use client::wire::status::Status;

use super::{Answered, Api, ApiError, Asked, ReadQuery, Reply, WithoutQuorum, convert};

/// `GET /v1/status`.
pub async fn status(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Status> {
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
    let voters = raft.voters.len();
    if voters < 3 && voters != 0 {
        warnings.push(format!(
            "{voters} voting server(s): the loss of one stops the cluster; run three"
        ));
    }
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
        members: convert::members(state, &raft),
        nodes: convert::nodes(state),
        packages: convert::packages(state),
        warnings,
    };
    Ok(Reply::ok(state.applied(), body))
}

/// `GET /healthz`: this process works. It says nothing of the cluster.
pub async fn healthz(State(api): State<Api>) -> Result<&'static str, ApiError> {
    match api.raft().status().fatal {
        None => Ok("ok\n"),
        Some(fatal) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", fatal)),
    }
}

/// `GET /readyz`: a read confirmed by a quorum works here.
pub async fn readyz(State(api): State<Api>) -> Result<&'static str, ApiError> {
    api.view(&ReadQuery::default(), WithoutQuorum::Refuse).await?;
    Ok("ready\n")
}
