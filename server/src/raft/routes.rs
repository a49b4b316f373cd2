//! What other servers ask of this one: `POST /peer/v1/…` on the peer listener, bodies as in `codec`.
//!
//! Every request names the cluster and the member that it is for; one for another is refused, because an address may by
//! now belong to somebody else.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use openraft::raft::{AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, VoteRequest, VoteResponse};
use serde::Serialize;
use statemachine::id::MemberId;

use super::answer::ProposeError;
use super::backfill::{self, AskEvents};
use super::codec::{self, Append, Appended, AskVote, Transfer, Transferred, Voted};
use super::core::Core;
use super::environment::done_by;
use super::join::{AskAdmission, AskPromotion};
use super::machine;
use super::member;
use super::network::append_request;
use super::propose::{Answered, Forwarded, Scope};
use super::read::{ReadIndex, ReadScope};
use super::transport::{HEADER_CLUSTER, HEADER_MEMBER, HEADER_VOTE};
use super::type_config::{BatchBytes, Raft, TypeConfig};
use super::{relinquish, retime};

/// The largest message but snapshots, which are streamed: several of the largest proposals.
const BODY_BYTES_MAX: usize = 64 << 20;
/// The largest message that anybody may send who names no member: an address, a name and a few words.
const STRANGER_BODY_BYTES_MAX: usize = 64 << 10;
/// How long a forwarded proposal waits here for this server to become ready.
const READY_WAIT: Duration = Duration::from_millis(500);

/// The routes, all under `/peer/v1`.
pub(super) fn routes(core: Arc<Core>) -> Router {
    // What asks a certain member; the others may ask anybody.
    let members = Router::new()
        .route("/peer/v1/append", post(append))
        .route("/peer/v1/vote", post(vote))
        .route("/peer/v1/pre_vote", post(pre_vote))
        .route("/peer/v1/transfer", post(transfer))
        .route("/peer/v1/propose", post(propose))
        .route("/peer/v1/read_index", post(read_index))
        .route("/peer/v1/change", post(change))
        .route("/peer/v1/events", post(events))
        .route("/peer/v1/fitness", post(fitness))
        .route("/peer/v1/start_again", post(start_again))
        .route("/peer/v1/snapshot", post(snapshot).layer(DefaultBodyLimit::disable()))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        // Before the body is read: a stranger's large one is not taken in.
        .layer(middleware::from_fn_with_state(Arc::clone(&core), check_member));
    Router::new()
        .route("/peer/v1/join", post(join))
        .route("/peer/v1/promote", post(promote))
        .layer(DefaultBodyLimit::max(STRANGER_BODY_BYTES_MAX))
        .merge(members)
        .with_state(core)
}

/// A refusal: certainly nothing was done.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl From<codec::CodecError> for Refused {
    fn from(error: codec::CodecError) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

type Answer = Result<Bytes, Refused>;

async fn check_member(State(core): State<Arc<Core>>, request: Request, next: Next) -> Response {
    match check(&core, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

fn check(core: &Core, headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let Some(identity) = core.identity().filter(|identity| identity.member != 0) else {
        return Err(Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "this server has not joined a cluster yet".to_owned(),
        ));
    };
    let (cluster, member) = (text(HEADER_CLUSTER), text(HEADER_MEMBER));
    if cluster == identity.cluster_id && member == identity.member.to_string() {
        return Ok(());
    }
    let reason = format!(
        "this was sent to member {member:?} of cluster {cluster:?}, but here is member {} of cluster {:?}",
        identity.member, identity.cluster_id
    );
    tracing::debug!(reason, "a message for another server came here");
    Err(Refused(StatusCode::MISDIRECTED_REQUEST, reason))
}

fn raft(core: &Core) -> Result<&Raft, Refused> {
    core.raft().ok_or_else(|| {
        Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "Raft is not running here yet".to_owned(),
        )
    })
}

