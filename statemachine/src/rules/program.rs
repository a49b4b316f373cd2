//! Rules that were checked: every word has its meaning, and every event finds its rules at once.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::ast::Comparison;
use super::error::Place;
use super::vocabulary::{Kind, Trigger};
use crate::id::{NodeName, PackageName};

/// All rules of a cluster, in the order of their text.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// Which rules an event of a resource fires, in the order of their text.
    index: BTreeMap<(Kind, Trigger), BTreeMap<Arc<str>, Vec<u32>>>,
}

impl RuleSet {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let mut index: BTreeMap<_, BTreeMap<Arc<str>, Vec<u32>>> = BTreeMap::new();
        for (number, rule) in (0u32..).zip(&rules) {
            let of_kind = index.entry((rule.kind, rule.trigger)).or_default();
            of_kind.entry(rule.name.clone()).or_default().push(number);
        }
        Self { rules, index }
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// All rules, in the order of their text.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The rules that an event of a resource fires, in the order of their text.
    pub fn matching(&self, kind: Kind, trigger: Trigger, name: &str) -> impl Iterator<Item = &Rule> {
        let numbers = self.index.get(&(kind, trigger)).and_then(|names| names.get(name));
        let places = numbers.into_iter().flatten();
        places.filter_map(|number| self.rules.get(usize::try_from(*number).ok()?))
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it stands.
    pub place: Place,
    /// The kind of the resource whose event fires it.
    pub kind: Kind,
    /// That resource's name.
    pub name: Arc<str>,
    /// What fires it.
    pub trigger: Trigger,
    /// That event as it is written.
    pub(super) event: &'static str,
    pub(super) body: Vec<Statement>,
}

/// As it begins in the text, with its line: `pkg1 (halt), line 4`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, event, .. } = self;
        if *kind != Kind::Package {
            write!(f, "{kind}:")?;
        }
        write!(f, "{name} ({event}), line {}", self.place.line)
    }
}

#[derive(Clone, Debug)]
pub(super) enum Statement {
    If {
        condition: Condition,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    Act(Action),
}

#[derive(Clone, Debug)]
pub(super) enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Compare {
        left: Operand,
        comparison: Comparison,
        right: Operand,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Attribute { name: Arc<str>, attribute: Attribute },
    Word(Arc<str>),
    Number(u64),
}

/// What can be asked of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `up` or `down`: whether it runs, and is to go on.
    PackageState,
    /// Where it runs; nothing where it does not.
    PackageNode,
    /// `active`, `standby`, `test` or `stopped`.
    PackageMode,
    /// `released` or `inhibited`; nothing where it does not run.
    PackageOutput,
    /// The priority that it was given; nothing where it was given none.
    PackagePriority,
    /// How often it failed where it is, within the time of its `restart`.
    PackageFailures,
    /// The member that is active; nothing where none is.
    GroupActive,
    /// How many standbys are ready.
    GroupStandbys,
    /// `up` or `down`.
    NodeState,
    /// How many packages it has, those that still stop included.
    NodePackages,
    /// An attribute that people and programs set; nothing where they did not.
    NodeAttribute(Arc<str>),
}

/// What a rule wants done. It obeys what a person's command obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the method of that name")]
pub enum Action {
    Startup(PackageName),
    Halt(PackageName),
    Test(PackageName),
    Promote(PackageName),
    /// An active one becomes a standby.
    Demote(PackageName),
    Move {
        package: PackageName,
        to: NodeName,
    },
    Drain(NodeName),
    Resume(NodeName),
}

/// As it is written.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup(package) => write!(f, "{package}->startup"),
            Self::Halt(package) => write!(f, "{package}->halt"),
            Self::Test(package) => write!(f, "{package}->test"),
            Self::Promote(package) => write!(f, "{package}->promote"),
            Self::Demote(package) => write!(f, "{package}->demote"),
            Self::Move { package, to } => write!(f, "{package}->move({to})"),
            Self::Drain(node) => write!(f, "node:{node}->drain"),
            Self::Resume(node) => write!(f, "node:{node}->resume"),
        }
    }
}
