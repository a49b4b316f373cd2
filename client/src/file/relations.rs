//! What a package says of others and of its node: `after` and `needs`.

use std::collections::{BTreeMap, BTreeSet};

use statemachine::id::PackageName;
use statemachine::resource::Need;

use super::cluster::ReadGroup;
use super::package::ReadPackage;
use super::reader::{Reader, Table};
use crate::nearest::nearest;

/// Reads both keys.
pub(super) fn read(reader: &mut Reader<'_>, table: &Table<'_, '_>, read: &mut ReadPackage) {
    let package = &mut read.definition;
    if let Some(value) = table.get("after")
        && let Some(names) = reader.texts(value, "after", "names of packages of its group, like [\"db\"]")
    {
        for (name, at) in names {
            match PackageName::new(&name) {
                Err(error) => reader.fault(at, format!("after: {error}"), None),
                Ok(_) => {
                    read.after_at.push(at);
                    package.after.push(name);
                }
            }
        }
    }
    if let Some(value) = table.get("needs")
        && let Some(needs) = reader.texts(
            value,
            "needs",
            "resources of its node, like [\"lan:eth1\", \"disk:/data\"]",
        )
    {
        for (need, at) in needs {
            if let Err(error) = Need::parse(&need) {
                reader.fault(at, format!("needs: {error}"), None);
            } else if package.needs.contains(&need) {
                reader.fault(
                    at,
                    format!("needs: {need:?} stands there twice: expected each once"),
                    None,
                );
            } else {
                package.needs.push(need);
            }
        }
    }
}

/// Reports an order that can't be: across groups, of packages that are not there, or in a circle.
pub(super) fn check(reader: &mut Reader<'_>, groups: &[ReadGroup], packages: &[ReadPackage]) {
    let together: BTreeSet<&str> = groups
        .iter()
        .filter(|group| group.definition.kind == "together")
        .map(|group| group.definition.name.as_str())
        .collect();
    let mut sound = true;
    for package in packages {
        let definition = &package.definition;
        let together_with = definition.group.as_deref().filter(|group| together.contains(group));
        if let Some(group) = together_with.filter(|_| definition.exclusive) {
            let message = format!(
                "exclusive: the members of group {group:?} share a node: take it away, or put the package outside the group"
            );
            reader.fault(package.name_at, message, None);
        }
        let Some(first) = package.after_at.first() else {
            continue;
        };
        let group = definition.group.as_deref().filter(|group| together.contains(group));
        let Some(group) = group else {
            let message = "after: expected a group of kind \"together\" around both: order is kept there only";
            reader.fault(*first, message.to_owned(), None);
            sound = false;
            continue;
        };
        if definition.copies > 1 {
            let message = format!(
                "after: {} has copies, and only one package can have a place in an order",
                definition.name
            );
            reader.fault(*first, message, None);
            sound = false;
            continue;
        }
        let members = || {
            let of_group = packages.iter().map(|other| &other.definition);
            of_group.filter(|other| other.group.as_deref() == Some(group) && other.copies == 1)
        };
        for (name, at) in definition.after.iter().zip(&package.after_at) {
            if !members().any(|other| other.name == *name) {
                let near = nearest(name, members().map(|other| other.name.as_str()));
                let message = format!("after: group {group:?} has no package {name:?}: expected one of its members");
                reader.fault(*at, message, near);
                sound = false;
            }
        }
    }
    if sound {
        check_circles(reader, packages);
    }
}

/// Whoever has nobody before it is taken out, again and again: what is left waits for itself.
fn check_circles(reader: &mut Reader<'_>, packages: &[ReadPackage]) {
    let mut rest: BTreeMap<&str, &ReadPackage> = packages
        .iter()
        .filter(|package| !package.definition.name.is_empty())
        .map(|package| (package.definition.name.as_str(), package))
        .collect();
    loop {
        let names: BTreeSet<&str> = rest.keys().copied().collect();
        let count = rest.len();
        rest.retain(|_, package| {
            package
                .definition
                .after
                .iter()
                .any(|name| names.contains(name.as_str()))
        });
        if rest.len() < count {
            continue;
        }
        let Some(package) = rest.values().next() else { return };
        let circle: Vec<&str> = rest.keys().copied().collect();
        let message = format!(
            "after: none of these could be first, each comes after another: {}; take one away",
            circle.join(", ")
        );
        reader.fault(
            package.after_at.first().copied().unwrap_or(package.name_at),
            message,
            None,
        );
        return;
    }
}
