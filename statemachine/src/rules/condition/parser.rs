//! From words to an expression, by recursive descent, no deeper than [`CONDITION_DEPTH_MAX`].

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::lexer::{Placed, Token, tokens};
use super::{CONDITION_BYTES_MAX, CONDITION_DEPTH_MAX, ConditionError, ConditionErrorKind, Expression};

type Named = Expression<Arc<str>>;

/// Reads a whole condition.
pub(super) fn parse(text: &str) -> Result<Named, ConditionError> {
    if text.len() > CONDITION_BYTES_MAX {
        let kind = ConditionErrorKind::TooLong { bytes: text.len() };
        return Err(ConditionError { column: 1, kind });
    }
    let mut parser = Parser {
        tokens: tokens(text)?.into_iter().peekable(),
    };
    let expression = parser.any_of(0)?;
    parser.end()?;
    Ok(expression)
}

struct Parser {
    tokens: core::iter::Peekable<vec::IntoIter<Placed>>,
}

impl Parser {
    /// One or more parts with `|` between them.
    fn any_of(&mut self, depth: u32) -> Result<Named, ConditionError> {
        let mut parts = vec![self.all_of(depth)?];
        while self.take(&Token::Or) {
            parts.push(self.all_of(depth)?);
        }
        Ok(Expression::any_of(parts))
    }

    /// One or more parts with `&` between them.
    fn all_of(&mut self, depth: u32) -> Result<Named, ConditionError> {
        let mut parts = vec![self.single(depth)?];
        while self.take(&Token::And) {
            parts.push(self.single(depth)?);
        }
        Ok(Expression::all_of(parts))
    }

    /// A name, a negation, or what stands in parentheses.
    fn single(&mut self, depth: u32) -> Result<Named, ConditionError> {
        let Some(Placed { token, column }) = self.tokens.next() else {
            return Err(unexpected("a name, '!' or '('", &Token::End, 1));
        };
        match token {
            Token::Name(name) => Ok(Expression::Name(name)),
            Token::Not => {
                let inner = self.single(deeper(depth, column)?)?;
                Ok(Expression::Not(Box::new(inner)))
            }
            Token::Open => {
                let inner = self.any_of(deeper(depth, column)?)?;
                self.close()?;
                Ok(inner)
            }
            Token::And | Token::Or | Token::Close | Token::End => Err(unexpected("a name, '!' or '('", &token, column)),
        }
    }

    fn close(&mut self) -> Result<(), ConditionError> {
        match self.tokens.next() {
            Some(Placed {
                token: Token::Close, ..
            }) => Ok(()),
            Some(Placed { token, column }) => Err(unexpected("'&', '|' or ')'", &token, column)),
            None => Err(unexpected("'&', '|' or ')'", &Token::End, 1)),
        }
    }

    fn end(&mut self) -> Result<(), ConditionError> {
        match self.tokens.next() {
            None | Some(Placed { token: Token::End, .. }) => Ok(()),
            Some(Placed { token, column }) => Err(unexpected("'&', '|' or the end", &token, column)),
        }
    }

    fn take(&mut self, wanted: &Token) -> bool {
        self.tokens.next_if(|placed| placed.token == *wanted).is_some()
    }
}

fn deeper(depth: u32, column: u32) -> Result<u32, ConditionError> {
    if depth >= CONDITION_DEPTH_MAX {
        let kind = ConditionErrorKind::TooDeep;
        return Err(ConditionError { column, kind });
    }
    Ok(depth.saturating_add(1))
}

fn unexpected(expected: &'static str, found: &Token, column: u32) -> ConditionError {
    ConditionError {
        column,
        kind: ConditionErrorKind::Unexpected {
            expected,
            found: found.words(),
        },
    }
}

impl Named {
    /// Parts of which one must hold: a single one is itself, and such parts within are spread out.
    fn any_of(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Any(inner) => flat.extend(inner),
                part @ (Self::Name(_) | Self::Not(_) | Self::All(_)) => flat.push(part),
            }
        }
        if flat.len() == 1 {
            return flat.remove(0);
        }
        Self::Any(flat)
    }

    /// Parts that must all hold: a single one is itself, and such parts within are spread out.
    fn all_of(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All(inner) => flat.extend(inner),
                part @ (Self::Name(_) | Self::Not(_) | Self::Any(_)) => flat.push(part),
            }
        }
        if flat.len() == 1 {
            return flat.remove(0);
        }
        Self::All(flat)
    }
}
