//! Packages and groups: what they are, why, and what they are told to do.

use axum::extract::State;
use client::wire::control::{MoveTo, SetMode};
use client::wire::definition::PackageDefinition;
use client::wire::package::{Explanation, Group, Groups, Package, Packages};
use client::wire::plan::Done;
use statemachine::command::{Command, ConfigChange, Wish};
use statemachine::id::{GroupName, NodeName, PackageName};
use statemachine::package::{Instance, Package as Row, PackageState};
use statemachine::state::State as Cluster;

use super::change::{Settled, Terms};
use super::{Answered, Api, ApiError, Asked, Body, Path, ReadQuery, Reply, WithoutQuorum, config, convert, definition};
use crate::storage::journal::EventRecord;

/// `GET /v1/packages`.
pub async fn list(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Packages> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let packages = convert::packages(&view.state);
    Ok(Reply::ok(
        view.state.applied(),
        Packages {
            packages,
            stale: view.stale,
        },
    ))
}

/// `GET /v1/packages/P`, with its definition.
pub async fn one(
    State(api): State<Api>,
    Path(name): Path<String>,
    Asked(query): Asked<ReadQuery>,
) -> Answered<Package> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let package = find(&view.state, &name)?;
    let mut body = convert::package(&view.state, package);
    body.definition = Some(definition::package_to_wire(&package.spec, name, 1));
    Ok(Reply::ok(view.state.applied(), body))
}

/// `PUT /v1/packages/P`: defines one package, as in the file.
pub async fn put(
    State(api): State<Api>,
    Path(name): Path<String>,
    terms: Terms,
    Body(package): Body<PackageDefinition>,
) -> Answered<Done> {
    if package.name != name {
        let detail = format!(
            "the body defines {:?}, the path names {name:?}: give both the same name",
            package.name
        );
        return Err(ApiError::malformed(detail));
    }
    let state = api.raft().state();
    config::check_package(&state, &package)
        .map_err(|errors| ApiError::invalid(format!("the definition of {name:?} has errors"), errors))?;
    let changes = definition::package_changes(&state, &package)
        .map_err(|errors| ApiError::invalid(format!("the definition of {name:?} has errors"), errors))?;
    let names: Vec<PackageName> = changes
        .iter()
        .filter_map(|change| match change {
            ConfigChange::PutPackage(spec) => Some(spec.name.clone()),
            _ => None,
        })
        .collect();
    let command = Command::Configure { expect: None, changes };
    api.control(&terms, command, |state| all_settled(state, &names)).await
}

/// `DELETE /v1/packages/P`: stops it and removes it, with all its copies.
pub async fn delete(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    let state = api.raft().state();
    let names = members(&state, &name)?;
    let changes = names.iter().cloned().map(ConfigChange::RemovePackage).collect();
    api.control(&terms, Command::Configure { expect: None, changes }, |state| {
        let left: Vec<&str> = names
            .iter()
            .filter(|name| state.package(name).is_some())
            .map(PackageName::as_str)
            .collect();
        if left.is_empty() {
            Settled::Done(format!("{name} is stopped and removed"))
        } else {
            Settled::Not(format!("still stopping: {}", left.join(", ")))
        }
    })
    .await
}

/// `GET /v1/packages/P/explain`.
pub async fn explain(
    State(api): State<Api>,
    Path(name): Path<String>,
    Asked(query): Asked<ReadQuery>,
) -> Answered<Explanation> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let package = find(&view.state, &name)?;
    let explanation =
        statemachine::explain(&view.state, &package.spec.name).ok_or_else(|| unknown(&view.state, &name))?;
    Ok(Reply::ok(
        view.state.applied(),
        convert::explanation(explanation, &because(&api, &view.state, package).await?, view.stale),
    ))
}

/// `POST /v1/packages/P/start`.
pub async fn start(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    wish(&api, &name, &terms, Wish::Start).await
}

/// `POST /v1/packages/P/stop`.
pub async fn stop(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    wish(&api, &name, &terms, Wish::Stop).await
}

/// `POST /v1/packages/P/test`: runs it in test: never active, output inhibited.
pub async fn test(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    wish(&api, &name, &terms, Wish::Test).await
}

