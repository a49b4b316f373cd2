//! What is asked of the whole cluster: maintenance (of a node or a package, too), stop, start, rebalance.

use axum::extract::State;
use client::wire::control::{MOVES_DEFAULT, Rebalance, SetMaintenance};
use client::wire::plan::Done;
use statemachine::command::{Command, Maintained};
use statemachine::package::Package;
use statemachine::state::State as Cluster;
use statemachine::time::Millis;

use super::change::{Settled, Terms};
use super::{Answered, Api, ApiError, Body, Path, convert, nodes, packages};

/// `POST /v1/cluster/maintenance`.
pub async fn maintenance(State(api): State<Api>, terms: Terms, Body(asked): Body<SetMaintenance>) -> Answered<Done> {
    set_maintenance(&api, &terms, Maintained::Cluster, &asked).await
}

/// `POST /v1/nodes/N/maintenance`.
pub async fn node_maintenance(
    State(api): State<Api>,
    Path(name): Path<String>,
    terms: Terms,
    Body(asked): Body<SetMaintenance>,
) -> Answered<Done> {
    let node = nodes::find(&api.raft().state(), &name)?.name.clone();
    set_maintenance(&api, &terms, Maintained::Node(node), &asked).await
}

/// `POST /v1/packages/P/maintenance`.
pub async fn package_maintenance(
    State(api): State<Api>,
    Path(name): Path<String>,
    terms: Terms,
    Body(asked): Body<SetMaintenance>,
) -> Answered<Done> {
    let package = packages::find(&api.raft().state(), &name)?.name().clone();
    set_maintenance(&api, &terms, Maintained::Package(package), &asked).await
}

async fn set_maintenance(api: &Api, terms: &Terms, of: Maintained, asked: &SetMaintenance) -> Answered<Done> {
    let what = match &of {
        Maintained::Cluster => "the cluster".to_owned(),
        Maintained::Node(node) => node.as_str().to_owned(),
        Maintained::Package(package) => package.as_str().to_owned(),
    };
    if asked.on {
        let length = asked.length.map(|length| Millis(length.ms));
        let detail = match asked.length {
            Some(length) => format!("{what} is in maintenance for {length}: nothing of it is touched"),
            None => format!("{what} is in maintenance until somebody ends it: nothing of it is touched"),
        };
        return api
            .change(terms, Command::BeginMaintenance { of, length }, detail)
            .await;
    }
    if asked.length.is_some() {
        let detail = "for: expected only with \"on\": true; maintenance ends at once".to_owned();
        return Err(ApiError::malformed(detail));
    }
    let done = format!("{what} is in maintenance no more");
    api.control(terms, Command::EndMaintenance { of }, |state| calm(state, &done))
        .await
}

/// `POST /v1/cluster/stop`: stops everything in order; nothing starts before `start`.
pub async fn stop(State(api): State<Api>, terms: Terms) -> Answered<Done> {
    api.control(&terms, Command::StopCluster, |state| {
        let running: Vec<&Package> = state.packages().filter(|package| package.instance.is_some()).collect();
        let Some(first) = running.first() else {
            return Settled::Done("the cluster is stopped: nothing runs".to_owned());
        };
        let (name, count) = (first.name(), running.len());
        let reason = convert::reason(state, first);
        if running
            .iter()
            .all(|package| statemachine::is_maintained(state, package))
        {
            return Settled::Done(format!(
                "the cluster is stopped but for {count} in maintenance: {name}, {reason}"
            ));
        }
        Settled::Not(format!("{count} not stopped yet: {name}, {reason}"))
    })
    .await
}

/// `POST /v1/cluster/start`: starts what is to run.
pub async fn start(State(api): State<Api>, terms: Terms) -> Answered<Done> {
    api.control(&terms, Command::StartCluster, |state| {
        calm(state, "the cluster runs: what is to run was started")
    })
    .await
}

/// `POST /v1/cluster/rebalance`: moves packages to where they would rather be.
pub async fn rebalance(State(api): State<Api>, terms: Terms, Body(asked): Body<Option<Rebalance>>) -> Answered<Done> {
    let at_most = asked.unwrap_or_default().at_most.unwrap_or(MOVES_DEFAULT);
    api.control(&terms, Command::Rebalance { at_most }, |state| {
        calm(state, "rebalanced: everything that was to move has moved")
    })
    .await
}

/// Whether nothing is under way any more.
fn calm(state: &Cluster, done: &str) -> Settled {
    let busy = |package: &&Package| !packages::is_settled(package) && !statemachine::is_maintained(state, package);
    match state.packages().find(busy) {
        Some(package) => Settled::Not(format!("{}: {}", package.name(), convert::reason(state, package))),
        None => Settled::Done(done.to_owned()),
    }
}
