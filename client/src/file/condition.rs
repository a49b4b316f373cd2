//! `condition`: where a package may run, over the names of what else runs there.

use std::collections::BTreeSet;

use statemachine::rules::condition::Condition;

use super::cluster::ReadGroup;
use super::package::ReadPackage;
use super::reader::{Reader, Table};
use crate::nearest::nearest;

/// Reads the key.
pub(super) fn read(reader: &mut Reader<'_>, table: &Table<'_, '_>, read: &mut ReadPackage) {
    let Some(value) = table.get("condition") else { return };
    let Some(text) = reader.text(
        value,
        "condition",
        "a condition in quotes, like \"!batch & (db | cache)\"",
    ) else {
        return;
    };
    read.condition_at = value.span().start;
    match Condition::parse(text) {
        Ok(_) => read.definition.condition = Some(text.to_owned()),
        Err(error) => {
            let skipped = usize::try_from(error.column).unwrap_or(1).saturating_sub(1);
            let raw = reader.raw(value.span());
            // Where the text stands as it was written, the very letter is pointed at.
            let written = raw.get(1..raw.len().saturating_sub(1)) == Some(text);
            let inside = written.then(|| text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at));
            let at = inside.map_or(read.condition_at, |inside| read.condition_at + 1 + inside);
            let message = if written {
                format!("condition: {}", error.kind)
            } else {
                format!("condition: {error}")
            };
            reader.fault(at, message, None);
        }
    }
}

/// Reports names that the file does not define, and conditions that exclude the package itself.
pub(super) fn check(reader: &mut Reader<'_>, groups: &[ReadGroup], packages: &[ReadPackage]) {
    if packages.iter().all(|package| package.definition.condition.is_none()) {
        return;
    }
    let mut names: BTreeSet<String> = groups.iter().map(|group| group.definition.name.clone()).collect();
    for package in packages.iter().map(|package| &package.definition) {
        if package.copies > 1 {
            names.extend((1..=package.copies).map(|copy| format!("{}-{copy}", package.name)));
        } else {
            names.insert(package.name.clone());
        }
    }
    for package in packages {
        let definition = &package.definition;
        let Some(Ok(condition)) = definition.condition.as_deref().map(Condition::parse) else {
            continue;
        };
        let mut said = BTreeSet::new();
        for (name, _) in condition.atoms().filter(|(name, _)| !names.contains(*name)) {
            if !said.insert(name.to_owned()) {
                continue;
            }
            let copies = packages.iter().map(|other| &other.definition);
            let copied = copies
                .filter(|other| other.name == name)
                .map(|other| other.copies)
                .next();
            let expected = match copied {
                Some(copies) => format!("it has copies, so expected one of {name}-1 to {name}-{copies}, or its group"),
                None => "expected a package or a group of this file".to_owned(),
            };
            let near = nearest(name, names.iter().map(String::as_str));
            let message = format!("condition: nothing is named {name:?} here: {expected}");
            reader.fault_of_absence(package.condition_at, message, near);
        }
        let own = [Some(definition.name.as_str()), definition.group.as_deref()];
        if let Some(own) = own.into_iter().flatten().find(|own| condition.excludes(own)) {
            let message = format!(
                "condition: it excludes {own:?}, which is there wherever {} is: take that out",
                definition.name
            );
            reader.fault(package.condition_at, message, None);
        }
    }
}
