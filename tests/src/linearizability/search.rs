//! The search for an order: Wing and Gong's, with Lowe's memory of what was tried.
//!
//! The events of a history stand in a list by time, a call and a return for each operation. The search takes the first
//! call whose step is possible as the next in the order, takes both its events out of the list, and goes on from the
//! beginning. At a return it has passed over a call that must come before it: the last choice was wrong, and its events
//! are put back. Which operations are in the order and what the register then holds is remembered, so that no
//! situation is looked at twice. An operation without an answer has no return: it may be taken at any time, or never.

use std::collections::HashSet;

use super::register::{Register, Step};

/// Situations that are remembered before the search gives up. The memory of one is 100 bytes or so.
const SITUATIONS_MAX: usize = 2_000_000;

/// One operation on one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was sent.
    pub sent_ns: u64,
    /// When it was answered; none: never, so that it may or may not have happened.
    pub done_ns: Option<u64>,
    /// What it did.
    pub step: Step,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is such an order.
    Linearizable,
    /// There is none. The longest beginning of an order that was found, as places in the list of calls.
    NotLinearizable {
        /// In this order.
        longest: Vec<usize>,
    },
    /// The search was given up: too many operations were under way at once.
    Undecided,
}

/// Place 0 of the list stands before its first event.
const HEAD: usize = 0;

struct Node {
    call: usize,
    is_call: bool,
    /// The place of the return of a call; [`HEAD`] where there is none.
    partner: usize,
    before: usize,
    after: usize,
}

struct List(Vec<Node>);

impl List {
    fn of(calls: &[Call]) -> Self {
        // (time, returns after calls of the same moment: then both orders are allowed, call)
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        for (place, call) in calls.iter().enumerate() {
            events.push((call.sent_ns, false, place));
            events.extend(call.done_ns.map(|done| (done, true, place)));
        }
        events.sort_unstable();
        let mut nodes = vec![Node {
            call: usize::MAX,
            is_call: false,
            partner: HEAD,
            before: HEAD,
            after: HEAD,
        }];
        let mut call_at = vec![HEAD; calls.len()];
        for (_, is_return, call) in events {
            let place = nodes.len();
            nodes[place - 1].after = place;
            nodes.push(Node {
                call,
                is_call: !is_return,
                partner: HEAD,
                before: place - 1,
                after: HEAD,
            });
            if is_return {
                nodes[call_at[call]].partner = place;
            } else {
                call_at[call] = place;
            }
        }
        Self(nodes)
    }

    fn take_out(&mut self, place: usize) {
        let (before, after) = (self.0[place].before, self.0[place].after);
        self.0[before].after = after;
        if after != HEAD {
            self.0[after].before = before;
        }
    }

    /// Only in the opposite order of taking out: then its neighbours are what they were.
    fn put_back(&mut self, place: usize) {
        let (before, after) = (self.0[place].before, self.0[place].after);
        self.0[before].after = place;
        if after != HEAD {
            self.0[after].before = place;
        }
    }

    fn lift(&mut self, place: usize) {
        self.take_out(place);
        let partner = self.0[place].partner;
        if partner != HEAD {
            self.take_out(partner);
        }
    }

    fn unlift(&mut self, place: usize) {
        let partner = self.0[place].partner;
        if partner != HEAD {
            self.put_back(partner);
        }
        self.put_back(place);
    }
}

/// Looks for an order of the calls that keeps time and that the register could have gone through.
#[must_use]
pub fn search(calls: &[Call]) -> Answer {
    let mut list = List::of(calls);
    let mut left = calls.iter().filter(|call| call.done_ns.is_some()).count();
    let mut taken = vec![0_u64; calls.len().div_ceil(64)];
    let mut register = Register::default();
    let mut seen: HashSet<(Vec<u64>, Register)> = HashSet::new();
    let mut order: Vec<(usize, Register)> = Vec::new();
    let mut longest: Vec<usize> = Vec::new();
    let mut place = list.0[HEAD].after;
    loop {
        if left == 0 {
            return Answer::Linearizable;
        }
        if place != HEAD && list.0[place].is_call {
            let call = list.0[place].call;
            if let Some(next) = register.after(calls[call].step) {
                let bit = 1_u64 << (call % 64);
                taken[call / 64] |= bit;
                if seen.insert((taken.clone(), next)) {
                    if seen.len() > SITUATIONS_MAX {
                        return Answer::Undecided;
                    }
                    order.push((place, register));
                    if order.len() > longest.len() {
                        longest = order.iter().map(|(place, _)| list.0[*place].call).collect();
                    }
                    register = next;
                    left -= usize::from(calls[call].done_ns.is_some());
                    list.lift(place);
                    place = list.0[HEAD].after;
                    continue;
                }
                taken[call / 64] &= !bit;
            }
            place = list.0[place].after;
            continue;
        }
        // A return of what is not in the order, or the end of the list: the last choice was wrong.
        let Some((chosen, before)) = order.pop() else {
            return Answer::NotLinearizable { longest };
        };
        let call = list.0[chosen].call;
        register = before;
        taken[call / 64] &= !(1_u64 << (call % 64));
        left += usize::from(calls[call].done_ns.is_some());
        list.unlift(chosen);
        place = list.0[chosen].after;
    }
}
