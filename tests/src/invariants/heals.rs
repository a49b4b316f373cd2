//! I15: a cluster heals once nothing is broken any more: one leader, every package that can be started active once, the same
//! digest everywhere, a new write acknowledged, and then nothing moves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use client::wire::node::Nodes;
use client::wire::package::Package;
use client::wire::status::Status;

use super::sight::Sight;
use super::target::Target;
use crate::metronome::Metronome;
use crate::wait::{TimedOut, holds_for, monotonic_ns, wait_for};

/// For one answer: a cluster that has healed gives it at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What a healed cluster was seen to be.
#[derive(Clone, Debug)]
pub struct Healed {
    /// After so long.
    pub after: Duration,
    /// Who leads.
    pub leader: String,
    /// In which term.
    pub term: u64,
    /// Units that are active, with their epoch.
    pub active: BTreeMap<String, u64>,
    /// What servers said on the way.
    pub sights: Vec<Sight>,
}

/// The machine stood still for so long: a heartbeat or two was missed by all at once.
const STALL: Duration = Duration::from_millis(300);
/// How often a movement is put down to that before it counts whatever the machine did.
const STALLS_MAX: u32 = 3;

/// Waits until the cluster has healed, at most for `limit`, and then watches for `calm` that nothing moves. Where the
/// whole machine stood still meanwhile, nothing is known yet, and it is looked at again.
///
/// # Errors
/// What is still wrong after the limit, or what moved.
pub fn check(targets: &[Target], limit: Duration, calm: Duration) -> anyhow::Result<Healed> {
    let mut stalls = 0;
    loop {
        let metronome = Metronome::start();
        let result = check_once(targets, limit, calm);
        let stood = metronome.longest();
        if result.is_ok() || stood < STALL || stalls == STALLS_MAX {
            return result;
        }
        stalls += 1;
        eprintln!("the whole machine stood still for {stood:?}: whether the cluster has healed is looked at again");
    }
}

fn check_once(targets: &[Target], limit: Duration, calm: Duration) -> anyhow::Result<Healed> {
    let begin = Instant::now();
    let mut sights = Vec::new();
    let what = "the cluster to heal";
    let status = wait_for(what, limit, || one_view(targets, &mut sights))?;
    write(targets, limit.saturating_sub(begin.elapsed()).max(ANSWER_LIMIT))?;
    wait_for(
        "every server at one index",
        limit.saturating_sub(begin.elapsed()).max(ANSWER_LIMIT),
        || {
            let views = ask_all(targets, &mut sights)?;
            let indexes: BTreeSet<u64> = views.iter().map(|view| view.index).collect();
            if indexes.len() == 1 {
                Ok(())
            } else {
                Err(format!("at {indexes:?}"))
            }
        },
    )?;
    super::replicas_agree::check(&sights)?;
    let healed = Healed {
        after: begin.elapsed(),
        leader: status.leader.clone().unwrap_or_default(),
        term: status.term,
        active: active(&status.packages).map_err(anyhow::Error::msg)?,
        sights,
    };
    holds_for(calm, || still(targets, &healed))
        .map_err(|text| anyhow::anyhow!("I15: it healed and then moved: {text}"))?;
    Ok(healed)
}

fn ask_all(targets: &[Target], sights: &mut Vec<Sight>) -> Result<Vec<Status>, String> {
    let mut views = Vec::new();
    for target in targets {
        let asked_ns = monotonic_ns();
        let view: Status = target.ask("/v1/status", ANSWER_LIMIT).map_err(|e| format!("{e:#}"))?;
        sights.push(Sight::of(&target.name, 0, asked_ns, monotonic_ns(), &view));
        views.push(view);
    }
    Ok(views)
}

/// Every server says the same of leader, nodes and packages, and all of it is well.
fn one_view(targets: &[Target], sights: &mut Vec<Sight>) -> Result<Status, String> {
    let views = ask_all(targets, sights)?;
    let leaders: BTreeSet<(u64, Option<&str>)> = views.iter().map(|v| (v.term, v.leader.as_deref())).collect();
    if leaders.len() != 1 || views.iter().any(|v| v.leader.is_none() || !v.quorate || v.stale) {
        return Err(format!("leaders by term: {leaders:?}"));
    }
    let view = views
        .into_iter()
        .next()
        .ok_or_else(|| "there is no server to ask".to_owned())?;
    let down: Vec<&str> = view
        .nodes
        .iter()
        .filter(|n| n.state != "up")
        .map(|n| n.name.as_str())
        .collect();
    if !down.is_empty() {
        return Err(format!("not up: {down:?}"));
    }
    active(&view.packages)?;
    Ok(view)
}

