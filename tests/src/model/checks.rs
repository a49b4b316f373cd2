//! Every search that is made: which part of the protocol, under which rules, and what it must find.

use super::lease_model::LeaseModel;
use super::rules::{Confirmation, Freshness, InPlace, OwnAnswers, Rules, Takeover};
use super::scope::{Safety, Scope};

/// What a search must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No broken promise, after at least so many different states: fewer mean that the model lost something.
    Holds {
        /// The number that was counted when the check was written, rounded down.
        states: usize,
    },
    /// A broken promise.
    Breaks,
}

/// One search.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, in a test and in a table.
    pub name: &'static str,
    /// In words.
    pub about: &'static str,
    /// Which part, under which rules.
    pub model: LeaseModel,
    /// What must come out.
    pub expected: Expected,
}

const BASE: Scope = Scope::base();
const MOVES: Scope = Scope { moves: true, ..BASE };
const SESSIONS: Scope = Scope {
    terms: 1,
    sessions: 2,
    ..BASE
};
const CONTINUES: Scope = Scope {
    terms: 1,
    restarts: 1,
    moves: true,
    ..BASE
};
const CONTINUES_SESSIONS: Scope = Scope {
    terms: 1,
    restarts: 1,
    sessions: 2,
    ..BASE
};
const LEAVES: Scope = Scope {
    terms: 1,
    restarts: 1,
    leaves: true,
    ..BASE
};
const STANDBY: Scope = Scope {
    terms: 1,
    epochs: 4,
    standby: true,
    ..BASE
};
const EXTENDS: Scope = Scope {
    extends: true,
    epochs: 2,
    ..BASE
};
const FENCED: Scope = Scope {
    terms: 1,
    safety: Safety::Fenced,
    ..BASE
};
const FREEZE: Scope = Scope {
    terms: 1,
    sessions: 2,
    safety: Safety::Freeze,
    ..BASE
};

const ALL: Rules = Rules::all();

const fn holds(name: &'static str, about: &'static str, scope: Scope, rules: Rules, states: usize) -> Check {
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

/// With all rules: every state is looked at, and none breaks a promise.
pub const HOLD: [Check; 8] = [
    holds("base", "two nodes, one change of leader", BASE, ALL, 0),
    holds("moves", "an operator moves the unit", MOVES, ALL, 0),
    holds("sessions", "nodes register anew", SESSIONS, ALL, 0),
    holds("continues", "a daemon dies, the next continues", CONTINUES, ALL, 0),
    holds("leaves", "a node leaves in order", LEAVES, ALL, 0),
    holds("standby", "promoted and demoted in place", STANDBY, ALL, 0),
    holds("extends", "extended lease", EXTENDS, ALL, 0),
    holds("freeze", "freeze", FREEZE, ALL, 0),
];

/// One rule dropped or weakened: a promise breaks.
pub const BREAK: [Check; 27] = [
    breaks("w_equal", "W = T + K exactly", Scope { wait: 2, ..BASE }, ALL),
    breaks("w_lease", "W = T", Scope { wait: 1, ..BASE }, ALL),
    breaks(
        "receipt",
        "",
        BASE,
        Rules {
            counts_from_send: false,
            ..ALL
        },
    ),
    breaks(
        "deposed",
        "",
        BASE,
        Rules {
            confirmation: Confirmation::Missing,
            ..ALL
        },
    ),
    breaks(
        "old_round",
        "",
        BASE,
        Rules {
            confirmation: Confirmation::Earlier,
            ..ALL
        },
    ),
    breaks(
        "leftovers",
        "",
        BASE,
        Rules {
            leftovers_first: false,
            ..ALL
        },
    ),
    breaks(
        "takeover_at_once",
        "",
        BASE,
        Rules {
            takeover: Takeover::AtOnce,
            ..ALL
        },
    ),
    breaks(
        "table",
        "",
        BASE,
        Rules {
            takeover: Takeover::Table,
            ..ALL
        },
    ),
    breaks(
        "old_table",
        "",
        Scope { terms: 3, ..BASE },
        Rules {
            takeover: Takeover::OldTable,
            ..ALL
        },
    ),
    breaks(
        "lost_answered",
        "",
        BASE,
        Rules {
            lost_is_final: false,
            ..ALL
        },
    ),
    breaks(
        "lost_queued",
        "",
        BASE,
        Rules {
            lost_has_a_term: false,
            ..ALL
        },
    ),
    breaks(
        "stopped_epoch",
        "",
        Scope { terms: 1, ..BASE },
        Rules {
            freshness: Freshness::None,
            ..ALL
        },
    ),
    breaks(
        "ended_start",
        "",
        STANDBY,
        Rules {
            freshness: Freshness::EpochOnly,
            ..ALL
        },
    ),
    breaks(
        "marks",
        "",
        CONTINUES,
        Rules {
            marks_survive: false,
            ..ALL
        },
    ),
    breaks(
        "predecessor",
        "",
        CONTINUES,
        Rules {
            answers: OwnAnswers::AndPredecessors,
            ..ALL
        },
    ),
    breaks(
        "supervisor",
        "",
        CONTINUES,
        Rules {
            supervisor_recorded: false,
            ..ALL
        },
    ),
    breaks(
        "inexact",
        "",
        MOVES,
        Rules {
            reports_are_exact: false,
            ..ALL
        },
    ),
    breaks(
        "unproven_stop",
        "",
        MOVES,
        Rules {
            stops_are_proven: false,
            ..ALL
        },
    ),
    breaks("deadman", "", BASE, Rules { deadman: false, ..ALL }),
    breaks(
        "orphan",
        "",
        CONTINUES_SESSIONS,
        Rules {
            unproven_is_not_named: false,
            ..ALL
        },
    ),
    breaks(
        "late_registration",
        "",
        Scope {
            sessions: 3,
            ..SESSIONS
        },
        Rules {
            registrations_name_the_present: false,
            ..ALL
        },
    ),
    breaks(
        "twin",
        "",
        Scope { twin: true, ..SESSIONS },
        Rules {
            boot_id_is_no_proof: false,
            ..ALL
        },
    ),
    breaks(
        "leave",
        "",
        LEAVES,
        Rules {
            leaving_is_recorded: false,
            ..ALL
        },
    ),
    breaks(
        "never_started",
        "",
        LEAVES,
        Rules {
            never_started_is_marked: false,
            ..ALL
        },
    ),
    breaks(
        "armed_late",
        "",
        STANDBY,
        Rules {
            in_place: InPlace::ArmedLate,
            ..ALL
        },
    ),
    breaks(
        "other_channel",
        "",
        Scope { epochs: 5, ..STANDBY },
        Rules {
            in_place: InPlace::OtherChannel,
            ..ALL
        },
    ),
    breaks(
        "unanswered",
        "",
        STANDBY,
        Rules {
            in_place: InPlace::ConfirmedUnanswered,
            ..ALL
        },
    ),
];
