//! Whether the two sides of a comparison go together.

use alloc::format;
use alloc::string::{String, ToString};

use super::{Checker, Names, list};
use crate::nearest::nearest;
use crate::rules::ast::{self, Comparison, Term};
use crate::rules::error::{Place, RuleErrorKind};
use crate::rules::program::{Attribute, Condition, Operand};
use crate::rules::vocabulary::Kind;

/// What an attribute's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    /// One of a few words.
    Words(&'static [&'static str]),
    /// The name of a resource.
    Name(Kind),
    Number,
    /// Any text, which may be a number.
    Text,
}

impl Type {
    fn of(attribute: &Attribute) -> Self {
        match attribute {
            Attribute::PackageState | Attribute::NodeState => Self::Words(&["up", "down"]),
            Attribute::PackageMode => Self::Words(&["active", "standby", "test", "stopped"]),
            Attribute::PackageOutput => Self::Words(&["released", "inhibited"]),
            Attribute::PackageNode => Self::Name(Kind::Node),
            Attribute::GroupActive => Self::Name(Kind::Package),
            Attribute::PackagePriority
            | Attribute::PackageFailures
            | Attribute::GroupStandbys
            | Attribute::NodePackages => Self::Number,
            Attribute::NodeAttribute(_) => Self::Text,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Words(words) => list(words.iter().copied()),
            Self::Name(kind) => format!("the name of a {kind}"),
            Self::Number => "a number".to_string(),
            Self::Text => "a text".to_string(),
        }
    }
}

impl<N: Names> Checker<'_, N> {
    pub(super) fn comparison(
        &mut self,
        left: &Term,
        comparison: Comparison,
        at: Place,
        right: &Term,
    ) -> Option<Condition> {
        let (left_type, left_operand) = self.side(left);
        let (right_type, right_operand) = self.side(right);
        match (left_type, right_type) {
            (Some(one), Some(other)) => {
                let text = one == Type::Text || other == Type::Text;
                if one != other && !text {
                    let text = format!(
                        "{} can't be compared with {}: expected an attribute of the same kind",
                        one.words(),
                        other.words()
                    );
                    self.fault(at, RuleErrorKind::Type { text }, None);
                    return None;
                }
                self.ordered(one, comparison, at)?;
            }
            (Some(known), None) => self.literal(known, comparison, at, right)?,
            (None, Some(known)) => self.literal(known, comparison, at, left)?,
            (None, None) => {
                let is_literal = |term: &Term| !matches!(term, Term::Attribute { .. });
                if is_literal(left) && is_literal(right) {
                    let text = "expected an attribute like pkg1.state on one side".to_string();
                    self.fault(left.place(), RuleErrorKind::Type { text }, None);
                }
                return None;
            }
        }
        Some(Condition::Compare {
            left: left_operand?,
            comparison,
            right: right_operand?,
        })
    }

    /// A side's type, where it is an attribute, and the side itself.
    fn side(&mut self, term: &Term) -> (Option<Type>, Option<Operand>) {
        match term {
            Term::Attribute { resource, path } => match self.attribute(resource, path) {
                Some((operand, attribute)) => (Some(Type::of(&attribute)), Some(operand)),
                None => (None, None),
            },
            Term::Word(word) => (None, Some(Operand::Word(word.text.clone()))),
            Term::Integer { value, .. } => (None, Some(Operand::Number(*value))),
        }
    }

    fn ordered(&mut self, known: Type, comparison: Comparison, at: Place) -> Option<()> {
        if comparison.is_order() && !matches!(known, Type::Number | Type::Text) {
            let text = format!(
                "only numbers have an order: expected '==' or '!=' with {}",
                known.words()
            );
            self.fault(at, RuleErrorKind::Type { text }, None);
            return None;
        }
        Some(())
    }

    /// What stands opposite an attribute of this type.
    fn literal(&mut self, known: Type, comparison: Comparison, at: Place, term: &Term) -> Option<()> {
        self.ordered(known, comparison, at)?;
        let (word, digits): (Option<&ast::Word>, _) = match term {
            // An attribute whose own error is told already.
            Term::Attribute { .. } => return None,
            Term::Word(word) => (Some(word), None),
            Term::Integer { value, .. } => (None, Some(value.to_string())),
        };
        let text = word.map_or(digits.unwrap_or_default(), |word| word.text.to_string());
        match (known, word) {
            (Type::Text, Some(_)) if comparison.is_order() => {
                let text = format!("only numbers have an order: expected a number, found {text:?}");
                self.fault(term.place(), RuleErrorKind::Type { text }, None);
                None
            }
            (Type::Text, _) | (Type::Number, None) => Some(()),
            (Type::Words(words), Some(_)) if words.contains(&text.as_str()) => Some(()),
            (Type::Name(kind), Some(word)) => self.known(kind, word).then_some(()),
            (Type::Words(_) | Type::Name(_), None) | (Type::Words(_) | Type::Number, Some(_)) => {
                let near = match known {
                    Type::Words(words) => nearest(&text, words.iter().copied()),
                    Type::Name(_) | Type::Number | Type::Text => None,
                };
                let text = format!("expected {}, found {text:?}", known.words());
                self.fault(term.place(), RuleErrorKind::Type { text }, near);
                None
            }
        }
    }
}
