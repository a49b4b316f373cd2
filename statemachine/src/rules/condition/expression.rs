//! A boolean expression over names, or over whatever numbers stand in their place.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// A boolean expression. `T` is a name as it was written, or what a caller put in its place by [`Expression::map`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression<T> {
    /// True where that runs.
    Name(T),
    /// True where the other is not.
    Not(Box<Expression<T>>),
    /// True where all of them are; two or more, none of them an `All`.
    All(Vec<Expression<T>>),
    /// True where one of them is; two or more, none of them an `Any`.
    Any(Vec<Expression<T>>),
}

/// Whether a name helps an expression to hold by being true or by being false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Polarity {
    /// Under no negation, or an even number of them.
    Positive,
    /// Under an odd number of negations.
    Negative,
}

impl Polarity {
    fn turned(self) -> Self {
        match self {
            Self::Positive => Self::Negative,
            Self::Negative => Self::Positive,
        }
    }
}

/// One place where a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Atom<'a, T> {
    /// Which name.
    pub name: &'a T,
    /// The sign that it stands under.
    pub polarity: Polarity,
}

impl<T> Expression<T> {
    /// Whether it holds where exactly these names are true. Asks no further than the answer needs.
    pub fn holds(&self, is_true: &mut impl FnMut(&T) -> bool) -> bool {
        match self {
            Self::Name(name) => is_true(name),
            Self::Not(inner) => !inner.holds(is_true),
            Self::All(parts) => parts.iter().all(|part| part.holds(is_true)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(is_true)),
        }
    }

    /// Whether it holds whatever the unknown names turn out to be; none where that may depend on them.
    pub fn decided(&self, known: &mut impl FnMut(&T) -> Option<bool>) -> Option<bool> {
        match self {
            Self::Name(name) => known(name),
            Self::Not(inner) => inner.decided(known).map(|holds| !holds),
            Self::All(parts) => decided(parts, known, false),
            Self::Any(parts) => decided(parts, known, true),
        }
    }

    /// The smallest part that is the reason why it does not hold; none where it holds.
    pub fn failing(&self, is_true: &mut impl FnMut(&T) -> bool) -> Option<&Self> {
        match self {
            Self::All(parts) => parts.iter().find_map(|part| part.failing(is_true)),
            Self::Name(_) | Self::Not(_) | Self::Any(_) => (!self.holds(is_true)).then_some(self),
        }
    }

    /// Its names from left to right, each as often as it is written.
    #[must_use]
    pub fn atoms(&self) -> Vec<Atom<'_, T>> {
        let mut atoms = Vec::new();
        self.collect(Polarity::Positive, &mut atoms);
        atoms
    }

    fn collect<'a>(&'a self, polarity: Polarity, atoms: &mut Vec<Atom<'a, T>>) {
        match self {
            Self::Name(name) => atoms.push(Atom { name, polarity }),
            Self::Not(inner) => inner.collect(polarity.turned(), atoms),
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.collect(polarity, atoms);
                }
            }
        }
    }

    /// The same expression with something else in place of each name.
    pub fn map<U>(&self, other: &mut impl FnMut(&T) -> U) -> Expression<U> {
        match self {
            Self::Name(name) => Expression::Name(other(name)),
            Self::Not(inner) => Expression::Not(Box::new(inner.map(other))),
            Self::All(parts) => Expression::All(parts.iter().map(|part| part.map(other)).collect()),
            Self::Any(parts) => Expression::Any(parts.iter().map(|part| part.map(other)).collect()),
        }
    }

    /// How strongly it binds: a part that binds less than its surroundings needs parentheses.
    fn strength(&self) -> u8 {
        match self {
            Self::Any(_) => 0,
            Self::All(_) => 1,
            Self::Not(_) | Self::Name(_) => 2,
        }
    }
}

/// One part that is `deciding` decides; else an unknown part leaves it open.
fn decided<T>(parts: &[Expression<T>], known: &mut impl FnMut(&T) -> Option<bool>, deciding: bool) -> Option<bool> {
    let mut all = Some(!deciding);
    for part in parts {
        match part.decided(known) {
            Some(holds) if holds == deciding => return Some(deciding),
            Some(_) => {}
            None => all = None,
        }
    }
    all
}

impl<T: fmt::Display> Expression<T> {
    fn write(&self, f: &mut fmt::Formatter<'_>, around: u8) -> fmt::Result {
        let bare = self.strength() >= around;
        if !bare {
            f.write_str("(")?;
        }
        match self {
            Self::Name(name) => fmt::Display::fmt(name, f)?,
            Self::Not(inner) => {
                f.write_str("!")?;
                inner.write(f, 2)?;
            }
            Self::All(parts) => write_parts(f, parts, " & ", 2)?,
            Self::Any(parts) => write_parts(f, parts, " | ", 1)?,
        }
        if !bare {
            f.write_str(")")?;
        }
        Ok(())
    }
}

fn write_parts<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expression<T>],
    between: &str,
    around: u8,
) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        part.write(f, around)?;
    }
    Ok(())
}

/// With as few parentheses as there can be.
impl<T: fmt::Display> fmt::Display for Expression<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
