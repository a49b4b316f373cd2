//! What an event says in words, for programs: what they need to put the events of a takeover together.

use super::{Event, EventKind, Placement, Proof};
use crate::command::{EndCause, Mode, Output};
use crate::id::{Epoch, NodeName, PackageName};
use crate::reason::Reason;

/// What programs need beside the sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Under which epoch.
    pub epoch: Option<Epoch>,
    /// Where it was before.
    pub from: Option<&'a NodeName>,
    /// Why, in one stable word: the code of a reason, of the cause of a failure, or of how an end is known.
    pub why: Option<&'static str>,
    /// The package that room is made for.
    pub room_for: Option<&'a PackageName>,
    /// It concerns the one of its unit that is active, or that is to be: with its output released, in a free-run group.
    pub holds: bool,
    /// That it may still run on a lost node was said before.
    pub stranded: bool,
}

impl Event {
    /// What programs need beside the sentence.
    #[must_use]
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "of the other events the sentence is enough"
    )]
    pub fn facts(&self) -> Facts<'_> {
        match &self.kind {
            EventKind::Placed {
                mode,
                epoch,
                after,
                output,
                ..
            } => Facts {
                epoch: Some(*epoch),
                from: match after {
                    Placement::First | Placement::Restart => None,
                    Placement::Move { from } => Some(from),
                },
                holds: holds(*mode, *output),
                ..Facts::default()
            },
            EventKind::Promoted { epoch, from, .. } => Facts {
                epoch: Some(*epoch),
                from: from.as_ref(),
                holds: true,
                ..Facts::default()
            },
            EventKind::Started {
                mode, epoch, output, ..
            } => Facts {
                epoch: Some(*epoch),
                holds: holds(*mode, *output),
                ..Facts::default()
            },
            EventKind::Stopping { why, .. } => Facts {
                why: Some(why.code()),
                room_for: match why {
                    Reason::Preempted { by } => Some(by),
                    _ => None,
                },
                ..Facts::default()
            },
            EventKind::Failed { cause, .. } => Facts {
                why: Some(cause_code(cause)),
                ..Facts::default()
            },
            EventKind::Ended {
                proof,
                epoch,
                held,
                stranded,
                ..
            } => Facts {
                epoch: Some(*epoch),
                why: Some(proof.code()),
                holds: *held,
                stranded: *stranded,
                ..Facts::default()
            },
            EventKind::Stranded { epoch, held, .. } => Facts {
                epoch: Some(*epoch),
                holds: *held,
                ..Facts::default()
            },
            EventKind::GaveUp { why, .. } | EventKind::Waiting { why, .. } => Facts {
                why: Some(why.code()),
                ..Facts::default()
            },
            _ => Facts::default(),
        }
    }
}

fn holds(mode: Mode, output: Option<Output>) -> bool {
    mode == Mode::Active && output != Some(Output::Inhibited)
}

impl Proof {
    /// Its stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::LeaseEnded => "lease-ended",
            Self::NodeRestarted => "node-restarted",
            Self::NodeLeft => "node-left",
            Self::Confirmed => "confirmed",
        }
    }
}

fn cause_code(cause: &EndCause) -> &'static str {
    match cause {
        EndCause::Requested => "requested",
        EndCause::Exited { .. } => "exited",
        EndCause::Signalled { .. } => "signalled",
        EndCause::NotStarted => "not-started",
        EndCause::NotReady => "not-ready",
        EndCause::ProbeFailed => "probe-failed",
        EndCause::LeaseEnded => "lease-ended",
    }
}
