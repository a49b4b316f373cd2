//! `GET /metrics`: what is counted, and what is looked up now, for Prometheus. `docs/MONITORING.md` says what each means.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use statemachine::group::Health;
use statemachine::id::{Index, Term};
use statemachine::node::NodeStatus;
use statemachine::package::{PackageState, Phase};

use super::{Api, ApiError};
use crate::failovers::{Cause, Failover, Fold, Outcome, StageName};
use crate::metrics::{Label, Latency};
use crate::storage::{EventFilter, Journal, Tail};

/// As the text is called that the crate writes.
const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Events that are read at once to count takeovers.
const EVENTS_PAGE: usize = 1_024;
/// Such readings for one answer: the rest is counted by the next one.
const READINGS_MAX: usize = 16;

/// Method, route and status of a request.
type RequestLabels = [(&'static str, String); 3];
/// Why, and whether somebody wanted it.
type FailoverLabels = [(&'static str, &'static str); 3];
/// One label that is no constant.
type OneLabel = [(&'static str, String); 1];

/// What is counted of requests and takeovers.
#[derive(Clone, Debug)]
struct Counted {
    requests: Family<RequestLabels, Counter>,
    request: Family<OneLabel, Latency, fn() -> Latency>,
    failovers: Family<FailoverLabels, Counter>,
    failover: Family<Label, Latency, fn() -> Latency>,
    of_groups: Family<OneLabel, Counter>,
    elections: Counter,
}

/// What `/metrics` keeps from one answer to the next.
pub(super) struct Counting {
    counted: Counted,
    /// How far takeovers and elections are counted; none before anybody has asked.
    place: Mutex<Option<Place>>,
}

struct Place {
    after: u64,
    term: Term,
    fold: Fold,
}

impl Default for Counting {
    fn default() -> Self {
        let counted = Counted {
            requests: Family::default(),
            request: Family::new_with_constructor(Latency::quick),
            failovers: Family::default(),
            failover: Family::new_with_constructor(Latency::long),
            of_groups: Family::default(),
            elections: Counter::default(),
        };
        // There from the start: what appears with its first failover has no rate before the second.
        for cause in Cause::ALL {
            for outcome in ["done", "failed"] {
                drop(counted.failovers.get_or_create(&failover_labels(cause, outcome)));
            }
        }
        for planned in ["false", "true"] {
            drop(counted.failover.get_or_create(&[("planned", planned)]));
        }
        Self {
            counted,
            place: Mutex::default(),
        }
    }
}

/// Counts a request by its route: never by its path, of which there is no end.
pub(super) async fn count(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = match *request.method() {
        Method::GET | Method::HEAD => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let counted = &api.inner.counting.counted;
    let code = response.status().as_u16().to_string();
    let labels = [("method", method.to_owned()), ("route", route.clone()), ("code", code)];
    counted.requests.get_or_create(&labels).inc();
    counted.request.get_or_create(&[("route", route)]).took(begun.elapsed());
    response
}

/// `GET /metrics`.
pub async fn metrics(State(api): State<Api>) -> Result<Response, ApiError> {
    let text = tokio::task::spawn_blocking(move || -> io::Result<String> {
        // A journal that can't be read must not hide everything else.
        if let Err(error) = count_failovers(&api) {
            tracing::warn!(%error, "takeovers can't be counted");
        }
        let mut text = String::new();
        encode(&mut text, &registry(&api)).map_err(io::Error::other)?;
        Ok(text)
    })
    .await
    .map_err(|error| error.to_string())
    .and_then(|text| text.map_err(|error| error.to_string()))
    .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error))?;
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    Ok(response)
}

/// Takes in the takeovers and elections since the last answer. The first one only begins: what a server replays after its
/// start happened before.
fn count_failovers(api: &Api) -> io::Result<()> {
    let counting = &api.inner.counting;
    let applied = api.raft().state().applied().0;
    let term = api.raft().leadership().borrow().term;
    let mut place = counting.place.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place.get_or_insert_with(|| Place {
        after: applied,
        term,
        fold: Fold::default(),
    });
    counting.counted.elections.inc_by(term.0.saturating_sub(place.term.0));
    place.term = place.term.max(term);
    let journal = api.raft().journal();
    for _ in 0..READINGS_MAX {
        if place.after >= applied {
            break;
        }
        for failover in place.read_on(journal, applied)? {
            counting.counted.ended(&failover);
        }
    }
    Ok(())
}

impl Place {
    fn read_on(&mut self, journal: &Journal, applied: u64) -> io::Result<Vec<Failover>> {
        let lookup = |(index, sequence): (u64, u32)| journal.event(index, sequence);
        match journal.follow(self.after, applied, &EventFilter::default(), EVENTS_PAGE)? {
            Tail::Events { events, upto } => {
                let mut ended = Vec::new();
                for event in events {
                    ended.extend(self.fold.take(&event, &lookup)?);
                }
                self.after = upto;
                Ok(ended)
            }
            // What this server never saw it does not count.
            Tail::Missing(gap) => {
                self.after = gap.last;
                Ok(Vec::new())
            }
            Tail::Forgotten { oldest } => {
                self.after = oldest.saturating_sub(1);
                Ok(Vec::new())
            }
        }
    }
}

fn failover_labels(cause: Cause, outcome: &'static str) -> FailoverLabels {
    let planned = if cause.is_planned() { "true" } else { "false" };
    [("cause", cause.as_str()), ("planned", planned), ("outcome", outcome)]
}

impl Counted {
    fn ended(&self, failover: &Failover) {
        let outcome = match failover.outcome {
            Outcome::Done => "done",
            Outcome::Failed(_) => "failed",
            Outcome::UnderWay(_) => return,
        };
        self.failovers
            .get_or_create(&failover_labels(failover.cause, outcome))
            .inc();
        if let Some(total) = failover.total_ms() {
            let planned = if failover.cause.is_planned() { "true" } else { "false" };
            self.failover
                .get_or_create(&[("planned", planned)])
                .took(Duration::from_millis(total));
        }
        if let Some(group) = &failover.group
            && failover.stages.iter().any(|stage| stage.name == StageName::Active)
        {
            self.of_groups.get_or_create(&[("group", group.clone())]).inc();
        }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "failovers",
            "Takeovers that ended, by cause and outcome, since somebody first asked this server",
            self.failovers.clone(),
        );
        registry.register_with_unit(
            "failover",
            "Time from the first stage of a takeover until another one was active",
            Unit::Seconds,
            self.failover.clone(),
        );
        registry.register(
            "group_failovers",
            "Takeovers of groups that were carried out",
            self.of_groups.clone(),
        );
        registry.register(
            "elections",
            "Terms that began, each by an election, since somebody first asked this server",
            self.elections.clone(),
        );
        registry.register(
            "requests",
            "Requests to this server's API, by method, route and status",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request",
            "Time from a request to the begin of its answer, which includes what it waited for",
            Unit::Seconds,
            self.request.clone(),
        );
    }
}

fn registry(api: &Api) -> Registry {
    let mut registry = Registry::with_prefix("paceline");
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version that runs", version);
    api.raft().metrics().register(&mut registry);
    api.inner.counting.counted.register(&mut registry);
    registry.register_with_unit(
        "fsync",
        "Time that writes to the log took until they were on disk",
        Unit::Seconds,
        api.raft().disk().latency().clone(),
    );
    raft_gauges(api, &mut registry);
    journal_gauges(api, &mut registry);
    state_gauges(api, &mut registry);
    registry
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn gauges(registry: &mut Registry, name: &str, help: &str, label: &'static str, values: BTreeMap<String, u64>) {
    let family = Family::<OneLabel, Gauge>::default();
    for (key, value) in values {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        family.get_or_create(&[(label, key)]).set(value);
    }
    registry.register(name, help, family);
}

fn raft_gauges(api: &Api, registry: &mut Registry) {
    let leadership = *api.raft().leadership().borrow();
    let raft = api.raft().status();
    for (name, help, value) in [
        (
            "raft_leader",
            "1 where this server leads",
            u64::from(leadership.is_leader),
        ),
        (
            "raft_leader_known",
            "1 where this server knows of a leader",
            u64::from(leadership.leader.is_some()),
        ),
        ("raft_term", "The newest term that this server knows of", raft.term.0),
        (
            "raft_committed_index",
            "The last entry of the log that is known to be committed",
            raft.committed,
        ),
        (
            "raft_applied_index",
            "The last entry of the log that is applied here",
            raft.applied,
        ),
        ("raft_voters", "Servers that vote", raft.voters.len() as u64),
        (
            "raft_failed",
            "1 where this server has stopped taking part for good",
            u64::from(raft.fatal.is_some()),
        ),
        (
            "watchers",
            "Streams of events that are open here",
            api.inner.watching.count(),
        ),
    ] {
        gauge(registry, name, help, value);
    }
    let state = api.raft().state();
    let name = |member| {
        let known = state.members().find(|row| row.id == member);
        known.map_or_else(|| member.to_string(), |row| row.name.as_str().to_owned())
    };
    let lag = raft.lag.iter().map(|(member, lag)| (name(*member), *lag)).collect();
    gauges(
        registry,
        "raft_lag_entries",
        "Entries of the log that another server lacks, where this one leads",
        "member",
        lag,
    );
}

fn journal_gauges(api: &Api, registry: &mut Registry) {
    let (events, bytes) = api.raft().journal().size();
    gauge(registry, "journal_events", "Events that are kept here", events);
    let size = Gauge::<i64>::default();
    size.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    registry.register_with_unit(
        "journal",
        "Size of the events that are kept, uncompressed",
        Unit::Bytes,
        size,
    );
    gauge(
        registry,
        "journal_gaps",
        "Stretches of the log whose events only other servers have",
        api.raft().journal().gaps().len() as u64,
    );
}

/// Counts each of what there is; those of which there is none at present, too.
fn tally<'a>(all: &[&str], found: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = all.iter().map(|name| ((*name).to_owned(), 0)).collect();
    for name in found {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

fn state_gauges(api: &Api, registry: &mut Registry) {
    let state = api.raft().state();
    let Index(applied) = state.applied();
    gauge(
        registry,
        "applied_index",
        "The last command that is applied here",
        applied,
    );
    let lease = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
    let lease_ms = state.cluster().map_or(0, |cluster| cluster.spec.lease.0);
    lease.set(Duration::from_millis(lease_ms).as_secs_f64());
    registry.register_with_unit(
        "lease",
        "The lease that the cluster's definition sets",
        Unit::Seconds,
        lease,
    );
    let node_state = |status: &NodeStatus| match status {
        NodeStatus::Up { .. } => "up",
        NodeStatus::Lost { .. } => "lost",
        NodeStatus::Left { .. } => "left",
    };
    let nodes = state.nodes().map(|node| node_state(&node.status));
    gauges(
        registry,
        "nodes",
        "Nodes by what is known of them; one that is up has a session",
        "state",
        tally(&["up", "lost", "left"], nodes),
    );
    let drained = state.nodes().filter(|node| node.drain).count();
    gauge(
        registry,
        "nodes_drained",
        "Nodes that are kept free of packages",
        drained as u64,
    );
    let all = [
        PackageState::Running,
        PackageState::Starting,
        PackageState::Stopping,
        PackageState::Stopped,
        PackageState::Waiting,
        PackageState::Failed,
    ];
    let packages = state.packages().map(|package| package.state().as_str());
    gauges(
        registry,
        "packages",
        "Packages by what they do",
        "state",
        tally(&all.map(PackageState::as_str), packages),
    );
    let phase = |phase: &Phase| match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Changing { .. } => "changing",
        Phase::Failing { .. } => "failing",
        Phase::Stopping { .. } => "stopping",
        Phase::Stranded => "stranded",
    };
    let phases = ["starting", "running", "changing", "failing", "stopping", "stranded"];
    let instances = state.packages().filter_map(|package| package.instance.as_ref());
    gauges(
        registry,
        "instances",
        "Instances of packages on nodes by what they do",
        "state",
        tally(&phases, instances.map(|instance| phase(&instance.phase))),
    );
    let all = [Health::Idle, Health::Redundant, Health::Degraded, Health::Lost];
    let groups = state.groups().map(|group| group.health.as_str());
    gauges(
        registry,
        "groups",
        "Groups by how they are",
        "state",
        tally(&all.map(Health::as_str), groups),
    );
}
