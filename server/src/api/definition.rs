//! Definitions between the wire and the core, by hand in both directions: every field is named, so that a new one does
//! not compile until it is carried over.

mod cluster;
mod parts;

use std::collections::{BTreeMap, BTreeSet};

use client::wire::definition as wire;
use client::wire::duration::DurationText;
use client::wire::error::FileError;
use statemachine::command as core;
use statemachine::command::ConfigChange;
use statemachine::id::{GroupName, NodeName, PackageName};
use statemachine::state::State;
use statemachine::time::Millis;

use cluster::{cluster_to_core, cluster_to_wire, modes_to_wire};
pub use cluster::{default_cluster, default_cluster_spec};
pub(super) use parts::kind_text;
pub use parts::probe_to_wire;
use parts::{kind_to_core, needs_to_core, probe_to_core};

/// Everything wrong with a definition that came without a file, so without lines.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<FileError>);

impl Faults {
    fn say(&mut self, message: String) {
        self.0.push(FileError {
            line: 0,
            column: 0,
            message,
            nearest: None,
        });
    }

    fn keep<T, E: std::fmt::Display>(&mut self, what: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.say(format!("{what}: {error}"));
                None
            }
        }
    }
}

/// The changes that make the cluster equal to `config`, in an order in which each is legal.
///
/// # Errors
/// Every fault of the definition.
pub fn changes(state: &State, config: &wire::Config) -> Result<Vec<ConfigChange>, Vec<FileError>> {
    let mut faults = Faults::default();
    let mut changes = Vec::new();
    let cluster = cluster_to_core(&config.cluster, &config.modes);
    if state.cluster().is_none_or(|present| present.spec != cluster) {
        changes.push(ConfigChange::PutCluster(cluster));
    }
    let groups: Vec<core::GroupSpec> = config
        .groups
        .iter()
        .filter_map(|group| group_to_core(group, &mut faults))
        .collect();
    let packages: Vec<core::PackageSpec> = config
        .packages
        .iter()
        .flat_map(|package| package_to_core(package, &mut faults))
        .collect();
    if !faults.0.is_empty() {
        return Err(faults.0);
    }

    let kept: BTreeSet<&PackageName> = packages.iter().map(|package| &package.name).collect();
    for present in state.packages().filter(|present| !present.removing) {
        if !kept.contains(&present.spec.name) {
            changes.push(ConfigChange::RemovePackage(present.spec.name.clone()));
        }
    }
    let kept: BTreeSet<&GroupName> = groups.iter().map(|group| &group.name).collect();
    let gone: Vec<GroupName> = state
        .groups()
        .map(|present| present.spec.name.clone())
        .filter(|name| !kept.contains(name))
        .collect();
    for group in groups {
        if state.group(&group.name).is_none_or(|present| *present.spec != group) {
            changes.push(ConfigChange::PutGroup(group));
        }
    }
    for package in packages {
        if state
            .package(&package.name)
            .is_none_or(|present| present.removing || *present.spec != package)
        {
            changes.push(ConfigChange::PutPackage(package));
        }
    }
    changes.extend(gone.into_iter().map(ConfigChange::RemoveGroup));
    let rules = state.cluster().map_or("", |present| &*present.rules);
    if config.cluster.rules != rules {
        changes.push(ConfigChange::PutRules(config.cluster.rules.clone()));
    }
    Ok(changes)
}

/// The changes that define one package, with its copies, as it is in `package`.
///
/// # Errors
/// Every fault of the definition.
pub fn package_changes(state: &State, package: &wire::PackageDefinition) -> Result<Vec<ConfigChange>, Vec<FileError>> {
    let mut faults = Faults::default();
    let specs = package_to_core(package, &mut faults);
    if !faults.0.is_empty() {
        return Err(faults.0);
    }
    let kept: BTreeSet<&PackageName> = specs.iter().map(|spec| &spec.name).collect();
    let mut changes: Vec<ConfigChange> = copies_of(state, &package.name)
        .into_iter()
        .filter(|name| !kept.contains(name))
        .map(ConfigChange::RemovePackage)
        .collect();
    changes.extend(specs.into_iter().map(ConfigChange::PutPackage));
    Ok(changes)
}

/// What is defined beside a package in its group: what it says of others is about these.
pub fn others_of_group(state: &State, package: &wire::PackageDefinition) -> Vec<wire::PackageDefinition> {
    let name = package.group.as_deref().and_then(|group| GroupName::new(group).ok());
    let members = name
        .and_then(|name| state.group(&name))
        .into_iter()
        .flat_map(|group| state.group_members(group));
    members
        .map(|(_, member)| member)
        .filter(|member| !member.removing && member.spec.copy_of.is_none())
        .map(|member| package_to_wire(&member.spec, member.name().as_str().to_owned(), 1))
        .filter(|member| member.name != package.name)
        .collect()
}

