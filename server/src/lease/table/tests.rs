//! The rules of `docs/SAFETY.md` that the table keeps, one by one, without clocks and networks.

use std::collections::BTreeMap;

use statemachine::command::{Capacity, Command, RegisterNode};
use statemachine::id::{Index, NodeName};
use statemachine::{Accepted, Entry as LogEntry};

use super::*;

struct World {
    state: State,
    at: Timestamp,
}

impl World {
    /// A cluster with one node up.
    fn new() -> (Self, NodeId, SessionId) {
        let mut world = Self {
            state: State::new(),
            at: Timestamp(1000),
        };
        let name = NodeName::new("n1").unwrap();
        world.apply(Command::CreateCluster {
            id: "c".to_owned(),
            member: name,
            peer: vec!["127.0.0.1:7401".to_owned()],
            api: "127.0.0.1:7400".to_owned(),
        });
        let (node, session) = world.register("n1", Vec::new());
        (world, node, session)
    }

    fn apply(&mut self, command: Command) -> Accepted {
        let index = Index(self.state.applied().0 + 1);
        let entry = LogEntry {
            index,
            term: Term(5),
            at: self.at,
            wall_ms: 0,
            request: None,
            command,
        };
        statemachine::apply(&mut self.state, &entry).outcome.unwrap()
    }

    fn register(&mut self, name: &str, ended: Vec<SessionId>) -> (NodeId, SessionId) {
        let register = RegisterNode {
            name: NodeName::new(name).unwrap(),
            machine: format!("machine-{name}"),
            boot: "boot".to_owned(),
            nonce: format!("nonce-{}", self.state.applied().0),
            ended,
            capacity: Capacity::default(),
            labels: BTreeMap::new(),
            api: "127.0.0.1:7400".to_owned(),
            containment: None,
            cut_off: None,
        };
        match self.apply(Command::RegisterNode(register)) {
            Accepted::Registered { node, session } => (node, session),
            other => panic!("{other:?}"),
        }
    }

    fn moment(&self, boot: BootTime) -> Moment<'_> {
        Moment {
            boot,
            at: self.at,
            state: &self.state,
        }
    }
}

fn ms(text: u64) -> BootTime {
    BootTime(Duration::from_millis(100_000 + text))
}

/// A renewal through a round of its own.
fn renew(
    table: &mut LeaseTable<u32>,
    world: &World,
    node: NodeId,
    session: SessionId,
    now: BootTime,
) -> Result<RenewalGrant, RenewError> {
    renew_unanswered(table, world, node, session, 0, now)
}

/// The same from a node that has heard no answer for so long.
fn renew_unanswered(
    table: &mut LeaseTable<u32>,
    world: &World,
    node: NodeId,
    session: SessionId,
    unanswered_ms: u64,
    now: BootTime,
) -> Result<RenewalGrant, RenewError> {
    table.on_arrival(node, session, unanswered_ms, 1);
    let round = table.begin_round().unwrap();
    let mut decisions = table.on_round_confirmed(round, Term(5), world.moment(now));
    decisions.remove(0).grant
}

