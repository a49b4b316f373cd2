//! Runs a search and says what it found.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Path};

use super::action::Action;
use super::lease_model::{EPOCHS_GROW, LeaseModel, ONE_ACTIVE, TAKEN_OVER, TAKEN_OVER_LATE};
use super::state::State;

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Different states that were seen.
    pub states: usize,
    /// Steps that were tried and can happen.
    pub steps: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// Every state was looked at.
    pub complete: bool,
    /// Takeovers were among them, the last under the last leader.
    pub witnessed: bool,
    /// The shortest way to a broken promise, and which.
    pub fault: Option<Fault>,
    /// How long it took.
    pub time: Duration,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which.
    pub promise: &'static str,
    /// The steps to it, in words.
    pub story: Vec<String>,
}

/// Searches until everything was seen or a promise is broken. One thread finds the shortest way; more are faster.
#[must_use]
pub fn search(model: LeaseModel, threads: usize) -> Found {
    let begin = Instant::now();
    let checker = model
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let time = begin.elapsed();
    let discoveries = checker.discoveries();
    let fault = [ONE_ACTIVE, EPOCHS_GROW].into_iter().find_map(|promise| {
        let story = tell(discoveries.get(promise)?.clone());
        Some(Fault { promise, story })
    });
    Found {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        complete: checker.is_done() && fault.is_none(),
        witnessed: discoveries.contains_key(TAKEN_OVER) && discoveries.contains_key(TAKEN_OVER_LATE),
        fault,
        time,
    }
}

fn tell(path: Path<State, Action>) -> Vec<String> {
    path.into_actions().iter().map(ToString::to_string).collect()
}
