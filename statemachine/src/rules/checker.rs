//! What the words of rules mean, and whether everything that they name is there.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::ast;
use super::error::{Place, RuleError, RuleErrorKind, in_order};
use super::parser::parse;
use super::program::{Action, Attribute, Condition, Operand, Rule, RuleSet, Statement};
use super::vocabulary::{Kind, Method};
use super::{ERRORS_MAX, RULE_ACTIONS_MAX};
use crate::id::{GroupName, NodeName, PackageName};
use crate::nearest::nearest;

mod comparison;

/// What is defined, as far as whoever asks knows it.
pub trait Names {
    /// Whether a resource of this kind has this name; also where that can't be known here.
    fn is_known(&mut self, kind: Kind, name: &str) -> bool;

    /// The nearest name of this kind to one that nothing has.
    fn nearest(&mut self, kind: Kind, name: &str) -> Option<String>;
}

/// Nobody knows what is defined: every name is taken as it is.
#[derive(Clone, Copy, Debug)]
pub struct Unchecked;

impl Names for Unchecked {
    fn is_known(&mut self, _: Kind, _: &str) -> bool {
        true
    }

    fn nearest(&mut self, _: Kind, _: &str) -> Option<String> {
        None
    }
}

/// Reads and checks rules.
///
/// # Errors
/// Every error of the text, in the order of their places.
pub fn check(text: &str, names: &mut impl Names) -> Result<RuleSet, Vec<RuleError>> {
    let (written, errors) = parse(text);
    let mut checker = Checker { names, errors };
    let rules: Vec<Option<Rule>> = written.iter().map(|rule| checker.rule(rule)).collect();
    if checker.errors.is_empty() {
        return Ok(RuleSet::new(rules.into_iter().flatten().collect()));
    }
    Err(in_order(checker.errors))
}

struct Checker<'a, N> {
    names: &'a mut N,
    errors: Vec<RuleError>,
}

/// A resource that is there.
struct Subject {
    kind: Kind,
    name: Arc<str>,
}

