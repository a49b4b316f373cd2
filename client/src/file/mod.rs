//! The cluster file: TOML that people write, read with *all* its errors at once.
//!
//! [`parse`] never stops at the first error: whoever edits a file on a bad day must not have to run `apply` ten times.
//! Each error has its line and column, what was expected, and the nearest valid name. What only the cluster knows (which
//! nodes there are) is not checked here. [`render()`] writes a [`Config`] so that [`parse`] reads the same one again.

mod check;
mod cluster;
mod condition;
mod modes;
mod package;
mod reader;
mod relations;
mod render;
mod rules;

use toml::de::{DeTable, DeValue};

pub use render::render;
pub use rules::{Inlined, check_rules, inline};

use crate::wire::definition::Config;
use crate::wire::error::FileError;
use reader::{Keys, Reader, Table};

/// Keys at the top of a cluster file.
const TOP: Keys = Keys {
    place: "the file",
    known: &["cluster", "mode", "group", "package"],
    later: &[],
};

/// Reads a cluster file.
///
/// # Errors
/// Every error in the file, in the order of its lines.
pub fn parse(text: &str) -> Result<Config, Vec<FileError>> {
    let mut reader = Reader::new(text);
    let (document, syntax) = DeTable::parse_recoverable(text);
    for error in &syntax {
        reader.syntax(error);
    }
    let top = Table {
        table: document.get_ref(),
        at: 0,
    };
    reader.check_keys(&top, &TOP);

    let cluster = cluster::read_cluster(&mut reader, top.get("cluster"));
    let tables = list(&mut reader, &top, "mode");
    let modes = modes::read(&mut reader, &tables);
    let groups: Vec<_> = list(&mut reader, &top, "group")
        .into_iter()
        .map(|table| cluster::read_group(&mut reader, &table))
        .collect();
    let packages: Vec<_> = list(&mut reader, &top, "package")
        .into_iter()
        .map(|table| package::read_package(&mut reader, &table))
        .collect();
    check::check(&mut reader, &groups, &packages);
    rules::check(&mut reader, &top, &groups, &packages);

    let config = Config {
        cluster,
        modes,
        groups: groups.into_iter().map(|group| group.definition).collect(),
        packages: packages.into_iter().map(|package| package.definition).collect(),
    };
    reader.finish(!syntax.is_empty(), config)
}

/// Checks a definition that did not come as a file, by the rules of the file. The errors have line and column 0.
///
/// # Errors
/// Every error of the definition.
pub fn check(config: &Config) -> Result<(), Vec<FileError>> {
    match parse(&render(config)) {
        Ok(_) => Ok(()),
        Err(errors) => Err(errors
            .into_iter()
            .map(|error| FileError {
                line: 0,
                column: 0,
                ..error
            })
            .collect()),
    }
}

/// The tables of `[[key]]`.
fn list<'d, 't>(reader: &mut Reader<'_>, top: &Table<'d, 't>, key: &str) -> Vec<Table<'d, 't>> {
    let Some(value) = top.get(key) else { return Vec::new() };
    let expected = format!("expected [[{key}]] with two brackets on each side, once for each {key}");
    match value.get_ref() {
        DeValue::Array(items) => items.iter().filter_map(|item| reader.table(item, &expected)).collect(),
        other => {
            reader.fault(
                value.span().start,
                format!("{key:?} is a {}: {expected}", other.type_str()),
                None,
            );
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests;
