//! `[cluster]` and `[[group]]`.

use statemachine::cluster::{OVERLOAD_DEFAULT, PER_CENT_MAX, RESUME_DEFAULT};
use statemachine::id::GroupName;

use super::reader::{Keys, Reader, Table, Value};
use super::rules;
use crate::wire::definition::{
    ClusterDefinition, GroupDefinition, RestartDefinition, default_cluster_name, default_failovers, default_lease,
    default_shares, default_start_wait,
};

const CLUSTER: Keys = Keys {
    place: "[cluster]",
    known: &[
        "name",
        "lease",
        "min_nodes",
        "start_wait",
        "shares",
        "overload",
        "resume",
        "rules",
        "rules_file",
    ],
    later: &[],
};
const GROUP: Keys = Keys {
    place: "[[group]]",
    known: &["name", "kind", "standbys", "failovers"],
    later: &[],
};
const RESTART: Keys = Keys {
    place: "{ attempts, within }",
    known: &["attempts", "within"],
    later: &[],
};

/// Shorter leases leave no room for a leader election, longer ones are no failover.
const LEASE_MS: std::ops::RangeInclusive<u64> = 200..=60_000;
/// A day: longer than any start takes.
pub(super) const DAY_MS: u64 = 86_400_000;
/// A name for people: it must fit the head of a screen.
const CLUSTER_NAME_BYTES_MAX: usize = 63;

/// A group and where its name stands.
pub(super) struct ReadGroup {
    pub(super) definition: GroupDefinition,
    pub(super) name_at: usize,
}

/// `[cluster]`, which may be absent.
pub(super) fn read_cluster(reader: &mut Reader<'_>, value: Option<&Value<'_>>) -> ClusterDefinition {
    let mut cluster = ClusterDefinition {
        name: default_cluster_name(),
        lease: default_lease(),
        min_nodes: 1,
        start_wait: default_start_wait(),
        shares: default_shares(),
        overload: OVERLOAD_DEFAULT,
        resume: RESUME_DEFAULT,
        rules: String::new(),
    };
    let Some(table) = value.and_then(|value| reader.table(value, "cluster: expected [cluster] once")) else {
        return cluster;
    };
    reader.check_keys(&table, &CLUSTER);
    if let Some(value) = table.get("name")
        && let Some(name) = reader.text(value, "name", "a name in quotes")
    {
        let fits = !name.is_empty() && name.len() <= CLUSTER_NAME_BYTES_MAX && !name.contains(char::is_control);
        if !fits {
            let message =
                format!("name: {name:?}: expected 1 to {CLUSTER_NAME_BYTES_MAX} bytes without control characters");
            reader.fault(value.span().start, message, None);
        }
        name.clone_into(&mut cluster.name);
    }
    if let Some(value) = table.get("lease")
        && let Some(lease) = reader.duration(value, "lease", LEASE_MS)
    {
        cluster.lease = lease;
    }
    if let Some(value) = table.get("min_nodes")
        && let Some(count) = reader.count(value, "min_nodes", 1..=100_000)
    {
        cluster.min_nodes = count;
    }
    if let Some(value) = table.get("start_wait")
        && let Some(wait) = reader.duration(value, "start_wait", 0..=DAY_MS)
    {
        cluster.start_wait = wait;
    }
    if let Some(value) = table.get("shares")
        && let Some(formula) = reader.word(value, "shares", &["none", "half", "priority"], &[])
    {
        formula.clone_into(&mut cluster.shares);
    }
    if let Some(value) = table.get("overload")
        && let Some(per_cent) = reader.count(value, "overload", 1..=PER_CENT_MAX)
    {
        cluster.overload = per_cent;
        cluster.resume = cluster.resume.min(per_cent);
    }
    if let Some(value) = table.get("resume")
        && let Some(per_cent) = reader.count(value, "resume", 1..=cluster.overload)
    {
        cluster.resume = per_cent;
    }
    cluster.rules = rules::read(reader, &table);
    cluster
}

/// One `[[group]]`.
pub(super) fn read_group(reader: &mut Reader<'_>, table: &Table<'_, '_>) -> ReadGroup {
    reader.check_keys(table, &GROUP);
    let mut group = GroupDefinition {
        name: String::new(),
        kind: "duplex".to_owned(),
        standbys: 1,
        failovers: default_failovers(),
    };
    let mut name_at = table.at;
    match table.get("name") {
        None => reader.missing(table, "[[group]]", "a group needs a name, like name = \"orders\""),
        Some(value) => {
            name_at = value.span().start;
            if let Some(name) = reader.text(value, "name", "a name in quotes") {
                if let Err(error) = GroupName::new(name) {
                    reader.fault(name_at, format!("name: {error}"), None);
                } else {
                    name.clone_into(&mut group.name);
                }
            }
        }
    }
    match table.get("kind") {
        None => reader.missing(table, "[[group]]", "a group needs a kind: kind = \"duplex\""),
        Some(value) => {
            if let Some(kind) = reader.word(value, "kind", &["duplex", "free-run", "load-share", "together"], &[]) {
                group.kind = kind;
            }
        }
    }
    if let Some(value) = table.get("standbys")
        && let Some(count) = reader.count(value, "standbys", 0..=1_000)
    {
        group.standbys = count;
    }
    if let Some(value) = table.get("failovers")
        && let Some(failovers) = read_restart(reader, value, "failovers")
    {
        group.failovers = failovers;
    }
    ReadGroup {
        definition: group,
        name_at,
    }
}

/// `{ attempts = 3, within = "10m" }`.
pub(super) fn read_restart(reader: &mut Reader<'_>, value: &Value<'_>, what: &str) -> Option<RestartDefinition> {
    let expected = format!("{what}: expected {{ attempts = 3, within = \"10m\" }}");
    let table = reader.table(value, &expected)?;
    reader.check_keys(&table, &RESTART);
    let attempts = match table.get("attempts") {
        None => {
            reader.missing(
                &table,
                what,
                "attempts is missing: expected { attempts = 3, within = \"10m\" }",
            );
            None
        }
        Some(value) => reader.count(value, &format!("{what}.attempts"), 0..=10_000),
    };
    let within = match table.get("within") {
        None => {
            reader.missing(
                &table,
                what,
                "within is missing: expected { attempts = 3, within = \"10m\" }",
            );
            None
        }
        Some(value) => reader.duration(value, &format!("{what}.within"), 1..=30 * DAY_MS),
    };
    Some(RestartDefinition {
        attempts: attempts?,
        within: within?,
    })
}
