//! The table of all requests of the public API: the router and the description are both made from it.

use client::wire::control::{ConfirmDown, MoveLeader, MoveTo, Rebalance, SetMaintenance, SetMode};
use client::wire::definition::{Config, PackageDefinition};
use client::wire::event::{Event, Events};
use client::wire::failover::{Failover, Failovers};
use client::wire::node::{Attributes, Node, Nodes};
use client::wire::package::{Explanation, Group, Groups, Package, Packages};
use client::wire::plan::{Done, Plan, PlanRequest};
use client::wire::resource::{Resource, Resources};
use client::wire::rules::Rules;
use client::wire::status::{Members, Status};

use super::change::WaitQuery;
use super::events::EventsQuery;
use super::failovers::FailoversQuery;
use super::operation::{Kind, Operation};
use super::watch::WatchQuery;
use super::{
    ReadQuery, cluster, config, events, failovers, members, metrics, nodes, openapi, packages, plan, resources, rules,
    status, watch,
};

/// All of them. Paths are in the router's language, which is that of OpenAPI, too.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let mut all = reads();
    all.extend(changes());
    all
}

fn reads() -> Vec<Operation> {
    vec![
        Operation::get("/v1/status", "The cluster at a glance.", status::status)
            .asks::<ReadQuery>()
            .answers::<Status>(),
        Operation::get("/v1/nodes", "All nodes.", nodes::list)
            .asks::<ReadQuery>()
            .answers::<Nodes>(),
        Operation::get("/v1/nodes/{node}", "One node.", nodes::one)
            .asks::<ReadQuery>()
            .answers::<Node>(),
        Operation::get("/v1/nodes/{node}/attributes", "A node's attributes.", nodes::attributes)
            .asks::<ReadQuery>()
            .answers::<Attributes>(),
        Operation::get(
            "/v1/nodes/{node}/attributes/{key}",
            "One attribute's value.",
            nodes::attribute,
        )
        .asks::<ReadQuery>()
        .answers::<String>(),
        Operation::get("/v1/packages", "All packages with their instances.", packages::list)
            .asks::<ReadQuery>()
            .answers::<Packages>(),
        Operation::get(
            "/v1/packages/{package}",
            "One package with its definition.",
            packages::one,
        )
        .asks::<ReadQuery>()
        .answers::<Package>(),
        Operation::get(
            "/v1/packages/{package}/explain",
            "Why a package is where it is, node by node, and what would change that.",
            packages::explain,
        )
        .asks::<ReadQuery>()
        .answers::<Explanation>(),
        Operation::get("/v1/groups", "All groups.", packages::groups)
            .asks::<ReadQuery>()
            .answers::<Groups>(),
        Operation::get("/v1/groups/{group}", "One group.", packages::group)
            .asks::<ReadQuery>()
            .answers::<Group>(),
        Operation::get(
            "/v1/resources",
            "Everything that is watched or controlled: packages, groups, nodes, links, disks, services, the manager.",
            resources::list,
        )
        .asks::<ReadQuery>()
        .answers::<Resources>(),
        Operation::get(
            "/v1/resources/{resource}",
            "One resource by its id, like lan:n1%2Feth1.",
            resources::one,
        )
        .asks::<ReadQuery>()
        .answers::<Resource>(),
        Operation::get("/v1/events", "What happened, oldest first.", events::events)
            .asks::<EventsQuery>()
            .answers::<Events>()
            .forgets(),
        Operation::get(
            "/v1/failovers",
            "One record for each takeover, in the order in which they began: cause, stages with their times, and end.",
            failovers::list,
        )
        .asks::<FailoversQuery>()
        .answers::<Failovers>()
        .forgets(),
        Operation::get(
            "/v1/failovers/{id}",
            "One takeover by its id, like 17.3.",
            failovers::one,
        )
        .asks::<ReadQuery>()
        .answers::<Failover>(),
        Operation::get(
            "/v1/watch",
            "Server-sent events: the present state of what matches, then every change in the order of the log.",
            watch::watch,
        )
        .asks::<WatchQuery>()
        .streams::<Event>()
        .forgets(),
        Operation::get("/v1/config", "Everything that is defined.", config::get_config)
            .asks::<ReadQuery>()
            .answers::<Config>(),
        Operation::get("/v1/rules", "The rules in force.", rules::get)
            .asks::<ReadQuery>()
            .answers::<Rules>(),
        Operation::post("/v1/plan", "What a change would do, without doing it.", plan::plan)
            .kind(Kind::Read)
            .takes::<PlanRequest>()
            .answers::<Plan>(),
        Operation::get("/v1/members", "The servers of the Raft group.", members::list)
            .asks::<ReadQuery>()
            .answers::<Members>(),
        Operation::get("/healthz", "This process works.", status::healthz)
            .kind(Kind::Read)
            .answers_text(),
        Operation::get("/readyz", "A read confirmed by a quorum works here.", status::readyz).answers_text(),
        Operation::get(
            "/metrics",
            "What is counted and measured here, for Prometheus.",
            metrics::metrics,
        )
        .kind(Kind::Local)
        .answers_open_metrics(),
        Operation::get("/openapi.json", "This description.", openapi::document).kind(Kind::Local),
    ]
}

