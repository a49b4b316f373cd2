//! The rules of `docs/SAFETY.md`, each a switch, so that a search can show what it is for.

/// How a new leader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// It waits `W` for all sessions (rule 4).
    Waits,
    /// It does not wait.
    AtOnce,
    /// It is handed the old leader's waits, who goes on answering.
    Table,
    /// It is handed waits of the leader before its predecessor.
    OldTable,
}

/// What makes a round of confirmation good for a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// It began after the renewal arrived (rule 2).
    Own,
    /// Any that the leader once completed.
    Earlier,
    /// None is asked for.
    Missing,
}

/// Which answers a daemon takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnAnswers {
    /// To renewals that this very process sent (rule 1).
    Only,
    /// To a predecessor's too, taken for answers to its own.
    AndPredecessors,
}

/// Which epochs may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Larger than all recorded ones, and of an instance that was not ended (rule 6).
    EpochAndStart,
    /// Larger than all recorded ones: what ended may come back under a promotion that crossed the report of its end.
    EpochOnly,
    /// Any that is not smaller.
    None,
}

/// What a change of mode in place does, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InPlace {
    /// One ordered channel, the deadline armed first, confirmed by the answer (rule 11).
    Ordered,
    /// The deadline is armed once the promotion is answered.
    ArmedLate,
    /// A demotion may pass the promotion before it.
    OtherChannel,
    /// A demotion counts when it is asked for.
    ConfirmedUnanswered,
}

/// The rules. [`Rules::all`] is what paceline does.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The lease counts from before the renewal was sent (rule 1); else from the receipt of the answer.
    pub counts_from_send: bool,
    /// Rule 1, the second half.
    pub answers: OwnAnswers,
    /// Rule 2.
    pub confirmation: Confirmation,
    /// A new leader answers only once what older terms left over is applied (rule 2).
    pub leftovers_first: bool,
    /// Rule 4.
    pub takeover: Takeover,
    /// A leader never answers a session that it has proposed as lost (rule 5).
    pub lost_is_final: bool,
    /// `NodeLost` counts only in the term whose leader proposed it (rule 5).
    pub lost_has_a_term: bool,
    /// Rule 6.
    pub freshness: Freshness,
    /// A daemon that continues has its predecessor's marks (rule 6).
    pub marks_survive: bool,
    /// A report releases only what it names exactly (rule 7).
    pub reports_are_exact: bool,
    /// A stop is reported once nothing is left (rule 7).
    pub stops_are_proven: bool,
    /// The end of a lease does not release what outlives it (rule 7).
    pub outliving_is_kept: bool,
    /// An operator can confirm only what is lost (rule 7).
    pub confirms_lost_only: bool,
    /// A new boot id by itself releases nothing (rule 7).
    pub boot_id_is_no_proof: bool,
    /// A registration is taken once, and only where the present session is over (rule 8).
    pub registrations_name_the_present: bool,
    /// What can't be proven to be gone is not named (rule 8).
    pub unproven_is_not_named: bool,
    /// A daemon that has asked to leave never continues that session (rule 8).
    pub leaving_is_recorded: bool,
    /// What a leaving daemon reports as never started is marked as used (rule 6).
    pub never_started_is_marked: bool,
    /// The supervisor is recorded before it is told to go (rule 9).
    pub supervisor_recorded: bool,
    /// The kernel kills at the deadline, whatever hangs (the supervisor). Off is a hazard more than a rule.
    pub deadman: bool,
    /// Rule 11.
    pub in_place: InPlace,
    /// The manager waits the `W` of the lease that it granted (rule 12).
    pub waits_for_extended: bool,
    /// A new leader waits the `W` of the longest lease that may be out (rules 4 and 12).
    pub new_leader_waits_for_extended: bool,
    /// An extension is known until the last lease that it gave is over (rule 12).
    pub extension_is_kept: bool,
}

impl Rules {
    /// All rules.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            counts_from_send: true,
            answers: OwnAnswers::Only,
            confirmation: Confirmation::Own,
            leftovers_first: true,
            takeover: Takeover::Waits,
            lost_is_final: true,
            lost_has_a_term: true,
            freshness: Freshness::EpochAndStart,
            marks_survive: true,
            reports_are_exact: true,
            stops_are_proven: true,
            outliving_is_kept: true,
            confirms_lost_only: true,
            boot_id_is_no_proof: true,
            registrations_name_the_present: true,
            unproven_is_not_named: true,
            leaving_is_recorded: true,
            never_started_is_marked: true,
            supervisor_recorded: true,
            deadman: true,
            in_place: InPlace::Ordered,
            waits_for_extended: true,
            new_leader_waits_for_extended: true,
            extension_is_kept: true,
        }
    }
}
