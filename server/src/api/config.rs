//! What is defined: read as a whole, replaced as a whole.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use client::wire::definition::{Config, PackageDefinition};
use client::wire::error::FileError;
use client::wire::plan::Done;
use statemachine::command::{Command, ConfigChange};
use statemachine::id::{Index, PackageName};
use statemachine::package::PackageState;
use statemachine::state::State as Cluster;

use super::change::{Settled, Terms};
use super::{Answered, Api, ApiError, Asked, Raw, ReadQuery, Reply, WithoutQuorum, convert, definition, packages};
use crate::timers::Timers;

/// `GET /v1/config`: everything that is defined. `X-Index` is the index of its last change, for `If-Match`.
pub async fn get_config(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Config> {
    let view = api.view(&query, WithoutQuorum::Refuse).await?;
    let index = view.state.cluster().map_or(Index(0), |cluster| cluster.config_index);
    Ok(Reply::ok(index, definition::config_to_wire(&view.state)))
}

/// `PUT /v1/config`: makes the cluster equal to the file, or refuses all of it. Takes TOML, or JSON as [`get_config`]
/// answers it.
pub async fn put_config(State(api): State<Api>, terms: Terms, headers: HeaderMap, Raw(body): Raw) -> Answered<Done> {
    let config = read_config(&headers, &body)?;
    let view = api.view(&ReadQuery::default(), WithoutQuorum::Refuse).await?;
    let config_index = view.state.cluster().map(|cluster| cluster.config_index);
    if let (Some(expect), Some(present)) = (terms.expect, config_index)
        && present > expect
    {
        return Err(changed_since(expect, present));
    }
    check_lease(&config)?;
    let changes = definition::changes(&view.state, &config)
        .map_err(|errors| ApiError::invalid("the definition has errors", errors))?;
    if changes.is_empty() {
        let index = view.state.applied();
        let body = Done {
            index: index.0,
            outcome: "done".to_owned(),
            detail: "nothing to change: the cluster is as the file says".to_owned(),
            steps: Vec::new(),
        };
        return Ok(Reply::ok(index, body));
    }
    let defined: Vec<PackageName> = changes
        .iter()
        .filter_map(|change| match change {
            ConfigChange::PutPackage(spec) => Some(spec.name.clone()),
            ConfigChange::PutCluster(_)
            | ConfigChange::PutGroup(_)
            | ConfigChange::RemoveGroup(_)
            | ConfigChange::RemovePackage(_)
            | ConfigChange::PutRules(_) => None,
        })
        .collect();
    // The differences were computed against this configuration, so they hold for no later one.
    let made = api
        .make_matching(
            &terms,
            Command::Configure {
                expect: config_index,
                changes,
            },
        )
        .await?;
    api.await_settled(made.index, terms.wait, |state| {
        let unsettled: Vec<String> = state
            .packages()
            .filter(|package| !packages::is_settled(package) && packages::held_back(state, package).is_none())
            .map(|package| package.spec.name.as_str().to_owned())
            .collect();
        if !unsettled.is_empty() {
            return Settled::Not(format!("waiting for {}", shortened(&unsettled)));
        }
        let failed = defined
            .iter()
            .filter_map(|name| state.package(name))
            .find(|package| package.state() == PackageState::Failed);
        let held = defined
            .iter()
            .filter_map(|name| state.package(name))
            .find_map(|package| packages::held_back(state, package));
        match (failed, held) {
            (None, None) => Settled::Done("the cluster is as the file says".to_owned()),
            (Some(package), held) => Settled::Failed(format!(
                "the file is in force, but {name} does not run: {}{}; `paceline explain {name}` says more",
                convert::reason(state, package),
                held.map_or_else(String::new, |held| format!("; {held}")),
                name = package.name(),
            )),
            (None, Some(held)) => Settled::Failed(format!("the file is in force, but {held}")),
        }
    })
    .await
}

/// Holds the lease to the inequalities of `docs/SAFETY.md`. Raft's own timers follow it.
///
/// # Errors
/// 422 with the numbers.
pub fn check_lease(config: &Config) -> Result<(), ApiError> {
    let lease = statemachine::time::Millis(config.cluster.lease.ms);
    match Timers::derive(lease) {
        Ok(_) => Ok(()),
        Err(error) => Err(ApiError::invalid(error.to_string(), Vec::new())),
    }
}

/// Holds one package's definition to the rules of the file, beside the groups that there are.
///
/// # Errors
/// Every fault of the definition, as a file with it would have.
pub fn check_package(state: &Cluster, package: &PackageDefinition) -> Result<(), Vec<FileError>> {
    let mut packages = vec![package.clone()];
    if !package.after.is_empty() {
        packages.extend(definition::others_of_group(state, package));
    }
    client::file::check(&Config {
        modes: Vec::new(),
        cluster: definition::default_cluster(),
        groups: state
            .groups()
            .map(|group| definition::group_to_wire(&group.spec))
            .collect(),
        packages,
    })
}

/// A list of names that stays readable.
fn shortened(names: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    let shown: Vec<&str> = names.iter().take(SHOWN_MAX).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn changed_since(expect: Index, present: Index) -> ApiError {
    let detail = format!(
        "the configuration has changed since index {expect} (last at {present}): plan again and look at the new plan before you apply it"
    );
    ApiError::new(axum::http::StatusCode::PRECONDITION_FAILED, "changed", detail)
}

/// Reads a definition from a body by its content type.
///
/// # Errors
/// 422 with every error of the file, each with its line and column; 400 for no file at all: it would mean "remove
/// everything", and nobody who forgot the body means that.
pub fn read_config(headers: &HeaderMap, body: &[u8]) -> Result<Config, ApiError> {
    if body.trim_ascii().is_empty() {
        return Err(ApiError::malformed(
            "the body is empty: send a cluster file; one with nothing but [cluster] removes every package",
        ));
    }
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if kind.starts_with("application/json") {
        let config = serde_json::from_slice(body)
            .map_err(|error| ApiError::invalid(format!("the configuration: {error}"), Vec::new()))?;
        // What a file may not say, JSON may not say either.
        client::file::check(&config).map_err(|errors| {
            let detail = format!(
                "the configuration has {} error(s), and nothing was changed",
                errors.len()
            );
            ApiError::invalid(detail, errors)
        })?;
        return Ok(config);
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| ApiError::malformed(format!("the file is not UTF-8 at byte {}", error.valid_up_to())))?;
    read_file(text)
}

/// Reads a cluster file.
///
/// # Errors
/// 422 with every error of the file.
pub fn read_file(text: &str) -> Result<Config, ApiError> {
    client::file::parse(text).map_err(|errors| {
        let detail = format!("the file has {} error(s), and nothing was changed", errors.len());
        ApiError::invalid(detail, errors)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_body_is_no_order_to_remove_everything() {
        for body in [&b""[..], b" \n\t\r\n"] {
            assert!(read_config(&HeaderMap::new(), body).is_err());
        }
        assert!(
            read_config(&HeaderMap::new(), b"[cluster]\n")
                .unwrap()
                .packages
                .is_empty()
        );
    }
}
