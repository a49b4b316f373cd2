//! `If-Match`: a command that is refused where what it is about has changed since somebody looked at it.

use alloc::string::{String, ToString};

use crate::command::{Command, ConfigChange, Maintained};
use crate::draft::Draft;
use crate::event::EventId;
use crate::id::{Index, NodeName, PackageName};
use crate::outcome::Rejection;
use crate::package::Package;
use crate::state::State;

impl Command {
    /// The index that the command depends on, and the command itself.
    pub(super) fn unwrapped(&self) -> (Option<Index>, &Self) {
        #[allow(clippy::wildcard_enum_match_arm, reason = "every other command stands for itself")]
        match self {
            Self::IfUnchanged { since, command } => (Some(*since), command),
            _ => (None, self),
        }
    }
}

/// What a command is about.
enum About<'a> {
    Package(&'a PackageName),
    Node(&'a NodeName),
    Definitions(&'a [ConfigChange]),
    Cluster,
}

/// Refuses a command whose subject has changed since this index. Changed is: its definition, what is wished of it, or
/// anything that an event says of it. What is not there has not changed: the command itself says that it is unknown.
pub(super) fn check(draft: &Draft<'_>, since: Index, command: &Command) -> Result<(), Rejection> {
    let (what, found) = match about(command)? {
        About::Package(name) => (name.to_string(), of_package(draft.state, name)),
        About::Node(name) => (name.to_string(), of_node(draft.state, name)),
        About::Definitions(changes) => of_definitions(draft.state, changes),
        About::Cluster => (String::from("the cluster"), of_cluster(draft.state)),
    };
    if found > since {
        return Err(Rejection::SubjectChanged {
            what,
            expected: since,
            found,
        });
    }
    Ok(())
}

fn about(command: &Command) -> Result<About<'_>, Rejection> {
    Ok(match command {
        Command::SetWish { package, .. }
        | Command::Promote { package }
        | Command::Move { package, .. }
        | Command::Clear { package }
        | Command::Demote { package }
        | Command::SetMode { package, .. } => About::Package(package),
        Command::SetDrain { node, .. } | Command::ConfirmDown { node, .. } => About::Node(node),
        Command::BeginMaintenance { of, .. } | Command::EndMaintenance { of } => match of {
            Maintained::Cluster => About::Cluster,
            Maintained::Node(node) => About::Node(node),
            Maintained::Package(package) => About::Package(package),
        },
        Command::Configure { changes, .. } => About::Definitions(changes),
        Command::StopCluster | Command::StartCluster | Command::Rebalance { .. } => About::Cluster,
        Command::CreateCluster { .. }
        | Command::AddMember { .. }
        | Command::RemoveMember { .. }
        | Command::SetAttribute { .. }
        | Command::RegisterNode(_)
        | Command::Observe { .. }
        | Command::NodeLost { .. }
        | Command::ExtendLease { .. }
        | Command::LeaveNode { .. }
        | Command::Tick
        | Command::IfUnchanged { .. } => {
            let text = String::from("this command can't be made to depend on an index: send it without one");
            return Err(Rejection::Invalid { text });
        }
    })
}

fn of_trail(trail: Option<EventId>) -> Index {
    trail.map_or(Index(0), |event| event.index)
}

fn of_row(package: &Package) -> Index {
    package.changed.max(of_trail(package.trail))
}

fn of_package(state: &State, name: &PackageName) -> Index {
    state.package(name).map_or(Index(0), of_row)
}

fn of_node(state: &State, name: &NodeName) -> Index {
    state.node_by_name(name).map_or(Index(0), |node| of_trail(node.trail))
}

/// The packages that are defined otherwise, each for itself; of everything else the definitions as a whole.
fn of_definitions(state: &State, changes: &[ConfigChange]) -> (String, Index) {
    let mut latest = (String::from("nothing"), Index(0));
    for change in changes {
        let (what, index) = match change {
            ConfigChange::PutPackage(spec) => (spec.name.to_string(), of_package(state, &spec.name)),
            ConfigChange::RemovePackage(name) => (name.to_string(), of_package(state, name)),
            ConfigChange::PutCluster(_)
            | ConfigChange::PutGroup(_)
            | ConfigChange::RemoveGroup(_)
            | ConfigChange::PutRules(_) => {
                let index = state.cluster().map_or(Index(0), |cluster| cluster.config_index);
                (String::from("the configuration"), index)
            }
        };
        if index > latest.1 {
            latest = (what, index);
        }
    }
    latest
}

/// Anything at all: what is asked of the whole cluster touches everything in it.
fn of_cluster(state: &State) -> Index {
    let own = state.cluster().map(|cluster| cluster.config_index.max(cluster.acted));
    let packages = state.packages.iter().map(|(_, package)| of_row(package));
    let groups = state.groups.iter().map(|(_, group)| of_trail(group.trail));
    let nodes = state.nodes().map(|node| of_trail(node.trail));
    own.into_iter()
        .chain(packages)
        .chain(groups)
        .chain(nodes)
        .max()
        .unwrap_or(Index(0))
}
