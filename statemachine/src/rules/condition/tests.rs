//! What conditions can be read, how they print, and what they say.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use super::{CONDITION_BYTES_MAX, CONDITION_DEPTH_MAX, Condition, ConditionErrorKind, Polarity};

fn read(text: &str) -> Condition {
    Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    Condition::parse(text).expect_err(text).to_string()
}

#[test]
fn a_condition_prints_with_as_few_parentheses_as_it_needs() {
    for (written, printed) in [
        ("pkg1", "pkg1"),
        ("\"orders-a\"", "orders-a"),
        ("orders-a|web.1", "orders-a | web.1"),
        ("((a))", "a"),
        ("!(a)", "!a"),
        ("!!a", "!!a"),
        ("!(a|b)", "!(a | b)"),
        ("a & b | c & d", "a & b | c & d"),
        ("(a | b) & c", "(a | b) & c"),
        ("a | (b | c)", "a | b | c"),
        ("a & (b & c)", "a & b & c"),
        ("  a\n\t& !b ", "a & !b"),
    ] {
        assert_eq!(read(written).to_string(), printed, "{written}");
        assert_eq!(read(printed), read(written));
    }
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    for (text, words) in [
        ("", "column 1: expected a name, '!' or '(', found the end"),
        ("a &", "column 4: expected a name, '!' or '(', found the end"),
        ("a b", "column 3: expected '&', '|' or the end, found name \"b\""),
        ("(a | b", "column 7: expected '&', '|' or ')', found the end"),
        ("a)", "column 2: expected '&', '|' or the end, found ')'"),
        ("a | | b", "column 5: expected a name, '!' or '(', found '|'"),
        (
            "a || b",
            "column 4: a condition has one '|', not two: those belong to rules",
        ),
        (
            "a + b",
            "column 3: expected a name, '!', '&', '|' or a parenthesis, found '+'",
        ),
        (
            "é",
            "column 1: expected a name, '!', '&', '|' or a parenthesis, found 'é'",
        ),
        ("a | \"b", "column 5: expected '\"' at the end of this name"),
        (
            "a | \"b c\"",
            "column 5: ' ' can't stand in a name: expected letters, digits, '.', '_' or '-', the first a letter or digit",
        ),
        ("\"\"", "column 1: a name can't be empty"),
    ] {
        assert_eq!(error(text), words, "{text}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let long = "a|".repeat(CONDITION_BYTES_MAX / 2) + "a";
    let found = Condition::parse(&long).unwrap_err();
    assert_eq!(found.kind, ConditionErrorKind::TooLong { bytes: long.len() });
    let depth = usize::try_from(CONDITION_DEPTH_MAX).unwrap();
    read(&("!".repeat(depth) + "a"));
    read(&format!("{}a{}", "(".repeat(depth), ")".repeat(depth)));
    for opening in ["!", "("] {
        let deep = opening.repeat(depth + 1) + "a";
        let found = Condition::parse(&deep).unwrap_err();
        assert_eq!(found.kind, ConditionErrorKind::TooDeep);
        assert_eq!(found.column, CONDITION_DEPTH_MAX + 1);
    }
}

#[test]
fn a_condition_holds_by_the_names_that_are_true() {
    for (text, running, holds) in [
        ("pkg1 | pkg2", vec![], false),
        ("pkg1 | pkg2", vec!["pkg2"], true),
        ("!pkg2", vec![], true),
        ("!pkg2", vec!["pkg2"], false),
        ("a & b | !c", vec!["a", "c"], false),
        ("a & b | !c", vec!["a", "b", "c"], true),
        ("a & (b | !c)", vec!["a", "c"], false),
        ("!(a & b)", vec!["a"], true),
    ] {
        assert_eq!(read(text).holds(|name| running.contains(&name)), holds, "{text}");
    }
}

#[test]
fn the_failing_part_is_the_smallest_that_explains() {
    let condition = read("a & (b | c) & !d");
    let failing = |running: &[&str]| {
        condition
            .failing(|name| running.contains(&name))
            .map(ToString::to_string)
    };
    assert_eq!(failing(&[]).as_deref(), Some("a"));
    assert_eq!(failing(&["a"]).as_deref(), Some("b | c"));
    assert_eq!(failing(&["a", "b", "d"]).as_deref(), Some("!d"));
    assert_eq!(failing(&["a", "b"]), None);
}

#[test]
fn atoms_have_the_sign_that_they_stand_under() {
    use Polarity::{Negative, Positive};
    let condition = read("a & !(b | !c) | a");
    let atoms: Vec<_> = condition.atoms().collect();
    assert_eq!(
        atoms,
        [("a", Positive), ("b", Negative), ("c", Positive), ("a", Positive)]
    );
}

#[test]
fn what_a_condition_excludes_and_requires_follows_from_all_of_it() {
    let condition = read("!b & (c | d) & e");
    assert!(condition.excludes("b"));
    assert!(!condition.excludes("c"));
    assert!(condition.requires("e"));
    assert!(!condition.requires("c"));
    assert!(!condition.requires("unknown"));
    assert!(read("!(a | b)").excludes("a"));
    assert!(!read("!(a & b)").excludes("a"));
    assert!(read("a & !a").excludes("a"));
}