/// The names under which a definition runs: itself, or its copies.
pub fn copies_of(state: &State, name: &str) -> Vec<PackageName> {
    state
        .packages()
        .filter(|package| !package.removing)
        .filter(|package| match &package.spec.copy_of {
            Some(original) => original.as_str() == name,
            None => package.spec.name.as_str() == name,
        })
        .map(|package| package.spec.name.clone())
        .collect()
}

/// Everything that is defined, as a file would say it.
pub fn config_to_wire(state: &State) -> wire::Config {
    let cluster = state.cluster().map_or_else(default_cluster, |cluster| {
        cluster_to_wire(&cluster.spec, &cluster.rules)
    });
    let mut copies: BTreeMap<String, u32> = BTreeMap::new();
    for package in state.packages().filter(|package| !package.removing) {
        if let Some(original) = &package.spec.copy_of {
            *copies.entry(original.as_str().to_owned()).or_default() += 1;
        }
    }
    // In the order of definition: it breaks ties of priority, so a file that is exported must keep it.
    let mut rows: Vec<_> = state.packages().filter(|package| !package.removing).collect();
    rows.sort_by_key(|package| package.order);
    let mut seen = BTreeSet::new();
    let mut packages = Vec::new();
    for package in rows {
        let name = package
            .spec
            .copy_of
            .as_ref()
            .unwrap_or(&package.spec.name)
            .as_str()
            .to_owned();
        if seen.insert(name.clone()) {
            let count = copies.get(&name).copied().unwrap_or(1);
            packages.push(package_to_wire(&package.spec, name, count));
        }
    }
    wire::Config {
        cluster,
        modes: state.cluster().map_or_else(Vec::new, |row| modes_to_wire(&row.spec)),
        groups: state.groups().map(|group| group_to_wire(&group.spec)).collect(),
        packages,
    }
}

fn group_to_core(group: &wire::GroupDefinition, faults: &mut Faults) -> Option<core::GroupSpec> {
    let wire::GroupDefinition {
        name,
        kind,
        standbys,
        failovers,
    } = group;
    let what = format!("group {name:?}");
    let name = faults.keep(&what, GroupName::new(name));
    let kind = kind_to_core(&what, kind, faults);
    Some(core::GroupSpec {
        name: name?,
        kind: kind?,
        standbys: *standbys,
        failovers: restart_to_core(failovers),
    })
}

pub(super) fn group_to_wire(group: &core::GroupSpec) -> wire::GroupDefinition {
    let core::GroupSpec {
        name,
        kind,
        standbys,
        failovers,
    } = group;
    wire::GroupDefinition {
        name: name.as_str().to_owned(),
        kind: kind_text(*kind).to_owned(),
        standbys: *standbys,
        failovers: restart_to_wire(failovers),
    }
}

fn package_to_core(package: &wire::PackageDefinition, faults: &mut Faults) -> Vec<core::PackageSpec> {
    let wire::PackageDefinition {
        name,
        group,
        copies,
        priority,
        load,
        nodes,
        enabled,
        safety,
        on_quorum_loss,
        run,
        promote,
        demote,
        reload,
        probe,
        restart,
        start_timeout,
        stop_timeout,
        after,
        needs,
        condition,
        exclusive,
        preemptible,
    } = package;
    let what = format!("package {name:?}");
    let original = faults.keep(&what, PackageName::new(name));
    let group = group.as_ref().map(|group| faults.keep(&what, GroupName::new(group)));
    let nodes: Option<Vec<NodeName>> = nodes
        .iter()
        .map(|node| faults.keep(&what, NodeName::new(node)))
        .collect::<Vec<_>>()
        .into_iter()
        .collect();
    let safety = match safety.as_str() {
        "lease" => Some(core::Fencing::Lease),
        "fenced" => Some(core::Fencing::Fenced),
        "token" => Some(core::Fencing::Token),
        other => {
            faults.say(format!(
                "{what}: safety {other:?}: expected \"lease\", \"fenced\" or \"token\""
            ));
            None
        }
    };
    let on_quorum_loss = match on_quorum_loss.as_str() {
        "stop" => Some(core::OnQuorumLoss::Stop),
        "freeze" => Some(core::OnQuorumLoss::Freeze),
        "reset" => Some(core::OnQuorumLoss::Reset),
        other => {
            faults.say(format!(
                "{what}: on_quorum_loss {other:?}: expected \"stop\", \"freeze\" or \"reset\""
            ));
            None
        }
    };
    if run.command.first().is_none_or(String::is_empty) {
        faults.say(format!(
            "{what}: run.command is empty: expected [\"/path/to/program\", \"argument\", …]"
        ));
    }
    let after: Option<Vec<PackageName>> = after
        .iter()
        .map(|name| faults.keep(&what, PackageName::new(name)))
        .collect();
    let needs = needs_to_core(&what, needs, faults);
    let probe = probe.as_ref().map(|probe| probe_to_core(&what, probe, faults));
    let wire::RunDefinition {
        command,
        env,
        directory,
    } = run;
    let run = core::RunSpec {
        command: command.clone(),
        environment: env.clone(),
        directory: directory.clone(),
        promote: promote.as_ref().map(|promote| promote.command.clone()),
        demote: demote.as_ref().map(|demote| demote.command.clone()),
        reload: reload.as_ref().map(|reload| reload.command.clone()),
        probe: probe.clone().flatten(),
        start_timeout: millis(*start_timeout),
        stop_timeout: millis(*stop_timeout),
    };
    let (Some(original), Some(nodes), Some(safety), Some(on_quorum_loss)) = (original, nodes, safety, on_quorum_loss)
    else {
        return Vec::new();
    };
    let (Some(after), Some(needs)) = (after, needs) else {
        return Vec::new();
    };
    if matches!(group, Some(None)) || matches!(probe, Some(None)) {
        return Vec::new();
    }
    let group = group.flatten();
    if *copies == 0 || *copies > COPIES_MAX {
        faults.say(format!("{what}: copies = {copies}: expected 1 to {COPIES_MAX}"));
        return Vec::new();
    }
    let mut specs = Vec::new();
    for copy in 1..=*copies {
        let name = if *copies == 1 {
            original.clone()
        } else {
            match faults.keep(&what, PackageName::new(&format!("{original}-{copy}"))) {
                Some(name) => name,
                None => return Vec::new(),
            }
        };
        specs.push(core::PackageSpec {
            name,
            copy_of: (*copies > 1).then(|| original.clone()),
            group: group.clone(),
            priority: *priority,
            load: core::Capacity(load.clone()),
            nodes: nodes.clone(),
            enabled: *enabled,
            safety,
            on_quorum_loss,
            restart: restart_to_core(restart),
            run: run.clone(),
            after: after.clone(),
            needs: needs.clone(),
            preemptible: *preemptible,
            exclusive: *exclusive,
            condition: condition.clone(),
        });
    }
    specs
}