fn fatal(error: &dyn std::fmt::Display) -> Refused {
    Refused(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("this server has stopped: {error}"),
    )
}

fn answer<T: Serialize>(what: &'static str, value: &T) -> Answer {
    codec::encode(what, value).map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn append(State(core): State<Arc<Core>>, body: Bytes) -> Answer {
    let request = append_request(codec::decode::<Append>("append", &body)?)?;
    let answered = raft(&core)?
        .append_entries(request)
        .await
        .map_err(|error| fatal(&error))?;
    let appended = match answered {
        AppendEntriesResponse::Success => Appended::Success,
        AppendEntriesResponse::PartialSuccess(upto) => Appended::Partial(upto.as_ref().map(codec::wire_log_id)),
        AppendEntriesResponse::Conflict => Appended::Conflict,
        AppendEntriesResponse::HigherVote(vote) => Appended::HigherVote(codec::wire_vote(&vote)),
    };
    answer("append", &appended)
}

async fn vote(State(core): State<Arc<Core>>, body: Bytes) -> Answer {
    let request = vote_request(codec::decode("vote", &body)?);
    voted(&raft(&core)?.vote(request).await.map_err(|error| fatal(&error))?)
}

async fn pre_vote(State(core): State<Arc<Core>>, body: Bytes) -> Answer {
    let request = vote_request(codec::decode("pre_vote", &body)?);
    voted(&raft(&core)?.pre_vote(request).await.map_err(|error| fatal(&error))?)
}

fn vote_request(ask: AskVote) -> VoteRequest<TypeConfig> {
    let mut request = VoteRequest::new(codec::from_wire_vote(ask.vote), ask.last.map(codec::from_wire_log_id));
    request.leadership_transfer = ask.transfer;
    request
}

fn voted(response: &VoteResponse<TypeConfig>) -> Answer {
    let voted = Voted {
        vote: codec::wire_vote(&response.vote),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(codec::wire_log_id),
    };
    answer("vote", &voted)
}

async fn transfer(State(core): State<Arc<Core>>, body: Bytes) -> Answer {
    let Transfer { from, to, last } = codec::decode("transfer", &body)?;
    let request = TransferLeaderRequest::new(codec::from_wire_vote(from), to, last.map(codec::from_wire_log_id));
    let done = raft(&core)?
        .handle_transfer_leader(request)
        .await
        .map_err(|error| fatal(&error))?;
    let log_id = |id: Option<super::type_config::LogId>| id.as_ref().map(codec::wire_log_id);
    let transferred = match done {
        Ok(()) => Transferred::Done,
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            Transferred::VoteChanged(codec::wire_vote(&expected), codec::wire_vote(&actual))
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            Transferred::LogNotFlushed(log_id(expected), log_id(actual))
        }
    };
    answer("transfer", &transferred)
}

/// A batch that another server forwards: put in the log here or nowhere.
async fn propose(State(core): State<Arc<Core>>, body: Bytes) -> Answer {
    let Forwarded { proposals } = codec::decode("propose", &body)?;
    // All or none: a refusal says that nothing was done.
    let decoded = proposals
        .iter()
        .map(|BatchBytes(bytes)| codec::decode_proposal(bytes))
        .collect::<Result<Vec<_>, _>>()?;
    let mut waiting = Vec::with_capacity(proposals.len());
    for (proposal, BatchBytes(bytes)) in decoded.iter().zip(proposals) {
        waiting.push(core.proposals.put(proposal, bytes, Scope::Here, READY_WAIT));
    }
    let mut answers = Vec::with_capacity(waiting.len());
    for answer in waiting {
        answers.push(match answer {
            Ok(answer) => answer.await.unwrap_or(Err(ProposeError::Unknown)),
            Err(error) => Err(error),
        });
    }
    answer("propose", &Answered { answers })
}

