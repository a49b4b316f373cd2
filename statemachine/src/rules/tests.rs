//! What can be written, what is refused and in which words, and what rules want.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use super::{
    Attribute, Facts, Kind, Names, RULE_ACTIONS_MAX, RULE_DEPTH_MAX, RULES_BYTES_MAX, RULES_MAX, RuleErrorKind,
    RuleSet, Trigger, Value, check, evaluate,
};
use crate::nearest::nearest;

/// The patent's own example (M5).
const PATENT: &str = "\
# resource (event) {
#     action
# }
pkg1 (halt) {
    if (pkg2.state == down){
        pkg2->startup
    }
}
pkg1 (startup) {
    if (pkg2.state == up && pkg2.node == pkg1.node){
        pkg2->halt
    }
}
pkg2 (startup) {
    if (pkg1.state == up && pkg2.node == pkg1.node){
        pkg2->halt
    }
}
";

struct Defined;

impl Defined {
    fn names(kind: Kind) -> &'static [&'static str] {
        match kind {
            Kind::Package => &["pkg1", "pkg2", "orders-a", "9"],
            Kind::Group => &["orders"],
            Kind::Node => &["n1", "n2", "db-1.example"],
            _ => &[],
        }
    }
}

impl Names for Defined {
    fn is_known(&mut self, kind: Kind, name: &str) -> bool {
        Self::names(kind).contains(&name)
    }
    fn nearest(&mut self, kind: Kind, name: &str) -> Option<String> {
        nearest(name, Self::names(kind).iter().copied())
    }
}

/// pkg1 is active on n1, pkg2 is down, everything else has the values below.
struct Now;

impl Facts for Now {
    fn value(&self, name: &str, attribute: &Attribute) -> Option<Value<'_>> {
        let up = name == "pkg1" || name == "n1";
        Some(match attribute {
            Attribute::PackageState | Attribute::NodeState => Value::Word(if up { "up" } else { "down" }),
            Attribute::PackageNode => Value::Word(up.then_some("n1")?),
            Attribute::PackageMode => Value::Word(if up { "active" } else { "stopped" }),
            Attribute::PackageOutput => Value::Word(up.then_some("released")?),
            Attribute::PackagePriority => Value::Number(up.then_some(3)?),
            Attribute::PackageFailures | Attribute::GroupStandbys | Attribute::NodePackages => Value::Number(2),
            Attribute::GroupActive => Value::Word("orders-a"),
            Attribute::NodeAttribute(key) => Value::Word(match &**key {
                "rack" => "a",
                "temperature" => "41",
                _ => return None,
            }),
        })
    }
}

fn read(text: &str) -> RuleSet {
    check(text, &mut Defined).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

fn errors(text: &str) -> Vec<String> {
    let errors = check(text, &mut Defined).expect_err(text);
    errors.iter().map(ToString::to_string).collect()
}

/// What a rule with this condition does now.
fn holds(condition: &str) -> bool {
    let rules = read(&format!("pkg1 (halt) {{ if ({condition}) {{ pkg2->startup }} }}"));
    let rule = rules.rules().next().expect("one rule");
    !evaluate(rule, &Now).is_empty()
}

#[test]
fn the_patents_example_is_read_as_written() {
    let rules = read(PATENT);
    let shown: Vec<String> = rules.rules().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "pkg1 (halt), line 4",
            "pkg1 (startup), line 9",
            "pkg2 (startup), line 14"
        ]
    );
    let halt: Vec<_> = rules.matching(Kind::Package, Trigger::Halt, "pkg1").collect();
    assert_eq!(halt.len(), 1);
    let actions: Vec<String> = evaluate(halt[0], &Now).iter().map(ToString::to_string).collect();
    assert_eq!(actions, ["pkg2->startup"]);
    assert_eq!(rules.matching(Kind::Package, Trigger::Halt, "pkg2").count(), 0);
    assert_eq!(rules.matching(Kind::Group, Trigger::Halt, "pkg1").count(), 0);
}

