//! Parts of the state that came after others: a snapshot keeps them, and the digest tells them apart.

use statemachine::command::{Capacity, Command, Containment, RegisterNode};
use statemachine::entry::Entry;
use statemachine::id::{NodeName, Term};
use statemachine::snapshot::{from_stored, to_stored};
use statemachine::time::Timestamp;
use statemachine::{State, apply, digest};

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn state(witness: bool, containment: Option<Containment>) -> State {
    let mut state = State::new();
    let commands = [
        Command::CreateCluster {
            id: "c".to_owned(),
            member: name("n1"),
            peer: vec!["127.0.0.1:1".to_owned()],
            api: "127.0.0.1:2".to_owned(),
        },
        Command::AddMember {
            name: name("w"),
            peer: vec!["127.0.0.1:3".to_owned()],
            api: "127.0.0.1:4".to_owned(),
            witness,
        },
        Command::RegisterNode(RegisterNode {
            name: name("n1"),
            machine: "m".to_owned(),
            boot: "b".to_owned(),
            nonce: "n".to_owned(),
            ended: Vec::new(),
            capacity: Capacity::default(),
            labels: Default::default(),
            api: String::new(),
            containment,
            cut_off: None,
        }),
    ];
    for command in commands {
        let entry = Entry {
            index: state.applied().next(),
            term: Term(1),
            at: Timestamp(0),
            wall_ms: 0,
            request: None,
            command,
        };
        apply(&mut state, &entry).outcome.unwrap();
    }
    state
}

#[test]
fn a_snapshot_keeps_witness_and_containment() {
    let before = state(true, Some(Containment::UserNamespace));
    let after = from_stored(to_stored(&before)).unwrap();
    assert_eq!(digest(&before), digest(&after));
    assert!(after.members().any(|member| member.name == name("w") && member.witness));
    assert_eq!(
        after.node_by_name(&name("n1")).unwrap().containment,
        Some(Containment::UserNamespace)
    );
}

#[test]
fn servers_that_differ_in_them_differ_in_their_digest() {
    let plain = digest(&state(false, None));
    assert_ne!(plain, digest(&state(true, None)));
    assert_ne!(plain, digest(&state(false, Some(Containment::Namespace))));
    assert_ne!(
        digest(&state(false, Some(Containment::Namespace))),
        digest(&state(false, Some(Containment::Group)))
    );
}
