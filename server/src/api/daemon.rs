//! What daemons ask of servers, on the peer listener: see [`client::wire::daemon`].

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use client::wire::daemon as wire;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use statemachine::command::Command;
use statemachine::id::{Generation, NodeId, SessionId};
use statemachine::log::v1::Proposal;

use super::{Api, ApiError, Asked, Body, protocol};
use crate::lease::{Admission, Leases, RenewError};
use crate::raft::Fact;

/// Set on what a follower passes on, so that it is passed on once at most.
static PASSED_ON: HeaderName = HeaderName::from_static("x-paceline-passed-on");
/// Longest wait for a newer desired set: the daemon asks again.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a follower waits for the leader's answer to what it passes on: after that the daemon has tried another server.
const PASS_ON_WAIT: Duration = Duration::from_millis(500);

/// What these handlers use.
#[derive(Clone)]
struct Daemons {
    api: Api,
    leases: Leases,
    http: reqwest::Client,
}

/// The routes for daemons.
pub fn routes(api: Api, leases: Leases) -> Router {
    let http = reqwest::Client::builder()
        .timeout(PASS_ON_WAIT)
        .connect_timeout(Duration::from_millis(200))
        .pool_idle_timeout(Duration::from_secs(2))
        .no_proxy()
        .build()
        .unwrap_or_default();
    Router::new()
        .route("/daemon/v1/register", post(register))
        .route("/daemon/v1/renew", post(renew))
        .route("/daemon/v1/report", post(report))
        .route("/daemon/v1/wait", get(wait))
        .route("/daemon/v1/extend", post(extend))
        .route("/daemon/v1/leave", post(leave))
        .route("/daemon/v1/apis", get(apis))
        .with_state(Daemons { api, leases, http })
}

async fn register(
    State(daemons): State<Daemons>,
    headers: HeaderMap,
    Body(request): Body<wire::Register>,
) -> Result<Json<wire::Registered>, ApiError> {
    match daemons.leases.admission() {
        Admission::Open => {}
        Admission::NotLeader { leader: Some(leader) } if !headers.contains_key(&PASSED_ON) => {
            return pass_on(&daemons, &leader, "register", &request).await;
        }
        Admission::NotLeader { .. } => return Err(ApiError::no_quorum("no leader is known here; try another server")),
        Admission::NotYet => {
            let detail = "the leader has heard of no node yet: whether others run is known within the lease's wait";
            return Err(ApiError::no_quorum(detail));
        }
    }
    let command = protocol::register(request).map_err(ApiError::malformed)?;
    match make(&daemons.api, command).await? {
        Fact::Registered { node, session } => Ok(Json(wire::Registered {
            cluster_id: daemons.api.raft().cluster_id().unwrap_or_default(),
            node: node.0,
            session: session.0,
            servers: servers(&daemons.api),
        })),
        other => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("a registration made {other:?}"),
        )),
    }
}

async fn renew(
    State(daemons): State<Daemons>,
    headers: HeaderMap,
    Body(request): Body<wire::Renew>,
) -> Result<Json<wire::Renewed>, ApiError> {
    let raft = daemons.api.raft();
    match raft.cluster_id() {
        Some(id) if id == request.cluster_id => {}
        Some(_) => {
            let detail = "this server belongs to another cluster than the session: check `join` in the node file";
            return Err(ApiError::new(StatusCode::CONFLICT, "cluster_conflict", detail));
        }
        None => return Err(not_ready()),
    }
    let (node, session) = (NodeId(request.node), SessionId(request.session));
    match daemons.leases.renew(node, session, request.unanswered_ms).await {
        Ok(grant) => {
            // Looked up after the round: what the answer allows is at least as new as the round.
            let state = raft.state();
            protocol::renewed(&state, &request, grant)
                .map(Json)
                .ok_or_else(session_ended)
        }
        Err(RenewError::NotLeader { leader }) if !headers.contains_key(&PASSED_ON) => match leader {
            Some(leader) => pass_on(&daemons, &leader, "renew", &request).await,
            None => Err(ApiError::no_quorum("no leader is known here; try another server")),
        },
        Err(RenewError::SessionEnded) => Err(session_ended()),
        Err(error) => Err(ApiError::no_quorum(error.to_string())),
    }
}

