//! The words of a condition, each with its column.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{ConditionError, ConditionErrorKind};
use crate::id::PackageName;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Name(Arc<str>),
    Not,
    And,
    Or,
    Open,
    Close,
    End,
}

impl Token {
    /// As it is shown in an error.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Name(name) => format!("name {name:?}"),
            Self::Not => "'!'".to_string(),
            Self::And => "'&'".to_string(),
            Self::Or => "'|'".to_string(),
            Self::Open => "'('".to_string(),
            Self::Close => "')'".to_string(),
            Self::End => "the end".to_string(),
        }
    }
}

/// A word and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) column: u32,
}

/// All words, the last one [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, ConditionError> {
    let mut found = Vec::new();
    let mut letters = text.chars().peekable();
    let mut next: u32 = 1;
    while let Some(letter) = letters.next() {
        let column = next;
        next = next.saturating_add(1);
        let token = match letter {
            ' ' | '\t' | '\r' | '\n' => continue,
            '!' => Token::Not,
            '(' => Token::Open,
            ')' => Token::Close,
            '&' | '|' => {
                if letters.peek() == Some(&letter) {
                    let kind = ConditionErrorKind::Doubled { operator: letter };
                    return Err(ConditionError { column: next, kind });
                }
                if letter == '&' { Token::And } else { Token::Or }
            }
            '"' => {
                let mut quoted = String::new();
                loop {
                    next = next.saturating_add(1);
                    match letters.next() {
                        Some('"') => break,
                        Some(letter) => quoted.push(letter),
                        None => {
                            let kind = ConditionErrorKind::Unclosed;
                            return Err(ConditionError { column, kind });
                        }
                    }
                }
                name(&quoted, column)?
            }
            _ if letter.is_ascii_alphanumeric() => {
                let mut word = String::from(letter);
                while let Some(letter) = letters.next_if(|letter| is_inner(*letter)) {
                    next = next.saturating_add(1);
                    word.push(letter);
                }
                name(&word, column)?
            }
            other => {
                let kind = ConditionErrorKind::Unexpected {
                    expected: "a name, '!', '&', '|' or a parenthesis",
                    found: format!("{other:?}"),
                };
                return Err(ConditionError { column, kind });
            }
        };
        found.push(Placed { token, column });
    }
    found.push(Placed {
        token: Token::End,
        column: next,
    });
    Ok(found)
}

fn is_inner(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-')
}

/// Names of packages and of groups are of one form.
fn name(text: &str, column: u32) -> Result<Token, ConditionError> {
    PackageName::new(text)
        .map(|name| Token::Name(Arc::from(name.as_str())))
        .map_err(|error| ConditionError {
            column,
            kind: ConditionErrorKind::Name(error),
        })
}
