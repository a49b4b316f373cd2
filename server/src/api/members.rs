//! The servers in the Raft group.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use client::wire::control::MoveLeader;
use client::wire::plan::Done;
use client::wire::status::Members;
use statemachine::id::NodeName;

use super::change::{Terms, refuse_if_match};
use super::{Answered, Api, ApiError, Asked, Body, Path, ReadQuery, Reply, WithoutQuorum, convert};

/// `GET /v1/members`.
pub async fn list(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Members> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let members = convert::members(&view.state, &api.raft().status());
    Ok(Reply::ok(view.state.applied(), Members { members }))
}

/// `DELETE /v1/members/NAME`: the server leaves the Raft group for good; its id is never used again.
pub async fn remove(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    refuse_if_match(&terms)?;
    let state = api.raft().state();
    let member = NodeName::new(&name)
        .ok()
        .and_then(|name| state.members().find(|member| member.name == name))
        .ok_or_else(|| ApiError::not_found("member", &name, state.members().map(|member| member.name.as_str())))?;
    let index = api
        .raft()
        .remove_member(member.id)
        .await
        .map_err(|error| ApiError::new(StatusCode::CONFLICT, "conflict", error.to_string()))?;
    let detail = format!(
        "{name} (member {}) has left the Raft group; a new server of that name joins under a new id",
        member.id
    );
    Ok(Reply::ok(
        index,
        Done {
            index: index.0,
            outcome: "done".to_owned(),
            detail,
            steps: Vec::new(),
        },
    ))
}

/// How long a hand-over may take.
const HAND_OVER_WAIT: Duration = Duration::from_secs(5);

/// `POST /v1/cluster/move-leader`.
pub async fn move_leader(
    State(api): State<Api>,
    terms: Terms,
    Body(asked): Body<Option<MoveLeader>>,
) -> Answered<Done> {
    refuse_if_match(&terms)?;
    let state = api.raft().state();
    let to = match asked.unwrap_or_default().to {
        None => None,
        Some(name) => Some(
            state
                .members()
                .find(|member| member.name.as_str() == name)
                .map(|member| member.id)
                .ok_or_else(|| {
                    ApiError::not_found("member", &name, state.members().map(|member| member.name.as_str()))
                })?,
        ),
    };
    let moved = tokio::time::timeout(HAND_OVER_WAIT, api.raft().transfer_leader(to)).await;
    match moved {
        Ok(Ok(())) => {
            let state = api.raft().state();
            let leader = api.leader_name(&state).unwrap_or_else(|| "another member".to_owned());
            let index = state.applied();
            let detail = format!("{leader} leads now");
            Ok(Reply::ok(
                index,
                Done {
                    index: index.0,
                    outcome: "done".to_owned(),
                    detail,
                    steps: Vec::new(),
                },
            ))
        }
        Ok(Err(error)) => Err(ApiError::new(StatusCode::CONFLICT, "conflict", error.to_string())),
        Err(_) => Err(ApiError::no_quorum(
            "the lead was not handed over in time; see `paceline status`",
        )),
    }
}
