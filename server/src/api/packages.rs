//! Packages and groups: what they are, why, and what they are told to do.

use axum::extract::{Path, State};
use client::wire::definition::PackageDefinition;
use client::wire::package::{Explanation, Group, Groups, Package, Packages};
use client::wire::plan::Done;
use serde::Deserialize;
use statemachine::command::{Command, ConfigChange, Mode, Wish};
use statemachine::id::{GroupName, NodeName, PackageName};
use statemachine::state::State as Cluster;
use statemachine::view::{PackageState, PackageView};

use super::change::{Settled, Terms};
use super::{Answered, Api, ApiError, Asked, Body, ReadQuery, Reply, WithoutQuorum, convert, definition};

/// `GET /v1/packages`.
pub async fn list(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Packages> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let packages = convert::packages(&view.state);
    Ok(Reply::ok(view.state.applied(), Packages { packages, stale: view.stale }))
}

/// `GET /v1/packages/P`, with its definition.
pub async fn one(State(api): State<Api>, Path(name): Path<String>, Asked(query): Asked<ReadQuery>) -> Answered<Package> {
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
        let detail = format!("the body defines {:?}, the path names {name:?}: give both the same name", package.name);
        return Err(ApiError::malformed(detail));
    }
    let state = api.raft().state();
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
        let left: Vec<&str> = names.iter().filter(|name| state.package(name).is_some()).map(PackageName::as_str).collect();
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
    let explanation = statemachine::explain(&view.state, &package.spec.name)
        .ok_or_else(|| unknown(&view.state, &name))?;
    Ok(Reply::ok(view.state.applied(), convert::explanation(explanation, view.stale)))
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
        let command = Command::SetWish { package: package.clone(), wish };
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
    let command = Command::Promote { package: package.clone() };
    api.control(&terms, command, |state| match view_of(state, &package) {
        Some(view) if view.instances.iter().any(|instance| instance.observed == Some(Mode::Active)) => {
            Settled::Done(view.reason)
        }
        Some(view) if view.state == PackageState::Failed => Settled::Failed(view.reason),
        Some(view) => Settled::Not(view.reason),
        None => Settled::Failed(format!("{package} was removed meanwhile")),
    })
    .await
}

/// Where a package goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveTo {
    /// The node.
    to: String,
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
    let command = Command::Move { package: package.clone(), to: to.clone() };
    api.control(&terms, command, |state| match view_of(state, &package) {
        Some(view) if view.state == PackageState::Failed => Settled::Failed(view.reason),
        Some(view) if is_settled_view(&view) && view.instances.iter().any(|instance| instance.node == to) => {
            Settled::Done(view.reason)
        }
        Some(view) => Settled::Not(view.reason),
        None => Settled::Failed(format!("{package} was removed meanwhile")),
    })
    .await
}

/// `POST /v1/packages/P/clear`: forgets its failures.
pub async fn clear(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    let package = find(&api.raft().state(), &name)?.spec.name.clone();
    let names = [package.clone()];
    api.control(&terms, Command::Clear { package }, |state| all_settled(state, &names)).await
}

/// `GET /v1/groups`.
pub async fn groups(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Groups> {
    let view = api.view(&query, WithoutQuorum::Refuse).await?;
    let groups = view.state.groups().map(|group| convert::group(&view.state, group)).collect();
    Ok(Reply::ok(view.state.applied(), Groups { groups }))
}

/// `GET /v1/groups/G`.
pub async fn group(State(api): State<Api>, Path(name): Path<String>, Asked(query): Asked<ReadQuery>) -> Answered<Group> {
    let view = api.view(&query, WithoutQuorum::Refuse).await?;
    let group = GroupName::new(&name)
        .ok()
        .and_then(|name| view.state.group(&name))
        .ok_or_else(|| ApiError::not_found("group", &name, view.state.groups().map(|group| group.spec.name.as_str())))?;
    Ok(Reply::ok(view.state.applied(), convert::group(&view.state, group)))
}

/// The package of this name.
///
/// # Errors
/// 404 with the nearest name.
pub fn find<'a>(state: &'a Cluster, name: &str) -> Result<&'a statemachine::state::Package, ApiError> {
    PackageName::new(name).ok().and_then(|name| state.package(&name)).ok_or_else(|| unknown(state, name))
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
    if copies.is_empty() { Err(unknown(state, name)) } else { Ok(copies) }
}

fn unknown(state: &Cluster, name: &str) -> ApiError {
    ApiError::not_found("package", name, state.packages().map(|package| package.spec.name.as_str()))
}

fn view_of(state: &Cluster, package: &PackageName) -> Option<PackageView> {
    statemachine::view::package(state, package)
}

/// Whether nothing about the package is under way.
pub fn is_settled(state: &Cluster, package: &statemachine::state::Package) -> bool {
    view_of(state, &package.spec.name).is_none_or(|view| is_settled_view(&view))
}

fn is_settled_view(view: &PackageView) -> bool {
    match view.state {
        PackageState::Running | PackageState::Stopped | PackageState::Waiting | PackageState::Failed => true,
        PackageState::Starting | PackageState::Stopping => false,
    }
}

fn all_settled(state: &Cluster, names: &[PackageName]) -> Settled {
    let views: Vec<(&PackageName, PackageView)> =
        names.iter().filter_map(|name| view_of(state, name).map(|view| (name, view))).collect();
    if let Some((name, failed)) = views.iter().find(|(_, view)| view.state == PackageState::Failed) {
        return Settled::Failed(format!("{name}: {}", failed.reason));
    }
    match views.iter().find(|(_, view)| !is_settled_view(view)) {
        Some((name, view)) => Settled::Not(format!("{name}: {}", view.reason)),
        None => Settled::Done(
            views.iter().map(|(name, view)| format!("{name}: {}", view.reason)).collect::<Vec<_>>().join("; "),
        ),
    }
}
