//! Reading TOML values by hand, so that every error is found and each knows its place.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::nearest::nearest;
use crate::wire::duration::DurationText;
use crate::wire::error::FileError;

/// A value with its place in the file.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// A table and where it begins: what is missing in it is reported there.
#[derive(Clone, Copy)]
pub(super) struct Table<'d, 't> {
    pub(super) table: &'d DeTable<'t>,
    pub(super) at: usize,
}

impl<'d, 't> Table<'d, 't> {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'d Value<'t>> {
        self.table.get(key)
    }
}

/// The keys that a table may have.
pub(super) struct Keys {
    /// As messages name the table.
    pub(super) place: &'static str,
    /// What it may have.
    pub(super) known: &'static [&'static str],
    /// What a later version will know: told apart from a typing error.
    pub(super) later: &'static [&'static str],
}

struct Fault {
    at: usize,
    message: String,
    nearest: Option<String>,
    /// It follows from something that is not there, so it may be only the echo of a syntax error.
    of_absence: bool,
}

/// Gathers the errors of one file.
pub(super) struct Reader<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    faults: Vec<Fault>,
    syntax_lines: Vec<usize>,
}

impl<'t> Reader<'t> {
    /// A reader of this file.
    pub(super) fn new(text: &'t str) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            text,
            line_starts,
            faults: Vec::new(),
            syntax_lines: Vec::new(),
        }
    }

    /// The config, or every error in the order of the lines.
    ///
    /// Where the syntax is broken, what seems to be missing may be what could not be read: such errors are left out, and
    /// so are those on the very lines that could not be read.
    pub(super) fn finish<T>(mut self, broken_syntax: bool, config: T) -> Result<T, Vec<FileError>> {
        if self.faults.is_empty() {
            return Ok(config);
        }
        self.faults.sort_by_key(|fault| fault.at);
        let mut errors: Vec<FileError> = Vec::new();
        for fault in &self.faults {
            let (line, column) = self.place(fault.at);
            let echo = broken_syntax
                && (fault.of_absence || (self.syntax_lines.contains(&line) && !fault.message.starts_with(SYNTAX)));
            if echo {
                continue;
            }
            let error = FileError {
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: u32::try_from(column).unwrap_or(u32::MAX),
                message: fault.message.clone(),
                nearest: fault.nearest.clone(),
            };
            if errors.last() != Some(&error) {
                errors.push(error);
            }
        }
        Err(errors)
    }

    /// Line and column of a byte, from 1; columns count characters.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }

    /// The file from one byte to another.
    pub(super) fn raw(&self, span: std::ops::Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or_default()
    }

    /// Something is wrong here.
    pub(super) fn fault(&mut self, at: usize, message: String, nearest: Option<&str>) {
        self.faults.push(Fault {
            at,
            message,
            nearest: nearest.map(str::to_owned),
            of_absence: false,
        });
    }

    /// Something is wrong because something else is not there.
    pub(super) fn fault_of_absence(&mut self, at: usize, message: String, nearest: Option<&str>) {
        self.faults.push(Fault {
            at,
            message,
            nearest: nearest.map(str::to_owned),
            of_absence: true,
        });
    }

    /// The file is not TOML here.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        let at = error.span().map_or(0, |span| span.start);
        self.syntax_lines.push(self.place(at).0);
        let mut message = String::new();
        let _ = write!(message, "{SYNTAX}: {}", error.message().replace('\n', ", "));
        self.fault(at, message, None);
    }

    /// Reports keys that the table can't have.
    pub(super) fn check_keys(&mut self, table: &Table<'_, '_>, keys: &Keys) {
        for key in table.table.keys() {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            if keys.known.contains(&name) {
                continue;
            }
            if keys.later.contains(&name) {
                let message = format!(
                    "{name:?} in {} is not supported by this version yet: remove it",
                    keys.place
                );
                self.fault(at, message, None);
                continue;
            }
            let message = format!(
                "unknown key {name:?} in {}: expected {}",
                keys.place,
                any_of(keys.known)
            );
            self.fault(at, message, nearest(name, keys.known.iter().copied()));
        }
    }

    /// A key that must be there is not.
    pub(super) fn missing(&mut self, table: &Table<'_, '_>, what: &str, expected: &str) {
        self.fault_of_absence(table.at, format!("{what}: {expected}"), None);
    }

    /// A table.
    pub(super) fn table<'d, 'v>(&mut self, value: &'d Value<'v>, expected: &str) -> Option<Table<'d, 'v>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Table {
                table,
                at: value.span().start,
            }),
            other => {
                self.wrong_type(value, other, expected);
                None
            }
        }
    }

    /// A text.
    pub(super) fn text<'d>(&mut self, value: &'d Value<'_>, what: &str, expected: &str) -> Option<&'d str> {
        match value.get_ref() {
            DeValue::String(text) if text.contains('\0') => {
                self.fault(
                    value.span().start,
                    format!("{what}: a text can't hold a NUL byte"),
                    None,
                );
                None
            }
            DeValue::String(text) => Some(text),
            other => {
                self.wrong_type(value, other, &format!("{what}: expected {expected}"));
                None
            }
        }
    }

    /// One of a few words; `later` are those of later versions.
    pub(super) fn word(&mut self, value: &Value<'_>, what: &str, words: &[&str], later: &[&str]) -> Option<String> {
        let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        let expected = any_of(&quoted.iter().map(String::as_str).collect::<Vec<_>>());
        let text = self.text(value, what, &expected)?;
        if words.contains(&text) {
            return Some(text.to_owned());
        }
        let at = value.span().start;
        if later.contains(&text) {
            self.fault(
                at,
                format!("{what}: {text:?} is not supported by this version yet: expected {expected}"),
                None,
            );
        } else {
            self.fault(
                at,
                format!("{what}: {text:?}: expected {expected}"),
                nearest(text, words.iter().copied()),
            );
        }
        None
    }

    /// A whole number in a range.
    pub(super) fn number(&mut self, value: &Value<'_>, what: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let expected = if *range.end() == u64::from(u32::MAX) || *range.end() >= i64::MAX as u64 {
            format!("a whole number from {}", range.start())
        } else {
            format!("a whole number from {} to {}", range.start(), range.end())
        };
        match value.get_ref() {
            DeValue::Integer(integer) => {
                let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
                if let Some(number) = number.filter(|number| range.contains(number)) {
                    return Some(number);
                }
                self.fault(
                    value.span().start,
                    format!("{what}: {integer}: expected {expected}"),
                    None,
                );
                None
            }
            other => {
                self.wrong_type(value, other, &format!("{what}: expected {expected}"));
                None
            }
        }
    }

    /// As [`Reader::number`], for numbers that are kept in 32 bits.
    pub(super) fn count(&mut self, value: &Value<'_>, what: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        self.number(value, what, range)
            .and_then(|number| u32::try_from(number).ok())
    }

    /// `true` or `false`.
    pub(super) fn truth(&mut self, value: &Value<'_>, what: &str) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(truth) => Some(*truth),
            other => {
                self.wrong_type(value, other, &format!("{what}: expected true or false"));
                None
            }
        }
    }

    /// A duration in a range of milliseconds.
    pub(super) fn duration(
        &mut self,
        value: &Value<'_>,
        what: &str,
        range: RangeInclusive<u64>,
    ) -> Option<DurationText> {
        let text = self.text(
            value,
            what,
            "a duration in quotes, like \"500ms\", \"10s\", \"5m\", \"2h\" or \"1d\"",
        )?;
        let at = value.span().start;
        match text.parse::<DurationText>() {
            Err(error) => {
                self.fault(at, format!("{what}: {error}"), None);
                None
            }
            Ok(duration) if !range.contains(&duration.ms) => {
                let (low, high) = (
                    DurationText::from_ms(*range.start()),
                    DurationText::from_ms(*range.end()),
                );
                self.fault(
                    at,
                    format!("{what}: {duration} is out of range: expected {low} to {high}"),
                    None,
                );
                None
            }
            Ok(duration) => Some(duration),
        }
    }

    /// A list of texts, each with its place.
    pub(super) fn texts(&mut self, value: &Value<'_>, what: &str, expected: &str) -> Option<Vec<(String, usize)>> {
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(value, value.get_ref(), &format!("{what}: expected {expected}"));
            return None;
        };
        let faults = self.faults.len();
        let texts: Vec<(String, usize)> = items
            .iter()
            .filter_map(|item| {
                self.text(item, what, &format!("a text in quotes: {expected}"))
                    .map(|text| (text.to_owned(), item.span().start))
            })
            .collect();
        (self.faults.len() == faults).then_some(texts)
    }

    fn wrong_type(&mut self, value: &Value<'_>, found: &DeValue<'_>, expected: &str) {
        let article = if matches!(found, DeValue::Array(_) | DeValue::Integer(_)) {
            "an"
        } else {
            "a"
        };
        self.fault(
            value.span().start,
            format!("{expected}, found {article} {}", found.type_str()),
            None,
        );
    }
}

/// How a message about broken TOML begins.
const SYNTAX: &str = "not TOML";

/// `a, b or c`.
fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
