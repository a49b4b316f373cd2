//! Whole requests through the router of a real server of one member: nothing is answered with 500, everything that is
//! answered is described, and every refusal is a problem that says what to do.
//!
//! An input is text: `METHOD PATH`, header lines, an empty line, and the body.

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use client::wire::error::Problem;
use server::api::operation::Operation;
use server::api::{self, Api, table};
use server::config::Config;
use server::lease::Leases;
use server::raft::{RaftNode, RaftOptions};
use statemachine::invariant;
use tower::ServiceExt as _;

use super::{Target, Verdict};

/// A client hangs up after this: changes wait for daemons that are not there.
const ANSWER_WAIT: Duration = Duration::from_millis(30);
/// Everything is defined anew after so many requests, so that the cluster does not grow without end.
const DEFINE_EVERY: u64 = 400;
/// Largest answer that is looked at.
const ANSWER_BYTES_MAX: usize = 64 << 20;

const DEFINITION: &str = r#"{"cluster":{"name":"c"},"groups":[{"name":"g","kind":"duplex"}],"packages":[{"name":"web","run":{"command":["/bin/true"]}},{"name":"a","group":"g","priority":1,"run":{"command":["/bin/true"],"env":{"A":"b"}},"load":{"cpu":5},"probe":{"tcp":"127.0.0.1:1"}},{"name":"many","copies":3,"run":{"command":["/bin/true"]}}]}"#;
const REGISTER: &str = r#"{"name":"n1","machine":"m","boot":"b","nonce":"x","ended":[],"capacity":{"cpu":1000},"labels":{},"api":"127.0.0.1:1"}"#;

/// The target.
pub(super) struct ApiRequest {
    runtime: tokio::runtime::Runtime,
    raft: RaftNode,
    routes: Router,
    table: Vec<Operation>,
    path: PathBuf,
    taken: u64,
}

impl ApiRequest {
    pub(super) fn new() -> anyhow::Result<Self> {
        let path = super::scratch("api")?;
        let text = format!("name = \"n1\"\ndata_dir = {:?}\n", path.display().to_string());
        let config = Config::parse(&path.join("node.toml"), &text)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (raft, routes) = runtime.block_on(async {
            let raft = RaftNode::open(RaftOptions {
                data_dir: path.clone(),
                name: config.name.clone(),
                peer: config.peer.iter().map(ToString::to_string).collect(),
                api: config.api_advertised(),
                join: Vec::new(),
                witness: false,
            })
            .await?;
            raft.join().await?;
            let api = Api::new(raft.clone(), config);
            let daemons = api::daemon::routes(api.clone(), Leases::start(raft.clone()));
            anyhow::Ok((raft, api::routes(api).merge(daemons)))
        })?;
        let mut target = Self {
            runtime,
            raft,
            routes,
            table: table::operations(),
            path,
            taken: 0,
        };
        let register = format!("POST /daemon/v1/register\n\n{REGISTER}");
        target.take(register.as_bytes()).map_err(anyhow::Error::msg)?;
        Ok(target)
    }

