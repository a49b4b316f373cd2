//! Time-driven work: sleeps until the state's first deadline and proposes a tick. A late, early or doubled tick is
//! harmless, because apply looks at the deadline again.

use std::sync::Arc;
use std::time::Duration;

use statemachine::command::Command;
use statemachine::log::v1::Proposal;
use statemachine::time::Timestamp;

use super::clock::BootTime;
use super::core::Core;
use super::propose::Scope;

/// The clock of the sleep and that of the cluster may differ by a little: never shorter, so that ticks can't spin.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// How long a tick waits for its answer.
const TICK_WAIT: Duration = Duration::from_secs(1);

/// Runs for as long as the server does; does something only while it leads.
pub(super) async fn run(core: Arc<Core>) {
    let mut leadership = core.leadership.subscribe();
    let mut applied = core.applied.index();
    loop {
        let Ok(now) = leadership.wait_for(|now| now.ready).await.map(|now| *now) else {
            return;
        };
        applied.borrow_and_update();
        let deadline = core.applied.state().next_deadline();
        let at = core.clock.now(now.term, BootTime::now()).unwrap_or(Timestamp(0));
        match deadline {
            Some(deadline) if deadline <= at => {
                let tick = Proposal {
                    request: None,
                    command: Command::Tick,
                };
                let outcome = core.proposals.propose(&tick, Scope::Term(now.term), TICK_WAIT).await;
                if outcome.is_err() || core.applied.state().next_deadline() == Some(deadline) {
                    tokio::time::sleep(PAUSE_MIN).await;
                }
            }
            Some(deadline) => {
                let pause = Duration::from_millis(deadline.since(at).0).max(PAUSE_MIN);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    changed = applied.changed() => if changed.is_err() { return },
                    changed = leadership.changed() => if changed.is_err() { return },
                }
            }
            None => {
                tokio::select! {
                    changed = applied.changed() => if changed.is_err() { return },
                    changed = leadership.changed() => if changed.is_err() { return },
                }
            }
        }
    }
}
