//! Every search that is made: which part of the protocol, under which rules, and what it must find.

use super::lease_model::LeaseModel;
use super::rules::{Confirmation, Freshness, InPlace, OwnAnswers, Rules, Takeover};
use super::scope::{Safety, Scope};

/// What a search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No broken promise, after at least so many different states: fewer mean that the model lost something.
    Holds {
        /// What was counted when the check was written, rounded down.
        states: usize,
    },
    /// A broken promise.
    Breaks,
}

/// One search.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, for a test and for the command line.
    pub name: &'static str,
    /// In words, for a table.
    pub about: &'static str,
    /// Which part, under which rules.
    pub model: LeaseModel,
    /// What must come out.
    pub expected: Expected,
}

const BASE: Scope = Scope::base();
const MOVES: Scope = Scope { moves: true, ..BASE };
const SESSIONS: Scope = Scope {
    sessions: 3,
    twin: true,
    ..BASE
};
const CONTINUES: Scope = Scope { restarts: 1, ..BASE };
const CONTINUES_TWICE: Scope = Scope {
    terms: 1,
    restarts: 2,
    moves: true,
    ..BASE
};
const CONTINUES_OR_NOT: Scope = Scope {
    terms: 1,
    restarts: 1,
    sessions: 2,
    moves: true,
    ..BASE
};
const LEAVES: Scope = Scope {
    terms: 1,
    restarts: 1,
    leaves: true,
    ..BASE
};
const STANDBY: Scope = Scope { standby: true, ..BASE };
const STANDBY_AGAIN: Scope = Scope {
    terms: 1,
    epochs: 4,
    ..STANDBY
};
const EXTENDS: Scope = Scope { extends: true, ..BASE };
const EXTENDS_CONTINUES: Scope = Scope {
    terms: 1,
    epochs: 2,
    restarts: 1,
    ..EXTENDS
};
const FENCED: Scope = Scope {
    sessions: 2,
    safety: Safety::Fenced,
    ..BASE
};
const FREEZE: Scope = Scope {
    terms: 1,
    restarts: 1,
    sessions: 2,
    safety: Safety::Freeze,
    ..BASE
};

const ALL: Rules = Rules::all();
/// The hazard that a fenced unit is for: a machine that stands still and goes on, its clock with it.
const NO_DEADMAN: Rules = Rules { deadman: false, ..ALL };

const fn holds(name: &'static str, states: usize, about: &'static str, scope: Scope, rules: Rules) -> Check {
    Check {
        name,
        about,
        model: LeaseModel { scope, rules },
        expected: Expected::Holds { states },
    }
}

const fn breaks(name: &'static str, about: &'static str, scope: Scope, rules: Rules) -> Check {
    Check {
        name,
        about,
        model: LeaseModel { scope, rules },
        expected: Expected::Breaks,
    }
}

/// With all rules: every state is looked at, and none breaks a promise. Small enough for every build.
#[rustfmt::skip]
pub static HOLD: [Check; 16] = [
    holds("base", 55_000, "two nodes, one change of leader", BASE, ALL),
    holds("longer_lease", 220_000, "the same, T = 2 and W = 4", Scope { lease: 2, wait: 4, ..BASE }, ALL),
    holds("three_terms", 200_000, "two changes of leader, moves", Scope { terms: 3, ..MOVES }, ALL),
    holds("moves", 110_000, "an operator moves the unit", MOVES, ALL),
    holds("more_epochs", 220_000, "moves, four epochs", Scope { epochs: 4, ..MOVES }, ALL),
    holds("sessions", 870_000, "three sessions a node, registrations, a twin", SESSIONS, ALL),
    holds("continues", 560_000, "a daemon dies, the next continues its session", CONTINUES, ALL),
    holds("continues_twice", 860_000, "two restarts a node, moves, one term", CONTINUES_TWICE, ALL),
    holds("continues_or_not", 2_500_000, "a restart that continues or registers anew, moves, one term", CONTINUES_OR_NOT, ALL),
    holds("leaves", 1_800_000, "a node leaves in order and comes again, one term", LEAVES, ALL),
    holds("standby", 640_000, "promoted and demoted without an exit", STANDBY, ALL),
    holds("standby_again", 820_000, "the same, four epochs, one term", STANDBY_AGAIN, ALL),
    holds("extends", 760_000, "an extended lease, one change of leader", EXTENDS, ALL),
    holds("planned_restart", 670_000, "an extended lease and a restart, one term", EXTENDS_CONTINUES, ALL),
    holds("fenced", 400_000, "`fenced`, and the deadman does not work", FENCED, NO_DEADMAN),
    holds("freeze", 1_600_000, "`freeze`, two sessions, a restart, one term", FREEZE, ALL),
];

/// The same further out: minutes and gigabytes, so not with every build.
#[rustfmt::skip]
pub static HOLD_LONG: [Check; 6] = [
    holds("long_sessions", 8_500_000, "two sessions, a restart, moves, one change of leader", Scope { terms: 2, ..CONTINUES_OR_NOT }, ALL),
    holds("long_standby", 12_600_000, "standby, five epochs, one change of leader", Scope { epochs: 5, ..STANDBY }, ALL),
    holds("long_standby_moves", 8_700_000, "standby, five epochs, moves, one term", Scope { epochs: 5, moves: true, ..STANDBY_AGAIN }, ALL),
    holds("long_standby_continues", 0, "standby, four epochs, a restart, one term", Scope { restarts: 1, ..STANDBY_AGAIN }, ALL),
    holds("long_leaves", 0, "leaving, two sessions, a restart, one term", Scope { sessions: 2, ..LEAVES }, ALL),
    holds("long_lease", 0, "T = 3, K = 2, W = 6, moves, one change of leader", Scope { lease: 3, kill: 2, wait: 6, ..MOVES }, ALL),
];

