//! As leader: gives the lead away in order where another server is the better place for it, because this node is drained,
//! its disk is slow, or it is about to end. An election after a silence costs what the nodes' leases allow; this costs a
//! round trip or two.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use statemachine::State;
use statemachine::id::MemberId;

use super::core::Core;
use super::leadership::Reign;
use super::member;
use super::transport::Lane;

/// How often a leader looks at itself.
const LOOK: Duration = Duration::from_millis(100);
/// A disk whose syncs take this long holds up every change that wants an answer.
const SLOW: Duration = Duration::from_millis(200);
/// Nobody leads for less than this because of a slow disk: where all disks are slow, the lead does not go round.
const REIGN_MIN: Duration = Duration::from_secs(5);
/// How long another server may take to say how it is.
const ANSWER_WAIT: Duration = Duration::from_millis(300);
/// After a hand-over that was refused.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a hand-over is tried again while this server waits to end.
const RETRY: Duration = Duration::from_millis(20);

/// How a server is, for whoever thinks of giving it the lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fitness {
    /// What a durable write takes there, in microseconds.
    pub sync_us: u64,
    /// The heartbeat that Raft runs with there.
    pub heartbeat_ms: u64,
}

/// Why the lead should be elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Drained,
    SlowDisk(Duration),
    NewTimers,
}

/// How this server is.
pub(super) fn fitness(core: &Core) -> Fitness {
    Fitness {
        sync_us: u64::try_from(core.writer.pace().now().as_micros()).unwrap_or(u64::MAX),
        heartbeat_ms: core.timers().heartbeat_ms,
    }
}

/// Runs for as long as the server does; does something only while it leads.
pub(super) async fn run(core: Arc<Core>) {
    let mut reign = Reign::watch(core.leadership.subscribe());
    while let Some(led) = reign.next_look(LOOK).await {
        if let Some(cause) = cause(&core, led)
            && !give_away(&core, cause).await
        {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn cause(core: &Core, led: Duration) -> Option<Cause> {
    if is_drained(&core.applied.state(), &core.options.name) {
        return Some(Cause::Drained);
    }
    let pace = core.writer.pace().now();
    (pace >= SLOW && led >= REIGN_MIN).then_some(Cause::SlowDisk(pace))
}

fn is_drained(state: &State, name: &str) -> bool {
    state.nodes().any(|node| node.drain && node.name.as_str() == name)
}

/// Finds the best of the others and hands it the lead; answers whether it leads now.
async fn give_away(core: &Arc<Core>, cause: Cause) -> bool {
    let Some((target, fitness)) = best(core).await else {
        return false;
    };
    // Slow is relative: where all disks are slow the lead stays where it is.
    if let Cause::SlowDisk(pace) = cause
        && u128::from(fitness.sync_us) * 2 > pace.as_micros()
    {
        return false;
    }
    let why = match cause {
        Cause::Drained => "this node is drained".to_owned(),
        Cause::NewTimers => "this server starts again with the timers of the new lease".to_owned(),
        Cause::SlowDisk(pace) => format!(
            "a write takes {} ms on this server's disk, {} ms on the other's: check the disk here",
            pace.as_millis(),
            fitness.sync_us / 1000
        ),
    };
    match member::hand_over(core, Some(target)).await {
        Ok(()) => {
            tracing::warn!(to = target.0, why, "the lead was handed over");
            true
        }
        Err(error) => {
            tracing::info!(%error, to = target.0, why, "the lead can't be handed over yet");
            false
        }
    }
}

/// The server with the fastest disk whose node is not drained.
async fn best(core: &Arc<Core>) -> Option<(MemberId, Fitness)> {
    let state = core.applied.state();
    let own = core.identity()?.member;
    let voters: Vec<u64> = core.raft()?.voter_ids().collect();
    let others = state
        .members()
        .filter(|member| member.id.0 != own && voters.contains(&member.id.0))
        // A witness would give it away again.
        .filter(|member| !member.witness && !is_drained(&state, member.name.as_str()));
    let mut found: Vec<(Fitness, MemberId)> = Vec::new();
    for member in others {
        if let Some(fitness) = ask(core, member.id).await {
            found.push((fitness, member.id));
        }
    }
    found
        .into_iter()
        .min_by_key(|(fitness, member)| (fitness.sync_us, member.0))
        .map(|(fitness, member)| (member, fitness))
}

/// Hands the lead over so that this server, too, can start again with other timers.
pub(super) async fn for_new_timers(core: &Arc<Core>) {
    give_away(core, Cause::NewTimers).await;
}

/// How another server is; none where it does not say.
pub(super) async fn ask(core: &Arc<Core>, member: MemberId) -> Option<Fitness> {
    let target = core.target(member)?;
    core.ask(&target, Lane::Urgent, "fitness", &(), ANSWER_WAIT).await.ok()
}

/// Before this server ends: gives the lead to whoever takes it, trying for `within`. Where it can't, an election follows.
pub(super) async fn before_the_end(core: &Arc<Core>, within: Duration) {
    if core.raft().is_none_or(|raft| raft.voter_ids().count() < 2) {
        return;
    }
    let tried = tokio::time::timeout(within, async {
        while core.leadership.borrow().is_leader {
            match member::hand_over(core, None).await {
                Ok(()) => {
                    tracing::info!("the lead was handed over before this server ends");
                    return;
                }
                Err(error) => tracing::debug!(%error, "the lead can't be handed over yet"),
            }
            tokio::time::sleep(RETRY).await;
        }
    });
    if tried.await.is_err() {
        tracing::warn!("the lead could not be handed over in time: the other servers will elect a leader");
    }
}
