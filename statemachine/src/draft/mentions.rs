//! Whose conditions name whom: kept as definitions come and go, so that a change finds them without a search.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Draft;
use crate::id::PackageIx;
use crate::package::Package;
use crate::state::State;

impl Draft<'_> {
    /// Takes a package's condition out of the index, before it changes or goes.
    pub(crate) fn forget_mentions(&mut self, number: PackageIx) {
        for name in names(self.state.package_at(number)) {
            let Some(who) = self.state.mentions.get_mut(&name) else {
                continue;
            };
            Arc::make_mut(who).remove(&number);
            if who.is_empty() {
                self.state.mentions.remove(&name);
            }
        }
    }

    /// Puts a package's condition into the index.
    pub(crate) fn remember_mentions(&mut self, number: PackageIx) {
        remember(self.state, number);
    }
}

/// Puts a package's condition into the index.
pub(crate) fn remember(state: &mut State, number: PackageIx) {
    for name in names(state.package_at(number)) {
        match state.mentions.get_mut(&name) {
            Some(who) => {
                Arc::make_mut(who).insert(number);
            }
            None => state.mentions.insert(name, Arc::new(BTreeSet::from([number]))),
        }
    }
}

fn names(package: Option<&Package>) -> Vec<String> {
    let condition = package.and_then(|package| package.condition.as_deref());
    let atoms = condition.into_iter().flat_map(|condition| condition.atoms());
    atoms.map(|atom| atom.name.as_str().to_string()).collect()
}
