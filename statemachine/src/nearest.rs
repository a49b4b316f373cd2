//! The nearest existing name to one that nothing has.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Names compared at most: beyond that a typing error is not worth the time of an entry.
const COMPARED_MAX: usize = 4_096;

/// The nearest of some names, where one is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let bound = name.len().div_ceil(3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for other in names.take(COMPARED_MAX) {
        if other.len().abs_diff(name.len()) > bound {
            continue;
        }
        let candidate = (distance(name, other), other);
        if candidate.0 <= bound && best.is_none_or(|best| candidate < best) {
            best = Some(candidate);
        }
    }
    best.map(|(_, name)| name.to_string())
}

/// How many letters must be put in, taken out or exchanged.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (above, letter) in a.bytes().enumerate() {
        let mut diagonal = above;
        let mut left = above.saturating_add(1);
        for (cell, other) in row.iter_mut().skip(1).zip(&b) {
            let here = if letter == *other {
                diagonal
            } else {
                diagonal.min(*cell).min(left).saturating_add(1)
            };
            diagonal = core::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = above.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_name() {
        let names = ["orders-a", "orders-b", "web"];
        assert_eq!(nearest("order-b", names.into_iter()).as_deref(), Some("orders-b"));
        assert_eq!(nearest("wbe", names.into_iter()), None);
        assert_eq!(nearest("webb", names.into_iter()).as_deref(), Some("web"));
        assert_eq!(nearest("mailer", names.into_iter()), None);
    }
}
