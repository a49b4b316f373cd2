//! Several servers in one process, over loopback: joining, forwarding, failover, restart, snapshots.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use statemachine::command::{Capacity, Command, RegisterNode, RequestId};
use statemachine::id::{Index, MemberId, NodeId, NodeName, SessionId};
use statemachine::log::v1::Proposal;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::lease::{Leases, RenewError};
use crate::raft::{Answer, Fact, ProposeError, RaftNode, RaftOptions, RaftTuning, StartError};
use crate::storage::{EventFilter, FatalAction};

/// A server as `serve` runs it, without the public API.
pub(super) struct Server {
    pub(super) node: RaftNode,
    stop: CancellationToken,
    pub(super) peer: String,
    listener: tokio::task::JoinHandle<()>,
}

pub(super) fn tuning() -> RaftTuning {
    RaftTuning {
        on_fatal: FatalAction::Keep,
        ..RaftTuning::usual().unwrap()
    }
}

pub(super) async fn open(
    folder: &Path,
    name: &str,
    peer: Option<&str>,
    join: &[&str],
    tuning: RaftTuning,
) -> Result<Server, StartError> {
    // A restarted server needs its address back at once.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(peer.unwrap_or("127.0.0.1:0").parse().unwrap()).unwrap();
    let listener: TcpListener = socket.listen(1024).unwrap();
    let peer = listener.local_addr().unwrap().to_string();
    let options = RaftOptions {
        data_dir: folder.join(name),
        name: name.to_owned(),
        peer: vec![peer.clone()],
        api: "127.0.0.1:1".to_owned(),
        join: join.iter().map(|address| (*address).to_owned()).collect(),
        witness: false,
    };
    let node = RaftNode::open_tuned(options, tuning).await?;
    let stop = CancellationToken::new();
    let (routes, stopped) = (node.peer_routes(), stop.clone());
    let listener = tokio::spawn(async move {
        let serve = axum::serve(listener, routes);
        tokio::select! {
            _ = serve => {}
            () = stopped.cancelled() => {}
        }
    });
    let server = Server {
        node,
        stop,
        peer,
        listener,
    };
    if let Err(error) = server.node.join().await {
        server.kill().await;
        return Err(error);
    }
    Ok(server)
}

impl Server {
    pub(super) async fn kill(self) {
        self.stop.cancel();
        let _ = self.listener.await;
        self.node.shutdown().await;
    }

    fn digest(&self) -> (Index, String) {
        let state = self.node.state();
        (state.applied(), statemachine::digest(&state).to_string())
    }
}

pub(super) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// A command that is applied and changes something, without a node or a package.
pub(super) fn configure(key: &str, min_nodes: u32) -> Proposal {
    use statemachine::command::{ClusterSpec, ConfigChange, Shares};
    use statemachine::time::Millis;
    let spec = ClusterSpec {
        name: "test".to_owned(),
        lease: Millis(1000),
        min_nodes,
        start_wait: Millis(1000),
        shares: Shares::None,
        overload: 100,
        resume: 85,
        modes: Vec::new(),
    };
    Proposal {
        request: Some(RequestId {
            client: "test".to_owned(),
            key: key.to_owned(),
        }),
        command: Command::Configure {
            expect: None,
            changes: vec![ConfigChange::PutCluster(spec)],
        },
    }
}

