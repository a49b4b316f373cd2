//! What a definition or a registration may hold. Every bound has its reason beside it.

use alloc::format;
use alloc::string::String;

use crate::cluster::PER_CENT_MAX;
use crate::command::{Capacity, ClusterSpec, GroupSpec, ModeSpec, PackageSpec, ProbeKind, RestartSpec, RunSpec};
use crate::id::PackageName;
use crate::outcome::Rejection;
use crate::time::Millis;

/// The shortest lease: below it a busy machine can't renew in time.
pub(super) const LEASE_MIN: Millis = Millis(100);
/// The longest lease: a cut-off node keeps its packages for so long.
pub(super) const LEASE_MAX: Millis = Millis(60_000);
/// The modes that every package has.
const BUILT_IN_MODES: [&str; 4] = ["stopped", "standby", "active", "test"];

/// Modes of the users' own at most, and words in each list of theirs.
const MODES_MAX: usize = 64;

/// The longest of all other times: a day.
const TIME_MAX: Millis = Millis(86_400_000);
/// Members of a group at most: a plan looks at all of them.
pub(super) const GROUP_MEMBERS_MAX: usize = 64;
/// Resources that a package may need: each is looked at for every node.
const PACKAGE_NEEDS_MAX: usize = 16;
/// Nodes that a package may list.
const LISTED_NODES_MAX: usize = 256;
/// Attempts that a limit may allow: as many times are remembered.
const ATTEMPTS_MAX: u32 = 100;
/// Bytes of a package's command, environment and the like together: it travels in every desired set.
const RUN_BYTES_MAX: usize = 65_536;
/// Dimensions that a node may declare, labels that it may have.
const ENTRIES_MAX: usize = 64;
/// Bytes of an address, a label, a nonce or another short text.
const TEXT_BYTES_MAX: usize = 512;
/// Changes in one command: a cluster of a million packages is defined in several.
pub(super) const CHANGES_MAX: usize = 100_000;

fn invalid(text: String) -> Rejection {
    Rejection::Invalid { text }
}

/// A short text that is there.
pub(super) fn check_address(what: &str, text: &str) -> Result<(), Rejection> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(invalid(format!(
            "{what} must have 1 to {TEXT_BYTES_MAX} bytes, it has {}",
            text.len()
        )));
    }
    Ok(())
}

/// A short text that may be empty.
pub(super) fn check_text(what: &str, text: &str) -> Result<(), Rejection> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(invalid(format!(
            "{what} has at most {TEXT_BYTES_MAX} bytes, it has {}",
            text.len()
        )));
    }
    Ok(())
}

pub(super) fn check_addresses(addresses: &[String]) -> Result<(), Rejection> {
    if addresses.is_empty() || addresses.len() > 8 {
        return Err(invalid(format!(
            "a server has 1 to 8 peer addresses, one per network; {} were given",
            addresses.len()
        )));
    }
    addresses
        .iter()
        .try_for_each(|address| check_address("a peer address", address))
}

pub(super) fn check_cluster(spec: &ClusterSpec) -> Result<(), Rejection> {
    check_address("the cluster's name", &spec.name)?;
    if spec.lease < LEASE_MIN || spec.lease > LEASE_MAX {
        let (lease, min, max) = (spec.lease.0, LEASE_MIN.0, LEASE_MAX.0);
        return Err(invalid(format!("a lease is {min} to {max} ms long, not {lease} ms")));
    }
    if spec.min_nodes == 0 {
        return Err(invalid(String::from("min_nodes is at least 1")));
    }
    let per_cent = 1..=PER_CENT_MAX;
    if !per_cent.contains(&spec.overload) || !per_cent.contains(&spec.resume) || spec.resume > spec.overload {
        let (overload, resume) = (spec.overload, spec.resume);
        return Err(invalid(format!(
            "overload is {overload} and resume {resume} per cent: both are 1 to {PER_CENT_MAX}, and resume is not above overload"
        )));
    }
    check_modes(&spec.modes)?;
    check_time("start_wait", spec.start_wait)
}

