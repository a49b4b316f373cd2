//! What a name in a condition stands for: a package, or any member of a group.

use alloc::sync::Arc;

use crate::command::PackageSpec;
use crate::id::{GroupName, PackageName};
use crate::rules::condition::{Condition, Expression};

/// A name of a condition, ready to be looked up as either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    name: Arc<str>,
    pub(crate) package: Option<PackageName>,
    pub(crate) group: Option<GroupName>,
}

impl Subject {
    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }
}

impl core::fmt::Display for Subject {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.name)
    }
}

/// A definition's condition. A text that can't be read is refused before it is stored, so that none means no condition.
pub(crate) fn condition_of(spec: &PackageSpec) -> Option<Arc<Expression<Subject>>> {
    let condition = Condition::parse(spec.condition.as_deref()?).ok()?;
    Some(Arc::new(condition.expression().map(&mut |name| Subject {
        name: name.clone(),
        package: PackageName::new(name).ok(),
        group: GroupName::new(name).ok(),
    })))
}
