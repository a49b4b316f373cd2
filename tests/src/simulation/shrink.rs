//! From a schedule that fails to the smallest that was found to fail.

use super::{Outcome, Plan, Planted, run_plan};

/// Runs that are spent on one schedule.
const RUNS_MAX: usize = 400;

/// A smaller plan that breaks the same invariant, and what came of it.
#[must_use]
pub fn shrink(plan: &Plan, planted: Option<Planted>) -> (Plan, Outcome) {
    let mut best = plan.clone();
    let mut outcome = run_plan(best.clone(), planted, false);
    let Some(invariant) = outcome.violation.as_ref().map(|violation| violation.invariant) else {
        return (best, outcome);
    };
    let mut runs = 0;
    let mut try_plan = |plan: Plan, best: &mut Plan, outcome: &mut Outcome| {
        runs += 1;
        let found = run_plan(plan.clone(), planted, false);
        let same = found
            .violation
            .as_ref()
            .is_some_and(|violation| violation.invariant == invariant);
        if same {
            *best = plan;
            *outcome = found;
        }
        (same, runs < RUNS_MAX)
    };
    // What begins after the failure has no part in it, unless it is the healing that fails.
    let at = outcome.violation.as_ref().map_or(u64::MAX, |violation| violation.at_ns);
    if at < best.end_ns {
        let mut plan = best.clone();
        plan.faults.retain(|fault| fault.at_ns <= at);
        let _ = try_plan(plan, &mut best, &mut outcome);
    }
    // Halves, quarters, ... and at last single faults.
    let mut size = best.faults.len().div_ceil(2);
    let mut goes_on = true;
    while size > 0 && goes_on {
        let mut from = 0;
        while from < best.faults.len() && goes_on {
            let mut plan = best.clone();
            let to = (from + size).min(plan.faults.len());
            plan.faults.drain(from..to);
            let (same, more) = try_plan(plan, &mut best, &mut outcome);
            goes_on = more;
            if !same {
                from += size;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    // Shorter faults, and fewer clients.
    for number in 0..best.faults.len() {
        while goes_on {
            let mut plan = best.clone();
            plan.faults[number].lasts_ns /= 2;
            let (same, more) = try_plan(plan, &mut best, &mut outcome);
            goes_on = more;
            if !same {
                break;
            }
        }
    }
    while best.clients > 1 && goes_on {
        let mut plan = best.clone();
        plan.clients -= 1;
        let (same, more) = try_plan(plan, &mut best, &mut outcome);
        goes_on = more && same;
    }
    (best, outcome)
}