impl<N: Names> Checker<'_, N> {
    fn fault(&mut self, place: Place, kind: RuleErrorKind, nearest: Option<String>) {
        self.errors.push(RuleError { place, kind, nearest });
    }

    /// Each part is checked even where another is wrong, so that all errors are found at once.
    fn rule(&mut self, rule: &ast::Rule) -> Option<Rule> {
        let subject = self.resource(&rule.resource);
        let kind = self.kind(&rule.resource);
        let event = kind.and_then(|kind| self.word(&rule.event, kind, "event", kind.events()));
        let body = self.block(&rule.body);
        let actions = count_actions(&rule.body);
        if actions > RULE_ACTIONS_MAX {
            self.fault(rule.resource.place(), RuleErrorKind::TooManyActions { actions }, None);
        }
        let (subject, (event, trigger)) = (subject?, event?);
        Some(Rule {
            place: rule.resource.place(),
            kind: subject.kind,
            name: subject.name,
            trigger,
            event,
            body: body?,
        })
    }

    fn block(&mut self, statements: &[ast::Statement]) -> Option<Vec<Statement>> {
        let checked: Vec<_> = statements.iter().map(|statement| self.statement(statement)).collect();
        checked.into_iter().collect()
    }

    fn statement(&mut self, statement: &ast::Statement) -> Option<Statement> {
        match statement {
            ast::Statement::If {
                condition,
                then,
                otherwise,
            } => {
                let condition = self.condition(condition);
                let (then, otherwise) = (self.block(then), self.block(otherwise));
                Some(Statement::If {
                    condition: condition?,
                    then: then?,
                    otherwise: otherwise?,
                })
            }
            ast::Statement::Act {
                resource,
                method,
                argument,
            } => self.action(resource, method, argument.as_ref()).map(Statement::Act),
        }
    }

    fn action(&mut self, resource: &ast::Resource, method: &ast::Word, argument: Option<&ast::Word>) -> Option<Action> {
        let subject = self.resource(resource);
        let kind = self.kind(resource)?;
        let (word, found) = self.word(method, kind, "method", kind.methods())?;
        let node = match (found, argument) {
            (Method::Move, Some(node)) => self.known(Kind::Node, node).then(|| NodeName::new(&node.text).ok())?,
            (Method::Move, None) => {
                let text = "move takes a node: expected move(n2)".to_string();
                self.fault(method.place, RuleErrorKind::Type { text }, None);
                return None;
            }
            (_, Some(argument)) => {
                let text = format!("{word} takes nothing in parentheses: expected {word} alone");
                self.fault(argument.place, RuleErrorKind::Type { text }, None);
                return None;
            }
            (_, None) => None,
        };
        let name = subject?.name;
        let package = || PackageName::new(&name).ok();
        match found {
            Method::Startup => package().map(Action::Startup),
            Method::Halt => package().map(Action::Halt),
            Method::Promote => package().map(Action::Promote),
            Method::Demote => package().map(Action::Demote),
            Method::Test => package().map(Action::Test),
            Method::Move => Some(Action::Move {
                package: package()?,
                to: node?,
            }),
            Method::Drain => NodeName::new(&name).ok().map(Action::Drain),
            Method::Resume => NodeName::new(&name).ok().map(Action::Resume),
        }
    }

    fn condition(&mut self, condition: &ast::Condition) -> Option<Condition> {
        match condition {
            ast::Condition::Any(parts) => self.conditions(parts).map(Condition::Any),
            ast::Condition::All(parts) => self.conditions(parts).map(Condition::All),
            ast::Condition::Not(inner) => self.condition(inner).map(|inner| Condition::Not(Box::new(inner))),
            ast::Condition::Compare {
                left,
                comparison,
                at,
                right,
            } => self.comparison(left, *comparison, *at, right),
        }
    }

    fn conditions(&mut self, parts: &[ast::Condition]) -> Option<Vec<Condition>> {
        let checked: Vec<_> = parts.iter().map(|part| self.condition(part)).collect();
        checked.into_iter().collect()
    }

    /// The attribute of a resource.
    fn attribute(&mut self, resource: &ast::Resource, path: &[ast::Word]) -> Option<(Operand, Attribute)> {
        let subject = self.resource(resource);
        let kind = self.kind(resource)?;
        let (first, rest) = path.split_first()?;
        let attribute = match rest {
            [key] if kind == Kind::Node && *first.text == *"attr" => {
                if let Err(error) = NodeName::new(&key.text) {
                    self.fault(key.place, RuleErrorKind::Name(error), None);
                    return None;
                }
                Attribute::NodeAttribute(key.text.clone())
            }
            [] if kind == Kind::Node && *first.text == *"attr" => {
                let text = "attr has a key: expected node:NAME.attr.KEY".to_string();
                self.fault(first.place, RuleErrorKind::Type { text }, None);
                return None;
            }
            [] => self.word(first, kind, "attribute", kind.attributes())?.1,
            [second, ..] => {
                let text = format!(
                    "expected a comparison after {}.{}, found another '.'; quote a name that holds '.'",
                    resource.name.text, first.text
                );
                self.fault(second.place, RuleErrorKind::Type { text }, None);
                return None;
            }
        };
        let name = subject?.name;
        let operand = Operand::Attribute {
            name,
            attribute: attribute.clone(),
        };
        Some((operand, attribute))
    }

    /// The kind of a resource, where this version watches that kind. Faults are told by [`Self::resource`].
    fn kind(&self, resource: &ast::Resource) -> Option<Kind> {
        let kind = match &resource.kind {
            None => Kind::Package,
            Some(word) => Kind::ALL.into_iter().find(|kind| *kind.as_str() == *word.text)?,
        };
        kind.is_supported().then_some(kind)
    }

    /// A resource that is there, of a kind that this version watches.
    fn resource(&mut self, resource: &ast::Resource) -> Option<Subject> {
        let Some(kind) = self.kind(resource) else {
            let word = resource.kind.as_ref()?;
            let near = nearest(&word.text, Kind::ALL.into_iter().map(Kind::as_str));
            let supported = Kind::ALL.into_iter().filter(|kind| kind.is_supported());
            let expected = list(supported.map(Kind::as_str));
            let is_kind = Kind::ALL.into_iter().any(|kind| *kind.as_str() == *word.text);
            let (what, name) = ("kind of resource".to_string(), word.text.to_string());
            if is_kind {
                let what = format!("{what} {name:?}");
                self.fault(word.place, RuleErrorKind::Unsupported { what, expected }, None);
            } else {
                self.fault(word.place, RuleErrorKind::Unknown { what, name, expected }, near);
            }
            return None;
        };
        self.known(kind, &resource.name).then(|| Subject {
            kind,
            name: resource.name.text.clone(),
        })
    }

    /// Whether a name is one, and something has it.
    fn known(&mut self, kind: Kind, word: &ast::Word) -> bool {
        if let Err(error) = GroupName::new(&word.text) {
            self.fault(word.place, RuleErrorKind::Name(error), None);
            return false;
        }
        if self.names.is_known(kind, &word.text) {
            return true;
        }
        // Nobody reads more errors than are shown, and each search looks at thousands of names.
        let shown = self.errors.len() <= ERRORS_MAX;
        let near = shown.then(|| self.names.nearest(kind, &word.text)).flatten();
        let expected = if kind == Kind::Node {
            "a node that has registered once, or that a package lists in its nodes"
        } else {
            ""
        };
        let (what, name) = (kind.to_string(), word.text.to_string());
        let expected = expected.to_string();
        self.fault(word.place, RuleErrorKind::Unknown { what, name, expected }, near);
        false
    }

    /// What a word means, where the kind knows it and something stands behind it.
    fn word<T: Clone>(
        &mut self,
        word: &ast::Word,
        kind: Kind,
        what: &str,
        known: &'static [(&'static str, Option<T>)],
    ) -> Option<(&'static str, T)> {
        let found = known.iter().find(|(name, _)| **name == *word.text);
        if let Some((name, Some(meaning))) = found {
            return Some((name, meaning.clone()));
        }
        let supported = known.iter().filter(|(_, meaning)| meaning.is_some());
        let expected = list(supported.map(|(name, _)| *name));
        if found.is_some() {
            let what = format!("{what} {:?} of a {kind}", word.text);
            self.fault(word.place, RuleErrorKind::Unsupported { what, expected }, None);
            return None;
        }
        let near = nearest(&word.text, known.iter().map(|(name, _)| *name));
        let expected = if known.is_empty() {
            format!("no {what} at all")
        } else {
            expected
        };
        let (what, name) = (format!("{what} of a {kind}"), word.text.to_string());
        self.fault(word.place, RuleErrorKind::Unknown { what, name, expected }, near);
        None
    }
}

/// How many actions statements have, whether they are reached or not.
fn count_actions(statements: &[ast::Statement]) -> usize {
    statements.iter().fold(0, |sum, statement| {
        let inner = match statement {
            ast::Statement::Act { .. } => 1,
            ast::Statement::If { then, otherwise, .. } => count_actions(then).saturating_add(count_actions(otherwise)),
        };
        sum.saturating_add(inner)
    })
}

/// `a, b or c`.
fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => last.to_string(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}
