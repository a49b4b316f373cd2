//! The lead goes to another server in order: asked for, at the end of a server, by a drain, and where the disk is slow.

use std::time::{Duration, Instant};

use statemachine::command::Command;
use statemachine::log::v1::Proposal;

use super::cluster::{Server, configure, leader, name, register, three, tuning, until};

#[tokio::test]
async fn the_lead_is_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let servers = three(folder.path(), tuning()).await;
    let at = leader(&servers).unwrap();
    let to = servers[(at + 1) % 3].node.member().unwrap();
    // Asked of a follower, done by the leader.
    servers[(at + 2) % 3].node.transfer_leader(Some(to)).await.unwrap();
    until("the other leads", || {
        (servers[at].node.leadership().borrow().leader == Some(to)).then_some(())
    })
    .await;
    let answer = servers[at].node.propose(configure("k", 2)).await.unwrap();
    assert!(answer.result.is_ok());
    for server in servers {
        server.kill().await;
    }
}

/// Waits for another leader and answers how long it took.
async fn moved_from(servers: &[Server], at: usize) -> Duration {
    let begun = Instant::now();
    until("another server leads", || leader(servers).filter(|now| *now != at)).await;
    begun.elapsed()
}

async fn end(servers: Vec<Server>) {
    for server in servers {
        server.kill().await;
    }
}

#[tokio::test]
async fn a_leader_that_ends_in_order_gives_the_lead_away_first() {
    let folder = tempfile::tempdir().unwrap();
    let servers = three(folder.path(), tuning()).await;
    let at = leader(&servers).unwrap();
    let term = servers[at].node.status().term;
    servers[at].node.relinquish(Duration::from_secs(1)).await;
    assert!(!servers[at].node.leadership().borrow().is_leader);
    moved_from(&servers, at).await;
    assert_eq!(
        servers[at].node.status().term.0,
        term.0 + 1,
        "one change, not an election more"
    );
    let answer = servers[at].node.propose(configure("k", 2)).await.unwrap();
    assert!(answer.result.is_ok());
    end(servers).await;
}

#[tokio::test]
async fn a_drained_node_does_not_go_on_leading() {
    let folder = tempfile::tempdir().unwrap();
    let servers = three(folder.path(), tuning()).await;
    let at = leader(&servers).unwrap();
    let here = format!("n{}", at + 1);
    register(&servers[at], &here).await;
    let drain = Command::SetDrain {
        node: name(&here),
        drain: true,
    };
    let answer = servers[at]
        .node
        .propose(Proposal {
            request: None,
            command: drain,
        })
        .await
        .unwrap();
    assert!(answer.result.is_ok(), "{answer:?}");
    moved_from(&servers, at).await;
    end(servers).await;
}

#[tokio::test]
async fn a_slow_disk_costs_the_lead_and_where_all_are_slow_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let servers = three(folder.path(), tuning()).await;
    let at = leader(&servers).unwrap();
    // More syncs than are looked at, so that the few of an idle cluster do not change what most of them took.
    let syncs = |server: &Server, took: Duration| {
        let begun = Instant::now().checked_sub(took).unwrap();
        for _ in 0..8 {
            server.node.core.writer.pace().begin(begun);
            server.node.core.writer.pace().end(begun + took);
        }
    };
    let slow = Duration::from_millis(900);
    let hangs = |server: &Server| syncs(server, slow);
    servers.iter().for_each(hangs);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(leader(&servers), Some(at), "all are as slow: there is no better place");
    for other in servers.iter().filter(|other| other.peer != servers[at].peer) {
        syncs(other, Duration::from_millis(1));
    }
    let answer = servers[(at + 1) % 3].node.propose(configure("k", 2)).await.unwrap();
    assert!(answer.result.is_ok());
    hangs(&servers[at]);
    let took = moved_from(&servers, at).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    end(servers).await;
}