pub(super) async fn register(server: &Server, name_text: &str) -> (NodeId, SessionId) {
    let register = RegisterNode {
        name: name(name_text),
        machine: format!("machine-{name_text}"),
        boot: "boot".to_owned(),
        nonce: format!("nonce-{name_text}"),
        ended: Vec::new(),
        capacity: Capacity::default(),
        labels: BTreeMap::new(),
        api: "127.0.0.1:1".to_owned(),
        containment: None,
        cut_off: None,
    };
    let answer = server
        .node
        .propose(Proposal {
            request: None,
            command: Command::RegisterNode(register),
        })
        .await
        .unwrap();
    match answer.result {
        Ok(Fact::Registered { node, session }) => (node, session),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: not so after 10 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) async fn three(folder: &Path, tuning: RaftTuning) -> Vec<Server> {
    let n1 = open(folder, "n1", None, &[], tuning).await.unwrap();
    let first = n1.peer.clone();
    let join = [first.as_str()];
    let (n2, n3) = tokio::join!(
        open(folder, "n2", None, &join, tuning),
        open(folder, "n3", None, &join, tuning)
    );
    vec![n1, n2.unwrap(), n3.unwrap()]
}

pub(super) fn leader(servers: &[Server]) -> Option<usize> {
    servers
        .iter()
        .position(|server| server.node.leadership().borrow().ready)
}

async fn equal_digests(servers: &[Server]) {
    until("digests are equal", || {
        let digests: Vec<_> = servers.iter().map(Server::digest).collect();
        digests.windows(2).all(|pair| pair[0] == pair[1]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn three_servers_join_forward_fail_over_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let started = std::time::Instant::now();
    let mut servers = three(folder.path(), tuning()).await;
    assert!(
        started.elapsed() < Duration::from_millis(1500),
        "joining took {:?}",
        started.elapsed()
    );
    assert_eq!(servers[0].node.status().voters.len(), 3);
    // A new leader says less at first than the one before it: what is reported never goes back.
    let (before, core) = (servers[1].node.status().committed, &servers[1].node.core);
    assert_eq!(core.note_committed(before.saturating_sub(1)), before);
    let cluster = servers[0].node.cluster_id().unwrap();
    assert!(
        servers
            .iter()
            .all(|server| server.node.cluster_id().as_ref() == Some(&cluster))
    );

    // From a follower, and read back there.
    let at = leader(&servers).unwrap();
    let follower = (at + 1) % 3;
    let answer = servers[follower].node.propose(configure("k1", 2)).await.unwrap();
    assert!(answer.result.is_ok(), "{answer:?}");
    servers[follower].node.read_barrier().await.unwrap();
    assert_eq!(servers[follower].node.state().cluster().unwrap().spec.min_nodes, 2);
    let again = servers[(at + 2) % 3].node.propose(configure("k1", 2)).await.unwrap();
    assert_eq!((again.index, again.repeated), (answer.index, true));
    equal_digests(&servers).await;

    // The leader goes; writes to the others go on, and nothing that was answered is lost.
    let gone = servers.remove(at);
    let (gone_name, gone_peer) = (
        gone.node.state().members().nth(at).map(|m| m.name.to_string()),
        gone.peer.clone(),
    );
    gone.kill().await;
    let began = std::time::Instant::now();
    let answer = servers[0].node.propose(configure("k2", 3)).await.unwrap();
    assert!(answer.result.is_ok(), "{answer:?}");
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "failover took {:?}",
        began.elapsed()
    );
    let events = servers[1].node.journal().read(&EventFilter::default(), 100).unwrap();
    assert!(!events.events.is_empty());

    // It comes back under its name and catches up.
    let other = servers[0].peer.clone();
    let back = open(
        folder.path(),
        &gone_name.unwrap(),
        Some(&gone_peer),
        &[&other],
        tuning(),
    )
    .await
    .unwrap();
    servers.push(back);
    equal_digests(&servers).await;

    // All go and come back at once.
    let before = servers[0].digest();
    let places: Vec<(String, String)> = servers
        .iter()
        .map(|server| {
            let member = server.node.member().unwrap();
            let state = server.node.state();
            (
                state
                    .members()
                    .find(|known| known.id == member)
                    .unwrap()
                    .name
                    .to_string(),
                server.peer.clone(),
            )
        })
        .collect();
    for server in servers.drain(..) {
        server.kill().await;
    }
    for (name, peer) in &places {
        let others: Vec<&str> = places
            .iter()
            .filter(|(other, _)| other != name)
            .map(|(_, peer)| peer.as_str())
            .collect();
        servers.push(open(folder.path(), name, Some(peer), &others, tuning()).await.unwrap());
    }
    servers[0].node.read_barrier().await.unwrap();
    assert!(servers[0].digest().0 >= before.0);
    equal_digests(&servers).await;
    let answer = servers[2].node.propose(configure("k3", 1)).await.unwrap();
    assert!(answer.index > before.0);
    for server in servers {
        server.kill().await;
    }
}

#[tokio::test]
async fn a_wiped_server_is_not_let_in_under_its_name_until_it_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = three(folder.path(), tuning()).await;
    let at = leader(&servers).unwrap();
    let place = (0..3).rev().find(|place| *place != at).unwrap();
    let wiped = servers.remove(place);
    let (wiped_name, peer, member) = (
        format!("n{}", place + 1),
        wiped.peer.clone(),
        wiped.node.member().unwrap(),
    );
    wiped.kill().await;
    std::fs::remove_dir_all(folder.path().join(&wiped_name)).unwrap();
    let other = servers[0].peer.clone();
    let refused = open(folder.path(), &wiped_name, Some(&peer), &[&other], tuning())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&refused, StartError::Refused { reason, .. } if reason.contains("members remove")),
        "{refused}"
    );
    servers[0].node.remove_member(member).await.unwrap();
    std::fs::remove_dir_all(folder.path().join(&wiped_name)).unwrap();
    let back = open(folder.path(), &wiped_name, Some(&peer), &[&other], tuning())
        .await
        .unwrap();
    assert!(back.node.member().unwrap() > member, "ids are never used again");
    servers.push(back);
    equal_digests(&servers).await;
    for server in servers {
        server.kill().await;
    }
}

