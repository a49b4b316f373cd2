//! I8: the fencing tokens that a resource accepts never decrease.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Findings;
use crate::resource::TokenWrite;

/// Looks at what was written to each unit's resource, in the resource's own order: no clock is believed.
pub fn check(units: &BTreeMap<String, Vec<TokenWrite>>) -> Findings {
    let mut findings = Findings::default();
    for (unit, writes) in units {
        let mut highest: Option<&TokenWrite> = None;
        let mut stale = BTreeSet::new();
        for write in writes {
            findings.look();
            // Each stale writer is told of once.
            if let Some(before) = highest
                && write.token < before.token
                && stale.insert((&write.node, write.pid, write.token))
            {
                findings.wrong(format!(
                    "the resource of {unit} was written under token {} after token {}: {write}, after {before}",
                    write.token, before.token
                ));
            }
            if highest.is_none_or(|before| before.token <= write.token) {
                highest = Some(write);
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(tokens: &[u64]) -> Findings {
        let write = |token: &u64| TokenWrite {
            token: *token,
            node: "n1".to_owned(),
            package: "a".to_owned(),
            pid: 1,
        };
        check(&BTreeMap::from([("u".to_owned(), tokens.iter().map(write).collect())]))
    }

    #[test]
    fn growing_tokens_are_fine_and_a_planted_old_one_is_found() {
        assert_eq!(
            (checked(&[1, 1, 2, 5]).looked_at, checked(&[1, 1, 2, 5]).wrong.len()),
            (4, 0)
        );
        assert_eq!(checked(&[1, 2, 1, 2, 1]).wrong.len(), 1);
    }
}