async fn wish(api: &Api, name: &str, terms: &Terms, wish: Wish) -> Answered<Done> {
    let names = members(&api.raft().state(), name)?;
    let last = names.len().saturating_sub(1);
    for (position, package) in names.iter().enumerate() {
        let command = Command::SetWish {
            package: package.clone(),
            wish,
        };
        // Each copy is a command of its own, so each needs a key of its own.
        let mut terms = terms.clone();
        if let (Some(request), true) = (&mut terms.request, names.len() > 1) {
            request.key = format!("{}#{package}", request.key);
        }
        if position == last {
            return api.control(&terms, command, |state| all_settled(state, &names)).await;
        }
        api.make(&terms, command).await?;
    }
    Err(unknown(&api.raft().state(), name))
}

/// `POST /v1/packages/P/promote`: makes a standby the active one of its group.
pub async fn promote(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    let package = find(&api.raft().state(), &name)?.spec.name.clone();
    let command = Command::Promote {
        package: package.clone(),
    };
    api.control(&terms, command, |state| {
        let Some(row) = state.package(&package) else {
            return removed_meanwhile(&package);
        };
        let text = convert::reason(state, row);
        match (row.state(), row.instance.as_ref().is_some_and(Instance::holds_unit)) {
            (PackageState::Running, true) => Settled::Done(text),
            (PackageState::Failed, _) => Settled::Failed(text),
            _ => Settled::Not(text),
        }
    })
    .await
}

/// `POST /v1/packages/P/mode`: runs it in a mode of the users' own.
pub async fn mode(
    State(api): State<Api>,
    Path(name): Path<String>,
    terms: Terms,
    Body(asked): Body<SetMode>,
) -> Answered<Done> {
    let package = find(&api.raft().state(), &name)?.spec.name.clone();
    let names = [package.clone()];
    let command = Command::SetMode {
        package,
        mode: asked.mode,
    };
    api.control(&terms, command, |state| all_settled(state, &names)).await
}

/// `POST /v1/packages/P/demote`: its group's fittest standby takes over.
pub async fn demote(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    let package = find(&api.raft().state(), &name)?.spec.name.clone();
    let command = Command::Demote {
        package: package.clone(),
    };
    api.control(&terms, command, |state| {
        let Some(row) = state.package(&package) else {
            return removed_meanwhile(&package);
        };
        let text = convert::reason(state, row);
        match (row.state(), row.instance.as_ref().is_some_and(Instance::holds_unit)) {
            (PackageState::Failed, _) => Settled::Failed(text),
            (PackageState::Running | PackageState::Waiting, false) => Settled::Done(text),
            _ => Settled::Not(text),
        }
    })
    .await
}

/// `POST /v1/packages/P/move`.
pub async fn move_to(
    State(api): State<Api>,
    Path(name): Path<String>,
    terms: Terms,
    Body(asked): Body<MoveTo>,
) -> Answered<Done> {
    let state = api.raft().state();
    let package = find(&state, &name)?.spec.name.clone();
    let to = NodeName::new(&asked.to)
        .ok()
        .filter(|to| state.node_by_name(to).is_some())
        .ok_or_else(|| ApiError::not_found("node", &asked.to, state.nodes().map(|node| node.name.as_str())))?;
    let command = Command::Move {
        package: package.clone(),
        to: to.clone(),
    };
    api.control(&terms, command, |state| {
        let Some(row) = state.package(&package) else {
            return removed_meanwhile(&package);
        };
        let text = convert::reason(state, row);
        let there = convert::node_of(state, row).is_some_and(|node| *node == to);
        match row.state() {
            PackageState::Running if there => Settled::Done(text),
            PackageState::Failed => Settled::Failed(text),
            _ => Settled::Not(text),
        }
    })
    .await
}

/// `POST /v1/packages/P/clear`: forgets its failures.
pub async fn clear(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    let package = find(&api.raft().state(), &name)?.spec.name.clone();
    let names = [package.clone()];
    api.control(&terms, Command::Clear { package }, |state| all_settled(state, &names))
        .await
}

