//! Rules where scripts can't show them: bounds, a snapshot in the middle of a story, and that random rules do something.

mod support;

use statemachine::command::{Command, ConfigChange, Wish};
use statemachine::event::EventKind;
use statemachine::id::{NodeName, PackageName};
use statemachine::snapshot::{from_stored, to_stored};
use statemachine::{Applied, apply, digest};
use support::{Registration, World, rule_texts, specs};

fn configure(changes: Vec<ConfigChange>) -> Command {
    Command::Configure { expect: None, changes }
}

/// So many nodes and packages, with these rules.
fn world(nodes: usize, packages: usize, rules: &str) -> World {
    let mut world = World::new();
    let _ = world.apply(Command::CreateCluster {
        id: "c1".into(),
        member: NodeName::new("n0").unwrap(),
        peer: vec!["127.0.0.1:1".into()],
        api: "127.0.0.1:2".into(),
    });
    for node in 0..nodes {
        let command = world.register(&format!("n{node}"), &[("cpu", 100)], &Registration::default());
        let _ = world.apply(command);
    }
    let mut changes: Vec<_> = (0..packages)
        .map(|package| ConfigChange::PutPackage(specs::package(&format!("p{package}"), None)))
        .collect();
    changes.push(ConfigChange::PutRules(rules.into()));
    world.apply(configure(changes)).outcome.unwrap();
    world
}

fn count(applied: &Applied, kind: &str) -> usize {
    applied.events.iter().filter(|event| event.kind_name() == kind).count()
}

fn drain(node: &str) -> Command {
    Command::SetDrain {
        node: NodeName::new(node).unwrap(),
        drain: true,
    }
}

#[test]
fn an_avalanche_ends_and_the_log_says_so() {
    // Each drained node has all others resumed and drained: without a bound this would never end.
    let nodes = 30;
    let mut rules = String::new();
    for node in 0..nodes {
        rules += &format!("node:n{node} (drain) {{\n");
        for other in (0..nodes).filter(|other| *other != node) {
            rules += &format!("node:n{other}->resume node:n{other}->drain\n");
        }
        rules += "}\n";
    }
    let mut world = world(nodes, 3, &rules);
    let applied = world.apply(drain("n0"));
    assert!(applied.outcome.is_ok());
    let fired = count(&applied, "rule-fired");
    assert!((10..=1_024).contains(&fired), "{fired} rules fired");
    assert!(applied.events.len() < 10_000, "{} events", applied.events.len());
    assert_eq!(count(&applied, "rules-cut-off"), 1);
    let last = applied.events.last().unwrap();
    assert_eq!(last.kind_name(), "rules-cut-off", "nothing happens after it");
    assert!(
        last.cause.is_some() && last.text().contains(" -> node:n"),
        "{}",
        last.text()
    );
    // The next entry is as any other.
    let wish = Wish::Stop;
    let package = PackageName::new("p0").unwrap();
    assert!(world.apply(Command::SetWish { package, wish }).outcome.is_ok());
}

#[test]
fn a_long_chain_is_cut_where_it_is_too_long_and_other_rules_still_fire() {
    let mut rules = String::new();
    for package in 0..40 {
        rules += &format!("p{package} (startup) {{ p{}->startup }}\n", package + 1);
    }
    rules += "node:n0 (drain) { p50->halt }\nnode:n0 (drain) { p0->startup }\nnode:n0 (drain) { p51->halt }\n";
    let mut world = world(2, 52, "");
    for package in 0..42 {
        let package = PackageName::new(&format!("p{package}")).unwrap();
        let _ = world.apply(Command::SetWish {
            package,
            wish: Wish::Stop,
        });
    }
    world.obey();
    let _ = world.apply(configure(vec![ConfigChange::PutRules(rules)]));
    let applied = world.apply(drain("n0"));
    let started = (0..42)
        .filter(|package| world.place(&format!("p{package}")).contains(' '))
        .count();
    assert_eq!(started, 16, "p0 by the drain, and as many as a chain may have beyond");
    assert_eq!(count(&applied, "rules-cut-off"), 1);
    for other in ["p50", "p51"] {
        let package = world.package(other).unwrap();
        assert_eq!(package.wish, Wish::Stop, "{other}");
    }
}

#[test]
fn a_state_from_a_snapshot_fires_the_same_rules() {
    let mut world = world(
        3,
        3,
        "p0 (halt) { if (p1.state == up && p1.node == p2.node) { p1->halt } }",
    );
    world.obey();
    let mut restored = from_stored(to_stored(&world.state)).unwrap();
    assert_eq!(digest(&restored), digest(&world.state));
    let before = world.log.len();
    let package = PackageName::new("p0").unwrap();
    let _ = world.apply(Command::SetWish {
        package,
        wish: Wish::Stop,
    });
    let fired = world
        .obey()
        .iter()
        .map(|applied| count(applied, "rule-fired"))
        .sum::<usize>();
    assert_eq!(fired, 1);
    for entry in &world.log[before..] {
        let _ = apply(&mut restored, entry);
    }
    assert_eq!(digest(&restored), digest(&world.state));
}

#[test]
fn rules_are_part_of_what_servers_compare() {
    let one = world(1, 2, "p0 (halt) { p1->halt }");
    let other = world(1, 2, "p0 (halt) { p1->test }");
    assert_ne!(digest(&one.state), digest(&other.state));
}

#[test]
fn a_rule_can_do_nothing_that_a_person_could_not() {
    // The unit is held until its end is proven, whoever asks: a rule that starts it elsewhere waits as well.
    let mut world = world(2, 2, "p0 (fail) { p0->move(n1) }\np1 (halt) { p0->move(n1) }");
    world.obey();
    let node = world.place("p0");
    let command = world.report(
        "p0",
        vec![statemachine::command::InstanceState::Failing {
            cause: statemachine::command::EndCause::Exited { code: 1 },
        }],
        "",
    );
    let applied = world.apply(command.unwrap());
    assert!(
        !applied
            .events
            .iter()
            .any(|event| matches!(event.kind, EventKind::Placed { .. })),
        "it may still run on {node}"
    );
}

#[test]
fn random_rules_are_accepted_and_fire() {
    let (mut accepted, mut fired) = (0, 0);
    for seed in 0..200 {
        let mut world = world(3, 4, "");
        let group = ConfigChange::PutGroup(specs::group("g0", 1));
        let member = ConfigChange::PutPackage(specs::package("m0", Some("g0")));
        world.apply(configure(vec![group, member])).outcome.unwrap();
        let text = rule_texts::random(&world.state, seed);
        let put = world.apply(configure(vec![ConfigChange::PutRules(text)]));
        accepted += usize::from(put.outcome.is_ok());
        let mut all = world.obey_at_most(30);
        all.push(world.apply(drain("n0")));
        all.extend(world.obey_at_most(30));
        fired += all.iter().map(|applied| count(applied, "rule-fired")).sum::<usize>();
    }
    assert!(accepted > 150, "{accepted} of 200 are accepted");
    assert!(fired > 150, "{fired} rules fired");
}