    /// The request, where it is one.
    fn request(input: &[u8]) -> Option<(Method, Uri, Request<Body>)> {
        let end = input.windows(2).position(|two| two == b"\n\n").unwrap_or(input.len());
        let mut lines = input[..end].split(|byte| *byte == b'\n');
        let first = lines.next()?;
        let space = first.iter().position(|byte| *byte == b' ')?;
        let method = Method::from_bytes(&first[..space]).ok()?;
        let uri = Uri::try_from(&first[space + 1..]).ok()?;
        let mut request = Request::builder().method(method.clone()).uri(uri.clone());
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
            request = request.header(name, value);
        }
        let body = input.get(end + 2..).unwrap_or_default().to_vec();
        Some((method, uri, request.body(Body::from(body)).ok()?))
    }

    /// What is described for a request.
    fn described(&self, method: &Method, path: &str) -> Option<&Operation> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |operation: &&Operation| {
            let wanted: Vec<&str> = operation.path.split('/').collect();
            operation.method == *method
                && wanted.len() == parts.len()
                && wanted
                    .iter()
                    .zip(&parts)
                    .all(|(wanted, part)| wanted == part || (wanted.starts_with('{') && !part.is_empty()))
        };
        self.table.iter().find(fits)
    }

    fn check(
        &self,
        method: &Method,
        path: &str,
        status: StatusCode,
        kind: &str,
        body: &[u8],
    ) -> Result<Verdict, String> {
        let text = String::from_utf8_lossy(body);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            return Err(format!("{method} {path} is answered with 500: {text}"));
        }
        if let Some(operation) = self.described(method, path)
            && !operation.statuses().contains(&status.as_u16())
        {
            return Err(format!("{method} {path}: {status} is not described: {text}"));
        }
        if status.is_success() {
            return Ok(Verdict::Accepted);
        }
        // An answer to HEAD has no body, and nobody but daemons sees what their routes say to a wrong method.
        if *method == Method::HEAD || (path.starts_with("/daemon/") && status == StatusCode::METHOD_NOT_ALLOWED) {
            return Ok(Verdict::Refused);
        }
        let problem: Problem = serde_json::from_slice(body)
            .map_err(|error| format!("{method} {path}: {status} is no problem ({error}): {text}"))?;
        if kind != "application/problem+json" || problem.status != status.as_u16() || problem.detail.is_empty() {
            return Err(format!(
                "{method} {path}: {status} {kind} does not fit its problem {problem:?}"
            ));
        }
        Ok(Verdict::Refused)
    }
}

