//! The matrix of packages × nodes: who runs where, and in which mode, at one look.
//!
//! One row for each unit: a group with all its members, or a package without a group. The words carry the meaning and
//! colour only repeats it: `ACTIVE` in capitals, `standby` and `test` not, `·` for nothing, a `?` behind what a lost node
//! was last known to do.

use super::screen::{Screen, Tone};
use super::table::cut;
use crate::wire::node::Node;
use crate::wire::package::{Instance, Package};

/// A name longer than this is cut: the cells matter more.
const NAME_WIDTH_MAX: usize = 24;

struct Row<'a> {
    name: &'a str,
    members: Vec<&'a Package>,
}

/// The matrix, or a list where there are more nodes than fit the screen.
pub(crate) fn lines(screen: &Screen, nodes: &[Node], packages: &[Package]) -> Vec<String> {
    if packages.is_empty() {
        return vec!["no packages are defined".to_owned()];
    }
    let nodes: Vec<&Node> = nodes
        .iter()
        .filter(|node| node.state != "left" || runs_any(packages, &node.name))
        .collect();
    let rows = rows(packages);
    // Members are named in the cells where there is room for it.
    for named in [true, false] {
        if let Some(lines) = matrix(screen, &nodes, &rows, named) {
            return lines;
        }
    }
    list(screen, &nodes, &rows)
}

fn runs_any(packages: &[Package], node: &str) -> bool {
    packages
        .iter()
        .any(|package| package.instances.iter().any(|instance| instance.node == node))
}

/// Units in the order of their first member.
fn rows(packages: &[Package]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut of_group = std::collections::BTreeMap::new();
    for package in packages {
        match package.group.as_deref() {
            None => rows.push(Row {
                name: &package.name,
                members: vec![package],
            }),
            Some(group) => match of_group.get(group) {
                Some(position) => {
                    let row: &mut Row<'_> = &mut rows[*position];
                    row.members.push(package);
                }
                None => {
                    of_group.insert(group, rows.len());
                    rows.push(Row {
                        name: group,
                        members: vec![package],
                    });
                }
            },
        }
    }
    rows
}

fn matrix(screen: &Screen, nodes: &[&Node], rows: &[Row<'_>], named: bool) -> Option<Vec<String>> {
    let name_width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0)
        .clamp(8, NAME_WIDTH_MAX);
    let cells: Vec<Vec<(String, Tone)>> = rows
        .iter()
        .map(|row| nodes.iter().map(|node| cell(row, node, named)).collect())
        .collect();
    let widths: Vec<usize> = nodes
        .iter()
        .enumerate()
        .map(|(column, node)| {
            let widest = cells.iter().map(|row| row[column].0.chars().count()).max().unwrap_or(0);
            widest.max(head(node).0.chars().count()).max(8)
        })
        .collect();
    let tails: Vec<String> = rows.iter().map(tail).collect();
    let tail_width = tails.iter().map(|tail| tail.chars().count()).max().unwrap_or(0);
    let width = name_width
        + widths.iter().map(|width| width + 2).sum::<usize>()
        + if tail_width > 0 { tail_width + 2 } else { 0 };
    if width > screen.width {
        return None;
    }
    let mut lines = Vec::new();
    let mut line = " ".repeat(name_width);
    for (node, width) in nodes.iter().zip(&widths) {
        let (text, tone) = head(node);
        push(screen, &mut line, &text, tone, *width);
    }
    lines.push(line.trim_end().to_owned());
    for ((row, cells), tail) in rows.iter().zip(&cells).zip(&tails) {
        let name = cut(row.name, NAME_WIDTH_MAX);
        let mut line = screen.paint(Tone::Strong, &name);
        line.push_str(&" ".repeat(name_width - name.chars().count()));
        for ((text, tone), width) in cells.iter().zip(&widths) {
            push(screen, &mut line, text, *tone, *width);
        }
        if !tail.is_empty() {
            line.push_str("  ");
            line.push_str(&screen.paint(Tone::Faint, tail));
        }
        lines.push(line.trim_end().to_owned());
    }
    Some(lines)
}

