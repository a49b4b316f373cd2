//! Raft's own timers follow the cluster's lease: a change of leader must take less than a lease has room for, and openraft
//! takes its timers only when it starts. So where the lease was changed, the leader lets one server after the other start
//! again, hands over the lead, and is itself the last.

use std::sync::Arc;
use std::time::Duration;

use statemachine::id::MemberId;

use super::core::Core;
use super::leadership::Reign;
use super::relinquish;
use super::transport::Lane;
use crate::storage::LeaseNote;
use crate::timers::{LEASE_DEFAULT, Timers};

/// How often a leader looks whether all servers have the timers of the lease.
const LOOK: Duration = Duration::from_secs(1);
/// How long a server may take to say that it will start again.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Log entries that a server may lack and still count as well.
const CAUGHT_UP_ENTRIES: u64 = 64;

/// The timers that the cluster's lease wants.
fn wanted(core: &Core) -> Timers {
    let lease = core.applied.state().cluster().map_or(LEASE_DEFAULT, |it| it.spec.lease);
    Timers::of(lease)
}

/// Notes the lease and asks for this server to be started again. Not while it leads: then it hands the lead over first.
///
/// # Errors
/// In words, what stands against it.
pub(super) async fn start_again(core: &Arc<Core>) -> Result<(), String> {
    if core.leadership.borrow().is_leader {
        return Err("this server leads".to_owned());
    }
    let timers = wanted(core);
    LeaseNote::write(&core.writer, timers.lease_ms)
        .await
        .map_err(|error| error.to_string())?;
    tracing::info!(
        lease_ms = timers.lease_ms,
        "the lease was changed: this server starts again with the timers of the new one"
    );
    core.start_again.cancel();
    Ok(())
}

/// Runs for as long as the server does; does something only while it leads.
pub(super) async fn run(core: Arc<Core>) {
    let mut reign = Reign::watch(core.leadership.subscribe());
    while reign.next_look(LOOK).await.is_some() {
        look(&core).await;
    }
}

/// One step at most: one server away at a time, and only while all the others are well.
async fn look(core: &Arc<Core>) {
    let wanted = wanted(core).heartbeat_ms;
    let mut behind = None;
    for member in core.others() {
        match relinquish::ask(core, member).await {
            Some(fitness) if fitness.heartbeat_ms == wanted => {}
            Some(_) => behind = Some(member),
            // One that does not answer is one away already.
            None => return,
        }
    }
    if !caught_up(core) {
        return;
    }
    match behind {
        Some(member) => {
            if let Err(reason) = ask_to_start_again(core, member).await {
                tracing::info!(
                    member = member.0,
                    reason,
                    "a server can't take the timers of the new lease yet"
                );
            }
        }
        None if core.timers().heartbeat_ms != wanted => relinquish::for_new_timers(core).await,
        None => {}
    }
}

fn caught_up(core: &Core) -> bool {
    use openraft::type_config::async_runtime::watch::WatchReceiver as _;
    core.raft().is_some_and(|raft| {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let last = metrics.last_log_index.unwrap_or(0);
        metrics.replication.iter().flatten().all(|(_, matched)| {
            let has = matched.as_ref().map_or(0, |matched| matched.index());
            last.saturating_sub(has) <= CAUGHT_UP_ENTRIES
        })
    })
}

async fn ask_to_start_again(core: &Arc<Core>, member: MemberId) -> Result<(), String> {
    let target = core.target(member).ok_or("it has no address")?;
    core.ask::<_, Result<(), String>>(&target, Lane::Proposals, "start_again", &(), ANSWER_WAIT)
        .await?
}