/// Modes of the users' own have names that nothing else has, and lead from and into modes that there are.
fn check_modes(modes: &[ModeSpec]) -> Result<(), Rejection> {
    if modes.len() > MODES_MAX {
        return Err(invalid(format!("{} modes: {MODES_MAX} at most", modes.len())));
    }
    for (place, mode) in modes.iter().enumerate() {
        let name = &mode.name;
        PackageName::new(name).map_err(|error| invalid(format!("mode {name:?}: {error}")))?;
        if BUILT_IN_MODES.contains(&name.as_str()) {
            return Err(invalid(format!(
                "mode {name}: every package has this one already, give it another name"
            )));
        }
        if modes.iter().take(place).any(|before| before.name == *name) {
            return Err(invalid(format!("mode {name} is defined twice")));
        }
        for (key, words) in [("from", &mode.from), ("to", &mode.to)] {
            let known =
                |word: &String| BUILT_IN_MODES.contains(&word.as_str()) || modes.iter().any(|it| it.name == *word);
            if words.is_empty() || words.len() > MODES_MAX {
                return Err(invalid(format!("mode {name}: {key} names 1 to {MODES_MAX} modes")));
            }
            if let Some(unknown) = words.iter().find(|word| !known(word)) {
                return Err(invalid(format!("mode {name}: {key} names {unknown}, which is no mode")));
            }
        }
    }
    Ok(())
}

pub(super) fn check_group(spec: &GroupSpec) -> Result<(), Rejection> {
    let standbys = usize::try_from(spec.standbys).unwrap_or(usize::MAX);
    if standbys >= GROUP_MEMBERS_MAX {
        return Err(invalid(format!(
            "group {} wants {standbys} standbys: less than {GROUP_MEMBERS_MAX} are possible",
            spec.name
        )));
    }
    check_limit(&format!("failovers of group {}", spec.name), spec.failovers)
}

pub(super) fn check_package(spec: &PackageSpec) -> Result<(), Rejection> {
    let name = &spec.name;
    if spec.priority == Some(0) {
        return Err(invalid(format!("package {name}: 1 is the highest priority, 0 is none")));
    }
    if spec.nodes.len() > LISTED_NODES_MAX {
        return Err(invalid(format!(
            "package {name} lists {} nodes: {LISTED_NODES_MAX} at most",
            spec.nodes.len()
        )));
    }
    for (place, node) in spec.nodes.iter().enumerate() {
        if spec.nodes.iter().take(place).any(|before| before == node) {
            return Err(invalid(format!("package {name} lists node {node} twice")));
        }
    }
    if !spec.after.is_empty() && spec.group.is_none() {
        return Err(invalid(format!(
            "package {name} is after others and has no group: only members of a group of kind together have an order"
        )));
    }
    if spec.needs.len() > PACKAGE_NEEDS_MAX {
        return Err(invalid(format!(
            "package {name} needs {} resources: {PACKAGE_NEEDS_MAX} at most",
            spec.needs.len()
        )));
    }
    for (place, need) in spec.needs.iter().enumerate() {
        need.check()
            .map_err(|error| invalid(format!("package {name} needs {error}")))?;
        if spec.needs.iter().take(place).any(|before| before == need) {
            return Err(invalid(format!("package {name} names {need} twice in its needs")));
        }
    }
    if spec.after.len() > GROUP_MEMBERS_MAX {
        return Err(invalid(format!(
            "package {name} is after {} others: {GROUP_MEMBERS_MAX} at most",
            spec.after.len()
        )));
    }
    check_amounts(&format!("the load of package {name}"), &spec.load)?;
    check_limit(&format!("restart of package {name}"), spec.restart)?;
    check_run(name, &spec.run)
}

