//! `GET /openapi.json`: the description of the API (OpenAPI 3.1), made from the table that makes the router.

use std::sync::LazyLock;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use client::wire::error::Problem;
use client::wire::plan::Done;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::change::KEY_BYTES_MAX;
use super::operation::{Answer, Kind, Operation, RequestBody};
use super::table;

/// The answers that say when to ask again.
const WITH_RETRY_AFTER: [u16; 2] = [429, 503];

static TEXT: LazyLock<String> = LazyLock::new(|| describe(&table::operations()).to_string());

/// `GET /openapi.json`.
pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// The description of these requests.
#[must_use]
pub fn describe(operations: &[Operation]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for operation in operations {
        let described = one(operation, &mut generator);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Paceline",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "docs/API.md says what holds for all requests: indexes, reads, changes, idempotency, errors.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
        },
        "paths": paths,
        "components": {"schemas": generator.take_definitions(true)}
    })
}

fn one(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "parameters": parameters(operation, generator),
        "responses": responses(operation, generator),
    });
    let content = match operation.body {
        RequestBody::None => return described,
        // No body at all is taken as null, so null is no other thing than none.
        RequestBody::Optional(schema) => {
            json!({"application/json": {"schema": {"anyOf": [schema(generator), {"type": "null"}]}}})
        }
        RequestBody::Json(schema) => {
            json!({"application/json": {"schema": schema(generator)}})
        }
        RequestBody::File(schema) => json!({
            "application/json": {"schema": schema(generator)},
            "application/toml": {"schema": {"type": "string", "description": "A cluster file."}},
        }),
        RequestBody::Text(schema) => json!({
            "application/json": {"schema": schema(generator)},
            "text/plain": {"schema": {"type": "string"}},
        }),
    };
    let required = !matches!(operation.body, RequestBody::Optional(_));
    described["requestBody"] = json!({"required": required, "content": content});
    described
}

/// `get_v1_nodes_node_attributes`.
fn operation_id(operation: &Operation) -> String {
    let words = operation
        .path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut id = operation.method.as_str().to_ascii_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}

fn parameters(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut all: Vec<Value> = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}))
        .collect();
    if let Some(query) = operation.query {
        all.extend(query_parameters(&query(generator)));
    }
    if operation.kind == Kind::Change {
        all.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Makes the change take effect once, however often it is sent.",
            "schema": {"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX, "pattern": "^[!-~]+$"}
        }));
    }
    if matches!(operation.answer, Answer::Stream(_)) {
        all.push(json!({
            "name": "Last-Event-ID", "in": "header", "required": false,
            "description": "Goes on after this index, as a browser asks by itself.",
            "schema": {"type": "string", "pattern": "^[0-9]{1,19}$"}
        }));
    }
    if operation.if_match {
        all.push(json!({
            "name": "If-Match", "in": "header", "required": false,
            "description": "Refuses the change where its subject has changed since this index.",
            "schema": {"type": "string", "pattern": "^[0-9]{1,19}$"}
        }));
    }
    all
}

fn query_parameters(schema: &Schema) -> Vec<Value> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    properties
        .iter()
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let description = schema
                .as_object_mut()
                .and_then(|object| object.remove("description"))
                .unwrap_or(Value::Null);
            // A query has no null: what may be absent is just not required.
            if let Some(kind) = schema
                .get("type")
                .and_then(Value::as_array)
                .and_then(|kinds| kinds.first())
                .cloned()
            {
                schema["type"] = kind;
            }
            let mut parameter = json!({"name": name, "in": "query", "required": false, "schema": schema});
            if !description.is_null() {
                parameter["description"] = description;
            }
            parameter
        })
        .collect()
}

fn responses(operation: &Operation, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let problem = generator.subschema_for::<Problem>();
    let mut all = Map::new();
    for status in operation.statuses() {
        let reason = StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Error");
        let response = match status {
            200 => success(operation, generator, reason),
            202 => json!({
                "description": "Accepted, but not yet so within the wait.",
                "headers": {"X-Index": index_header()},
                "content": {"application/json": {"schema": generator.subschema_for::<Done>()}}
            }),
            // The header of the request was too long for it to become a request at all.
            431 => json!({"description": reason}),
            _ => {
                let mut response = json!({
                    "description": reason,
                    "content": {"application/problem+json": {"schema": problem}}
                });
                if WITH_RETRY_AFTER.contains(&status) {
                    response["headers"] = json!({"Retry-After": {"schema": {"type": "integer"}}});
                }
                response
            }
        };
        all.insert(status.to_string(), response);
    }
    all
}

fn success(operation: &Operation, generator: &mut SchemaGenerator, reason: &str) -> Value {
    match operation.answer {
        Answer::Json(schema) => json!({
            "description": reason,
            "headers": {"X-Index": index_header()},
            "content": {"application/json": {"schema": schema(generator)}}
        }),
        Answer::Document => {
            json!({"description": reason, "content": {"application/json": {"schema": {"type": "object"}}}})
        }
        // The schema is that of the data of each `change`; docs/API.md has the other messages.
        Answer::Stream(schema) => json!({
            "description": reason,
            "headers": {"X-Index": index_header()},
            "content": {"text/event-stream": {"schema": {"type": "string"}, "x-data-schema": schema(generator)}}
        }),
        Answer::OpenMetrics => json!({
            "description": reason,
            "content": {"application/openmetrics-text": {"schema": {"type": "string"}}}
        }),
        Answer::Text => json!({"description": reason, "content": {"text/plain": {"schema": {"type": "string"}}}}),
    }
}

fn index_header() -> Value {
    json!({"description": "The index that the answer was made at.", "schema": {"type": "integer", "minimum": 0}})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_id_is_used_once() {
        let operations = table::operations();
        let described = describe(&operations);
        let text = described.to_string();
        let schemas = described["components"]["schemas"].as_object().unwrap();
        for reference in text.split("\"$ref\":\"").skip(1) {
            let name = reference
                .split('"')
                .next()
                .and_then(|path| path.strip_prefix("#/components/schemas/"))
                .unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        let ids: BTreeSet<String> = operations.iter().map(operation_id).collect();
        assert_eq!(ids.len(), operations.len());
    }

    #[test]
    fn the_document_for_people_names_every_path() {
        let page = include_str!("../../../docs/API.md");
        for operation in table::operations() {
            // The page abbreviates names in paths by their first letter.
            let last = operation.path.rsplit('/').find(|part| !part.starts_with('{')).unwrap();
            assert!(page.contains(last), "docs/API.md does not name {}", operation.path);
        }
    }

    /// What is checked in is what programs are generated from: a change of the API is seen in its diff.
    /// `UPDATE=1 cargo test -p paceline openapi` writes it anew.
    #[test]
    fn what_is_checked_in_is_what_is_answered() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let described = describe(&table::operations());
        let text = serde_json::to_string_pretty(&described).unwrap() + "\n";
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().zip(checked_in.lines()).position(|(is, was)| is != was);
        assert!(
            text == checked_in,
            "docs/openapi.json differs from line {}: look at the change with UPDATE=1, and check it in",
            line.unwrap_or_else(|| text.lines().count().min(checked_in.lines().count())) + 1
        );
    }
}