impl Drop for ApiRequest {
    fn drop(&mut self) {
        let raft = self.raft.clone();
        self.runtime.block_on(async move { raft.shutdown().await });
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Target for ApiRequest {
    fn name(&self) -> &'static str {
        "api"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        let mut all = vec![format!(
            "PUT /v1/config?wait=0\nContent-Type: application/json\n\n{DEFINITION}"
        )];
        all.push("GET /v1/rules\n\n".to_owned());
        all.push("PUT /v1/rules\n\nweb (halt) { a->startup }\n".to_owned());
        all.push("PUT /v1/rules\nContent-Type: application/json\n\n{\"rules\":\"\"}".to_owned());
        all.push("PUT /v1/config?wait=0\n\n[[package]]\nname = \"web\"\nrun.command = [\"/bin/true\"]\n".to_owned());
        all.push(format!("POST /daemon/v1/register\n\n{REGISTER}"));
        all.push(
            "POST /daemon/v1/renew\n\n{\"cluster_id\":\"c\",\"node\":1,\"session\":2,\"nonce\":7,\"generation\":0}"
                .to_owned(),
        );
        all.push("GET /daemon/v1/wait?node=1&generation=0&wait_ms=1\n\n".to_owned());
        let plan = "{\"change\":\"apply\",\"file\":\"[[package]]\\nname = \\\"web\\\"\\nrun.command = [\\\"/bin/true\\\"]\\n\"}";
        all.push(format!("POST /v1/plan\n\n{plan}"));
        all.push("POST /v1/plan\n\n{\"change\":\"fail\",\"node\":\"n1\"}".to_owned());
        all.push("POST /v1/plan\n\n{\"change\":\"move\",\"package\":\"web\",\"to\":\"n1\"}".to_owned());
        let package = "{\"name\":\"web\",\"run\":{\"command\":[\"/bin/true\"],\"env\":{}},\"restart\":{\"attempts\":1,\"within\":\"1m\"}}";
        all.push(format!("PUT /v1/packages/web?wait=0\nIdempotency-Key: k1\n\n{package}"));
        all.push("PUT /v1/nodes/n1/attributes/k?wait=0\nIf-Match: 900000\n\n\"value\"".to_owned());
        all.push("GET /v1/nodes/n1/attributes/k\n\n".to_owned());
        all.push("POST /v1/nodes/n1/drain?wait=0\nIdempotency-Key: k2\n\n".to_owned());
        all.push("POST /v1/nodes/n1/resume?wait=0\n\n".to_owned());
        all.push("POST /v1/packages/web/start?wait=0\nIdempotency-Key: k3\n\n".to_owned());
        all.push("POST /v1/packages/a/stop?wait=0\n\n".to_owned());
        let events =
            "/v1/events?after=1&before=99&since=2020-01-01T00:00:00Z&resource=package:*&limit=5&severity=info&text=a";
        for path in [
            "/v1/status",
            "/v1/nodes",
            "/v1/nodes/n1",
            "/v1/packages",
            "/v1/packages/web",
            "/v1/packages/many-1/explain",
            "/v1/groups",
            "/v1/groups/g",
            "/v1/config",
            "/v1/members",
            "/v1/nodes/n1/attributes?consistency=local",
            events,
            "/healthz",
            "/readyz",
            "/openapi.json",
        ] {
            all.push(format!("GET {path}\n\n"));
        }
        all.into_iter().map(String::into_bytes).collect()
    }

    fn takes_every_sample(&self) -> bool {
        false
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "GET",
            "PUT",
            "POST",
            "DELETE",
            "HEAD",
            "OPTIONS",
            "/v1/",
            "nodes",
            "packages",
            "groups",
            "events",
            "watch?resource=*",
            "Last-Event-ID: 1\n",
            "config",
            "plan",
            "members",
            "cluster/move-leader",
            "attributes",
            "start",
            "stop",
            "test",
            "promote",
            "move",
            "clear",
            "explain",
            "drain",
            "resume",
            "confirm-down",
            "n1",
            "web",
            "a",
            "many",
            "many-1",
            "g",
            "wait=0",
            "wait=1ms",
            "consistency=local",
            "limit=",
            "after=",
            "since=2026-01-01T00:00:00Z",
            "%2e%2e",
            "%ff",
            "Idempotency-Key: x\n",
            "If-Match: 1\n",
            "Content-Type: application/json\n",
            "{\"to\":\"n1\"}",
            "{\"confirm\":\"n1\",\"by\":\"me\"}",
            "copies",
            "1s",
            "null",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        self.taken += 1;
        if self.taken.is_multiple_of(DEFINE_EVERY) {
            let definition = format!("PUT /v1/config?wait=0\nContent-Type: application/json\n\n{DEFINITION}");
            self.take(definition.as_bytes())?;
            self.finish()?;
        }
        let Some((method, uri, request)) = Self::request(input) else {
            return Ok(Verdict::Refused);
        };
        // It would end the cluster of one member, rightly.
        if uri.path().starts_with("/v1/members/") && method == Method::DELETE {
            return Ok(Verdict::Refused);
        }
        let routes = self.routes.clone();
        let answered = self.runtime.block_on(async move {
            tokio::time::timeout(ANSWER_WAIT, async move {
                let response = match routes.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                let (head, body) = response.into_parts();
                let body = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await;
                (head, body)
            })
            .await
        });
        let Ok((head, body)) = answered else {
            return Ok(Verdict::Accepted);
        };
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?;
        let kind = head
            .headers
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        self.check(&method, uri.path(), head.status, kind, &body)
    }

    fn finish(&mut self) -> Result<(), String> {
        let state = self.raft.state();
        invariant::check(&state).map_err(|violation| format!("the state: {violation}"))?;
        match self.raft.status().fatal {
            None => Ok(()),
            Some(fatal) => Err(format!("the server has stopped: {fatal}")),
        }
    }
}

/// The samples lead somewhere: a table that is renamed must not leave this target behind.
#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_server_of_one_member_takes_every_sample() -> anyhow::Result<()> {
        let mut target = ApiRequest::new()?;
        for sample in target.samples() {
            let text = String::from_utf8(sample.clone()).context("samples are text")?;
            target.take(&sample).map_err(anyhow::Error::msg).context(text)?;
        }
        Ok(())
    }
}
