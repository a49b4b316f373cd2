//! What daemons ask of servers, on the peer listener: see [`client::wire::daemon`].

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use client::wire::daemon as wire;
use serde::Deserialize;
use statemachine::command::{
    Capacity, Command, Containment, EndCause, InstanceReport, InstanceState, Mode, Observation, Output, RegisterNode,
};
use statemachine::id::{Epoch, Generation, NodeId, NodeName, PackageName, SessionId};
use statemachine::log::v1::Proposal;
use statemachine::time::Millis;

use super::{Api, ApiError, Asked, Body, definition};
use crate::lease::{Leases, RenewError};
use crate::raft::Fact;

/// Set on a renewal that a follower passes on, so that it is passed on once at most.
static PASSED_ON: HeaderName = HeaderName::from_static("x-paceline-passed-on");
/// Longest wait for a newer desired set: the daemon asks again.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a follower waits for the leader's answer to a renewal: after that the daemon has tried another server.
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
        .with_state(Daemons { api, leases, http })
}

async fn register(
    State(daemons): State<Daemons>,
    Body(request): Body<wire::Register>,
) -> Result<Json<wire::Registered>, ApiError> {
    let wire::Register {
        name,
        machine,
        boot,
        nonce,
        ended,
        capacity,
        labels,
        api,
        containment,
        cut_off_ms,
    } = request;
    let name = NodeName::new(&name).map_err(|error| ApiError::malformed(format!("name {name:?}: {error}")))?;
    let command = Command::RegisterNode(RegisterNode {
        name,
        machine,
        boot,
        nonce,
        ended: ended.into_iter().map(SessionId).collect(),
        capacity: Capacity(capacity),
        labels,
        api,
        containment: containment.as_deref().map(containment_from_text).transpose()?,
        cut_off: cut_off_ms.map(Millis),
    });
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
    match daemons.leases.renew(node, session).await {
        Ok(grant) => {
            // Looked up after the round: what the answer allows is at least as new as the round.
            let state = raft.state();
            let desired = statemachine::desired(&state, node).ok_or_else(session_ended)?;
            let newer = desired.generation > Generation(request.generation);
            Ok(Json(wire::Renewed {
                nonce: request.nonce,
                lease_ms: grant.lease.0,
                soft_ms: grant.soft.0,
                renew_ms: grant.renew.0,
                retry_ms: grant.retry.0,
                generation: desired.generation.0,
                desired: newer.then(|| desired.instances.iter().map(desired_to_wire).collect()),
                servers: servers(&daemons.api),
            }))
        }
        Err(RenewError::NotLeader { leader }) if !headers.contains_key(&PASSED_ON) => match leader {
            Some(leader) => pass_on(&daemons, &leader, &request).await,
            None => Err(ApiError::no_quorum("no leader is known here; try another server")),
        },
        Err(RenewError::SessionEnded) => Err(session_ended()),
        Err(error) => Err(ApiError::no_quorum(error.to_string())),
    }
}

/// A follower passes each renewal on singly and never answers itself (rule 2 of `docs/SAFETY.md`).
async fn pass_on(daemons: &Daemons, leader: &str, request: &wire::Renew) -> Result<Json<wire::Renewed>, ApiError> {
    let answer = daemons
        .http
        .post(format!("http://{leader}/daemon/v1/renew"))
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
    let wire::Report {
        node,
        session,
        sequence,
        observations,
    } = request;
    let observations = observations
        .into_iter()
        .map(observation)
        .collect::<Result<Vec<_>, _>>()?;
    let node = NodeId(node);
    propose(
        &daemons,
        node,
        Command::Observe {
            node,
            session: SessionId(session),
            sequence,
            observations,
        },
    )
    .await
}

async fn extend(
    State(daemons): State<Daemons>,
    Body(request): Body<wire::Extend>,
) -> Result<Json<wire::Reported>, ApiError> {
    let wire::Extend {
        node,
        session,
        lease_ms,
    } = request;
    let node = NodeId(node);
    propose(
        &daemons,
        node,
        Command::ExtendLease {
            node,
            session: SessionId(session),
            lease: Millis(lease_ms),
        },
    )
    .await
}

