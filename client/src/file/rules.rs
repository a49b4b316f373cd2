//! `rules` and `rules_file` of `[cluster]`: the same checks as in the cluster, before anything is sent.
//!
//! Which nodes there are only the cluster knows, so every name of a node is taken here and checked there.

use std::collections::BTreeSet;
use std::ops::Range;

use statemachine::rules::{Kind, Names, Place, RuleError, Unchecked, check as check_text};
use toml::de::{DeTable, DeValue};

use super::cluster::ReadGroup;
use super::package::ReadPackage;
use super::reader::{Reader, Table, Value};
use super::render::quoted;
use crate::nearest::nearest;
use crate::wire::definition::Config;
use crate::wire::error::FileError;

const KEY: &str = "rules";
const FILE_KEY: &str = "rules_file";

/// The text of the rules; empty where there are none.
pub(super) fn read(reader: &mut Reader<'_>, cluster: &Table<'_, '_>) -> String {
    if let Some(value) = cluster.get(FILE_KEY) {
        let message = if cluster.get(KEY).is_some() {
            "rules_file: expected rules or rules_file, not both"
        } else {
            "rules_file is read by `paceline apply` and `paceline plan`; elsewhere give the text itself: rules = \"\"\"…\"\"\""
        };
        reader.fault(value.span().start, message.to_owned(), None);
    }
    let text = cluster
        .get(KEY)
        .and_then(|value| reader.text(value, KEY, "the text of rules in quotes"));
    text.unwrap_or_default().to_owned()
}

/// Reports every error of the rules, each at its place in the file.
pub(super) fn check(reader: &mut Reader<'_>, top: &Table<'_, '_>, groups: &[ReadGroup], packages: &[ReadPackage]) {
    let Some(value) = rules_of(top) else { return };
    let DeValue::String(text) = value.get_ref() else { return };
    let mut names = FileNames::new(
        groups.iter().map(|group| group.definition.name.as_str()),
        packages
            .iter()
            .map(|package| (package.definition.name.as_str(), package.definition.copies)),
    );
    for error in check_text(text, &mut names).err().unwrap_or_default() {
        let near = error.nearest.as_deref();
        match place_in(reader, value.span(), error.place) {
            Some(at) => reader.fault(at, format!("rules: {}", error.kind), near),
            None => {
                let message = format!("{}{}: {}", OUT_OF_PLACE, error.place, error.kind);
                reader.fault(value.span().start, message, near);
            }
        }
    }
}

/// How a message begins whose place could not be found in the file.
const OUT_OF_PLACE: &str = "rules, ";

fn rules_of<'d, 't>(top: &Table<'d, 't>) -> Option<&'d Value<'t>> {
    match top.get("cluster")?.get_ref() {
        DeValue::Table(cluster) => cluster.get(KEY),
        _ => None,
    }
}

/// The byte of the file where a place of the text is; none where escapes stand between the two.
fn place_in(reader: &Reader<'_>, span: Range<usize>, place: Place) -> Option<usize> {
    let raw = reader.raw(span.clone());
    let long = raw.starts_with("\"\"\"") || raw.starts_with("'''");
    if raw.starts_with('"') && raw.contains('\\') {
        return None;
    }
    let mut start = if long { 3 } else { 1 };
    if long {
        let inner = raw.get(start..)?;
        start += if inner.starts_with("\r\n") {
            2
        } else {
            usize::from(inner.starts_with('\n'))
        };
    }
    let mut at = span.start + start;
    let mut lines = raw.get(start..)?.split_inclusive('\n');
    for _ in 1..place.line {
        at += lines.next()?.len();
    }
    let line = lines.next().unwrap_or_default();
    let before = usize::try_from(place.column).ok()?.checked_sub(1)?;
    Some(at + line.chars().take(before).map(char::len_utf8).sum::<usize>())
}

/// What is defined in a file.
struct FileNames {
    groups: BTreeSet<String>,
    packages: BTreeSet<String>,
}

impl FileNames {
    fn new<'a>(groups: impl Iterator<Item = &'a str>, packages: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let packages = packages.flat_map(|(name, copies)| {
            let copied = (1..=copies).filter(move |_| copies > 1);
            let single = (copies <= 1).then(|| name.to_owned());
            single
                .into_iter()
                .chain(copied.map(move |copy| format!("{name}-{copy}")))
        });
        Self {
            groups: groups.map(str::to_owned).collect(),
            packages: packages.collect(),
        }
    }

    fn of(&self, kind: Kind) -> Option<&BTreeSet<String>> {
        match kind {
            Kind::Package => Some(&self.packages),
            Kind::Group => Some(&self.groups),
            Kind::Node
            | Kind::Lan
            | Kind::Disk
            | Kind::Address
            | Kind::Cpu
            | Kind::Memory
            | Kind::Service
            | Kind::Manager => None,
        }
    }
}

