//! The typed client: one method for each request of the API that it uses.

mod failovers;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::target::{path, target};
use crate::transport::{PATIENCE, Payload, Request, Transport};
use crate::wire::control::{ConfirmDown, MoveLeader, MoveTo, Rebalance, SetMaintenance, SetMode};
use crate::wire::definition::Config;
use crate::wire::event::Events;
use crate::wire::node::{Attributes, Node, Nodes};
use crate::wire::package::{Explanation, Group, Groups, Package, Packages};
use crate::wire::plan::{Done, Plan, PlanRequest};
use crate::wire::resource::{Resource, Resources};
use crate::wire::status::{Members, Status};
pub use failovers::FailoverQuery;

/// Speaks with a cluster through any of its servers.
///
/// Cheap to clone. Every change carries a random `Idempotency-Key`, so that it is safe to send it again to another
/// server when one breaks off: [`ClientError`] tells what was refused from what is unknown.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<Transport>,
    /// Reads are held past this index, for so long.
    held: Option<(u64, Duration)>,
}

/// An answer, with the index that it was made at.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// `X-Index`.
    pub index: Option<u64>,
    /// What was answered.
    pub body: T,
    /// The same as it came: JSON, with fields that this version may not know.
    pub text: String,
}

/// Which events are asked for. What is none does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventQuery {
    /// After this index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Before this index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// From this time on, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Up to this time, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Resources that match this, like `package:orders-*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// On this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Of this severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// With this in their text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The random key of one change: the same for all its attempts.
fn new_key() -> Result<String, ClientError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| ClientError::Setup(format!("no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is in maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maintained {
    /// Everything.
    Cluster,
    /// A node and all that runs there.
    Node(String),
    /// A package and its group.
    Package(String),
}

/// How long to wait for the result of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Answered as soon as the change is accepted.
    No,
    /// Answered once the daemons have done it, or after this long.
    UpTo(Duration),
}

impl Wait {
    fn hold(self) -> Duration {
        match self {
            Self::No => Duration::ZERO,
            Self::UpTo(length) => length,
        }
    }

    fn query(self) -> String {
        match self {
            Self::No => "wait=0".to_owned(),
            Self::UpTo(length) => format!("wait={}ms", length.as_millis()),
        }
    }
}

impl Client {
    /// A client of these servers: `http://10.0.0.1:7400` or `10.0.0.1:7400`, any of them, in the order of preference.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`] for a text that is no address.
    pub fn new(endpoints: &[String]) -> Result<Self, ClientError> {
        Self::with_patience(endpoints, PATIENCE)
    }

