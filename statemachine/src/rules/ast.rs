//! Rules as they are written: nothing is known yet of what the words mean.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::error::Place;

/// A word and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: Arc<str>,
    pub(super) place: Place,
}

/// `pkg1`, `"orders-a"`, `node:n1`.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// None: a package.
    pub(super) kind: Option<Word>,
    pub(super) name: Word,
}

impl Resource {
    pub(super) fn place(&self) -> Place {
        self.kind.as_ref().map_or(self.name.place, |kind| kind.place)
    }
}

/// `pkg1 (halt) { … }`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) resource: Resource,
    pub(super) event: Word,
    pub(super) body: Vec<Statement>,
}

#[derive(Clone, Debug)]
pub(super) enum Statement {
    /// `if (…) { … } else { … }`.
    If {
        condition: Condition,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    /// `pkg1->move(n2)`.
    Act {
        resource: Resource,
        method: Word,
        argument: Option<Word>,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Compare {
        left: Term,
        comparison: Comparison,
        at: Place,
        right: Term,
    },
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it asks for an order, which only numbers have.
    pub(super) fn is_order(self) -> bool {
        match self {
            Self::Equal | Self::Unequal => false,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => true,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Term {
    /// `pkg1.node`, `node:n1.attr.KEY`.
    Attribute {
        resource: Resource,
        path: Vec<Word>,
    },
    /// A bare word or a quoted text.
    Word(Word),
    Integer {
        value: u64,
        place: Place,
    },
}

impl Term {
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Attribute { resource, .. } => resource.place(),
            Self::Word(word) => word.place,
            Self::Integer { place, .. } => *place,
        }
    }
}