#[test]
fn every_kind_of_word_can_be_written() {
    let text = "\
package:pkg1 (fail) { \"orders-a\"->promote pkg2->test pkg2->move(n2) package:pkg1->halt }
group:orders (lost) { if (group:orders.active == pkg1) { } else { node:\"db-1.example\"->resume } }
node:n1(drain){node:n1->resume}  # with a comment
9 (mode) { if (9.failures >= 2) { \"9\"->halt } }
";
    let rules = read(text);
    let wants = |place: usize| {
        let rule = rules.rules().nth(place).expect("a rule");
        evaluate(rule, &Now).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        wants(0),
        ["orders-a->promote", "pkg2->test", "pkg2->move(n2)", "pkg1->halt"]
    );
    assert_eq!(wants(1), ["node:db-1.example->resume"]);
    assert_eq!(wants(2), ["node:n1->resume"]);
    assert_eq!(wants(3), ["9->halt"]);
}

#[test]
fn comparisons_hold_by_the_facts() {
    for (condition, expected) in [
        ("pkg1.state == up", true),
        ("up == pkg1.state", true),
        ("pkg1.state != up", false),
        ("pkg1.node == n1", true),
        ("pkg1.node == \"db-1.example\"", false),
        ("pkg1.node == pkg1.node", true),
        // A comparison with the node of a stopped package is false, and so is its opposite.
        ("pkg2.node == pkg2.node", false),
        ("pkg2.node != n1", false),
        ("!(pkg2.node == n1)", true),
        ("pkg1.mode == active && pkg2.mode == stopped", true),
        ("pkg1.output == inhibited || pkg1.priority == 3", true),
        ("pkg1.priority < 3", false),
        ("pkg1.priority <= 3 && 4 > pkg1.priority", true),
        ("pkg2.priority < 3", false),
        ("group:orders.standbys > 1", true),
        ("group:orders.active == \"orders-a\"", true),
        ("node:n1.state == up && node:n2.state == down", true),
        ("node:n1.packages == 2", true),
        ("node:n1.attr.rack == a", true),
        ("node:n1.attr.temperature >= 41", true),
        ("node:n1.attr.temperature < 41", false),
        ("node:n1.attr.rack > 0", false),
        ("node:n1.attr.none == a || node:n1.attr.none != a", false),
        ("pkg1.state == down && pkg1.state == down || pkg1.state == up", true),
    ] {
        assert_eq!(holds(condition), expected, "{condition}");
    }
}

#[test]
fn an_error_says_where_what_was_expected_and_what_is_near() {
    for (text, words) in [
        (
            "pkg1 halt { }",
            "line 1, column 6: expected '(' and an event, found \"halt\"",
        ),
        (
            "pkg1 (halt) pkg2->startup",
            "line 1, column 13: expected '{', found \"pkg2\"",
        ),
        (
            "pkg1 (halt) {\n  pkg2->startup",
            "line 2, column 16: expected if, an action like pkg1->startup, or '}', found the end",
        ),
        (
            "pkg1 (halt) { pkg2.startup }",
            "line 1, column 19: expected '->' and a method, found '.'",
        ),
        (
            "pkg1 (halt) { if (pkg2.state = down) { } }",
            "line 1, column 30: '=' can't stand here: expected '==' to compare",
        ),
        (
            "orders-a (halt) { }",
            "line 1, column 7: '-' can't stand here: expected '->'; quote a name that holds '-' or '.', like \"orders-a\"",
        ),
        (
            "pkg1 (halt) { pkg2->startup; }",
            "line 1, column 28: ';' can't stand here: a statement ends by itself",
        ),
        (
            "pkg1 (halt) { \"pkg2",
            "line 1, column 15: expected '\"' at the end of this text, on the same line",
        ),
        (
            "pkg3 (halt) { }",
            "line 1, column 1: there is no package \"pkg3\"; did you mean \"pkg1\"?",
        ),
        (
            "pkg1 (hlat) { }",
            "line 1, column 7: there is no event of a package \"hlat\": expected startup, halt, fail, promote, demote or mode; did you mean \"halt\"?",
        ),
        (
            "pkg1 (halt) { pkg2->start }",
            "line 1, column 21: there is no method of a package \"start\": expected startup, halt, promote, demote, test or move; did you mean \"startup\"?",
        ),
        (
            "pkg1 (halt) { if (pkg2.stat == up) { } }",
            "line 1, column 24: there is no attribute of a package \"stat\": expected state, node, mode, output, priority or failures; did you mean \"state\"?",
        ),
        (
            "pkg1 (halt) { if (pkg2.state == dwn) { } }",
            "line 1, column 33: expected up or down, found \"dwn\"; did you mean \"down\"?",
        ),
        (
            "pkg1 (halt) { if (pkg2.state < down) { } }",
            "line 1, column 30: only numbers have an order: expected '==' or '!=' with up or down",
        ),
        (
            "pkg1 (halt) { if (pkg2.failures == many) { } }",
            "line 1, column 36: expected a number, found \"many\"",
        ),
        (
            "pkg1 (halt) { if (pkg2.state == pkg2.node) { } }",
            "line 1, column 30: up or down can't be compared with the name of a node: expected an attribute of the same kind",
        ),
        (
            "pkg1 (halt) { if (up == down) { } }",
            "line 1, column 19: expected an attribute like pkg1.state on one side",
        ),
        (
            "pkg1 (halt) { if (pkg2.state) { } }",
            "line 1, column 29: expected '==', '!=', '<', '<=', '>' or '>=', found ')'",
        ),
        (
            "pkg1 (halt) { if (pkg2.node == n3) { } }",
            "line 1, column 32: there is no node \"n3\": expected a node that has registered once, or that a package lists in its nodes; did you mean \"n1\"?",
        ),
        (
            "pkg1 (halt) { pkg2->move }",
            "line 1, column 21: move takes a node: expected move(n2)",
        ),
        (
            "pkg1 (halt) { pkg2->halt(n2) }",
            "line 1, column 26: halt takes nothing in parentheses: expected halt alone",
        ),
        (
            "pkg1 (halt) { if (node:n1.attr == 1) { } }",
            "line 1, column 27: attr has a key: expected node:NAME.attr.KEY",
        ),
        (
            "lan:eth0 (down) { }",
            "line 1, column 1: kind of resource \"lan\" is not supported by this version yet: expected package, group or node",
        ),
        (
            "nod:n1 (down) { }",
            "line 1, column 1: there is no kind of resource \"nod\": expected package, group or node; did you mean \"node\"?",
        ),
        (
            "node:n1 (overlord) { }",
            "line 1, column 10: there is no event of a node \"overlord\": expected up, down, overload or drain; did you mean \"overload\"?",
        ),
        (
            "node:n1 (down) { node:n2->fence }",
            "line 1, column 27: method \"fence\" of a node is not supported by this version yet: expected drain or resume",
        ),
        (
            "group:orders (lost) { group:orders->halt }",
            "line 1, column 37: there is no method of a group \"halt\": expected no method at all",
        ),
    ] {
        assert_eq!(errors(text).first().map(String::as_str), Some(words), "{text}");
    }
}

#[test]
fn all_errors_of_a_text_are_told_at_once_in_the_order_of_their_places() {
    let text = "\
pkg3 (halt) { pkg4->start }
pkg1 (oops
pkg1 (halt) { if (pkg2.state == sideways) { pkg2->startup } else { pkg9->halt } }
} stray
pkg2 (startup) { node:n1->fence }
";
    let places: Vec<_> = check(text, &mut Defined)
        .expect_err(text)
        .iter()
        .map(|error| (error.place.line, error.place.column))
        .collect();
    assert_eq!(
        places,
        [(1, 1), (1, 15), (1, 21), (3, 1), (3, 33), (3, 68), (4, 1), (5, 27)]
    );
}

#[test]
fn what_begins_like_a_rule_and_is_none_is_refused_once() {
    for text in [
        "\"pkg1\":x (halt) { }",
        "\"\" (halt) { }",
        "if (halt) { }",
        "(",
        "}}",
        "\"a\":\n\"b\":\n",
    ] {
        let found = errors(text);
        assert!((1..=3).contains(&found.len()), "{text}: {found:?}");
    }
}

#[test]
fn length_depth_number_and_errors_are_bounded() {
    let first = |text: &str| check(text, &mut Defined).expect_err("too much").remove(0).kind;
    let long = "#".repeat(RULES_BYTES_MAX + 1);
    assert_eq!(first(&long), RuleErrorKind::TooLong { bytes: long.len() });
    let many = "pkg1(halt){}\n".repeat(RULES_MAX);
    read(&many);
    assert_eq!(first(&(many + "pkg1(halt){}")), RuleErrorKind::TooMany);
    let depth = usize::try_from(RULE_DEPTH_MAX).unwrap();
    for (open, close) in [("if (9.state == up) {", "}"), ("if (!(!(9.state == up))) {", "}")] {
        let deep = format!("pkg1 (halt) {{ {}{} }}", open.repeat(depth), close.repeat(depth));
        assert_eq!(first(&deep), RuleErrorKind::TooDeep);
    }
    let negated = format!("pkg1 (halt) {{ if ({}9.state == up) {{ }} }}", "!".repeat(depth));
    assert_eq!(first(&negated), RuleErrorKind::TooDeep);
    let actions = |count| format!("pkg1 (halt) {{ {} }}", "pkg2->halt ".repeat(count));
    read(&actions(RULE_ACTIONS_MAX));
    let actions = actions(RULE_ACTIONS_MAX + 1);
    assert_eq!(
        first(&actions),
        RuleErrorKind::TooManyActions {
            actions: RULE_ACTIONS_MAX + 1
        }
    );
    let wrong = vec!["pkg3(halt){}"; 200].join("\n");
    let found = check(&wrong, &mut Defined).expect_err("all wrong");
    assert_eq!(found.len(), 101);
    assert_eq!(found[100].kind, RuleErrorKind::More { more: 100 });
}