    /// As [`Client::new`], with a limit to how long servers that break off or have no quorum are asked again.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_patience(endpoints: &[String], patience: Duration) -> Result<Self, ClientError> {
        Ok(Self {
            transport: Arc::new(Transport::new(endpoints, patience)?),
            held: None,
        })
    }

    /// The same client, for reads that are held until what they ask for has changed past an index, or for as long as `wait`: a way to
    /// follow one thing without a stream. The index is that of the answer before; an answer may come early, and unchanged, where
    /// another server is asked than before.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), client::ClientError> {
    /// use std::time::Duration;
    /// let client = client::Client::new(&["10.0.0.1:7400".to_owned()])?;
    /// let mut answer = client.package("orders-a").await?;
    /// loop {
    ///     println!("{}: {}", answer.body.state, answer.body.reason);
    ///     let index = answer.index.unwrap_or(0);
    ///     answer = client.held(index, Duration::from_secs(60)).package("orders-a").await?;
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn held(&self, index: u64, wait: Duration) -> Self {
        Self {
            transport: Arc::clone(&self.transport),
            held: Some((index, wait)),
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The servers, as they are asked.
    #[must_use]
    pub fn endpoints(&self) -> &[String] {
        self.transport.endpoints()
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    /// See [`ClientError`]; so for every method.
    pub async fn status(&self) -> Result<Answer<Status>, ClientError> {
        self.get("/v1/status".to_owned()).await
    }

    /// `GET /v1/nodes`.
    pub async fn nodes(&self) -> Result<Answer<Nodes>, ClientError> {
        self.get("/v1/nodes".to_owned()).await
    }

    /// `GET /v1/nodes/N`.
    pub async fn node(&self, node: &str) -> Result<Answer<Node>, ClientError> {
        self.get(path(&["v1", "nodes", node])?).await
    }

    /// `GET /v1/nodes/N/attributes`.
    pub async fn attributes(&self, node: &str) -> Result<Answer<Attributes>, ClientError> {
        self.get(path(&["v1", "nodes", node, "attributes"])?).await
    }

    /// `GET /v1/packages`.
    pub async fn packages(&self) -> Result<Answer<Packages>, ClientError> {
        self.get("/v1/packages".to_owned()).await
    }

    /// `GET /v1/packages/P`, with its definition.
    pub async fn package(&self, package: &str) -> Result<Answer<Package>, ClientError> {
        self.get(path(&["v1", "packages", package])?).await
    }

    /// `GET /v1/packages/P/explain`.
    pub async fn explain(&self, package: &str) -> Result<Answer<Explanation>, ClientError> {
        self.get(path(&["v1", "packages", package, "explain"])?).await
    }

    /// `GET /v1/groups`.
    pub async fn groups(&self) -> Result<Answer<Groups>, ClientError> {
        self.get("/v1/groups".to_owned()).await
    }

    /// `GET /v1/groups/G`.
    pub async fn group(&self, group: &str) -> Result<Answer<Group>, ClientError> {
        self.get(path(&["v1", "groups", group])?).await
    }

    /// `GET /v1/resources`.
    pub async fn resources(&self) -> Result<Answer<Resources>, ClientError> {
        self.get("/v1/resources".to_owned()).await
    }

    /// `GET /v1/resources/ID`.
    pub async fn resource(&self, id: &str) -> Result<Answer<Resource>, ClientError> {
        self.get(path(&["v1", "resources", id])?).await
    }

    /// `GET /v1/events`: a page, oldest first; with a wait, held until there is at least one such event.
    pub async fn events(&self, query: &EventQuery, wait: Wait) -> Result<Answer<Events>, ClientError> {
        let target = target(&format!("/v1/events?{}", wait.query()), query)?;
        self.ask(target, wait.hold()).await
    }

    /// `GET /v1/config`. Its index is that of the last change of the configuration.
    pub async fn config(&self) -> Result<Answer<Config>, ClientError> {
        self.get("/v1/config".to_owned()).await
    }

    /// `GET /v1/members`.
    pub async fn members(&self) -> Result<Answer<Members>, ClientError> {
        self.get("/v1/members".to_owned()).await
    }

    /// `POST /v1/plan`: what a change would do.
    pub async fn plan(&self, request: &PlanRequest) -> Result<Answer<Plan>, ClientError> {
        self.call(Request {
            method: Method::POST,
            target: "/v1/plan".to_owned(),
            payload: json(request)?,
            key: None,
            if_match: None,
            hold: Duration::ZERO,
        })
        .await
    }

    /// `PUT /v1/config`: makes the cluster equal to the file. With an index, refused where the configuration has changed
    /// since.
    pub async fn put_config(&self, file: &str, if_match: Option<u64>, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.call(Request {
            method: Method::PUT,
            target: format!("/v1/config?{}", wait.query()),
            payload: Payload::Toml(file.to_owned()),
            key: Some(new_key()?),
            if_match,
            hold: wait.hold(),
        })
        .await
    }

    /// `POST /v1/packages/P/start`.
    pub async fn start(&self, package: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(Method::POST, &["v1", "packages", package, "start"], Payload::None, wait)
            .await
    }

    /// `POST /v1/packages/P/stop`.
    pub async fn stop(&self, package: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(Method::POST, &["v1", "packages", package, "stop"], Payload::None, wait)
            .await
    }

    /// `POST /v1/packages/P/test`.
    pub async fn test(&self, package: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(Method::POST, &["v1", "packages", package, "test"], Payload::None, wait)
            .await
    }

    /// `POST /v1/packages/P/promote`.
    pub async fn promote(&self, package: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(
            Method::POST,
            &["v1", "packages", package, "promote"],
            Payload::None,
            wait,
        )
        .await
    }

    /// `POST /v1/packages/P/mode`: runs it in a mode of the users' own.
    pub async fn set_mode(&self, package: &str, mode: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        let payload = json(&SetMode { mode: mode.to_owned() })?;
        self.change(Method::POST, &["v1", "packages", package, "mode"], payload, wait)
            .await
    }

    /// `POST /v1/packages/P/demote`: the fittest standby of its group takes over.
    pub async fn demote(&self, package: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(
            Method::POST,
            &["v1", "packages", package, "demote"],
            Payload::None,
            wait,
        )
        .await
    }

    /// `POST /v1/packages/P/maintenance`, or that of a node, or of the cluster.
    pub async fn set_maintenance(
        &self,
        of: &Maintained,
        asked: &SetMaintenance,
        wait: Wait,
    ) -> Result<Answer<Done>, ClientError> {
        let path: &[&str] = match of {
            Maintained::Cluster => &["v1", "cluster", "maintenance"],
            Maintained::Node(node) => &["v1", "nodes", node, "maintenance"],
            Maintained::Package(package) => &["v1", "packages", package, "maintenance"],
        };
        self.change(Method::POST, path, json(asked)?, wait).await
    }

    /// `POST /v1/cluster/stop`: stops everything in order.
    pub async fn stop_cluster(&self, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(Method::POST, &["v1", "cluster", "stop"], Payload::None, wait)
            .await
    }

    /// `POST /v1/cluster/start`: starts what is to run.
    pub async fn start_cluster(&self, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(Method::POST, &["v1", "cluster", "start"], Payload::None, wait)
            .await
    }

    /// `POST /v1/cluster/rebalance`: moves packages to where they would rather be.
    pub async fn rebalance(&self, at_most: Option<u32>, wait: Wait) -> Result<Answer<Done>, ClientError> {
        let payload = json(&Rebalance { at_most })?;
        self.change(Method::POST, &["v1", "cluster", "rebalance"], payload, wait)
            .await
    }

    /// `POST /v1/packages/P/clear`: forgets its failures.
    pub async fn clear(&self, package: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(Method::POST, &["v1", "packages", package, "clear"], Payload::None, wait)
            .await
    }

    /// `POST /v1/packages/P/move`.
    pub async fn move_to(&self, package: &str, to: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        let payload = json(&MoveTo { to: to.to_owned() })?;
        self.change(Method::POST, &["v1", "packages", package, "move"], payload, wait)
            .await
    }

    /// `POST /v1/nodes/N/drain`.
    pub async fn drain(&self, node: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(Method::POST, &["v1", "nodes", node, "drain"], Payload::None, wait)
            .await
    }

    /// `POST /v1/nodes/N/resume`.
    pub async fn resume(&self, node: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(Method::POST, &["v1", "nodes", node, "resume"], Payload::None, wait)
            .await
    }

    /// `POST /v1/nodes/N/confirm-down`: an operator's word, recorded with the name, that the node is off.
    pub async fn confirm_down(&self, node: &str, by: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        let payload = json(&ConfirmDown {
            confirm: node.to_owned(),
            by: by.to_owned(),
        })?;
        self.change(Method::POST, &["v1", "nodes", node, "confirm-down"], payload, wait)
            .await
    }

    /// `PUT /v1/nodes/N/attributes/KEY`.
    pub async fn put_attribute(&self, node: &str, key: &str, value: &str) -> Result<Answer<Done>, ClientError> {
        let target = ["v1", "nodes", node, "attributes", key];
        self.change(Method::PUT, &target, json(&value)?, Wait::UpTo(Duration::ZERO))
            .await
    }

    /// `DELETE /v1/nodes/N/attributes/KEY`.
    pub async fn delete_attribute(&self, node: &str, key: &str) -> Result<Answer<Done>, ClientError> {
        let target = ["v1", "nodes", node, "attributes", key];
        self.change(Method::DELETE, &target, Payload::None, Wait::UpTo(Duration::ZERO))
            .await
    }

    /// `DELETE /v1/members/NAME`: a server leaves the Raft group for good.
    pub async fn remove_member(&self, name: &str, wait: Wait) -> Result<Answer<Done>, ClientError> {
        self.change(Method::DELETE, &["v1", "members", name], Payload::None, wait)
            .await
    }

    /// `POST /v1/cluster/move-leader`: hands the lead over, to a member or to any that is caught up.
    pub async fn move_leader(&self, to: Option<&str>, wait: Wait) -> Result<Answer<Done>, ClientError> {
        let payload = json(&MoveLeader {
            to: to.map(str::to_owned),
        })?;
        self.change(Method::POST, &["v1", "cluster", "move-leader"], payload, wait)
            .await
    }

    /// A read of the present state, which can be held.
    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<Answer<T>, ClientError> {
        match self.held {
            None => self.ask(path, Duration::ZERO).await,
            Some((index, wait)) => {
                self.ask(format!("{path}?index={index}&wait={}ms", wait.as_millis()), wait)
                    .await
            }
        }
    }

    async fn ask<T: DeserializeOwned>(&self, target: String, hold: Duration) -> Result<Answer<T>, ClientError> {
        let request = Request {
            method: Method::GET,
            target,
            payload: Payload::None,
            key: None,
            if_match: None,
            hold,
        };
        self.call(request).await
    }

    async fn change(
        &self,
        method: Method,
        segments: &[&str],
        payload: Payload,
        wait: Wait,
    ) -> Result<Answer<Done>, ClientError> {
        let mut target = path(segments)?;
        // A change without anything to wait for says nothing about waiting.
        if wait != Wait::UpTo(Duration::ZERO) {
            target = format!("{target}?{}", wait.query());
        }
        let request = Request {
            method,
            target,
            payload,
            key: Some(new_key()?),
            if_match: None,
            hold: wait.hold(),
        };
        self.call(request).await
    }

    async fn call<T: DeserializeOwned>(&self, request: Request) -> Result<Answer<T>, ClientError> {
        let answer = self.transport.send(&request).await?;
        let body = serde_json::from_slice(&answer.body).map_err(|source| ClientError::Malformed {
            endpoint: answer.endpoint.clone(),
            source,
        })?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Ok(Answer {
            index: answer.index,
            body,
            text,
        })
    }
}

fn json<T: Serialize + ?Sized>(body: &T) -> Result<Payload, ClientError> {
    serde_json::to_vec(body)
        .map(Payload::Json)
        .map_err(|error| ClientError::Setup(error.to_string()))
}