async fn read_index(State(core): State<Arc<Core>>, _body: Bytes) -> Answer {
    let point = core.reads.point(ReadScope::Here, Duration::ZERO).await;
    answer("read_index", &ReadIndex { point })
}

async fn change(State(core): State<Arc<Core>>, body: Bytes) -> Answer {
    let asked = codec::decode("change", &body)?;
    answer("change", &member::passed_on(&core, asked).await)
}

async fn events(State(core): State<Arc<Core>>, body: Bytes) -> Answer {
    let ask = codec::decode::<AskEvents>("events", &body)?;
    let told = backfill::tell(&core, ask)
        .await
        .map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    answer("events", &told)
}

async fn fitness(State(core): State<Arc<Core>>, _body: Bytes) -> Answer {
    answer("fitness", &relinquish::fitness(&core))
}

async fn start_again(State(core): State<Arc<Core>>, _body: Bytes) -> Answer {
    answer("start_again", &retime::start_again(&core).await)
}

async fn join(State(core): State<Arc<Core>>, body: Bytes) -> Answer {
    raft(&core)?;
    answer(
        "join",
        &member::admit(&core, codec::decode::<AskAdmission>("join", &body)?).await,
    )
}

async fn promote(State(core): State<Arc<Core>>, headers: HeaderMap, body: Bytes) -> Answer {
    raft(&core)?;
    let cluster = headers
        .get(HEADER_CLUSTER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if core.identity().is_none_or(|identity| identity.cluster_id != cluster) {
        return Err(Refused(
            StatusCode::MISDIRECTED_REQUEST,
            "this server belongs to another cluster".to_owned(),
        ));
    }
    let AskPromotion { member } = codec::decode("promote", &body)?;
    answer("promote", &member::promote(&core, MemberId(member)).await)
}

/// A snapshot, streamed to a file first and installed only when it is whole.
async fn snapshot(State(core): State<Arc<Core>>, headers: HeaderMap, body: Body) -> Answer {
    let vote = headers
        .get(HEADER_VOTE)
        .and_then(|value| value.to_str().ok())
        .and_then(parse_vote);
    let vote = vote.ok_or_else(|| Refused(StatusCode::BAD_REQUEST, format!("{HEADER_VOTE} is missing")))?;
    let raft = raft(&core)?;
    let part = core.snapshots.part();
    let outcome = receive(&core, &part, body).await;
    let broken = |error: &dyn std::fmt::Display| {
        Refused(
            StatusCode::BAD_REQUEST,
            format!("the snapshot did not arrive whole: {error}"),
        )
    };
    let stored = match outcome {
        Ok(()) => core.snapshots.open_part(&part).map_err(|error| broken(&error)),
        Err(error) => Err(broken(&error)),
    };
    let snapshot = stored.and_then(|stored| machine::snapshot(stored).map_err(|error| broken(&error)));
    let installed = match snapshot {
        Ok(snapshot) => raft
            .install_full_snapshot(codec::from_wire_vote(vote), snapshot)
            .await
            .map_err(|error| fatal(&error)),
        Err(refused) => Err(refused),
    };
    // Where it was installed it has another name by now.
    let _ = done_by(&core.workers, move || std::fs::remove_file(part)).await;
    answer("snapshot", &codec::wire_vote(&installed?.vote))
}

async fn receive(core: &Core, part: &Path, body: Body) -> std::io::Result<()> {
    let path = part.to_owned();
    let mut file = done_by(&core.workers, move || File::create(path)).await??;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.try_next().await.map_err(std::io::Error::other)? {
        file = done_by(&core.workers, move || file.write_all(&piece).map(|()| file)).await??;
    }
    Ok(())
}

fn parse_vote(text: &str) -> Option<codec::WireVote> {
    let mut parts = text.split('.');
    let term = u64::from_str(parts.next()?).ok()?;
    let member = u64::from_str(parts.next()?).ok()?;
    let committed = bool::from_str(parts.next()?).ok()?;
    Some((term, member, committed))
}
