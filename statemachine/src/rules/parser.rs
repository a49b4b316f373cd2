//! From words to rules, by recursive descent, no deeper than [`RULE_DEPTH_MAX`].
//!
//! After an error it goes on at the next rule: at the end of the block that it is in, or at a word in the first column,
//! which is how rules are written.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::ast::{Comparison, Condition, Resource, Rule, Statement, Term, Word};
use super::error::{Place, RuleError, RuleErrorKind};
use super::lexer::{Placed, Token, tokens};
use super::{RULE_DEPTH_MAX, RULES_BYTES_MAX, RULES_MAX};
use crate::id::PackageName;

/// All rules of a text that can be read, and all errors of the others.
pub(super) fn parse(text: &str) -> (Vec<Rule>, Vec<RuleError>) {
    let start = Place { line: 1, column: 1 };
    if text.len() > RULES_BYTES_MAX {
        let kind = RuleErrorKind::TooLong { bytes: text.len() };
        return (Vec::new(), vec![error(start, kind)]);
    }
    let (tokens, errors) = tokens(text);
    let mut parser = Parser {
        tokens,
        at: 0,
        open: 0,
        errors,
    };
    let mut rules = Vec::new();
    while *parser.token() != Token::End {
        let (place, before) = (parser.place(), parser.at);
        match parser.rule() {
            Ok(rule) if rules.len() < RULES_MAX => rules.push(rule),
            Ok(_) => {
                parser.errors.push(error(place, RuleErrorKind::TooMany));
                break;
            }
            Err(error) => {
                parser.errors.push(error);
                if parser.at == before {
                    // What seems to begin a rule may be what is wrong with it: it is not tried again.
                    parser.next();
                }
                parser.skip_rule();
            }
        }
    }
    (rules, parser.errors)
}

fn error(place: Place, kind: RuleErrorKind) -> RuleError {
    RuleError {
        place,
        kind,
        nearest: None,
    }
}

type Parsed<T> = Result<T, RuleError>;

struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    /// Braces that are open here.
    open: u32,
    errors: Vec<RuleError>,
}

