//! The model of the lease protocol: with all rules every state is seen and no promise breaks; without any one rule some
//! state breaks one. `docs/MODEL.md` explains the searches, `scripts/model --story NAME` tells how a promise breaks.

use std::sync::OnceLock;

use tests::model::checks::{BREAK, Check, HOLD};
use tests::model::run::Found;
use tests::model::table::{HEAD, judge, line, perform};

const CHECKS: usize = HOLD.len() + BREAK.len();

/// Each search is made once, whichever test asks first.
fn found(place: usize) -> (&'static Check, &'static Found) {
    static FOUND: [OnceLock<Found>; CHECKS] = [const { OnceLock::new() }; CHECKS];
    let check = HOLD.get(place).unwrap_or_else(|| &BREAK[place - HOLD.len()]);
    (check, FOUND[place].get_or_init(|| perform(check)))
}

fn expect(name: &str) {
    let place = HOLD.iter().chain(&BREAK).position(|check| check.name == name);
    let (check, found) = found(place.expect("a search of that name"));
    if let Err(wrong) = judge(check, found) {
        panic!("{wrong}");
    }
}

macro_rules! searches {
    ($names:ident: $($name:ident)*) => {
        $(#[test] fn $name() { expect(stringify!($name)); })*
        const $names: &[&str] = &[$(stringify!($name)),*];
    };
}

mod with_all_rules_it_holds {
    use super::expect;
    searches!(NAMES:
        base longer_lease three_terms moves more_epochs sessions continues continues_twice continues_or_not leaves standby
        standby_again extends planned_restart fenced freeze
    );

    #[test]
    fn each_search_has_a_test() {
        let names: Vec<&str> = super::HOLD.iter().map(|check| check.name).collect();
        assert_eq!(names, NAMES);
    }
}

mod without_a_rule_it_breaks {
    use super::expect;
    searches!(NAMES:
        wait_is_lease_and_kill wait_is_lease counted_from_receipt predecessors_answer no_confirmation earlier_round
        leftovers_later takeover_at_once table_handed_over table_a_term_late lost_is_answered lost_is_queued
        stopped_epoch_restarts ended_start_is_promoted marks_are_lost never_started_unmarked reports_inexact stop_unproven
        lost_releases_freeze lost_releases_fenced confirmed_while_up boot_id_is_proof late_registration orphan_is_named
        left_session_continues supervisor_unrecorded no_deadman armed_late other_channel demoted_unanswered
        extension_not_waited_for extension_unknown_to_next extension_forgotten longer_wait_is_equal
        longer_counted_from_receipt
    );

    #[test]
    fn each_search_has_a_test() {
        let names: Vec<&str> = super::BREAK.iter().map(|check| check.name).collect();
        assert_eq!(names, NAMES);
    }
}

/// Seen with `cargo test --release -p paceline-tests --test model -- --nocapture the_table`.
#[test]
fn the_table_has_no_wrong_line() {
    let rows: Vec<_> = (0..CHECKS).map(found).collect();
    println!("{HEAD}");
    for (check, found) in &rows {
        println!("{}", line(check, found));
    }
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(check, found)| judge(check, found).err())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