#[test]
fn a_node_that_no_answer_reaches_is_left_to_be_lost_and_hears_that_it_was() {
    let (world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    let mut refused_at = None;
    for now in (0..=10_000).step_by(50) {
        match renew_unanswered(&mut table, &world, node, session, now, ms(now)) {
            Ok(_) => assert_eq!(refused_at, None, "answered again at {now}"),
            Err(RenewError::Unheard { unanswered_ms }) => {
                assert_eq!(unanswered_ms, now);
                refused_at.get_or_insert(now);
            }
            Err(RenewError::SessionEnded) => {
                let refused_at = refused_at.expect("it was refused before it was lost");
                // Three times W(1 s) without an answer, then W since the last that was given.
                assert!((4_050..=4_200).contains(&refused_at), "refused at {refused_at}");
                assert!(
                    (refused_at + 1_250..=refused_at + 1_450).contains(&now),
                    "lost at {now}"
                );
                return;
            }
            Err(other) => panic!("{other} at {now}"),
        }
        let _ = table.sweep(ms(now), &world.state);
    }
    panic!("never lost");
}

#[test]
fn after_a_long_time_without_a_leader_every_session_goes_on() {
    let (world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    // Several tries of that time may come at once; then the answers have arrived.
    for now in 0..5 {
        assert!(renew_unanswered(&mut table, &world, node, session, 60_000 + now, ms(now)).is_ok());
    }
    for now in (100..=10_000).step_by(100) {
        assert!(renew(&mut table, &world, node, session, ms(now)).is_ok(), "{now}");
        assert!(table.sweep(ms(now), &world.state).is_empty(), "{now}");
    }
    assert!(
        renew_unanswered(&mut table, &world, node, session, 5_000, ms(10_100)).is_ok(),
        "counted anew"
    );
}

#[test]
fn a_round_answers_only_what_arrived_before_it_began() {
    let (world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    table.on_arrival(node, session, 0, "early");
    let first = table.begin_round().unwrap();
    table.on_arrival(node, session, 0, "late");
    let answered = table.on_round_confirmed(first, Term(5), world.moment(ms(1)));
    assert_eq!(
        answered.iter().map(|decision| decision.renewal).collect::<Vec<_>>(),
        ["early"]
    );
    let second = table.begin_round().unwrap();
    assert!(table.begin_round().is_none());
    let answered = table.on_round_confirmed(second, Term(5), world.moment(ms(2)));
    assert_eq!(answered[0].renewal, "late");
    assert_eq!(answered[0].grant.as_ref().unwrap().lease, Millis(1000));
    assert!(
        table
            .on_round_confirmed(second, Term(5), world.moment(ms(3)))
            .is_empty()
    );
}

#[test]
fn a_round_of_another_term_or_without_a_quorum_grants_nothing() {
    let (world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    table.on_arrival(node, session, 0, 1);
    let round = table.begin_round().unwrap();
    table.lead(Term(7), ms(1));
    let decisions = table.on_round_confirmed(round, Term(5), world.moment(ms(2)));
    assert_eq!(decisions[0].grant, Err(RenewError::NotLeader { leader: None }));
    table.on_arrival(node, session, 0, 2);
    let round = table.begin_round().unwrap();
    assert_eq!(table.on_round_failed(round)[0].grant, Err(RenewError::NoQuorum));
    table.on_arrival(node, session, 0, 3);
    assert_eq!(table.resign(), [3]);
    assert_eq!(table.term(), None);
}

#[test]
fn a_session_is_lost_only_when_the_whole_wait_has_passed_since_its_answer() {
    let (world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    for now in (0..=3000).step_by(10) {
        if now == 1200 {
            assert!(renew(&mut table, &world, node, session, ms(now)).is_ok());
        }
        let lost = table.sweep(ms(now), &world.state);
        // W(1 s) = 1350 ms, from the answer at 1200 ms, strictly.
        if now <= 2550 {
            assert!(lost.is_empty(), "lost at {now}");
        } else {
            assert_eq!(lost, [(node, session)]);
            return;
        }
    }
    panic!("never lost");
}

#[test]
fn a_new_leader_waits_for_all_sessions_from_the_moment_it_leads() {
    let (world, node, session) = World::new();
    let mut table: LeaseTable<u32> = LeaseTable::new();
    assert!(
        table.sweep(ms(0), &world.state).is_empty(),
        "who does not lead loses nobody"
    );
    table.lead(Term(5), ms(1000));
    assert!(table.sweep(ms(1050), &world.state).is_empty());
    assert!(table.sweep(ms(1100), &world.state).is_empty());
    for now in (1100..=2350).step_by(50) {
        assert!(table.sweep(ms(now), &world.state).is_empty(), "lost at {now}");
    }
    assert_eq!(table.sweep(ms(2351), &world.state), [(node, session)]);
}

#[test]
fn what_was_proposed_is_never_answered_again_by_this_leader() {
    let (world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    // It arrives just before, and its round is confirmed just after the sweep.
    for now in (0..=1350).step_by(50) {
        assert!(table.sweep(ms(now), &world.state).is_empty());
    }
    table.on_arrival(node, session, 0, 1);
    let round = table.begin_round().unwrap();
    assert_eq!(table.sweep(ms(1351), &world.state), [(node, session)]);
    assert_eq!(
        table.on_round_confirmed(round, Term(5), world.moment(ms(1352)))[0].grant,
        Err(RenewError::SessionEnded)
    );
    // Not twice, until the first proposal has surely come to nothing.
    assert!(table.sweep(ms(1400), &world.state).is_empty());
    assert!(table.sweep(ms(1600), &world.state).is_empty());
    assert_eq!(table.sweep(ms(1852), &world.state), [(node, session)]);
    assert_eq!(
        renew(&mut table, &world, node, session, ms(1860)),
        Err(RenewError::SessionEnded)
    );
    // The next term is a new leader, even here.
    table.lead(Term(6), ms(1900));
    table.on_arrival(node, session, 0, 1);
    let round = table.begin_round().unwrap();
    assert!(
        table.on_round_confirmed(round, Term(6), world.moment(ms(1901)))[0]
            .grant
            .is_ok()
    );
}

#[test]
fn an_older_session_or_a_lost_node_is_not_answered() {
    let (mut world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    let (_, newer) = world.register("n1", vec![session]);
    assert_eq!(
        renew(&mut table, &world, node, session, ms(1)),
        Err(RenewError::SessionEnded)
    );
    assert!(renew(&mut table, &world, node, newer, ms(2)).is_ok());
    world.apply(Command::NodeLost {
        sessions: vec![(node, newer)],
        term: Term(5),
    });
    assert_eq!(
        renew(&mut table, &world, node, newer, ms(3)),
        Err(RenewError::SessionEnded)
    );
    assert_eq!(
        renew(&mut table, &world, NodeId(999), newer, ms(4)),
        Err(RenewError::SessionEnded)
    );
}

#[test]
fn an_extended_lease_is_granted_for_a_while_and_waited_for_wholly() {
    let (mut world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    world.apply(Command::ExtendLease {
        node,
        session,
        lease: Millis(30_000),
    });
    world.at = Timestamp(world.at.0 + 1000);
    assert_eq!(
        renew(&mut table, &world, node, session, ms(1000)).unwrap().lease,
        Millis(30_000)
    );
    // Later answers grant the usual lease, but the longer one is still out.
    world.at = Timestamp(world.at.0 + 10_000);
    assert_eq!(
        renew(&mut table, &world, node, session, ms(11_000)).unwrap().lease,
        Millis(1000)
    );
    let wait = wait_of(Millis(30_000)).0;
    let mut now = 11_000;
    while now <= 1000 + wait {
        assert!(table.sweep(ms(now), &world.state).is_empty(), "lost at {now}");
        now += 100;
    }
    assert_eq!(table.sweep(ms(now), &world.state), [(node, session)]);
    // A new leader, too, waits for the longest lease that may be out.
    let mut next: LeaseTable<u32> = LeaseTable::new();
    next.lead(Term(6), ms(12_000));
    next.on_arrival(node, session, 0, 1);
    let round = next.begin_round().unwrap();
    assert_eq!(
        next.on_round_confirmed(round, Term(6), world.moment(ms(12_001)))[0]
            .grant
            .as_ref()
            .unwrap()
            .lease,
        Millis(1000)
    );
    for now in (12_000..=12_000 + wait).step_by(200) {
        assert!(next.sweep(ms(now), &world.state).is_empty(), "lost at {now}");
    }
}

#[test]
fn the_last_extended_grant_ends_before_the_state_forgets_the_extension() {
    for lease_ms in [1, 1000, 10_000, 60_000] {
        let tail = LeaseTail::from_now(Millis(lease_ms), Timestamp(0));
        let granted_until = EXTENSION_GRANTED_FOR.0;
        assert!(
            may_still_extend(tail, Timestamp(granted_until)) && !may_still_extend(tail, Timestamp(granted_until + 1))
        );
        // In real time the rest may be a tenth shorter than in cluster time.
        let left = (tail.until.0 - granted_until) * 9 / 10;
        assert!(left > wait_of(Millis(lease_ms)).0, "{lease_ms}");
    }
}

#[test]
fn a_process_that_stood_still_first_lets_renewals_come_in() {
    let (world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    assert!(table.sweep(ms(10), &world.state).is_empty());
    // Stopped for ten seconds: the renewals of that time lie unread in its sockets.
    assert!(table.sweep(ms(10_000), &world.state).is_empty());
    assert!(renew(&mut table, &world, node, session, ms(10_100)).is_ok());
    assert!(table.sweep(ms(10_200), &world.state).is_empty());
    for now in (10_200..=11_450).step_by(50) {
        assert!(table.sweep(ms(now), &world.state).is_empty(), "lost at {now}");
    }
    assert_eq!(table.sweep(ms(11_451), &world.state), [(node, session)]);
}

#[test]
fn the_lead_is_handed_over_only_when_every_session_was_just_answered() {
    let (mut world, node, session) = World::new();
    let mut table = LeaseTable::new();
    table.lead(Term(5), ms(0));
    let within = Duration::from_millis(200);
    let refused = table.may_hand_over(ms(1), within, &world.state).unwrap_err();
    assert!(refused.contains("n1"), "{refused}");
    assert!(renew(&mut table, &world, node, session, ms(10)).is_ok());
    assert!(table.may_hand_over(ms(210), within, &world.state).is_ok());
    assert!(table.may_hand_over(ms(211), within, &world.state).is_err());
    world.apply(Command::NodeLost {
        sessions: vec![(node, session)],
        term: Term(5),
    });
    assert!(table.may_hand_over(ms(500), within, &world.state).is_ok());
}

#[test]
fn after_all_were_off_nobody_registers_before_they_are_lost() {
    let (mut world, node, session) = World::new();
    let mut table: LeaseTable<u32> = LeaseTable::new();
    assert!(table.may_register(ms(0), &world.state), "a follower decides nothing");
    table.lead(Term(5), ms(0));
    assert!(!table.may_register(ms(1), &world.state), "n1 may run, or be gone");
    assert!(
        table.may_register(ms(2 * 1_351), &world.state),
        "but it is not waited for without end"
    );
    // One that is heard shows that the cluster was not off.
    let second = world.register("n2", Vec::new());
    assert!(renew(&mut table, &world, second.0, second.1, ms(10)).is_ok());
    assert!(table.may_register(ms(11), &world.state));
    // Another leader, and nobody is heard until all are lost.
    table.lead(Term(6), ms(20));
    assert!(!table.may_register(ms(21), &world.state));
    world.apply(Command::NodeLost {
        sessions: vec![(node, session), second],
        term: Term(5),
    });
    assert!(table.may_register(ms(30), &world.state));
}
