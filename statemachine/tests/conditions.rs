//! Conditions at random: what is printed reads back as the same, and what is decided early stays so.

use proptest::prelude::*;
use statemachine::rules::condition::{Condition, Polarity};

const NAMES: [&str; 5] = ["a", "b", "orders-a", "web.1", "9_x"];

fn text() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        prop::sample::select(&NAMES[..]).prop_map(|name| format!("\"{name}\"")),
    ];
    name.prop_recursive(8, 64, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| format!("!({part})")),
            inner.clone().prop_map(|part| format!(" ({part} )")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("{one}&{other}")),
            (inner.clone(), inner).prop_map(|(one, other)| format!("{one} | {other}")),
        ]
    })
}

fn is_true(names: u8, name: &str) -> bool {
    let place = NAMES.iter().position(|other| *other == name).expect("one of ours");
    names >> place & 1 == 1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back(text in text()) {
        prop_assume!(text.len() <= 1_024);
        let Ok(condition) = Condition::parse(&text) else {
            // Only the depth can be at fault.
            prop_assert!(text.matches(['!', '(']).count() > 16, "{}", text);
            return Ok(());
        };
        let printed = condition.to_string();
        prop_assert_eq!(&Condition::parse(&printed).expect("its own words"), &condition);
        for names in 0..32 {
            let holds = condition.holds(|name| is_true(names, name));
            prop_assert_eq!(condition.failing(|name| is_true(names, name)).is_none(), holds);
            prop_assert_eq!(condition.decided(|name| Some(is_true(names, name))), Some(holds));
        }
    }

    #[test]
    fn what_is_decided_early_holds_in_every_case(text in text(), known in 0u8..32, values in 0u8..32) {
        prop_assume!(text.len() <= 1_024);
        let Ok(condition) = Condition::parse(&text) else { return Ok(()) };
        let early = condition.decided(|name| is_true(known, name).then(|| is_true(values, name)));
        if let Some(decided) = early {
            for others in 0..32u8 {
                let names = values & known | others & !known;
                prop_assert_eq!(condition.holds(|name| is_true(names, name)), decided);
            }
        }
    }

    #[test]
    fn a_sign_says_how_a_name_can_help(text in text(), names in 0u8..32, turned in 0usize..5) {
        prop_assume!(text.len() <= 1_024);
        let Ok(condition) = Condition::parse(&text) else { return Ok(()) };
        let name = NAMES[turned];
        let mut signs = condition.atoms().filter(|(other, _)| *other == name).map(|(_, sign)| sign);
        let without = names & !(1 << turned);
        let with = without | 1 << turned;
        let grows = !condition.holds(|name| is_true(without, name)) && condition.holds(|name| is_true(with, name));
        if grows {
            prop_assert!(signs.any(|sign| sign == Polarity::Positive));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,64}") {
        if let Err(error) = Condition::parse(&text) {
            prop_assert!(error.column >= 1);
        }
    }
}
