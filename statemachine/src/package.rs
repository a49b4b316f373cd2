//! A package: its definition, what is wished of it, and its instance.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::{EndCause, Fencing, Mode, OnQuorumLoss, Output, PackageSpec, Wish};
use crate::digest::{Feed, Hasher};
use crate::event::EventId;
use crate::id::{Epoch, GroupIx, Index, NodeIx, PackageName, SessionId};
use crate::load::Loads;
use crate::node::Moment;
use crate::reason::Reason;
use crate::reload::Reload;
use crate::rules::condition::Expression;
use crate::subject::Subject;
use crate::time::{Millis, Timestamp};

/// Back-off before the first repeated restart; it doubles with each further failure.
pub const BACK_OFF_FIRST: Millis = Millis(1_000);

/// The longest back-off.
pub const BACK_OFF_MAX: Millis = Millis(30_000);

/// The one order of everything: given priorities first, 1 highest; ties and missing ones by the order of definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The given priority, or the largest number.
    pub priority: u32,
    /// The place in the order of definition.
    pub order: u64,
}

/// The order in which packages give way, the most important first: every active one goes before every standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Importance {
    /// It is no active one: redundancy goes before service.
    pub spare: bool,
    /// Its rank.
    pub rank: Rank,
}

/// A package that is defined, or that was removed and still runs.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its definition.
    pub spec: Arc<PackageSpec>,
    /// The hash of its definition.
    pub spec_digest: u64,
    /// Its place in the order of definition: a redefinition keeps it.
    pub order: u64,
    /// The last entry that changed its definition or its wish.
    pub changed: Index,
    /// The last entry that changed how it is run: an instance of an older one is reloaded or restarted.
    pub revision: Index,
    /// What it is to do.
    pub wish: Wish,
    /// Where it is to run in test: the mode of the users' own that it is to have instead.
    pub own_mode: Option<Arc<str>>,
    /// It was removed, and is gone once its instance has ended.
    pub removing: bool,
    /// Its group.
    pub group: Option<GroupIx>,
    /// Its load as a vector.
    pub load: Loads,
    /// Where it runs, starts or still stops: a package is in one place at most.
    pub instance: Option<Instance>,
    /// Where it is to be placed next if it may run there: after a failure in place, or where an operator moved it.
    pub prefer: Option<NodeIx>,
    /// Where it was last placed.
    pub last: Option<NodeIx>,
    /// Its recent failures there.
    pub failures: Vec<Timestamp>,
    /// Nodes on which it failed too often.
    pub bans: Vec<Ban>,
    /// Why it has no instance, where it has none.
    pub idle: Option<Reason>,
    /// The last event about it: the cause of the next one.
    pub trail: Option<EventId>,
    /// The manager touches nothing of it, or of its group.
    pub maintenance: Option<crate::cluster::Maintenance>,
    /// Where room is kept for it until what is being stopped there has ended.
    pub claim: Option<NodeIx>,
    /// Its condition, with names that can be looked up; none: it may run beside anything.
    pub(crate) condition: Option<Arc<Expression<Subject>>>,
}

/// A package isn't placed on this node again before it registers anew, or somebody says `clear` or `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The node.
    pub node: NodeIx,
    /// The session during which it failed there: another one lifts the ban.
    pub session: SessionId,
    /// How often it failed.
    pub failures: u32,
}

/// One package on one node.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Where.
    pub node: NodeIx,
    /// The session of the node under which it was started.
    pub session: SessionId,
    /// The epoch of its process.
    pub start: Epoch,
    /// The epoch of its present mode.
    pub epoch: Epoch,
    /// What it is to be; where it stops, what it was to be: an active one holds its unit until it has ended.
    pub mode: Mode,
    /// What is known of it.
    pub phase: Phase,
    /// Since when it is in this phase.
    pub since: Moment,
    /// The daemon waits this long before it starts it.
    pub delay: Millis,
    /// The definition that it was started with.
    pub spec: Arc<PackageSpec>,
    /// That definition's [`Package::revision`].
    pub revision: Index,
    /// What it counts with on its node.
    pub load: Loads,
    /// What its daemon last said of it, for people.
    pub detail: Arc<str>,
    /// Whether what it sends reaches the outside. In a free-run group all members are active and one is released: what
    /// may be there only once is the release.
    pub output: Output,
    /// How fit it said it is to be promoted; negative: it must not be. None: it has not said.
    pub score: Option<i64>,
    /// It said that it is busy: shedding passes it over.
    pub busy: bool,
    /// The mode of the users' own in which it is; then `mode` is test, of which such a mode is a kind.
    pub own_mode: Option<Arc<str>>,
    /// It has its place in its together group and its turn has not come: its node is not told of it yet.
    pub held: bool,
    /// How far it is with a reload to the package's present definition.
    pub reload: Option<Reload>,
}

