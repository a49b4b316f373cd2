//! The verbs that change an instance.

use alloc::sync::Arc;

use super::{Cause, Draft};
use crate::command::{Mode, Output};
use crate::event::{EventId, EventKind, Placement, Proof};
use crate::group::Vacancy;
use crate::id::{Epoch, NodeIx, PackageIx};
use crate::package::{Instance, Phase};
use crate::plan::free_run::{manner, told_output};
use crate::plan::maintenance;
use crate::reason::Reason;

/// How an instance came to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    /// How that is known.
    pub(crate) proof: Proof,
    /// Nobody asked for it: what takes over counts as a failover.
    pub(crate) failure: bool,
    /// Whether it is placed again on the same node if it may run there.
    pub(crate) stay: bool,
    /// What it follows from.
    pub(crate) cause: Cause,
}

impl Draft<'_> {
    fn next_epoch(&mut self) -> Epoch {
        self.state.epoch = self.state.epoch.next();
        self.state.epoch
    }

    /// Puts an instance on a node: it starts under a new epoch.
    pub(crate) fn start(&mut self, number: PackageIx, node: NodeIx, mode: Mode, cause: Cause) {
        let Some(session) = self.state.node_at(node).and_then(crate::node::Node::session) else {
            return;
        };
        let Some((name, node_name)) = self.names(number, node) else {
            return;
        };
        let (mode, output) = manner(self.state, number, mode);
        self.drop_claim(number);
        let epoch = self.next_epoch();
        let now = self.now;
        let last = self.state.package_at(number).and_then(|package| package.last);
        let from = last
            .filter(|last| *last != node)
            .and_then(|last| self.state.node_at(last));
        let after = match (last, from) {
            (_, Some(from)) => Placement::Move {
                from: from.name.clone(),
            },
            (Some(_), None) => Placement::Restart,
            (None, None) => Placement::First,
        };
        let started = self.state.change_row(number, |package| {
            let within = package.spec.restart.within;
            if last == Some(node) {
                package.failures.retain(|failure| now.at.since(*failure) < within);
            } else {
                package.failures.clear();
            }
            let delay = package.back_off();
            package.last = Some(node);
            package.prefer = None;
            package.idle = None;
            let own_mode = package.own_mode.clone().filter(|_| mode == Mode::Test);
            let told_mode = own_mode.clone();
            package.instance = Some(Instance {
                node,
                session,
                start: epoch,
                epoch,
                mode,
                phase: Phase::Starting,
                since: now,
                delay,
                spec: package.spec.clone(),
                revision: package.revision,
                load: package.load,
                detail: Arc::from(""),
                output,
                score: None,
                busy: false,
                own_mode,
                held: false,
                reload: None,
            });
            (package.load, package.spec.exclusive, delay, told_mode)
        });
        let Some((load, alone, delay, told_mode)) = started else {
            return;
        };
        self.change_node(node, |node| {
            if let Err(place) = node.instances.binary_search(&number) {
                node.instances.insert(place, number);
            }
            node.planned = node.planned.plus(load);
            node.alone = node.alone.saturating_add(u32::from(alone));
        });
        self.shake(number);
        self.touch(node);
        self.say_package(
            number,
            cause,
            EventKind::Placed {
                package: name,
                node: node_name,
                mode,
                epoch,
                delay,
                after,
                output: told_output(self.state, number),
                own_mode: told_mode,
            },
        );
    }

    /// Tells a standby to be active, in place: a new epoch, the same process.
    pub(crate) fn promote(&mut self, number: PackageIx, vacancy: Option<Vacancy>) {
        let Some(node) = self
            .state
            .package_at(number)
            .and_then(|package| package.instance.as_ref())
            .map(|it| it.node)
        else {
            return;
        };
        let Some((package, node_name)) = self.names(number, node) else {
            return;
        };
        let epoch = self.next_epoch();
        let now = self.now;
        self.change_instance(number, |instance| {
            let from = instance.mode;
            instance.mode = Mode::Active;
            instance.output = Output::Released;
            instance.epoch = epoch;
            instance.since = now;
            if instance.phase == Phase::Running {
                instance.phase = Phase::Changing { from };
            }
        });
        self.touch(node);
        let from = vacancy
            .and_then(|vacancy| self.state.node_at(vacancy.node))
            .map(|node| node.name.clone());
        let cause = vacancy.map_or(Cause::Trail, |vacancy| Cause::Of(vacancy.cause));
        self.say_package(
            number,
            cause,
            EventKind::Promoted {
                package,
                node: node_name,
                epoch,
                from,
                output: told_output(self.state, number),
            },
        );
    }

    /// Takes an instance out of its node's desired set. It counts, and holds its unit, until its end is proven.
    pub(crate) fn stop(&mut self, number: PackageIx, why: Reason, cause: Cause) {
        let Some(instance) = self
            .state
            .package_at(number)
            .and_then(|package| package.instance.as_ref())
        else {
            return;
        };
        if !instance.is_live() || maintenance::is_held(self.state, number) {
            return;
        }
        let node = instance.node;
        let prefer = match why {
            Reason::Redefined | Reason::Promoted { .. } | Reason::ModeChange { .. } | Reason::OwnMode { .. } => {
                Some(node)
            }
            Reason::Moved { ref to } => self.state.nodes_by_name.get(to).copied(),
            Reason::Stopped
            | Reason::ClusterStopped
            | Reason::Removed
            | Reason::Reserve { .. }
            | Reason::WaitsForNodes
            | Reason::NoNode { .. }
            | Reason::Failed { .. }
            | Reason::Exhausted { .. }
            | Reason::Drained
            | Reason::Shed { .. }
            | Reason::NotAllowed
            | Reason::NoRoom
            | Reason::Surplus { .. }
            | Reason::Maintenance { .. }
            | Reason::Preempted { .. }
            | Reason::Unmet { .. }
            | Reason::Excluded { .. }
            | Reason::AwaitsRoom { .. }
            | Reason::GroupMoves { .. }
            | Reason::GroupLeaves { .. }
            | Reason::NeedLost { .. } => None,
        };
        let Some((package, node_name)) = self.names(number, node) else {
            return;
        };
        let now = self.now;
        let load = instance.load;
        let leaves = !why.returns();
        self.change_package(number, |package| {
            package.prefer = prefer;
            if let Some(instance) = package.instance.as_mut() {
                instance.phase = Phase::Stopping { why: why.clone() };
                instance.since = now;
            }
        });
        if leaves {
            self.count_leaving(node, load);
        }
        self.shake(number);
        self.touch(node);
        self.say_package(
            number,
            cause,
            EventKind::Stopping {
                package,
                node: node_name,
                why,
            },
        );
    }

    /// Records that nothing of an instance is left: its unit may be granted again, its room is free.
    pub(crate) fn release(&mut self, number: PackageIx, release: Release) {
        let place = self
            .state
            .package_at(number)
            .and_then(|package| package.instance.as_ref())
            .and_then(|instance| self.state.node_at(instance.node));
        let maintained = place
            .filter(|node| node.maintenance.is_some())
            .map(|node| node.name.clone());
        let taken = self.state.change_row(number, |package| {
            let instance = package.instance.take()?;
            let asked = match &instance.phase {
                Phase::Stopping { why } => Some(why.clone()),
                Phase::Starting | Phase::Running | Phase::Changing { .. } | Phase::Failing { .. } | Phase::Stranded => {
                    None
                }
            };
            match &asked {
                None => {
                    package.prefer = release.stay.then_some(instance.node);
                    package.idle = maintained.map(|node| Reason::Maintenance { node: Some(node) });
                }
                Some(Reason::Stopped | Reason::Removed) => package.last = None,
                Some(_) => {}
            }
            Some((instance, asked))
        });
        let Some((instance, asked)) = taken.flatten() else {
            return;
        };
        let node = instance.node;
        self.change_node(node, |node| {
            node.instances.retain(|there| *there != number);
            node.planned = node.planned.minus(instance.load);
            node.alone = node.alone.saturating_sub(u32::from(instance.spec.exclusive));
            if instance.is_leaving() {
                node.leaving = node.leaving.minus(instance.load);
            }
        });
        self.shake(number);
        if instance.is_desired() {
            self.touch(node);
        }
        self.gained.insert(node);
        if let Some((package, node)) = self.names(number, node) {
            let kind = EventKind::Ended {
                package,
                node,
                mode: instance.mode,
                proof: release.proof,
                epoch: instance.epoch,
                held: instance.holds_unit(),
                stranded: instance.phase == Phase::Stranded,
            };
            self.say_package(number, release.cause, kind);
        }
        if instance.holds_unit() {
            let cause = match release.cause {
                Cause::Of(cause) => cause,
                Cause::Outside | Cause::Trail => self.trail_of(number),
            };
            let failure = release.failure && asked.as_ref().is_none_or(Reason::is_failure);
            self.vacate(
                number,
                Vacancy {
                    package: number,
                    node,
                    failure,
                    cause,
                },
            );
        }
        self.plan_package(number);
    }

    /// Leaves an instance where it is although its node is lost: only a confirmation releases it.
    pub(crate) fn strand(&mut self, number: PackageIx, cause: Cause) {
        let Some((node, epoch, held)) = self
            .state
            .package_at(number)
            .and_then(|package| package.instance.as_ref())
            .map(|it| (it.node, it.epoch, it.holds_unit()))
        else {
            return;
        };
        let now = self.now;
        let left = self
            .state
            .package_at(number)
            .and_then(|package| package.instance.as_ref())
            .filter(|instance| instance.is_leaving())
            .map(|instance| instance.load);
        self.change_instance(number, |instance| {
            instance.phase = Phase::Stranded;
            instance.since = now;
        });
        if let Some(load) = left {
            self.change_node(node, |node| node.leaving = node.leaving.minus(load));
        }
        self.shake(number);
        self.touch(node);
        if let Some((package, node)) = self.names(number, node) {
            let kind = EventKind::Stranded {
                package,
                node,
                epoch,
                held,
            };
            self.say_package(number, cause, kind);
        }
        self.plan_package(number);
    }

    pub(crate) fn change_instance(&mut self, number: PackageIx, change: impl FnOnce(&mut Instance)) {
        self.change_package(number, |package| {
            if let Some(instance) = package.instance.as_mut() {
                change(instance);
            }
        });
    }

    /// Counts a failure on the node where the package is; gives how many count.
    pub(crate) fn record_failure(&mut self, number: PackageIx) -> u32 {
        let now = self.at();
        let mut failures = 0;
        self.change_package(number, |package| {
            let within = package.spec.restart.within;
            package.failures.retain(|failure| now.since(*failure) < within);
            package.failures.push(now);
            failures = u32::try_from(package.failures.len()).unwrap_or(u32::MAX);
        });
        failures
    }

    fn trail_of(&self, number: PackageIx) -> Option<EventId> {
        self.state.package_at(number).and_then(|package| package.trail)
    }

    /// Remembers in the group who was active last.
    fn vacate(&mut self, number: PackageIx, vacancy: Vacancy) {
        let group = self.state.package_at(number).and_then(|package| package.group);
        if let Some(group) = group.and_then(|group| self.state.groups.get_mut(group.0)) {
            group.vacancy = Some(vacancy);
        }
    }
}