#[tokio::test]
async fn without_a_majority_nothing_is_answered_as_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = three(folder.path(), tuning()).await;
    while servers.len() > 1 {
        servers.pop().unwrap().kill().await;
    }
    let alone = servers.pop().unwrap();
    let error = alone.node.propose(configure("k", 1)).await.unwrap_err();
    assert!(
        matches!(error, ProposeError::NoLeader { .. } | ProposeError::Unknown),
        "{error}"
    );
    assert!(alone.node.read_barrier().await.is_err());
    assert!(alone.node.confirm_leadership().await.is_err());
    alone.kill().await;
}

#[tokio::test]
async fn a_server_that_was_away_too_long_gets_a_snapshot_and_the_events_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let tuning = RaftTuning {
        snapshot_entries: 50,
        kept_entries: 5,
        ..tuning()
    };
    let mut servers = three(folder.path(), tuning).await;
    let at = leader(&servers).unwrap();
    let away = servers.remove((at + 1) % 3);
    let (away_name, peer) = (format!("n{}", (at + 1) % 3 + 1), away.peer.clone());
    let had = away.digest().0;
    let had_entries = away.node.core.log.last().unwrap().index;
    away.kill().await;
    for round in 0..100 {
        let answer = servers[0]
            .node
            .propose(configure(&format!("r{round}"), round % 7 + 1))
            .await
            .unwrap();
        assert!(answer.result.is_ok());
    }
    // More than 2 MiB of state, written by many at once.
    for node in ["n1", "n2", "n3"] {
        register(&servers[0], node).await;
        let writes = (0..1000).map(|key| {
            let value = Some("v".repeat(1024));
            let command = Command::SetAttribute {
                node: name(node),
                key: format!("k{key}"),
                value,
                expect: None,
            };
            servers[0].node.propose(Proposal { request: None, command })
        });
        for answer in futures_util::future::join_all(writes).await {
            assert_eq!(answer.unwrap().result, Ok(Fact::Done));
        }
    }
    for round in 100..400 {
        let answer = servers[0]
            .node
            .propose(configure(&format!("r{round}"), round % 7 + 1))
            .await
            .unwrap();
        assert!(answer.result.is_ok());
    }
    // The log before is gone, so only a snapshot can help.
    for server in &servers {
        assert!(server.node.core.log.purged().unwrap().index > had_entries);
    }
    let other = servers[0].peer.clone();
    let back = open(folder.path(), &away_name, Some(&peer), &[&other], tuning)
        .await
        .unwrap();
    servers.push(back);
    equal_digests(&servers).await;
    // What the snapshot skipped comes from the others, one by one the same.
    let journal = |server: &Server| {
        let all = EventFilter {
            after: Some(Index(0)),
            ..EventFilter::default()
        };
        server.node.journal().read(&all, 10_000).unwrap()
    };
    let whole = journal(&servers[0]);
    let begun = std::time::Instant::now();
    loop {
        let page = journal(&servers[2]);
        if page.gaps.is_empty() && page.events.last() == whole.events.last() {
            assert_eq!(page.events, whole.events);
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the journal was not filled: {:?}",
            page.gaps
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(whole.events.iter().any(|event| event.index > had.0 + 100));
    // A restart from its snapshot and the log after it.
    let server = servers.pop().unwrap();
    server.kill().await;
    let back = open(folder.path(), &away_name, Some(&peer), &[&other], tuning)
        .await
        .unwrap();
    servers.push(back);
    equal_digests(&servers).await;
    for server in servers {
        server.kill().await;
    }
}

#[tokio::test]
async fn a_single_server_creates_a_cluster_and_restarts() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let one = open(folder.path(), "n1", None, &[], tuning()).await.unwrap();
    assert_eq!(one.node.member(), Some(MemberId(1)));
    let Answer { result, .. } = one.node.propose(configure("k", 1)).await.unwrap();
    assert_eq!(result, Ok(Fact::Done));
    let before = one.digest();
    let peer = one.peer.clone();
    one.kill().await;
    let again = open(folder.path(), "n1", Some(&peer), &[], tuning()).await.unwrap();
    again.node.read_barrier().await.unwrap();
    assert_eq!(again.digest(), before);
    assert!(again.node.state().node_by_name(&name("n1")).is_none());
    again.kill().await;
    let other = open(folder.path(), "n1", Some(&peer), &[], tuning()).await;
    other.unwrap().kill().await;
}