/// The active epoch of every unit that can be started.
///
/// # Errors
/// The unit that has none, or more than one.
pub fn active(packages: &[Package]) -> Result<BTreeMap<String, u64>, String> {
    let mut units: BTreeMap<String, Vec<&Package>> = BTreeMap::new();
    for package in packages.iter().filter(|p| p.wish == "start") {
        units.entry(package.unit.clone()).or_default().push(package);
    }
    let mut found = BTreeMap::new();
    for (unit, members) in units {
        // What the cluster has given up, and says so, can't be started.
        if members.iter().all(|p| p.state == "failed") {
            continue;
        }
        let running: Vec<u64> = members
            .iter()
            .flat_map(|p| &p.instances)
            .filter(|i| i.mode == "active" && i.output == "released" && i.state == "running")
            .map(|i| i.epoch)
            .collect();
        match running[..] {
            [epoch] => {
                found.insert(unit, epoch);
            }
            _ => {
                let said: Vec<&str> = members.iter().map(|p| p.reason.as_str()).collect();
                return Err(format!("{unit}: active {} times: {said:?}", running.len()));
            }
        }
    }
    Ok(found)
}

fn write(targets: &[Target], limit: Duration) -> Result<(), TimedOut> {
    // A server alone is no node: the attribute is one of a node that there is.
    let known = wait_for("a node", limit, || {
        let first = targets.first().ok_or("no server is asked")?;
        let answer = first
            .send("GET", "/v1/nodes", "", ANSWER_LIMIT)
            .map_err(|error| format!("{error:#}"))?;
        let nodes: Nodes = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        nodes
            .nodes
            .into_iter()
            .next()
            .map(|node| node.name)
            .ok_or_else(|| "there is no node".to_owned())
    })?;
    let node = known.as_str();
    let (path, body) = (
        format!("/v1/nodes/{node}/attributes/healed"),
        format!("\"{}\"", monotonic_ns()),
    );
    for target in targets {
        wait_for(&format!("a write at {}", target.name), limit, || {
            let answer = target
                .send("PUT", &path, &body, ANSWER_LIMIT)
                .map_err(|e| format!("{e:#}"))?;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(format!("{} {}", answer.status, answer.text()))
            }
        })?;
    }
    Ok(())
}

fn still(targets: &[Target], healed: &Healed) -> Result<(), String> {
    let status = one_view(targets, &mut Vec::new())?;
    let now = (
        status.leader.as_deref().unwrap_or_default(),
        status.term,
        active(&status.packages)?,
    );
    if now == (healed.leader.as_str(), healed.term, healed.active.clone()) {
        Ok(())
    } else {
        Err(format!(
            "{now:?} after {} in term {}, {:?}",
            healed.leader, healed.term, healed.active
        ))
    }
}

#[cfg(test)]
mod tests {
    use client::wire::package::Instance;

    use super::*;

    fn package(name: &str, mode: &str, state: &str) -> Package {
        Package {
            name: name.to_owned(),
            group: Some("g".to_owned()),
            unit: "g".to_owned(),
            priority: None,
            wish: "start".to_owned(),
            state: state.to_owned(),
            reason: String::new(),
            maintenance: None,
            instances: vec![Instance {
                node: "n1".to_owned(),
                mode: mode.to_owned(),
                wanted: mode.to_owned(),
                output: "released".to_owned(),
                state: "running".to_owned(),
                epoch: 7,
                since: String::new(),
                detail: String::new(),
                score: None,
                busy: false,
            }],
            definition: None,
        }
    }

    #[test]
    fn each_unit_is_active_once_and_planted_others_are_found() {
        let sound = [package("a", "active", "active"), package("b", "standby", "standby")];
        assert_eq!(active(&sound), Ok(BTreeMap::from([("g".to_owned(), 7)])));
        assert!(active(&[package("a", "active", "active"), package("b", "active", "active")]).is_err());
        assert!(active(&[package("a", "standby", "standby")]).is_err());
    }

    #[test]
    fn what_is_not_to_run_or_was_given_up_is_left_out() {
        let mut stopped = package("a", "standby", "stopped");
        stopped.wish = "stop".to_owned();
        assert_eq!(active(&[stopped]), Ok(BTreeMap::new()));
        assert_eq!(active(&[package("a", "standby", "failed")]), Ok(BTreeMap::new()));
    }

    #[test]
    fn a_cluster_that_nobody_answers_for_has_not_healed() {
        let target = Target {
            name: "n1".to_owned(),
            api: std::net::SocketAddr::from(([127, 0, 0, 1], 1)),
            data_dir: "/nowhere".into(),
        };
        assert!(check(&[target], Duration::from_millis(50), Duration::ZERO).is_err());
    }
}