/// One rule dropped or weakened: a promise breaks.
#[rustfmt::skip]
pub static BREAK: [Check; 35] = [
    breaks("wait_is_lease_and_kill", "W = T + K exactly", Scope { wait: 2, ..BASE }, ALL),
    breaks("wait_is_lease", "W = T", Scope { wait: 1, ..BASE }, ALL),
    breaks("counted_from_receipt", "1: the lease counts from the receipt of the answer", BASE, Rules { counts_from_send: false, ..ALL }),
    breaks("predecessors_answer", "1: an answer to the predecessor's renewal counts", CONTINUES, Rules { answers: OwnAnswers::AndPredecessors, ..ALL }),
    breaks("no_confirmation", "2: a renewal is answered without a quorum's confirmation", BASE, Rules { confirmation: Confirmation::Missing, ..ALL }),
    breaks("earlier_round", "2: by a round that began before it arrived", BASE, Rules { confirmation: Confirmation::Earlier, ..ALL }),
    breaks("leftovers_later", "2: before what older terms left over is applied", BASE, Rules { leftovers_first: false, ..ALL }),
    breaks("takeover_at_once", "4: a new leader does not wait", BASE, Rules { takeover: Takeover::AtOnce, ..ALL }),
    breaks("table_handed_over", "4: it is handed the old leader's waits, who goes on answering", BASE, Rules { takeover: Takeover::Table, ..ALL }),
    breaks("table_a_term_late", "4: it is handed waits of a term earlier", Scope { terms: 3, ..BASE }, Rules { takeover: Takeover::OldTable, ..ALL }),
    breaks("lost_is_answered", "5: a session is answered after it was proposed as lost", BASE, Rules { lost_is_final: false, ..ALL }),
    breaks("lost_is_queued", "5: `NodeLost` waits in a queue over a change of leader", BASE, Rules { lost_has_a_term: false, ..ALL }),
    breaks("stopped_epoch_restarts", "6: an epoch that ended starts again", BASE, Rules { freshness: Freshness::None, ..ALL }),
    breaks("ended_start_is_promoted", "6: what ended starts under a promotion that crossed the report", STANDBY_AGAIN, Rules { freshness: Freshness::EpochOnly, ..ALL }),
    breaks("marks_are_lost", "6: a daemon that continues has no marks", CONTINUES, Rules { marks_survive: false, ..ALL }),
    breaks("never_started_unmarked", "6: what was reported as never started is not marked", LEAVES, Rules { never_started_is_marked: false, ..ALL }),
    breaks("reports_inexact", "7: a report releases another instance than it names", MOVES, Rules { reports_are_exact: false, ..ALL }),
    breaks("stop_unproven", "7: a stop is reported before all is gone", MOVES, Rules { stops_are_proven: false, ..ALL }),
    breaks("lost_releases_freeze", "7: the end of the lease releases a `freeze` unit", FREEZE, Rules { outliving_is_kept: false, ..ALL }),
    breaks("lost_releases_fenced", "7: or a `fenced` one where the deadman does not work", FENCED, Rules { outliving_is_kept: false, ..NO_DEADMAN }),
    breaks("confirmed_while_up", "7: an operator confirms a node that is up", FENCED, Rules { confirms_lost_only: false, ..ALL }),
    breaks("boot_id_is_proof", "7: a twin's new boot id ends the session", SESSIONS, Rules { boot_id_is_no_proof: false, ..ALL }),
    breaks("late_registration", "8: a registration is taken twice, or names another session", SESSIONS, Rules { registrations_name_the_present: false, ..ALL }),
    breaks("orphan_is_named", "8: a session is named whose processes can't be seen", CONTINUES_OR_NOT, Rules { unproven_is_not_named: false, ..ALL }),
    breaks("left_session_continues", "8: a session whose end was asked for is continued", LEAVES, Rules { leaving_is_recorded: false, ..ALL }),
    breaks("supervisor_unrecorded", "9: the supervisor goes before it is recorded", CONTINUES, Rules { supervisor_recorded: false, ..ALL }),
    breaks("no_deadman", "9: nothing kills at the deadline while all stands still", BASE, NO_DEADMAN),
    breaks("armed_late", "11: the deadline is armed once the promotion is answered", STANDBY_AGAIN, Rules { in_place: InPlace::ArmedLate, ..ALL }),
    breaks("other_channel", "11: a demotion passes the promotion before it", Scope { epochs: 5, ..STANDBY_AGAIN }, Rules { in_place: InPlace::OtherChannel, ..ALL }),
    breaks("demoted_unanswered", "11: a demotion counts when it is asked for", STANDBY_AGAIN, Rules { in_place: InPlace::ConfirmedUnanswered, ..ALL }),
    breaks("extension_not_waited_for", "12: the manager waits the usual W for an extended lease", EXTENDS, Rules { waits_for_extended: false, ..ALL }),
    breaks("extension_unknown_to_next", "12: a new leader waits the usual W", EXTENDS, Rules { new_leader_waits_for_extended: false, ..ALL }),
    breaks("extension_forgotten", "12: an extension is forgotten while a lease of it is out", EXTENDS, Rules { extension_is_kept: false, ..ALL }),
    breaks("longer_wait_is_equal", "W = T + K exactly, T = 2", Scope { lease: 2, wait: 3, ..BASE }, ALL),
    breaks("longer_counted_from_receipt", "1: from the receipt, T = 2", Scope { lease: 2, wait: 4, ..BASE }, Rules { counts_from_send: false, ..ALL }),
];

/// The check of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Check> {
    HOLD.iter()
        .chain(&HOLD_LONG)
        .chain(&BREAK)
        .find(|check| check.name == name)
}
