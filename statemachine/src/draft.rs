//! One entry being applied: the state, what has happened so far, and what is still to be planned.
//!
//! Every change of an instance goes through one of the verbs here ([`Draft::start`], [`Draft::promote`],
//! [`Draft::stop`], [`Draft::release`]), so that node lists, room, generations and events can't get out of step.

mod claim;
mod instance;
mod mentions;
mod reload;
mod waiting;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::effect::Effect;
use crate::entry::Entry;
use crate::event::{Event, EventId, EventKind};
use crate::id::{GroupIx, Index, NodeIx, NodeName, PackageIx, PackageName};
use crate::node::{Moment, Node};
use crate::package::{Package, Rank};
use crate::room::Room;
use crate::state::{Deadline, State, Unit};
use crate::time::Timestamp;

pub(crate) use instance::Release;
pub(crate) use mentions::remember;

/// What an event follows from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// Nothing in the cluster: it came from outside, or a rule wants it ([`Draft::actor`]).
    Outside,
    /// The last event about the same subject.
    Trail,
    /// This event.
    Of(Option<EventId>),
}

/// One entry being applied.
pub(crate) struct Draft<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) index: Index,
    pub(crate) now: Moment,
    /// Units to be planned, in order of rank.
    pub(crate) units: BTreeSet<(Rank, Unit)>,
    /// Nodes that have more room than before.
    pub(crate) gained: BTreeSet<NodeIx>,
    /// Every unit that waits is planned: placing has just begun.
    pub(crate) wake_all: bool,
    /// Packages whose load has grown where they run.
    pub(crate) grown: BTreeSet<PackageIx>,
    /// The event of the rule on whose behalf a command is carried out; none for everybody else.
    pub(crate) actor: Option<EventId>,
    touched: BTreeSet<NodeIx>,
    events: Vec<Event>,
    effects: Vec<Effect>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(state: &'a mut State, entry: &Entry) -> Self {
        let now = Moment {
            at: state.at,
            wall_ms: entry.wall_ms,
        };
        Self {
            state,
            index: entry.index,
            now,
            units: BTreeSet::new(),
            gained: BTreeSet::new(),
            wake_all: false,
            grown: BTreeSet::new(),
            actor: None,
            touched: BTreeSet::new(),
            events: Vec::new(),
            effects: Vec::new(),
        }
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.now.at
    }

    /// Gives every node whose desired set changed its next generation: once an entry.
    pub(crate) fn number_generations(&mut self) {
        for number in core::mem::take(&mut self.touched) {
            let Some(node) = self.state.nodes.get_mut(number.0) else {
                continue;
            };
            node.generation = node.generation.next();
            self.effects.push(Effect::NodeGeneration {
                node: node.id,
                generation: node.generation,
            });
        }
    }

    pub(crate) fn into_parts(self) -> (Vec<Event>, Vec<Effect>) {
        (self.events, self.effects)
    }

    /// What has happened so far, in order.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// Takes back the last event: nothing came of it.
    pub(crate) fn retract(&mut self) {
        self.events.pop();
    }

    /// Marks a unit to be planned.
    pub(crate) fn plan_unit(&mut self, unit: Unit) {
        if let Some(rank) = self.state.unit_rank(unit) {
            self.units.insert((rank, unit));
        }
    }

    /// Marks a package's unit to be planned.
    pub(crate) fn plan_package(&mut self, package: PackageIx) {
        self.plan_unit(self.state.unit_of(package));
    }

    /// Marks a node's desired set as changed.
    pub(crate) fn touch(&mut self, node: NodeIx) {
        self.touched.insert(node);
    }

    /// Marks the desired sets of all nodes that are up as changed: what they are to look at has.
    pub(crate) fn touch_all(&mut self) {
        let up = self.state.nodes.iter().filter(|(_, node)| node.is_up());
        self.touched.extend(up.map(|(number, _)| NodeIx(number)));
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Changes a node and brings its room up to date.
    pub(crate) fn change_node(&mut self, number: NodeIx, change: impl FnOnce(&mut Node)) {
        let Some(node) = self.state.nodes.get_mut(number.0) else {
            return;
        };
        change(node);
        let room = Room::of(node, &self.state.dimensions);
        let claims = node.claims.clone();
        self.state.rooms.set(number, room);
        self.state.yielding.mark(number);
        for package in claims {
            self.plan_package(package);
        }
    }

    /// Changes a package; nothing that its node's list or room depends on.
    pub(crate) fn change_package(&mut self, number: PackageIx, change: impl FnOnce(&mut Package)) {
        self.state.change_row(number, change);
    }

    pub(crate) fn set_deadline(&mut self, at: Timestamp, deadline: Deadline) {
        alloc::sync::Arc::make_mut(&mut self.state.deadlines).insert((at, deadline));
    }

    pub(crate) fn drop_deadline(&mut self, at: Timestamp, deadline: Deadline) {
        alloc::sync::Arc::make_mut(&mut self.state.deadlines).remove(&(at, deadline));
    }

    /// Records an event about no package, group or node.
    pub(crate) fn say(&mut self, cause: Option<EventId>, kind: EventKind) -> EventId {
        let sequence = u32::try_from(self.events.len()).unwrap_or(u32::MAX);
        let id = EventId {
            index: self.index,
            sequence,
        };
        self.events.push(Event {
            id,
            at: self.now.at,
            wall_ms: self.now.wall_ms,
            cause,
            kind,
            group: None,
            alone: false,
        });
        id
    }

    /// Records an event about a package: the next one about it follows from it.
    pub(crate) fn say_package(&mut self, number: PackageIx, cause: Cause, kind: EventKind) -> EventId {
        let trail = self.state.package_at(number).and_then(|package| package.trail);
        let id = self.say(self.resolve(cause, trail), kind);
        let group = self.state.package_at(number).and_then(|package| package.group);
        let group = group.and_then(|group| self.state.group_at(group));
        if let Some(event) = self.events.last_mut() {
            event.group = group.map(|group| group.name().clone());
            event.alone = group.is_some_and(|group| !group.has_one_active());
        }
        self.change_package(number, |package| package.trail = Some(id));
        id
    }

    /// Records an event about a group.
    pub(crate) fn say_group(&mut self, number: GroupIx, cause: Cause, kind: EventKind) -> EventId {
        let trail = self.state.group_at(number).and_then(|group| group.trail);
        let id = self.say(self.resolve(cause, trail), kind);
        if let Some(group) = self.state.groups.get_mut(number.0) {
            group.trail = Some(id);
        }
        id
    }

    /// Records an event about a node.
    pub(crate) fn say_node(&mut self, number: NodeIx, cause: Cause, kind: EventKind) -> EventId {
        let trail = self.state.node_at(number).and_then(|node| node.trail);
        let id = self.say(self.resolve(cause, trail), kind);
        if let Some(node) = self.state.nodes.get_mut(number.0) {
            node.trail = Some(id);
        }
        id
    }

    /// The names of a package and a node, for an event.
    pub(crate) fn names(&self, package: PackageIx, node: NodeIx) -> Option<(PackageName, NodeName)> {
        Some((
            self.state.package_at(package)?.name().clone(),
            self.state.node_at(node)?.name.clone(),
        ))
    }

    fn resolve(&self, cause: Cause, trail: Option<EventId>) -> Option<EventId> {
        match cause {
            Cause::Outside => self.actor,
            Cause::Trail => trail,
            Cause::Of(event) => event,
        }
    }
}
