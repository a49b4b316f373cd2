//! The search against the tester that stateright has: on small random histories both must say the same.

use arbtest::arbtest;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use super::{Answer, Call, Register, Step, search};

/// The same register in stateright's words: an operation, and what it returned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Spec(Option<u32>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Op {
    Read,
    Write(u32),
    Swap(Option<u32>, u32),
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Ret {
    Seen(Option<u32>),
    Done,
    Refused,
}

impl SequentialSpec for Spec {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        match op {
            Op::Read => Ret::Seen(self.0),
            Op::Write(value) => {
                self.0 = Some(*value);
                Ret::Done
            }
            Op::Swap(from, to) if self.0 == *from => {
                self.0 = Some(*to);
                Ret::Done
            }
            Op::Swap(..) => Ret::Refused,
            Op::Nothing => Ret::Done,
        }
    }
}

fn in_words(step: Step) -> (Op, Ret) {
    match step {
        Step::Read(seen) => (Op::Read, Ret::Seen(seen)),
        Step::Write(value) => (Op::Write(value), Ret::Done),
        Step::Swap(from, to) => (Op::Swap(from, to), Ret::Done),
        // May be refused whatever is there.
        Step::NotSwapped(None) => (Op::Nothing, Ret::Done),
        // Its new value is of no matter: it was refused.
        Step::NotSwapped(from) => (Op::Swap(from, u32::MAX), Ret::Refused),
    }
}

fn stateright_says(calls: &[Call]) -> bool {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (place, call) in calls.iter().enumerate() {
        events.push((call.sent_ns, false, place));
        events.extend(call.done_ns.map(|done| (done, true, place)));
    }
    events.sort_unstable();
    let mut tester = LinearizabilityTester::new(Spec::default());
    for (_, is_return, place) in events {
        let (op, ret) = in_words(calls[place].step);
        // Every call is a thread of its own: what matters is only what ended before what began.
        let told = if is_return {
            tester.on_return(place, ret).map(drop)
        } else {
            tester.on_invoke(place, op).map(drop)
        };
        told.expect("calls and returns alternate");
    }
    tester.is_consistent()
}

/// Five calls at most on few values, so that both answers are common.
fn calls(u: &mut arbtest::arbitrary::Unstructured<'_>) -> arbtest::arbitrary::Result<Vec<Call>> {
    let count = u.int_in_range(1..=5)?;
    let mut calls = Vec::new();
    for _ in 0..count {
        let value = |u: &mut arbtest::arbitrary::Unstructured<'_>| u.int_in_range(1..=3_u32);
        let maybe = |u: &mut arbtest::arbitrary::Unstructured<'_>| -> arbtest::arbitrary::Result<Option<u32>> {
            Ok(Some(u.int_in_range(0..=3_u32)?).filter(|v| *v > 0))
        };
        let step = match u.int_in_range(0..=3_u8)? {
            0 => Step::Read(maybe(u)?),
            1 => Step::Write(value(u)?),
            2 => Step::Swap(maybe(u)?, value(u)?),
            _ => Step::NotSwapped(maybe(u)?),
        };
        let sent_ns = u.int_in_range(0..=20)?;
        // An operation without an answer has no result: only writes and swaps are then of any matter.
        let unknown = matches!(step, Step::Write(_)) && u.ratio(1, 4)?;
        let done_ns = if unknown {
            None
        } else {
            Some(sent_ns + u.int_in_range(1..=8)?)
        };
        calls.push(Call { sent_ns, done_ns, step });
    }
    Ok(calls)
}

#[test]
fn both_say_the_same_of_small_random_histories() {
    let (mut sound, mut broken) = (0_u32, 0_u32);
    arbtest(|u| {
        let calls = calls(u)?;
        let expected = stateright_says(&calls);
        let found = search(&calls);
        assert_eq!(matches!(found, Answer::Linearizable), expected, "{found:?}: {calls:#?}");
        if expected {
            sound += 1;
        } else {
            broken += 1;
        }
        Ok(())
    })
    .budget_ms(1_500);
    assert!(
        sound > 100 && broken > 100,
        "{sound} sound, {broken} broken: too few to compare"
    );
}

fn call(sent_ns: u64, done_ns: u64, step: Step) -> Call {
    Call {
        sent_ns,
        done_ns: Some(done_ns),
        step,
    }
}

#[test]
fn a_planted_stale_read_is_found() {
    let calls = [
        call(0, 1, Step::Write(1)),
        call(2, 3, Step::Write(2)),
        call(4, 5, Step::Read(Some(1))),
    ];
    assert_eq!(search(&calls), Answer::NotLinearizable { longest: vec![0, 1] });
    assert!(!stateright_says(&calls));
}

#[test]
fn a_planted_swap_of_two_from_one_value_is_found() {
    let calls = [
        call(0, 1, Step::Write(1)),
        call(2, 9, Step::Swap(Some(1), 2)),
        call(2, 9, Step::Swap(Some(1), 3)),
    ];
    assert!(matches!(search(&calls), Answer::NotLinearizable { .. }));
    assert!(!stateright_says(&calls));
}

#[test]
fn a_planted_value_that_comes_back_is_found() {
    // A write that was applied twice shows like this.
    let calls = [
        call(0, 1, Step::Write(1)),
        call(2, 3, Step::Write(2)),
        call(4, 5, Step::Read(Some(2))),
        call(6, 7, Step::Read(Some(1))),
    ];
    assert!(matches!(search(&calls), Answer::NotLinearizable { .. }));
}

#[test]
fn what_was_not_answered_may_have_happened_late_or_never() {
    let unknown = Call {
        sent_ns: 0,
        done_ns: None,
        step: Step::Write(9),
    };
    let late = [unknown, call(1, 2, Step::Read(None)), call(3, 4, Step::Read(Some(9)))];
    assert_eq!(search(&late), Answer::Linearizable);
    assert_eq!(search(&late[..2]), Answer::Linearizable);
    let undone = [unknown, call(1, 2, Step::Read(Some(9))), call(3, 4, Step::Read(None))];
    assert!(matches!(search(&undone), Answer::NotLinearizable { .. }));
}

#[test]
fn a_register_does_one_thing_at_a_time() {
    let register = Register(Some(1));
    assert_eq!(register.after(Step::Swap(Some(1), 2)), Some(Register(Some(2))));
    assert_eq!(register.after(Step::Swap(None, 2)), None);
    assert_eq!(register.after(Step::NotSwapped(Some(1))), None);
    assert_eq!(register.after(Step::NotSwapped(Some(2))), Some(register));
}

#[test]
fn ten_clients_and_a_thousand_operations_take_no_time() {
    // Ten rounds at a time overlap; in each the writes of one instant can be ordered in many ways.
    let mut calls = Vec::new();
    for round in 0..100_u64 {
        for client in 0..10_u64 {
            let value = u32::try_from(round * 10 + client).expect("small");
            calls.push(call(round * 10 + client, round * 10 + client + 9, Step::Write(value)));
        }
    }
    let last = calls.len() as u64 + 100;
    calls.push(call(last, last + 1, Step::Read(Some(999))));
    let begin = std::time::Instant::now();
    assert_eq!(search(&calls), Answer::Linearizable);
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
}