#[tokio::test]
async fn a_silent_node_is_lost_after_the_wait_and_not_before_also_across_a_change_of_leader() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = three(folder.path(), tuning()).await;
    let leases: Vec<Leases> = servers
        .iter()
        .map(|server| Leases::start(server.node.clone()))
        .collect();
    let at = leader(&servers).unwrap();
    let (node, session) = register(&servers[0], "n1").await;
    let (silent, _) = register(&servers[0], "n2").await;
    let since = std::time::Instant::now();
    let followers = leases[(at + 1) % 3].renew(node, session, 0).await.unwrap_err();
    assert!(
        matches!(followers, RenewError::NotLeader { leader: Some(_) }),
        "{followers:?}"
    );
    let up = |server: &Server, node| server.node.state().node(node).unwrap().is_up();
    while up(&servers[at], silent) {
        // As after a long time without any leader: it goes on.
        let grant = leases[at].renew(node, session, 60_000).await.unwrap();
        assert_eq!(grant.lease.0, 1000);
        assert!(since.elapsed() < Duration::from_secs(3), "it was not found lost");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        since.elapsed() > Duration::from_millis(1300),
        "lost after only {:?}",
        since.elapsed()
    );
    assert!(up(&servers[at], node), "who renews is not lost");

    // The next leader waits the whole W for everybody, from when it leads.
    let answered = leases[at].renew(node, session, 0).await;
    assert!(answered.is_ok());
    let mut leases = leases;
    leases.remove(at);
    servers.remove(at).kill().await;
    let next = until("another leads", || leader(&servers)).await;
    let led = std::time::Instant::now();
    until("it is lost", || (!up(&servers[next], node)).then_some(())).await;
    assert!(
        led.elapsed() > Duration::from_millis(1250),
        "lost {:?} after the change of leader",
        led.elapsed()
    );
    assert!(
        led.elapsed() < Duration::from_millis(1700),
        "lost only {:?} after the change of leader",
        led.elapsed()
    );
    assert_eq!(
        leases[next].renew(node, session, 0).await.unwrap_err(),
        RenewError::SessionEnded
    );
    for server in servers {
        server.kill().await;
    }
}