/// `GET /v1/groups`.
pub async fn groups(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Groups> {
    let view = api.view(&query, WithoutQuorum::Refuse).await?;
    let groups = view
        .state
        .groups()
        .map(|group| convert::group(&view.state, group))
        .collect();
    Ok(Reply::ok(view.state.applied(), Groups { groups }))
}

/// `GET /v1/groups/G`.
pub async fn group(
    State(api): State<Api>,
    Path(name): Path<String>,
    Asked(query): Asked<ReadQuery>,
) -> Answered<Group> {
    let view = api.view(&query, WithoutQuorum::Refuse).await?;
    let group = GroupName::new(&name)
        .ok()
        .and_then(|name| view.state.group(&name))
        .ok_or_else(|| {
            ApiError::not_found(
                "group",
                &name,
                view.state.groups().map(|group| group.spec.name.as_str()),
            )
        })?;
    Ok(Reply::ok(view.state.applied(), convert::group(&view.state, group)))
}

/// The package of this name.
///
/// # Errors
/// 404 with the nearest name.
pub fn find<'a>(state: &'a Cluster, name: &str) -> Result<&'a Row, ApiError> {
    PackageName::new(name)
        .ok()
        .and_then(|name| state.package(&name))
        .ok_or_else(|| unknown(state, name))
}

/// The package of this name, or all copies of the definition of this name.
///
/// # Errors
/// 404 with the nearest name.
pub fn members(state: &Cluster, name: &str) -> Result<Vec<PackageName>, ApiError> {
    if let Ok(package) = find(state, name) {
        return Ok(vec![package.spec.name.clone()]);
    }
    let copies = definition::copies_of(state, name);
    if copies.is_empty() {
        Err(unknown(state, name))
    } else {
        Ok(copies)
    }
}

fn unknown(state: &Cluster, name: &str) -> ApiError {
    ApiError::not_found(
        "package",
        name,
        state.packages().map(|package| package.spec.name.as_str()),
    )
}

fn removed_meanwhile(package: &PackageName) -> Settled {
    Settled::Failed(format!("{package} was removed meanwhile"))
}

/// Whether nothing about the package is under way.
pub fn is_settled(package: &Row) -> bool {
    match package.state() {
        PackageState::Running | PackageState::Stopped | PackageState::Waiting | PackageState::Failed => {
            !package.removing && !package.is_outdated()
        }
        PackageState::Starting | PackageState::Stopping => false,
    }
}

/// Why a package goes on under the definition before, where nothing is under way that will change that by itself.
pub fn held_back(state: &Cluster, package: &Row) -> Option<String> {
    let by = state.held_back_by(package)?;
    let settled = state.package(by).is_none_or(is_settled);
    settled.then(|| format!("{} {}", package.name(), statemachine::held_back_words(by)))
}

fn all_settled(state: &Cluster, names: &[PackageName]) -> Settled {
    let rows: Vec<&Row> = names.iter().filter_map(|name| state.package(name)).collect();
    let text = |row: &Row| format!("{}: {}", row.name(), convert::reason(state, row));
    if let Some(failed) = rows.iter().find(|row| row.state() == PackageState::Failed) {
        return Settled::Failed(text(failed));
    }
    if let Some(held) = rows.iter().find_map(|row| held_back(state, row)) {
        return Settled::Failed(held);
    }
    match rows.iter().find(|row| !is_settled(row)) {
        Some(row) => Settled::Not(text(row)),
        None => Settled::Done(rows.iter().map(|row| text(row)).collect::<Vec<_>>().join("; ")),
    }
}

/// How far back the story of a package is told.
const STORY_EVENTS_MAX: usize = 12;

/// The events that led to where a package is, oldest first: from its last one back along the causes.
async fn because(api: &Api, state: &Cluster, package: &Row) -> Result<Vec<EventRecord>, ApiError> {
    let Some(last) = package.trail else {
        return Ok(Vec::new());
    };
    let state_index = state.applied();
    api.from_journal(move |journal| {
        let mut story = Vec::new();
        let mut next = Some((last.index.0, last.sequence));
        while let Some((index, sequence)) = next
            && index <= state_index.0
            && story.len() < STORY_EVENTS_MAX
        {
            let Ok(Some(event)) = journal.event(index, sequence) else {
                break;
            };
            next = event.cause;
            story.push(event);
        }
        story.reverse();
        Ok(story)
    })
    .await
}
