//! Attributes with a condition: a change that names an index is refused where the key has changed since.

use statemachine::command::{Capacity, Command, RegisterNode};
use statemachine::entry::Entry;
use statemachine::id::{Index, NodeName, Term};
use statemachine::outcome::{Accepted, Outcome};
use statemachine::snapshot::{from_stored, to_stored};
use statemachine::state::State;
use statemachine::time::Timestamp;
use statemachine::{apply, digest};

fn node() -> NodeName {
    NodeName::new("n1").unwrap()
}

fn run(state: &mut State, command: Command) -> Outcome {
    let entry = Entry {
        index: state.applied().next(),
        term: Term(1),
        at: Timestamp(1),
        wall_ms: 0,
        request: None,
        command,
    };
    apply(state, &entry).outcome
}

fn set(state: &mut State, key: &str, value: Option<&str>, expect: Option<u64>) -> Outcome {
    let command = Command::SetAttribute {
        node: node(),
        key: key.to_owned(),
        value: value.map(ToOwned::to_owned),
        expect: expect.map(Index),
    };
    run(state, command)
}

fn cluster() -> State {
    let mut state = State::new();
    let create = Command::CreateCluster {
        id: "c".to_owned(),
        member: node(),
        peer: vec!["10.0.0.1:7401".to_owned()],
        api: "10.0.0.1:7400".to_owned(),
    };
    run(&mut state, create).unwrap();
    let register = RegisterNode {
        name: node(),
        machine: "m".to_owned(),
        boot: "b".to_owned(),
        nonce: "n".to_owned(),
        ended: Vec::new(),
        capacity: Capacity::default(),
        labels: Default::default(),
        api: "10.0.0.1:7400".to_owned(),
        containment: None,
        cut_off: None,
    };
    run(&mut state, Command::RegisterNode(register)).unwrap();
    state
}

fn refused(outcome: &Outcome) -> bool {
    outcome.as_ref().is_err_and(|rejection| rejection.code() == "changed")
}

#[test]
fn a_change_since_refuses_and_nothing_happens() {
    let mut state = cluster();
    let read_at = state.applied().0;
    assert_eq!(set(&mut state, "k", Some("1"), Some(read_at)), Ok(Accepted::Done));
    assert!(refused(&set(&mut state, "k", Some("2"), Some(read_at))));
    assert!(refused(&set(&mut state, "k", None, Some(read_at))));
    let present = state.node_by_name(&node()).unwrap().attributes.get("k");
    assert_eq!(present, Some("1"));
}

#[test]
fn another_key_does_not_disturb() {
    let mut state = cluster();
    let read_at = state.applied().0;
    set(&mut state, "other", Some("1"), None).unwrap();
    assert_eq!(set(&mut state, "k", Some("1"), Some(read_at)), Ok(Accepted::Done));
}

#[test]
fn a_removal_since_refuses_too() {
    let mut state = cluster();
    set(&mut state, "k", Some("1"), None).unwrap();
    let read_at = state.applied().0;
    set(&mut state, "k", None, None).unwrap();
    assert!(refused(&set(&mut state, "k", Some("2"), Some(read_at))));
    let read_again = state.applied().0;
    assert_eq!(set(&mut state, "k", Some("2"), Some(read_again)), Ok(Accepted::Done));
}

#[test]
fn a_snapshot_keeps_what_conditions_need() {
    let mut state = cluster();
    let read_at = state.applied().0;
    set(&mut state, "k", Some("1"), None).unwrap();
    set(&mut state, "gone", Some("1"), None).unwrap();
    set(&mut state, "gone", None, None).unwrap();
    let mut loaded = from_stored(to_stored(&state)).unwrap();
    assert_eq!(digest(&loaded), digest(&state));
    assert!(refused(&set(&mut loaded, "k", Some("2"), Some(read_at))));
    assert!(refused(&set(&mut loaded, "gone", Some("2"), Some(read_at))));
}
