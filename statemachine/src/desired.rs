//! What a node is to run: the only thing that a daemon takes orders from.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::cluster::{OVERLOAD_DEFAULT, RESUME_DEFAULT};
use crate::command::{Capacity, Mode, OnQuorumLoss, Output, PackageSpec, RunSpec};
use crate::id::{Epoch, Generation, Index, NodeId, PackageName};
use crate::node::Node;
use crate::package::Phase;
use crate::plan::{maintenance, share};
use crate::resource::Need;
use crate::state::State;
use crate::time::Millis;

/// All that a node is to run. What is absent is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredSet {
    /// Its version; a daemon refuses an older one.
    pub generation: Generation,
    /// The instances, in the order of the packages' rows.
    pub instances: Vec<DesiredInstance>,
    /// What it is to have stopped and has not reported as ended: the package, and the epoch of its process. The node may
    /// never have heard of it, where it was placed and stopped again while the node was cut off.
    pub stopping: Vec<(PackageName, Epoch)>,
    /// The links, disks and services that packages of the cluster need: the node's daemon says how these are there.
    pub watch: Vec<Need>,
    /// Per cent of its capacity: at the first it is overloaded, below the second it is so no more.
    pub thresholds: (u32, u32),
}

/// One instance that a node is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredInstance {
    /// Which package.
    pub package: PackageName,
    /// The epoch of its process: another one than the running process has means stop and start.
    pub start: Epoch,
    /// The epoch of its present mode: equal to `start`, or larger after a change of mode in place.
    pub epoch: Epoch,
    /// What it is to be.
    pub mode: Mode,
    /// The mode of the users' own of which the package is told instead.
    pub own_mode: Option<Arc<str>>,
    /// Whether what it sends reaches the outside.
    pub output: Output,
    /// Wait this long before starting it.
    pub delay: Millis,
    /// Whether the lease's deadline is armed: not for `on_quorum_loss = freeze`.
    pub deadline: bool,
    /// Whether its node is reset once it was stopped because the lease ended.
    pub reset: bool,
    /// Nobody acts on what is seen of it: it is in maintenance.
    pub maintained: bool,
    /// Its share of each resource of the node; empty where shares are off.
    pub shares: Capacity,
    /// The definition that it is started with.
    pub spec: Arc<PackageSpec>,
    /// The definition that it is to be told of by its reload command.
    pub reload: Option<DesiredReload>,
}

/// A definition that a running instance is to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredReload {
    /// Names it: the answer says it again.
    pub revision: Index,
    /// The definition.
    pub spec: Arc<PackageSpec>,
}

impl DesiredInstance {
    /// How it is run.
    #[must_use]
    pub fn run(&self) -> &RunSpec {
        &self.spec.run
    }
}

/// What a node is to run now; none where there is no such node or it is not up.
#[must_use]
pub fn desired(state: &State, node: NodeId) -> Option<DesiredSet> {
    let node = state.node(node)?;
    let session = node.session()?;
    let mut shares = share::of_node(state, node);
    let instances = node.instances.iter().filter_map(|number| {
        let package = state.package_at(*number)?;
        let instance = package.instance.as_ref()?;
        if !instance.is_desired() || instance.session != session {
            return None;
        }
        Some(DesiredInstance {
            package: package.name().clone(),
            start: instance.start,
            epoch: instance.epoch,
            mode: instance.mode,
            own_mode: instance.own_mode.clone(),
            output: instance.output(),
            delay: instance.delay,
            deadline: instance.spec.on_quorum_loss != OnQuorumLoss::Freeze,
            reset: instance.spec.on_quorum_loss == OnQuorumLoss::Reset,
            maintained: maintenance::is_held(state, *number),
            shares: shares.remove(number).unwrap_or_default(),
            spec: instance.spec.clone(),
            reload: instance.reloading().map(|revision| DesiredReload {
                revision,
                spec: package.spec.clone(),
            }),
        })
    });
    let stopping = node.instances.iter().filter_map(|number| {
        let package = state.package_at(*number)?;
        let instance = package.instance.as_ref()?;
        let waits = matches!(instance.phase, Phase::Stopping { .. }) && instance.session == session;
        waits.then(|| (package.name().clone(), instance.start))
    });
    Some(DesiredSet {
        generation: node.generation,
        instances: instances.collect(),
        stopping: stopping.collect(),
        watch: state.needed().cloned().collect(),
        thresholds: state.cluster().map_or((OVERLOAD_DEFAULT, RESUME_DEFAULT), |cluster| {
            (cluster.spec.overload, cluster.spec.resume)
        }),
    })
}

/// What each package on a node gets of the node's resources; nothing where shares are off.
pub fn shares<'a>(state: &'a State, node: &Node) -> impl Iterator<Item = (&'a PackageName, Capacity)> {
    let shares = share::of_node(state, node).into_iter();
    shares.filter_map(|(number, share)| Some((state.package_at(number)?.name(), share)))
}