/// For many nodes: one line for each unit, with the nodes that run it.
fn list(screen: &Screen, nodes: &[&Node], rows: &[Row<'_>]) -> Vec<String> {
    let name_width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0)
        .clamp(8, NAME_WIDTH_MAX);
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let places: Vec<String> = row
                .members
                .iter()
                .flat_map(|member| &member.instances)
                .map(|instance| {
                    let lost = nodes
                        .iter()
                        .any(|node| node.name == instance.node && node.state != "up");
                    let (word, tone) = word(instance, lost);
                    format!("{} {}", screen.paint(tone, &word), instance.node)
                })
                .collect();
            let places = if places.is_empty() {
                "·".to_owned()
            } else {
                places.join(", ")
            };
            let name = cut(row.name, NAME_WIDTH_MAX);
            let gap = " ".repeat(name_width - name.chars().count() + 2);
            format!("{}{gap}{places}  {}", screen.paint(Tone::Strong, &name), tail(row))
                .trim_end()
                .to_owned()
        })
        .collect();
    let out: Vec<String> = nodes
        .iter()
        .filter(|node| node.state != "up" || node.drain || node.maintenance.is_some() || node.overload)
        .map(|node| head(node).0)
        .collect();
    if !out.is_empty() {
        lines.push(format!("nodes: {}", out.join(", ")));
    }
    lines
}

fn push(screen: &Screen, line: &mut String, text: &str, tone: Tone, width: usize) {
    line.push_str("  ");
    line.push_str(&screen.paint(tone, text));
    line.push_str(&" ".repeat(width.saturating_sub(text.chars().count())));
}

fn head(node: &Node) -> (String, Tone) {
    match (node.state.as_str(), node.drain) {
        ("up", _) if node.maintenance.is_some() => (format!("{} (maint)", node.name), Tone::Busy),
        ("up", _) if node.overload => (format!("{} OVERLOADED", node.name), Tone::Bad),
        ("up", false) => (node.name.clone(), Tone::Strong),
        ("up", true) => (format!("{} (drain)", node.name), Tone::Busy),
        ("lost", _) => (format!("{} LOST", node.name), Tone::Bad),
        (other, _) => (format!("{} {other}", node.name), Tone::Faint),
    }
}

fn cell(row: &Row<'_>, node: &Node, named: bool) -> (String, Tone) {
    let here: Vec<(String, Tone)> = row
        .members
        .iter()
        .flat_map(|member| member.instances.iter().map(move |instance| (member, instance)))
        .filter(|(_, instance)| instance.node == node.name)
        .map(|(member, instance)| {
            let (word, tone) = word(instance, node.state != "up");
            let name_it = named && row.members.len() > 1;
            (
                if name_it {
                    format!("{word} {}", member.name)
                } else {
                    word
                },
                tone,
            )
        })
        .collect();
    match here.as_slice() {
        [] => ("·".to_owned(), Tone::Faint),
        [one] => one.clone(),
        several => {
            let words: Vec<&str> = several.iter().map(|(word, _)| word.as_str()).collect();
            (words.join("+"), Tone::Busy)
        }
    }
}

/// What an instance is, in one word.
pub(crate) fn word(instance: &Instance, node_lost: bool) -> (String, Tone) {
    let (word, tone) = match (
        instance.state.as_str(),
        instance.mode.as_str(),
        instance.wanted.as_str(),
    ) {
        ("running", "active", _) if instance.output == "inhibited" => ("inhibited", Tone::Standby),
        ("running", "active", _) => ("ACTIVE", Tone::Good),
        ("changing", "active", "active") => ("releasing", Tone::Busy),
        ("running", "standby", _) => ("standby", Tone::Standby),
        ("running", mode, _) => (mode, Tone::Plain),
        ("changing", _, "active") => ("promoting", Tone::Busy),
        ("changing", _, "standby") => ("demoting", Tone::Busy),
        ("failing", _, _) => ("FAILING", Tone::Bad),
        (state, _, _) => (state, Tone::Busy),
    };
    if node_lost {
        (format!("{word}?"), Tone::Bad)
    } else {
        (word.to_owned(), tone)
    }
}

/// What a row says beside its cells: its priority, and what is wrong with it.
fn tail(row: &Row<'_>) -> String {
    let mut parts = Vec::new();
    if let Some(priority) = row.members.iter().filter_map(|member| member.priority).min() {
        parts.push(format!("prio {priority}"));
    }
    let of = |state: &str| row.members.iter().filter(|member| member.state == state).count();
    for (state, word) in [("failed", "FAILED"), ("waiting", "waiting")] {
        match (of(state), row.members.len()) {
            (0, _) => {}
            (_, 1) => parts.push(word.to_owned()),
            (count, _) => parts.push(format!("{count} {word}")),
        }
    }
    if row.members.iter().all(|member| member.wish == "stop") {
        parts.push("stopped".to_owned());
    }
    parts.join("  ")
}

#[cfg(test)]
#[path = "matrix_tests.rs"]
mod tests;