async fn leave(
    State(daemons): State<Daemons>,
    Body(request): Body<wire::Leave>,
) -> Result<Json<wire::Reported>, ApiError> {
    let wire::Leave { node, session } = request;
    let node = NodeId(node);
    propose(
        &daemons,
        node,
        Command::LeaveNode {
            node,
            session: SessionId(session),
        },
    )
    .await
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

async fn make(api: &Api, command: Command) -> Result<Fact, ApiError> {
    let answer = api.raft().propose(Proposal { request: None, command }).await?;
    answer.result.map_err(Into::into)
}

fn generation(api: &Api, node: NodeId) -> Generation {
    api.raft()
        .state()
        .node(node)
        .map_or(Generation(0), |node| node.generation)
}

/// Peer addresses of all servers, so that a daemon finds them all whichever it asked first.
fn servers(api: &Api) -> Vec<String> {
    api.raft()
        .state()
        .members()
        .flat_map(|member| member.peer.iter().cloned())
        .collect()
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

fn desired_to_wire(instance: &statemachine::DesiredInstance) -> wire::DesiredInstance {
    let statemachine::DesiredInstance {
        package,
        start,
        epoch,
        mode,
        output,
        delay,
        deadline,
        reset,
        spec,
    } = instance;
    let run = &spec.run;
    let environment: BTreeMap<String, String> = run.environment.clone();
    wire::DesiredInstance {
        package: package.as_str().to_owned(),
        start: start.0,
        epoch: epoch.0,
        mode: mode_text(*mode).to_owned(),
        output: match output {
            Output::Released => "released",
            Output::Inhibited => "inhibited",
        }
        .to_owned(),
        delay_ms: delay.0,
        deadline: *deadline,
        reset: *reset,
        run: client::wire::definition::RunDefinition {
            command: run.command.clone(),
            env: environment,
            directory: run.directory.clone(),
        },
        promote: run.promote.clone(),
        demote: run.demote.clone(),
        probe: run.probe.as_ref().map(definition::probe_to_wire),
        start_timeout_ms: run.start_timeout.0,
        stop_timeout_ms: run.stop_timeout.0,
    }
}

/// The word for how a node holds processes together.
pub fn containment_text(containment: Containment) -> &'static str {
    match containment {
        Containment::Namespace => "namespace",
        Containment::UserNamespace => "user_namespace",
        Containment::Group => "group",
    }
}

fn containment_from_text(text: &str) -> Result<Containment, ApiError> {
    match text {
        "namespace" => Ok(Containment::Namespace),
        "user_namespace" => Ok(Containment::UserNamespace),
        "group" => Ok(Containment::Group),
        other => Err(ApiError::malformed(format!(
            "containment {other:?}: expected \"namespace\", \"user_namespace\" or \"group\""
        ))),
    }
}

/// The word for a mode.
pub fn mode_text(mode: Mode) -> &'static str {
    match mode {
        Mode::Standby => "standby",
        Mode::Active => "active",
        Mode::Test => "test",
    }
}

fn observation(observed: wire::InstanceObservation) -> Result<Observation, ApiError> {
    let wire::InstanceObservation {
        package,
        start,
        epoch,
        state,
        mode,
        cause,
        code,
        detail,
    } = observed;
    let package =
        PackageName::new(&package).map_err(|error| ApiError::malformed(format!("package {package:?}: {error}")))?;
    let state = match (state.as_str(), mode.as_deref()) {
        ("running", Some("standby")) => InstanceState::Running { mode: Mode::Standby },
        ("running", Some("active")) => InstanceState::Running { mode: Mode::Active },
        ("running", Some("test")) => InstanceState::Running { mode: Mode::Test },
        ("failing", _) => InstanceState::Failing {
            cause: end_cause(cause.as_deref(), code)?,
        },
        ("ended", _) => InstanceState::Ended {
            cause: end_cause(cause.as_deref(), code)?,
        },
        (state, mode) => {
            return Err(ApiError::malformed(format!(
                "state {state:?} with mode {mode:?} is not known"
            )));
        }
    };
    Ok(Observation::Instance(InstanceReport {
        package,
        start: Epoch(start),
        epoch: Epoch(epoch),
        state,
        detail,
    }))
}

fn end_cause(cause: Option<&str>, code: Option<i32>) -> Result<EndCause, ApiError> {
    Ok(match (cause, code) {
        (Some("requested"), _) => EndCause::Requested,
        (Some("exited"), Some(code)) => EndCause::Exited { code },
        (Some("signalled"), Some(signal)) => EndCause::Signalled { signal },
        (Some("not_started"), _) => EndCause::NotStarted,
        (Some("not_ready"), _) => EndCause::NotReady,
        (Some("probe_failed"), _) => EndCause::ProbeFailed,
        (Some("lease_ended"), _) => EndCause::LeaseEnded,
        (cause, code) => {
            return Err(ApiError::malformed(format!(
                "cause {cause:?} with code {code:?} is not known"
            )));
        }
    })
}
