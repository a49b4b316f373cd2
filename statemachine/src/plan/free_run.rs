//! Free-run groups (M10): every member that runs is active and gets the same input; the output of one is released.
//!
//! What may be there only once is the release. It is granted, held and taken over exactly as the active mode of a duplex
//! group is: a member whose output is inhibited is that group's standby, and its release is a promotion in place, under a
//! new epoch, once the end of the one before is proven. So nothing but the words differ from [`takeover`](super::takeover).

use crate::command::{GroupKind, Mode, Output};
use crate::group::Group;
use crate::id::PackageIx;
use crate::package::Package;
use crate::state::State;

/// What an instance is told to be where the plan wants it in `mode`: a standby of a free-run group runs as the others do,
/// with its output inhibited.
pub(crate) fn manner(state: &State, number: PackageIx, mode: Mode) -> (Mode, Output) {
    match mode {
        Mode::Active => (Mode::Active, Output::Released),
        Mode::Standby
            if state
                .package_at(number)
                .is_some_and(|package| runs_free(state, package)) =>
        {
            (Mode::Active, Output::Inhibited)
        }
        Mode::Standby | Mode::Test => (mode, Output::Inhibited),
    }
}

/// Whether a package is of a free-run group.
pub(crate) fn runs_free(state: &State, package: &Package) -> bool {
    let group = package.group.and_then(|group| state.group_at(group));
    group.is_some_and(Group::is_free_run)
}

/// The output of a package's instance where it is told apart from the mode: in a free-run group, while not in test.
pub(crate) fn told_output(state: &State, number: PackageIx) -> Option<Output> {
    let package = state.package_at(number).filter(|package| runs_free(state, package))?;
    let instance = package.instance.as_ref()?;
    (instance.mode == Mode::Active).then_some(instance.output)
}

impl Group {
    /// Whether all of its members that run are active, and one is released.
    #[must_use]
    pub fn is_free_run(&self) -> bool {
        self.spec.kind == GroupKind::FreeRun
    }
}
