//! What a changed definition does to an instance that runs: nothing, a reload in place, or a restart.
//!
//! A reload is asked for only where the new definition has `reload.command` and all that can't change in a running process
//! is as it was. The instance goes on under its old definition, in the same place and under the same epoch, until its
//! daemon has said that the command ended well. A reload that fails is followed by the restart that it was to spare.

use crate::command::{PackageSpec, RunSpec};
use crate::digest::{Feed, Hasher};
use crate::id::Index;
use crate::package::{Instance, Package, Phase};

/// What a change of definition asks of an instance that was started before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: how it is run is as it was.
    Nothing,
    /// Its reload command is run in place of a restart.
    Reload,
    /// It is stopped and started.
    Restart,
}

impl Change {
    /// From one definition to the next.
    #[must_use]
    pub fn between(before: &PackageSpec, after: &PackageSpec) -> Self {
        let same = RunSpec {
            reload: after.run.reload.clone(),
            ..before.run.clone()
        };
        if same == after.run && before.on_quorum_loss == after.on_quorum_loss {
            Self::Nothing
        } else if is_reloadable(before, after) {
            Self::Reload
        } else {
            Self::Restart
        }
    }
}

/// Whether a process of one definition can be told of the other. Its program, arguments and directory are as they were
/// when it was executed, and its supervisor holds it to its deadline, or does not, from birth.
fn is_reloadable(before: &PackageSpec, after: &PackageSpec) -> bool {
    let RunSpec {
        command,
        environment: _,
        directory,
        promote: _,
        demote: _,
        probe: _,
        start_timeout: _,
        stop_timeout: _,
        reload,
    } = &after.run;
    reload.is_some()
        && before.run.command == *command
        && before.run.directory == *directory
        && before.on_quorum_loss == after.on_quorum_loss
}

/// How far an instance is with a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Its node was told to run the command for this revision of the definition.
    Asked(Index),
    /// The command failed for this revision: it is restarted as soon as that may be.
    Failed(Index),
}

/// What is due for an instance of an older definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// Its reload command.
    Reload,
    /// Its answer, to the reload or to a change of mode.
    Wait,
    /// A restart.
    Restart,
}

/// What is due for a package's instance; none where it has the present definition, or is about to end anyway.
pub(crate) fn due(package: &Package) -> Option<Refresh> {
    let instance = package.instance.as_ref().filter(|instance| instance.is_live())?;
    if instance.revision == package.revision {
        return None;
    }
    if !is_reloadable(&instance.spec, &package.spec) {
        return Some(Refresh::Restart);
    }
    Some(match (&instance.reload, &instance.phase) {
        (Some(Reload::Asked(revision)), _) if *revision == package.revision => Refresh::Wait,
        (Some(Reload::Failed(revision)), _) if *revision == package.revision => Refresh::Restart,
        (_, Phase::Running) => Refresh::Reload,
        (_, Phase::Changing { .. }) => Refresh::Wait,
        // It does no work yet that a restart would interrupt, and may never do any under the old definition.
        (_, Phase::Starting | Phase::Failing { .. } | Phase::Stopping { .. } | Phase::Stranded) => Refresh::Restart,
    })
}

impl Package {
    /// Whether its instance is of an older definition, and so to be reloaded or restarted.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let instance = self.instance.as_ref();
        instance.is_some_and(|instance| instance.revision != self.revision)
    }
}

impl Instance {
    /// The revision of the definition that its node is told to reload to.
    #[must_use]
    pub fn reloading(&self) -> Option<Index> {
        match self.reload {
            Some(Reload::Asked(revision)) => Some(revision),
            Some(Reload::Failed(_)) | None => None,
        }
    }
}

impl Feed for Reload {
    fn feed(&self, hasher: &mut Hasher) {
        match self {
            Self::Asked(revision) => {
                hasher.word(0);
                revision.feed(hasher);
            }
            Self::Failed(revision) => {
                hasher.word(1);
                revision.feed(hasher);
            }
        }
    }
}
