//! What holds between the parts of a file: names that are used twice, or that name nothing.

use std::collections::{BTreeMap, BTreeSet};

use statemachine::id::NAME_BYTES_MAX;

use super::cluster::ReadGroup;
use super::package::{DIMENSIONS_MAX, ReadPackage};
use super::reader::Reader;
use crate::nearest::nearest;

/// Reports everything that is wrong between groups and packages.
pub(super) fn check(reader: &mut Reader<'_>, groups: &[ReadGroup], packages: &[ReadPackage]) {
    check_group_names(reader, groups);
    check_package_names(reader, packages);
    check_groups_exist(reader, groups, packages);
    check_dimensions(reader, packages);
    super::relations::check(reader, groups, packages);
    super::condition::check(reader, groups, packages);
}

fn check_group_names(reader: &mut Reader<'_>, groups: &[ReadGroup]) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for group in groups.iter().filter(|group| !group.definition.name.is_empty()) {
        let name = group.definition.name.as_str();
        match first.get(name) {
            Some(at) => {
                let line = reader.place(*at).0;
                reader.fault(
                    group.name_at,
                    format!("group {name:?} is already defined at line {line}: give each its own name"),
                    None,
                );
            }
            None => {
                first.insert(name, group.name_at);
            }
        }
    }
}

/// Names must differ after `copies` is spelled out: `web` with two copies is `web-1` and `web-2`. The definition's own
/// name counts too, because commands take it for all its copies.
fn check_package_names(reader: &mut Reader<'_>, packages: &[ReadPackage]) {
    let mut taken: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    for package in packages.iter().filter(|package| !package.definition.name.is_empty()) {
        let (name, copies) = (package.definition.name.as_str(), package.definition.copies);
        if copies > 1 {
            let longest = name.len() + 1 + copies.to_string().len();
            if longest > NAME_BYTES_MAX {
                let message = format!(
                    "name: {name}-{copies} would have {longest} bytes, a name has at most {NAME_BYTES_MAX}: shorten it"
                );
                reader.fault(package.name_at, message, None);
            }
        }
        let expanded = (1..=copies).filter(|_| copies > 1).map(|copy| format!("{name}-{copy}"));
        for each in std::iter::once(name.to_owned()).chain(expanded) {
            match taken.get(&each) {
                None => {
                    taken.insert(each, (package.name_at, name));
                }
                Some((at, other)) => {
                    let line = reader.place(*at).0;
                    let message = if *other == name && each == name {
                        format!("package {name:?} is already defined at line {line}: give each its own name")
                    } else {
                        format!(
                            "package {name:?} and package {other:?} (line {line}) both make a package {each:?}, by their copies: rename one"
                        )
                    };
                    reader.fault(package.name_at, message, None);
                    break;
                }
            }
        }
    }
}

fn check_groups_exist(reader: &mut Reader<'_>, groups: &[ReadGroup], packages: &[ReadPackage]) {
    let names: BTreeSet<&str> = groups
        .iter()
        .map(|group| group.definition.name.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    for package in packages {
        let Some(group) = package.definition.group.as_deref() else {
            continue;
        };
        if names.contains(group) {
            continue;
        }
        let expected = if names.is_empty() {
            format!("define it with [[group]], name = {group:?}, kind = \"duplex\"")
        } else {
            format!(
                "expected one of {}",
                names.iter().copied().collect::<Vec<_>>().join(", ")
            )
        };
        let near = nearest(group, names.iter().copied());
        reader.fault_of_absence(
            package.group_at,
            format!("there is no group {group:?} in this file: {expected}"),
            near,
        );
    }
}

fn check_dimensions(reader: &mut Reader<'_>, packages: &[ReadPackage]) {
    let mut dimensions: BTreeSet<&str> = BTreeSet::from(["cpu", "memory"]);
    for package in packages {
        for (dimension, at) in &package.load_at {
            if dimensions.contains(dimension.as_str()) {
                continue;
            }
            if dimensions.len() == DIMENSIONS_MAX {
                let known: Vec<&str> = dimensions.iter().copied().collect();
                let message = format!(
                    "load: {dimension:?} is one dimension too many: at most {DIMENSIONS_MAX}, here {}",
                    known.join(", ")
                );
                let near = nearest(dimension, known.iter().copied());
                reader.fault(*at, message, near);
            } else {
                dimensions.insert(dimension);
            }
        }
    }
}