fn check_run(name: &PackageName, run: &RunSpec) -> Result<(), Rejection> {
    if run.command.first().is_none_or(String::is_empty) {
        return Err(invalid(format!("package {name}: run.command names no program")));
    }
    for (what, command) in [
        ("promote", &run.promote),
        ("demote", &run.demote),
        ("reload", &run.reload),
    ] {
        if command
            .as_ref()
            .is_some_and(|command| command.first().is_none_or(String::is_empty))
        {
            return Err(invalid(format!("package {name}: {what}.command names no program")));
        }
    }
    check_time(&format!("start_timeout of package {name}"), run.start_timeout)?;
    check_time(&format!("stop_timeout of package {name}"), run.stop_timeout)?;
    let mut bytes = text_bytes(&run.command);
    for command in [&run.promote, &run.demote, &run.reload].into_iter().flatten() {
        bytes = bytes.saturating_add(text_bytes(command));
    }
    for (key, value) in &run.environment {
        if key.is_empty() || key.contains(['=', '\0']) {
            return Err(invalid(format!(
                "package {name}: {key:?} can't be the name of an environment variable"
            )));
        }
        bytes = bytes
            .saturating_add(key.len())
            .saturating_add(value.len())
            .saturating_add(2);
    }
    if let Some(probe) = &run.probe {
        check_time(&format!("the interval of package {name}'s probe"), probe.interval)?;
        check_time(&format!("the timeout of package {name}'s probe"), probe.timeout)?;
        if probe.interval == Millis(0) || probe.timeout == Millis(0) || probe.failures == 0 {
            return Err(invalid(format!(
                "package {name}: a probe's interval, timeout and failures are at least 1"
            )));
        }
        bytes = bytes.saturating_add(match &probe.kind {
            ProbeKind::Exec(command) => text_bytes(command),
            ProbeKind::Tcp(address) | ProbeKind::Http(address) => address.len(),
        });
    }
    bytes = bytes.saturating_add(run.directory.as_ref().map_or(0, String::len));
    if bytes > RUN_BYTES_MAX {
        return Err(invalid(format!(
            "package {name}: its commands and environment have {bytes} bytes, {RUN_BYTES_MAX} at most"
        )));
    }
    Ok(())
}

fn text_bytes(texts: &[String]) -> usize {
    texts
        .iter()
        .fold(0, |sum, text| text.len().saturating_add(sum).saturating_add(1))
}

/// A load or a capacity.
pub(super) fn check_amounts(what: &str, amounts: &Capacity) -> Result<(), Rejection> {
    if amounts.0.len() > ENTRIES_MAX {
        return Err(invalid(format!(
            "{what} has {} dimensions, {ENTRIES_MAX} at most",
            amounts.0.len()
        )));
    }
    for name in amounts.0.keys() {
        if PackageName::new(name).is_err() {
            return Err(invalid(format!("{what}: {name:?} can't be the name of a dimension")));
        }
    }
    Ok(())
}

fn check_limit(what: &str, limit: RestartSpec) -> Result<(), Rejection> {
    if limit.attempts > ATTEMPTS_MAX {
        return Err(invalid(format!(
            "{what}: at most {ATTEMPTS_MAX} attempts, not {}",
            limit.attempts
        )));
    }
    check_time(what, limit.within)
}

fn check_time(what: &str, time: Millis) -> Result<(), Rejection> {
    if time > TIME_MAX {
        return Err(invalid(format!("{what}: at most {} ms, not {} ms", TIME_MAX.0, time.0)));
    }
    Ok(())
}

/// A daemon's registration.
pub(super) fn check_registration(registration: &crate::command::RegisterNode) -> Result<(), Rejection> {
    let crate::command::RegisterNode {
        name: _,
        machine,
        boot,
        nonce,
        ended,
        capacity,
        labels,
        api,
        containment: _,
        cut_off: _,
    } = registration;
    check_address("the machine's id", machine)?;
    check_address("the boot id", boot)?;
    check_address("the registration's nonce", nonce)?;
    check_text("the API's address", api)?;
    if ended.len() > 1_024 {
        return Err(invalid(format!(
            "{} ended sessions are named, 1024 at most",
            ended.len()
        )));
    }
    check_amounts("the capacity", capacity)?;
    if labels.len() > ENTRIES_MAX {
        return Err(invalid(format!(
            "the node has {} labels, {ENTRIES_MAX} at most",
            labels.len()
        )));
    }
    labels.iter().try_for_each(|(key, value)| {
        check_address("a label's key", key)?;
        check_text("a label", value)
    })
}

/// How many changes a command holds, where that is too many.
pub(super) fn check_changes(command: usize) -> Result<(), Rejection> {
    if command > CHANGES_MAX {
        let text = format!("{command} changes in one command, {CHANGES_MAX} at most: send them in several");
        return Err(Rejection::Limit { text });
    }
    Ok(())
}