/// What is known of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its node is to start it; it has not answered yet.
    Starting,
    /// It has answered that it is in its mode.
    Running,
    /// It runs in another mode and was told of its present one.
    Changing {
        /// The mode that it answered last.
        from: Mode,
    },
    /// It failed and is being killed; nothing is proven yet.
    Failing {
        /// Why.
        cause: EndCause,
    },
    /// It has left the desired set; it counts until its end is proven.
    Stopping {
        /// Why.
        why: Reason,
    },
    /// Its node is lost and nothing proves that it has ended: an operator or the node itself must say so.
    Stranded,
}

impl Instance {
    /// Whether it is what its unit's other instances wait for: active with its output released, and not proven to have
    /// ended.
    #[must_use]
    pub fn holds_unit(&self) -> bool {
        self.mode == Mode::Active && self.output == Output::Released
    }

    /// Whether it waits to take its unit over: a standby, or in a free-run group one whose output is inhibited.
    #[must_use]
    pub fn stands_by(&self) -> bool {
        match self.mode {
            Mode::Standby => true,
            Mode::Active => self.output == Output::Inhibited,
            Mode::Test => false,
        }
    }

    /// Whether it runs as others of a free-run group do, and its output alone is inhibited.
    #[must_use]
    pub fn is_inhibited(&self) -> bool {
        self.mode == Mode::Active && self.output == Output::Inhibited
    }

    /// Whether it is to go on: neither stopping nor failing nor stranded.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self.phase {
            Phase::Starting | Phase::Running | Phase::Changing { .. } => true,
            Phase::Failing { .. } | Phase::Stopping { .. } | Phase::Stranded => false,
        }
    }

    /// Whether its node's desired set holds it.
    #[must_use]
    pub fn is_desired(&self) -> bool {
        match self.phase {
            Phase::Starting => !self.held,
            Phase::Running | Phase::Changing { .. } | Phase::Failing { .. } => true,
            Phase::Stopping { .. } | Phase::Stranded => false,
        }
    }

    /// Whether it has answered that it is in its mode, and goes on.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether its end is only the first half of a restart where it is.
    #[must_use]
    pub fn returns(&self) -> bool {
        match &self.phase {
            Phase::Failing { .. } => true,
            Phase::Stopping { why } => why.returns(),
            Phase::Starting | Phase::Running | Phase::Changing { .. } | Phase::Stranded => false,
        }
    }

    /// Whether it is being stopped and its room becomes free for others.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(&self.phase, Phase::Stopping { why } if !why.returns())
    }

    /// Its place in the order in which packages are stopped to make room, the last one first.
    #[must_use]
    pub fn importance(&self, package: &Package) -> Importance {
        Importance {
            spare: !self.holds_unit(),
            rank: package.rank(),
        }
    }

    /// The word for its mode.
    #[must_use]
    pub fn mode_name(&self) -> &str {
        self.own_mode.as_deref().unwrap_or(crate::event::mode_word(self.mode))
    }

    /// Whether what it sends reaches the outside.
    #[must_use]
    pub fn output(&self) -> Output {
        self.output
    }

    /// Whether the loss of its node proves nothing: it may go on without a quorum, or must not be taken over unproven.
    #[must_use]
    pub fn outlives_lease(&self, package: &Package) -> bool {
        let fenced = package.spec.safety == Fencing::Fenced || self.spec.safety == Fencing::Fenced;
        // What is held was never told to start.
        self.holds_unit() && !self.held && (fenced || self.spec.on_quorum_loss == OnQuorumLoss::Freeze)
    }
}

/// A package at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageState {
    /// It has answered that it is in its mode.
    Running,
    /// It is being started or told of a change of mode.
    Starting,
    /// It is being stopped, or failed and is being killed.
    Stopping,
    /// Nobody wants it to run, or it is in reserve.
    Stopped,
    /// It is to run and can't at the moment.
    Waiting,
    /// It is to run and failed too often.
    Failed,
}

impl PackageState {
    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
        }
    }
}

impl Package {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &PackageName {
        &self.spec.name
    }