/// Most copies of one definition: each is a row of the plan.
const COPIES_MAX: u32 = 10_000;

/// One definition, as a file would say it.
pub fn package_to_wire(package: &core::PackageSpec, name: String, copies: u32) -> wire::PackageDefinition {
    let core::PackageSpec {
        name: _,
        copy_of: _,
        group,
        priority,
        load,
        nodes,
        enabled,
        safety,
        on_quorum_loss,
        restart,
        run,
        after,
        needs,
        preemptible,
        exclusive,
        condition,
    } = package;
    let core::RunSpec {
        command,
        environment,
        directory,
        promote,
        demote,
        reload,
        probe,
        start_timeout,
        stop_timeout,
    } = run;
    let program = |command: &Vec<String>| wire::CommandDefinition {
        command: command.clone(),
    };
    wire::PackageDefinition {
        name,
        group: group.as_ref().map(|group| group.as_str().to_owned()),
        copies,
        priority: *priority,
        load: load.0.clone(),
        nodes: nodes.iter().map(|node| node.as_str().to_owned()).collect(),
        enabled: *enabled,
        safety: match safety {
            core::Fencing::Lease => "lease",
            core::Fencing::Fenced => "fenced",
            core::Fencing::Token => "token",
        }
        .to_owned(),
        on_quorum_loss: match on_quorum_loss {
            core::OnQuorumLoss::Stop => "stop",
            core::OnQuorumLoss::Freeze => "freeze",
            core::OnQuorumLoss::Reset => "reset",
        }
        .to_owned(),
        run: wire::RunDefinition {
            command: command.clone(),
            env: environment.clone(),
            directory: directory.clone(),
        },
        promote: promote.as_ref().map(program),
        demote: demote.as_ref().map(program),
        reload: reload.as_ref().map(program),
        probe: probe.as_ref().map(probe_to_wire),
        restart: restart_to_wire(restart),
        start_timeout: text(*start_timeout),
        stop_timeout: text(*stop_timeout),
        after: after.iter().map(|name| name.as_str().to_owned()).collect(),
        needs: needs.iter().map(ToString::to_string).collect(),
        condition: condition.clone(),
        exclusive: *exclusive,
        preemptible: *preemptible,
    }
}

fn restart_to_core(restart: &wire::RestartDefinition) -> core::RestartSpec {
    let wire::RestartDefinition { attempts, within } = restart;
    core::RestartSpec {
        attempts: *attempts,
        within: millis(*within),
    }
}

fn restart_to_wire(restart: &core::RestartSpec) -> wire::RestartDefinition {
    let core::RestartSpec { attempts, within } = restart;
    wire::RestartDefinition {
        attempts: *attempts,
        within: text(*within),
    }
}

fn millis(duration: DurationText) -> Millis {
    Millis(duration.ms)
}

fn text(length: Millis) -> DurationText {
    DurationText::from_ms(length.0)
}
