//! The words of rules, each with its place. What can't be a word is an error, and reading goes on after it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::str::Chars;

use super::error::{Place, RuleError, RuleErrorKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Letters, digits and `_`: a name, a keyword or a number.
    Word(Arc<str>),
    /// What stands in quotes.
    Quoted(Arc<str>),
    OpenBrace,
    CloseBrace,
    Open,
    Close,
    Arrow,
    Or,
    And,
    Not,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Dot,
    Colon,
    End,
}

impl Token {
    /// As it is shown in an error.
    pub(super) fn words(&self) -> String {
        let sign = match self {
            Self::Word(text) => return format!("{text:?}"),
            Self::Quoted(text) => return format!("the text {text:?}"),
            Self::End => return "the end".to_string(),
            Self::OpenBrace => "{",
            Self::CloseBrace => "}",
            Self::Open => "(",
            Self::Close => ")",
            Self::Arrow => "->",
            Self::Or => "||",
            Self::And => "&&",
            Self::Not => "!",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Dot => ".",
            Self::Colon => ":",
        };
        format!("'{sign}'")
    }
}

/// A word and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) place: Place,
}

/// All words, the last one [`Token::End`], and what can't be one.
pub(super) fn tokens(text: &str) -> (Vec<Placed>, Vec<RuleError>) {
    let mut lexer = Lexer {
        letters: text.chars().peekable(),
        next: Place { line: 1, column: 1 },
        tokens: Vec::new(),
        errors: Vec::new(),
    };
    while let Some((letter, place)) = lexer.take() {
        lexer.word(letter, place);
    }
    let place = lexer.next;
    lexer.push(Token::End, place);
    (lexer.tokens, lexer.errors)
}

struct Lexer<'a> {
    letters: Peekable<Chars<'a>>,
    next: Place,
    tokens: Vec<Placed>,
    errors: Vec<RuleError>,
}

impl Lexer<'_> {
    fn take(&mut self) -> Option<(char, Place)> {
        let letter = self.letters.next()?;
        let place = self.next;
        if letter == '\n' {
            self.next.line = self.next.line.saturating_add(1);
            self.next.column = 1;
        } else {
            self.next.column = self.next.column.saturating_add(1);
        }
        Some((letter, place))
    }

    /// Takes the next letter where it is this one.
    fn follows(&mut self, wanted: char) -> bool {
        if self.letters.peek() == Some(&wanted) {
            self.take();
            return true;
        }
        false
    }

    fn push(&mut self, token: Token, place: Place) {
        self.tokens.push(Placed { token, place });
    }

    fn fault(&mut self, place: Place, kind: RuleErrorKind) {
        self.errors.push(RuleError {
            place,
            kind,
            nearest: None,
        });
    }

    fn word(&mut self, letter: char, place: Place) {
        let token = match letter {
            ' ' | '\t' | '\r' | '\n' => return,
            '#' => return self.skip_line(),
            '"' => return self.quoted(place),
            '{' => Token::OpenBrace,
            '}' => Token::CloseBrace,
            '(' => Token::Open,
            ')' => Token::Close,
            '.' => Token::Dot,
            ':' => Token::Colon,
            '!' if self.follows('=') => Token::Unequal,
            '!' => Token::Not,
            '<' if self.follows('=') => Token::LessOrEqual,
            '<' => Token::Less,
            '>' if self.follows('=') => Token::GreaterOrEqual,
            '>' => Token::Greater,
            '=' if self.follows('=') => Token::Equal,
            '&' if self.follows('&') => Token::And,
            '|' if self.follows('|') => Token::Or,
            '-' if self.follows('>') => Token::Arrow,
            _ if letter.is_ascii_alphanumeric() => {
                let mut text = String::from(letter);
                while let Some(letter) = self.letters.peek().copied().filter(|letter| is_inner(*letter)) {
                    self.take();
                    text.push(letter);
                }
                Token::Word(Arc::from(text))
            }
            other => return self.stray(other, place),
        };
        self.push(token, place);
    }

    fn skip_line(&mut self) {
        while self.letters.peek().is_some_and(|letter| *letter != '\n') {
            self.take();
        }
    }

    fn quoted(&mut self, place: Place) {
        let mut text = String::new();
        loop {
            match self.letters.peek() {
                None | Some('\n') => return self.fault(place, RuleErrorKind::Unclosed),
                Some('"') => break,
                Some(letter) => text.push(*letter),
            }
            self.take();
        }
        self.take();
        self.push(Token::Quoted(Arc::from(text)), place);
    }

    /// A character that is none of ours; the same one again and again is one error.
    fn stray(&mut self, letter: char, place: Place) {
        while self.follows(letter) {}
        let hint = match letter {
            '=' => "expected '==' to compare",
            '&' => "expected '&&'; a single '&' belongs to conditions of packages",
            '|' => "expected '||'; a single '|' belongs to conditions of packages",
            '-' => "expected '->'; quote a name that holds '-' or '.', like \"orders-a\"",
            ';' => "a statement ends by itself",
            '\'' => "expected '\"' around a text",
            '/' | '*' => "a comment begins with '#'",
            _ => "expected a name, a text in quotes or an operator",
        };
        let found = format!("{letter:?}");
        self.fault(place, RuleErrorKind::Character { found, hint });
    }
}

fn is_inner(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}