impl Names for FileNames {
    fn is_known(&mut self, kind: Kind, name: &str) -> bool {
        self.of(kind).is_none_or(|names| names.contains(name))
    }

    fn nearest(&mut self, kind: Kind, name: &str) -> Option<String> {
        let names = self.of(kind)?;
        nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }
}

/// Checks a text of rules, and its names where there is a cluster file; says how many rules it has.
///
/// # Errors
/// Every error of the text, in the order of its lines.
pub fn check_rules(text: &str, config: Option<&Config>) -> Result<usize, Vec<FileError>> {
    let checked = match config {
        None => check_text(text, &mut Unchecked),
        Some(config) => {
            let groups = config.groups.iter().map(|group| group.name.as_str());
            let packages = config.packages.iter();
            let packages = packages.map(|package| (package.name.as_str(), package.copies));
            check_text(text, &mut FileNames::new(groups, packages))
        }
    };
    match checked {
        Ok(rules) => Ok(rules.rules().count()),
        Err(errors) => Err(errors.into_iter().map(file_error).collect()),
    }
}

fn file_error(error: RuleError) -> FileError {
    FileError {
        line: error.place.line,
        column: error.place.column,
        message: error.kind.to_string(),
        nearest: error.nearest,
    }
}

/// A cluster file with the rules of its `rules_file` in it. Every other line stays where it is.
#[derive(Clone, Debug)]
pub struct Inlined {
    /// The file to be sent.
    pub text: String,
    from: Option<Source>,
}

/// Where rules came from.
#[derive(Clone, Debug)]
struct Source {
    file: String,
    line: usize,
    column: usize,
}

impl Inlined {
    /// Errors of [`Inlined::text`] as errors of the file that a person wrote, and of the rules' own file.
    #[must_use]
    pub fn relocate(&self, errors: Vec<FileError>) -> Vec<FileError> {
        let Some(from) = &self.from else { return errors };
        let relocated = errors.into_iter().map(|error| {
            let Some(words) = error.message.strip_prefix(OUT_OF_PLACE) else {
                return error;
            };
            FileError {
                line: u32::try_from(from.line).unwrap_or(u32::MAX),
                column: u32::try_from(from.column).unwrap_or(u32::MAX),
                message: format!("{}, {words}", from.file),
                nearest: error.nearest,
            }
        });
        relocated.collect()
    }
}

/// Puts the rules that `rules_file` names in its place. `load` reads a file that is named relative to the cluster file.
///
/// # Errors
/// That the file can't be read, at the place where it is named.
pub fn inline(text: &str, load: impl FnOnce(&str) -> std::io::Result<String>) -> Result<Inlined, Vec<FileError>> {
    let untouched = Inlined {
        text: text.to_owned(),
        from: None,
    };
    let (document, syntax) = DeTable::parse_recoverable(text);
    let Some(DeValue::Table(cluster)) = document.get_ref().get("cluster").map(|value| value.get_ref()) else {
        return Ok(untouched);
    };
    let named = cluster.iter().find(|(key, _)| key.get_ref().as_ref() == FILE_KEY);
    let Some((key, value)) = named else {
        return Ok(untouched);
    };
    let DeValue::String(file) = value.get_ref() else {
        return Ok(untouched);
    };
    if !syntax.is_empty() || cluster.get(KEY).is_some() {
        // Reading the file will say what is wrong with it.
        return Ok(untouched);
    }
    let (line, column) = Reader::new(text).place(value.span().start);
    let rules = load(file).map_err(|error| {
        vec![FileError {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            message: format!("rules_file: can't read {file:?}: {error}"),
            nearest: None,
        }]
    })?;
    let before = text.get(..key.span().start).unwrap_or_default();
    let after = text.get(value.span().end..).unwrap_or_default();
    // On one line with an escape at least, so that an error in it is told by the line of the rules' own file.
    let rules = quoted(&format!("{rules}\n"));
    Ok(Inlined {
        text: format!("{before}{KEY} = {rules}{after}"),
        from: Some(Source {
            file: file.to_string(),
            line,
            column,
        }),
    })
}