fn changes() -> Vec<Operation> {
    let all = vec![
        Operation::post(
            "/v1/nodes/{node}/drain",
            "Moves packages away from a node and keeps them away.",
            nodes::drain,
        ),
        Operation::post("/v1/nodes/{node}/resume", "A node may be used again.", nodes::resume),
        Operation::post(
            "/v1/nodes/{node}/confirm-down",
            "An operator's word that a node is switched off; it is recorded.",
            nodes::confirm_down,
        )
        .takes::<ConfirmDown>(),
        Operation::put(
            "/v1/nodes/{node}/attributes/{key}",
            "Sets an attribute: a JSON string of at most 1 KiB.",
            nodes::put_attribute,
        )
        .takes::<String>(),
        Operation::delete(
            "/v1/nodes/{node}/attributes/{key}",
            "Removes an attribute.",
            nodes::delete_attribute,
        ),
        Operation::put(
            "/v1/packages/{package}",
            "Defines one package, as in the file.",
            packages::put,
        )
        .takes::<PackageDefinition>(),
        Operation::delete(
            "/v1/packages/{package}",
            "Stops a package and removes it, with all its copies.",
            packages::delete,
        ),
        Operation::post("/v1/packages/{package}/start", "Starts a package.", packages::start),
        Operation::post("/v1/packages/{package}/stop", "Stops a package.", packages::stop),
        Operation::post(
            "/v1/packages/{package}/test",
            "Runs a package in test: never active, output inhibited.",
            packages::test,
        ),
        Operation::post(
            "/v1/packages/{package}/promote",
            "Makes a standby the active one of its group.",
            packages::promote,
        ),
        Operation::post(
            "/v1/packages/{package}/move",
            "Moves a package to a node.",
            packages::move_to,
        )
        .takes::<MoveTo>(),
        Operation::post(
            "/v1/packages/{package}/clear",
            "Forgets a package's failures, so that it is tried again.",
            packages::clear,
        ),
        Operation::post(
            "/v1/packages/{package}/mode",
            "Runs a package in a mode of the users' own: never active, its output inhibited.",
            packages::mode,
        )
        .takes::<SetMode>(),
        Operation::post(
            "/v1/packages/{package}/demote",
            "Makes an active package a standby: the fittest standby of its group takes over.",
            packages::demote,
        ),
        Operation::post(
            "/v1/packages/{package}/maintenance",
            "A package and its group are not touched, or are again.",
            cluster::package_maintenance,
        )
        .takes::<SetMaintenance>(),
        Operation::post(
            "/v1/nodes/{node}/maintenance",
            "What runs on a node is not touched, or is again.",
            cluster::node_maintenance,
        )
        .takes::<SetMaintenance>(),
        Operation::post(
            "/v1/cluster/maintenance",
            "Nothing in the cluster is touched, or is again.",
            cluster::maintenance,
        )
        .takes::<SetMaintenance>(),
        Operation::post(
            "/v1/cluster/stop",
            "Stops everything in order; nothing is started before the cluster is.",
            cluster::stop,
        ),
        Operation::post("/v1/cluster/start", "Starts what is to run.", cluster::start),
        Operation::post(
            "/v1/cluster/rebalance",
            "Moves packages back to the nodes that they prefer, and from fuller nodes to emptier ones.",
            cluster::rebalance,
        )
        .may_take::<Rebalance>(),
        Operation::put(
            "/v1/config",
            "Makes the cluster equal to the file, or refuses all of it.",
            config::put_config,
        )
        .takes_file::<Config>(),
        Operation::put(
            "/v1/rules",
            "Replaces all rules, or refuses the text with every error in it.",
            rules::put,
        )
        .takes_text::<Rules>(),
    ];
    let mut all: Vec<Operation> = all
        .into_iter()
        .map(|operation| operation.asks::<WaitQuery>().answers::<Done>().matching())
        .collect();
    all.push(
        Operation::delete(
            "/v1/members/{member}",
            "A server leaves the Raft group for good; its id is never used again.",
            members::remove,
        )
        .kind(Kind::Members)
        .answers::<Done>(),
    );
    all.push(
        Operation::post("/v1/cluster/move-leader", "Hands over the lead.", members::move_leader)
            .kind(Kind::Members)
            .may_take::<MoveLeader>()
            .answers::<Done>(),
    );
    all
}