/// A follower passes each renewal on singly and never answers itself (rule 2 of `docs/SAFETY.md`); nor does it know who else is
/// heard, which a registration depends on.
async fn pass_on<Q: Serialize, A: DeserializeOwned>(
    daemons: &Daemons,
    leader: &str,
    path: &str,
    request: &Q,
) -> Result<Json<A>, ApiError> {
    let answer = daemons
        .http
        .post(format!("http://{leader}/daemon/v1/{path}"))
        .header(PASSED_ON.clone(), HeaderValue::from_static("1"))
        .json(request)
        .send()
        .await
        .map_err(|_| ApiError::no_quorum("the leader did not answer; try another server"))?;
    if answer.status().is_success() {
        let renewed = answer
            .json()
            .await
            .map_err(|_| ApiError::no_quorum("the leader's answer broke off"))?;
        return Ok(Json(renewed));
    }
    let problem: client::wire::error::Problem = answer
        .json()
        .await
        .map_err(|_| ApiError::no_quorum("the leader's answer broke off"))?;
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    Err(ApiError::new(status, problem.code, problem.detail))
}

async fn report(
    State(daemons): State<Daemons>,
    Body(request): Body<wire::Report>,
) -> Result<Json<wire::Reported>, ApiError> {
    let node = NodeId(request.node);
    let command = protocol::report(request).map_err(ApiError::malformed)?;
    propose(&daemons, node, command).await
}

async fn extend(
    State(daemons): State<Daemons>,
    Body(request): Body<wire::Extend>,
) -> Result<Json<wire::Reported>, ApiError> {
    propose(&daemons, NodeId(request.node), protocol::extend(&request)).await
}

async fn leave(
    State(daemons): State<Daemons>,
    Body(request): Body<wire::Leave>,
) -> Result<Json<wire::Reported>, ApiError> {
    propose(&daemons, NodeId(request.node), protocol::leave(&request)).await
}

#[derive(Deserialize)]
struct WaitQuery {
    node: u64,
    generation: u64,
    wait_ms: u64,
}

/// Answers as soon as the node's desired set is newer, as far as this server has applied: only a hint.
async fn wait(State(daemons): State<Daemons>, Asked(query): Asked<WaitQuery>) -> Result<Json<wire::Waited>, ApiError> {
    let wait = Duration::from_millis(query.wait_ms).min(WAIT_MAX);
    let deadline = tokio::time::Instant::now() + wait;
    let mut applied = daemons.api.raft().applied();
    loop {
        applied.borrow_and_update();
        let generation = generation(&daemons.api, NodeId(query.node));
        if generation.0 > query.generation {
            return Ok(Json(wire::Waited {
                generation: generation.0,
            }));
        }
        if !matches!(tokio::time::timeout_at(deadline, applied.changed()).await, Ok(Ok(()))) {
            return Ok(Json(wire::Waited {
                generation: generation.0,
            }));
        }
    }
}

async fn propose(daemons: &Daemons, node: NodeId, command: Command) -> Result<Json<wire::Reported>, ApiError> {
    let answer = daemons.api.raft().propose(Proposal { request: None, command }).await?;
    match answer.result {
        Ok(_) => Ok(Json(wire::Reported {
            index: answer.index.0,
            generation: generation(&daemons.api, node).0,
        })),
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET apis`.
async fn apis(State(daemons): State<Daemons>) -> Json<wire::Apis> {
    let state = daemons.api.raft().state();
    let apis = state.members().map(|member| member.api.clone()).collect();
    Json(wire::Apis { apis })
}

async fn make(api: &Api, command: Command) -> Result<Fact, ApiError> {
    let answer = api.raft().propose(Proposal { request: None, command }).await?;
    answer.result.map_err(Into::into)
}

fn generation(api: &Api, node: NodeId) -> Generation {
    protocol::generation(&api.raft().state(), node)
}

fn servers(api: &Api) -> Vec<String> {
    protocol::servers(&api.raft().state())
}

fn session_ended() -> ApiError {
    let detail = "this session is over: kill what it ran, prove it gone, and register anew naming it";
    ApiError::new(StatusCode::CONFLICT, "session_ended", detail)
}

fn not_ready() -> ApiError {
    let mut error = ApiError::no_quorum("this server has not joined its cluster yet; try another server");
    error = error.with_leader(None);
    error
}
