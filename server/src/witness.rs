//! The witness's own task: it gives the lead away.
//!
//! A witness votes and stores, so it may be the only one that has the last entry, and then only it can be elected: the
//! other server's log is shorter and gets no vote. So it leads until that server has caught up, and no longer, because it
//! is meant to be a small machine that nobody's packages depend on.

use std::time::Duration;

use crate::raft::RaftNode;

/// Between two tries: the other server catches up, or a session is found lost, in the meantime.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the task; it ends with the server. Must be called on Raft's runtime.
pub fn give_lead_away(raft: &RaftNode) {
    let node = raft.clone();
    raft.spawn(async move {
        let mut leadership = node.leadership();
        let mut said = None;
        loop {
            let Ok(term) = leadership.wait_for(|now| now.ready).await.map(|now| now.term) else {
                return;
            };
            if said != Some(term) {
                tracing::info!(term = term.0, "this witness leads until a server has caught up");
                said = Some(term);
            }
            match node.transfer_leader(None).await {
                Ok(()) => tracing::info!(term = term.0, "this witness has given the lead to a server"),
                Err(error) => tracing::debug!(%error, "this witness still has to lead"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
}
