//! The rules (M5): read and replaced as one text.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use client::wire::error::FileError;
use client::wire::plan::Done;
use client::wire::rules::Rules;
use statemachine::check_rules;
use statemachine::command::{Command, ConfigChange};
use statemachine::id::Index;
use statemachine::rules::RuleError;

use super::change::Terms;
use super::{Answered, Api, ApiError, Asked, Raw, ReadQuery, Reply, WithoutQuorum};

/// `GET /v1/rules`: the rules in force. `X-Index` is the index of the last change of any definition, for `If-Match`.
pub async fn get(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Rules> {
    let view = api.view(&query, WithoutQuorum::Refuse).await?;
    let cluster = view.state.cluster();
    let index = cluster.map_or(Index(0), |cluster| cluster.config_index);
    let rules = cluster.map_or_else(String::new, |cluster| cluster.rules.to_string());
    Ok(Reply::ok(index, Rules { rules }))
}

/// `PUT /v1/rules`: replaces them all, or refuses the text with every error in it. Takes the text itself, or JSON as
/// [`get`] answers it.
pub async fn put(State(api): State<Api>, terms: Terms, headers: HeaderMap, Raw(body): Raw) -> Answered<Done> {
    let text = read(&headers, &body)?;
    let view = api.view(&ReadQuery::default(), WithoutQuorum::Refuse).await?;
    let count = check_rules(&view.state, &text)
        .map_err(|errors| refused(&errors, file_error))?
        .rules()
        .count();
    let present = view.state.cluster().map(|cluster| cluster.config_index);
    // A change of a definition that lies before the index that the client saw is one that it knows of.
    let expect = terms
        .expect
        .map(|seen| present.filter(|present| *present <= seen).unwrap_or(seen));
    let command = Command::Configure {
        expect,
        changes: vec![ConfigChange::PutRules(text)],
    };
    let detail = match count {
        0 => "no rule is in force".to_owned(),
        1 => "1 rule is in force".to_owned(),
        count => format!("{count} rules are in force"),
    };
    api.change_matching(&terms, command, detail).await
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<String, ApiError> {
    if body.trim_ascii().is_empty() {
        return Err(ApiError::malformed(
            "the body is empty: send the text of the rules, or {\"rules\": \"\"} to remove them all",
        ));
    }
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if kind.starts_with("application/json") {
        let Rules { rules } =
            serde_json::from_slice(body).map_err(|error| ApiError::malformed(format!("the body: {error}")))?;
        return Ok(rules);
    }
    let text = std::str::from_utf8(body);
    let text =
        text.map_err(|error| ApiError::malformed(format!("the text is not UTF-8 at byte {}", error.valid_up_to())))?;
    Ok(text.to_owned())
}

/// 422 with every error of rules.
pub fn refused(errors: &[RuleError], told: impl Fn(&RuleError) -> FileError) -> ApiError {
    let detail = format!("the rules have {} error(s), and nothing was changed", errors.len());
    ApiError::invalid(detail, errors.iter().map(told).collect())
}

/// An error at its place in the text of the rules.
fn file_error(error: &RuleError) -> FileError {
    FileError {
        line: error.place.line,
        column: error.place.column,
        message: error.kind.to_string(),
        nearest: error.nearest.clone(),
    }
}

/// An error of rules that came within something else: its place says where in the rules it is.
pub fn error_within(error: &RuleError) -> FileError {
    FileError {
        line: 0,
        column: 0,
        message: format!("rules, {}: {}", error.place, error.kind),
        nearest: error.nearest.clone(),
    }
}
