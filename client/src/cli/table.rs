//! Plain tables: columns as wide as their widest cell, two spaces apart.

use super::screen::{Screen, Tone};

/// A cell and what it means.
pub(crate) type Cell = (String, Tone);

/// A cell without a meaning of its own.
pub(crate) fn plain(text: impl Into<String>) -> Cell {
    (text.into(), Tone::Plain)
}

/// Writes a table with a head. On a terminal the last column is cut at its edge.
pub(crate) fn lines(screen: &Screen, head: &[&str], rows: &[Vec<Cell>]) -> Vec<String> {
    let head: Vec<Cell> = head.iter().map(|text| ((*text).to_owned(), Tone::Faint)).collect();
    let columns = head.len();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            std::iter::once(&head)
                .chain(rows)
                .filter_map(|row| row.get(column))
                .map(|(text, _)| text.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    std::iter::once(&head)
        .chain(rows)
        .map(|row| {
            let mut line = String::new();
            let mut used = 0;
            for (column, (text, tone)) in row.iter().enumerate() {
                let last = column + 1 == row.len();
                let room = if screen.terminal && last {
                    screen.width.saturating_sub(used).max(8)
                } else {
                    usize::MAX
                };
                line.push_str(&screen.paint(*tone, &cut(text, room)));
                if !last {
                    let width = widths.get(column).copied().unwrap_or(0);
                    line.push_str(&" ".repeat(width.saturating_sub(text.chars().count()) + 2));
                    used += width + 2;
                }
            }
            line.trim_end().to_owned()
        })
        .collect()
}

/// At most so many letters, with a mark where something is missing.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
    short.push('…');
    short
}