    /// Its place in the one order.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank {
            priority: self.spec.priority.unwrap_or(u32::MAX),
            order: self.order,
        }
    }

    /// How important it is where it is active.
    #[must_use]
    pub fn as_active(&self) -> Importance {
        Importance {
            spare: false,
            rank: self.rank(),
        }
    }

    /// What it does, in one word.
    #[must_use]
    pub fn state(&self) -> PackageState {
        match &self.instance {
            Some(instance) => match instance.phase {
                Phase::Running => PackageState::Running,
                Phase::Starting | Phase::Changing { .. } => PackageState::Starting,
                Phase::Failing { .. } | Phase::Stopping { .. } => PackageState::Stopping,
                Phase::Stranded => PackageState::Waiting,
            },
            None => self.idle.as_ref().map_or(PackageState::Stopped, Reason::idle_state),
        }
    }

    /// How long the next start waits, after so many failures: nothing after the first, then 1 s, 2 s, 4 s … 30 s.
    pub(crate) fn back_off(&self) -> Millis {
        let Some(repeats) = self.failures.len().checked_sub(2) else {
            return Millis(0);
        };
        let doublings = u32::try_from(repeats).unwrap_or(u32::MAX).min(16);
        Millis(BACK_OFF_FIRST.0.saturating_mul(1u64 << doublings).min(BACK_OFF_MAX.0))
    }

    /// Forgets its failures and bans.
    pub(crate) fn forget_failures(&mut self) {
        self.failures.clear();
        self.bans.clear();
    }
}

impl Feed for Package {
    fn feed(&self, hasher: &mut Hasher) {
        let Self {
            spec: _,
            spec_digest,
            order,
            changed,
            revision,
            wish,
            own_mode,
            removing,
            group,
            load,
            instance,
            prefer,
            last,
            failures,
            bans,
            idle,
            trail,
            maintenance,
            claim,
            condition: _,
        } = self;
        spec_digest.feed(hasher);
        order.feed(hasher);
        changed.feed(hasher);
        revision.feed(hasher);
        wish.feed(hasher);
        removing.feed(hasher);
        group.feed(hasher);
        load.feed(hasher);
        instance.feed(hasher);
        prefer.feed(hasher);
        last.feed(hasher);
        failures.feed(hasher);
        bans.feed(hasher);
        idle.feed(hasher);
        trail.feed(hasher);
        // Fed only where there is some, so that logs from before it was there keep their digests.
        if let Some(maintenance) = maintenance {
            hasher.word(0x6d61_696e_7400);
            maintenance.feed(hasher);
        }
        // The same of modes.
        if let Some(own_mode) = own_mode {
            hasher.word(0x6d6f_6465_0000);
            own_mode.feed(hasher);
        }
        // Fed only where there is one, so that logs from before there were claims keep their digests.
        if let Some(claim) = claim {
            hasher.word(0x636c_6169_6d00);
            claim.feed(hasher);
        }
    }
}

impl Feed for Ban {
    fn feed(&self, hasher: &mut Hasher) {
        let Self {
            node,
            session,
            failures,
        } = self;
        node.feed(hasher);
        session.feed(hasher);
        failures.feed(hasher);
    }
}

impl Feed for Instance {
    fn feed(&self, hasher: &mut Hasher) {
        let Self {
            node,
            session,
            start,
            epoch,
            mode,
            phase,
            since,
            delay,
            spec: _,
            revision,
            load,
            detail,
            output: _,
            score,
            busy,
            own_mode,
            held,
            reload,
        } = self;
        node.feed(hasher);
        session.feed(hasher);
        start.feed(hasher);
        epoch.feed(hasher);
        mode.feed(hasher);
        phase.feed(hasher);
        since.feed(hasher);
        delay.feed(hasher);
        revision.feed(hasher);
        load.feed(hasher);
        detail.feed(hasher);
        // Fed only where they say something, so that logs from before they were kept have the same digests.
        if self.is_inhibited() {
            hasher.word(1);
        }
        if let Some(score) = score {
            hasher.word(2);
            hasher.word(score.cast_unsigned());
        }
        if *busy {
            hasher.word(3);
        }
        if *held {
            hasher.word(4);
        }
        if let Some(own_mode) = own_mode {
            hasher.word(5);
            own_mode.feed(hasher);
        }
        if let Some(reload) = reload {
            hasher.word(6);
            reload.feed(hasher);
        }
    }
}

impl Feed for Phase {
    fn feed(&self, hasher: &mut Hasher) {
        match self {
            Self::Starting => hasher.word(0),
            Self::Running => hasher.word(1),
            Self::Changing { from } => {
                hasher.word(2);
                from.feed(hasher);
            }
            Self::Failing { cause } => {
                hasher.word(3);
                cause.feed(hasher);
            }
            Self::Stopping { why } => {
                hasher.word(4);
                why.feed(hasher);
            }
            Self::Stranded => hasher.word(5),
        }
    }
}