impl Parser {
    fn token(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |placed| &placed.token)
    }

    fn place(&self) -> Place {
        let placed = self.tokens.get(self.at).or(self.tokens.last());
        placed.map_or(Place { line: 1, column: 1 }, |placed| placed.place)
    }

    fn next(&mut self) {
        if *self.token() == Token::OpenBrace {
            self.open = self.open.saturating_add(1);
        } else if *self.token() == Token::CloseBrace {
            self.open = self.open.saturating_sub(1);
        }
        self.at = self.at.saturating_add(1);
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.token() == wanted;
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, wanted: &Token, expected: &'static str) -> Parsed<()> {
        if self.take(wanted) {
            return Ok(());
        }
        Err(self.unexpected(expected))
    }

    fn unexpected(&self, expected: &'static str) -> RuleError {
        let found = self.token().words();
        error(self.place(), RuleErrorKind::Unexpected { expected, found })
    }

    /// Goes on behind the rule that can't be read.
    fn skip_rule(&mut self) {
        while *self.token() != Token::End && !(self.place().column == 1 && self.begins_rule()) {
            let last = *self.token() == Token::CloseBrace && self.open <= 1;
            self.next();
            if last {
                break;
            }
        }
        self.open = 0;
    }

    /// Whether a rule may begin here: a name is followed by `(`, a kind by `:`.
    fn begins_rule(&self) -> bool {
        if self.is_keyword() || !matches!(self.token(), Token::Word(_) | Token::Quoted(_)) {
            return false;
        }
        let next = self.tokens.get(self.at.saturating_add(1)).map(|placed| &placed.token);
        matches!(next, Some(Token::Open | Token::Colon))
    }

    fn rule(&mut self) -> Parsed<Rule> {
        let resource = self.resource("a rule, like pkg1 (halt) { … }")?;
        self.expect(&Token::Open, "'(' and an event")?;
        let event = self.bare("the name of an event")?;
        self.expect(&Token::Close, "')' after the event")?;
        let body = self.block(0)?;
        Ok(Rule { resource, event, body })
    }

    fn block(&mut self, depth: u32) -> Parsed<Vec<Statement>> {
        let depth = deeper(depth, self.place())?;
        self.expect(&Token::OpenBrace, "'{'")?;
        let mut statements = Vec::new();
        while !self.take(&Token::CloseBrace) {
            statements.push(self.statement(depth)?);
        }
        Ok(statements)
    }

    fn statement(&mut self, depth: u32) -> Parsed<Statement> {
        if self.take_word("if") {
            self.expect(&Token::Open, "'(' after if")?;
            let condition = self.any_of(depth)?;
            self.expect(&Token::Close, "'&&', '||' or ')'")?;
            let then = self.block(depth)?;
            let otherwise = if self.take_word("else") {
                self.block(depth)?
            } else {
                Vec::new()
            };
            return Ok(Statement::If {
                condition,
                then,
                otherwise,
            });
        }
        let resource = self.resource("if, an action like pkg1->startup, or '}'")?;
        self.expect(&Token::Arrow, "'->' and a method")?;
        let method = self.bare("the name of a method")?;
        let argument = if self.take(&Token::Open) {
            let argument = self.name("a node's name")?;
            self.expect(&Token::Close, "')'")?;
            Some(argument)
        } else {
            None
        };
        Ok(Statement::Act {
            resource,
            method,
            argument,
        })
    }

    fn any_of(&mut self, depth: u32) -> Parsed<Condition> {
        let first = self.all_of(depth)?;
        if *self.token() != Token::Or {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take(&Token::Or) {
            parts.push(self.all_of(depth)?);
        }
        Ok(Condition::Any(parts))
    }

    fn all_of(&mut self, depth: u32) -> Parsed<Condition> {
        let first = self.single(depth)?;
        if *self.token() != Token::And {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take(&Token::And) {
            parts.push(self.single(depth)?);
        }
        Ok(Condition::All(parts))
    }

    /// A comparison, a negation, or what stands in parentheses.
    fn single(&mut self, depth: u32) -> Parsed<Condition> {
        let place = self.place();
        if self.take(&Token::Not) {
            let inner = self.single(deeper(depth, place)?)?;
            return Ok(Condition::Not(Box::new(inner)));
        }
        if self.take(&Token::Open) {
            let inner = self.any_of(deeper(depth, place)?)?;
            self.expect(&Token::Close, "'&&', '||' or ')'")?;
            return Ok(inner);
        }
        let left = self.term()?;
        let at = self.place();
        let Some((_, comparison)) = COMPARISONS.iter().find(|(token, _)| token == self.token()) else {
            return Err(self.unexpected("'==', '!=', '<', '<=', '>' or '>='"));
        };
        self.next();
        let right = self.term()?;
        Ok(Condition::Compare {
            left,
            comparison: *comparison,
            at,
            right,
        })
    }

    fn term(&mut self) -> Parsed<Term> {
        const EXPECTED: &str = "an attribute like pkg1.state, a word, a text in quotes or a number";
        let follows = self.tokens.get(self.at.saturating_add(1)).map(|placed| &placed.token);
        if matches!(follows, Some(Token::Dot | Token::Colon)) {
            let resource = self.resource(EXPECTED)?;
            self.expect(&Token::Dot, "'.' and an attribute")?;
            let mut path = vec![self.any_word("the name of an attribute")?];
            while self.take(&Token::Dot) {
                path.push(self.any_word("the key of an attribute")?);
            }
            return Ok(Term::Attribute { resource, path });
        }
        let place = self.place();
        if let Token::Word(text) = self.token()
            && text.bytes().all(|byte| byte.is_ascii_digit())
        {
            let value = text.parse().map_err(|_| {
                let text = alloc::string::String::from(&**text);
                error(place, RuleErrorKind::Number { text })
            })?;
            self.next();
            return Ok(Term::Integer { value, place });
        }
        Ok(Term::Word(self.any_word(EXPECTED)?))
    }

    fn resource(&mut self, expected: &'static str) -> Parsed<Resource> {
        let follows = self.tokens.get(self.at.saturating_add(1)).map(|placed| &placed.token);
        if follows != Some(&Token::Colon) {
            let name = self.name(expected)?;
            return Ok(Resource { kind: None, name });
        }
        let kind = self.bare(expected)?;
        self.next();
        let name = self.any_word("the name of a resource")?;
        Ok(Resource { kind: Some(kind), name })
    }

    /// A name of a package or a node, bare or in quotes.
    fn name(&mut self, expected: &'static str) -> Parsed<Word> {
        if self.is_keyword() {
            return Err(self.unexpected(expected));
        }
        let word = self.any_word(expected)?;
        match PackageName::new(&word.text) {
            Ok(_) => Ok(word),
            Err(name) => Err(error(word.place, RuleErrorKind::Name(name))),
        }
    }

    /// A word that is not in quotes.
    fn bare(&mut self, expected: &'static str) -> Parsed<Word> {
        if matches!(self.token(), Token::Word(_)) {
            return self.any_word(expected);
        }
        Err(self.unexpected(expected))
    }

    fn any_word(&mut self, expected: &'static str) -> Parsed<Word> {
        let place = self.place();
        let (Token::Word(text) | Token::Quoted(text)) = self.token() else {
            return Err(self.unexpected(expected));
        };
        let text = text.clone();
        self.next();
        Ok(Word { text, place })
    }

    fn is_keyword(&self) -> bool {
        matches!(self.token(), Token::Word(word) if matches!(&**word, "if" | "else"))
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.token(), Token::Word(word) if **word == *wanted);
        if found {
            self.next();
        }
        found
    }
}

const COMPARISONS: [(Token, Comparison); 6] = [
    (Token::Equal, Comparison::Equal),
    (Token::Unequal, Comparison::Unequal),
    (Token::Less, Comparison::Less),
    (Token::LessOrEqual, Comparison::LessOrEqual),
    (Token::Greater, Comparison::Greater),
    (Token::GreaterOrEqual, Comparison::GreaterOrEqual),
];

fn deeper(depth: u32, place: Place) -> Parsed<u32> {
    if depth >= RULE_DEPTH_MAX {
        return Err(error(place, RuleErrorKind::TooDeep));
    }
    Ok(depth.saturating_add(1))
}
