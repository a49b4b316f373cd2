//! Subscribers see every event once and in order, whatever dies meanwhile (M1, M3, I19).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client::wire::status::Status;
use client::{Client, Wait};
use tests::cluster::{Cluster, FAILOVER_LIMIT, START_LIMIT, WISHES};
use tests::http::{self, Request};
use tests::invariants::seen_once;
use tests::subscriber::Subscriber;
use tests::wait::{pause, wait_for};

/// Makes events as fast as the servers take them, each thread with packages of its own.
fn wish_for(servers: &[SocketAddr], span: Duration) -> anyhow::Result<usize> {
    let threads: Vec<_> = (1..=8)
        .map(|copy| {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            std::thread::spawn(move || -> anyhow::Result<usize> {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let client = Client::new(&servers)?;
                    let (name, end, mut made) = (format!("big-{copy}"), Instant::now() + span, 0);
                    while Instant::now() < end {
                        // A server that dies may leave it unknown; the next wish is another one anyway.
                        let _ = client.start(&name, Wait::No).await;
                        let _ = client.stop(&name, Wait::No).await;
                        made += 2;
                    }
                    Ok(made)
                })
            })
        })
        .collect();
    let mut made = 0;
    for thread in threads {
        made += thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    Ok(made)
}

fn all_servers(cluster: &Cluster) -> Vec<SocketAddr> {
    cluster.nodes().iter().map(tests::node::Node::api).collect()
}

/// The leader's server is killed twice and a whole node once, while events arrive.
#[test]
fn every_event_once_across_leader_kills_and_restarts() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("watch", 3)?;
    cluster.apply(WISHES)?;
    let servers = all_servers(&cluster);
    let subscribers = (0..3)
        .map(|first| {
            let mut servers = servers.clone();
            servers.rotate_left(first);
            Subscriber::start(&format!("s{first}"), &servers)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let wishing = {
        let servers = servers.clone();
        std::thread::spawn(move || wish_for(&servers, Duration::from_secs(10)))
    };
    for _ in 0..2 {
        let status: Status = cluster.get("/v1/status")?;
        let leader = status.leader.clone().unwrap_or_default();
        cluster
            .node(&leader)
            .processes_of("serve-server")
            .iter()
            .for_each(|it| it.kill());
        wait_for("a new term", START_LIMIT, || {
            let now: Status = cluster.get("/v1/status").map_err(|e| format!("{e:#}"))?;
            (now.term > status.term && now.leader.is_some())
                .then_some(())
                .ok_or(format!("{:?}", now.leader))
        })?;
        pause(Duration::from_millis(500), "events arrive under the new leader");
    }
    cluster.node("n3").kill()?;
    pause(Duration::from_secs(1), "a node that is away misses events");
    cluster.node("n3").start()?;
    let wished = wishing.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    cluster.wait_until_whole()?;
    let journal = cluster.events()?;
    let told = subscribers
        .iter()
        .map(|it| it.told(&journal))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let findings = seen_once::check(&told, &journal);
    println!("{wished} wishes, {} events told of", findings.looked_at);
    anyhow::ensure!(findings.wrong.is_empty(), "{:#?}", findings.wrong);
    anyhow::ensure!(findings.looked_at > 300, "only {} events", findings.looked_at);
    let broken: usize = subscribers.iter().map(Subscriber::interruptions).sum();
    anyhow::ensure!(broken >= 2, "only {broken} streams broke off: nothing was shown");
    drop(subscribers);
    cluster.heal()?;
    cluster.finish()
}

/// One of the two nodes that a program talks to dies while events arrive: none is lost, none comes twice, nothing pauses.
#[test]
fn two_at_once_lose_nothing_when_one_dies() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("dual", 3)?;
    cluster.apply(WISHES)?;
    let leader = cluster.leader()?;
    // The leader itself does not die: then nothing would happen for a while, and there would be nothing to tell of.
    let victim = cluster
        .nodes()
        .iter()
        .map(|node| node.name().to_owned())
        .find(|name| *name != leader);
    let victim = victim.ok_or_else(|| anyhow::anyhow!("there is one node only"))?;
    let address = |cluster: &mut Cluster, name: &str| cluster.node(name).api();
    let pair = [address(&mut cluster, &victim), address(&mut cluster, &leader)];
    let subscriber = Subscriber::start_dual("dual", &pair)?;
    // What the machine itself is late, it is late for this one too, which loses nobody.
    let undisturbed = Subscriber::start("undisturbed", &pair[1..])?;
    let others: Vec<SocketAddr> = all_servers(&cluster).into_iter().filter(|it| *it != pair[0]).collect();
    let wishing = std::thread::spawn(move || wish_for(&others, Duration::from_secs(4)));
    wait_for("events", FAILOVER_LIMIT, || {
        (subscriber.count() > 200)
            .then_some(())
            .ok_or(format!("{}", subscriber.count()))
    })?;
    let (from, before) = (Instant::now(), subscriber.count());
    pause(Duration::from_millis(300), "events arrive from both");
    cluster
        .node(&victim)
        .processes_of("serve-server")
        .iter()
        .for_each(|it| it.kill());
    pause(Duration::from_millis(700), "events arrive from one");
    let (until, after) = (Instant::now(), subscriber.count());
    wishing.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    let gap = subscriber.longest_gap(from, until);
    let least = undisturbed.longest_gap(from, until);
    let rate = (after - before) as f64 / until.duration_since(from).as_secs_f64();
    println!(
        "{rate:.0} events a second, the longest gap {} ms, of a watch that nothing happened to {} ms",
        gap.as_millis(),
        least.as_millis()
    );
    cluster.wait_until_whole()?;
    let journal = cluster.events()?;
    let findings = seen_once::check(&[subscriber.told(&journal)?], &journal);
    anyhow::ensure!(findings.wrong.is_empty(), "{:#?}", findings.wrong);
    anyhow::ensure!(findings.looked_at > 200, "only {} events", findings.looked_at);
    // Nobody waits for a connection to be made anew.
    anyhow::ensure!(
        gap < least + Duration::from_millis(50),
        "nothing came for {} ms, to the other for {} ms",
        gap.as_millis(),
        least.as_millis()
    );
    drop((subscriber, undisturbed));
    cluster.heal()?;
    cluster.finish()
}

/// What can't be watched is refused; what is no longer kept, or unknown, is told.
#[test]
fn what_can_not_be_watched_is_refused() -> anyhow::Result<()> {
    let cluster = Cluster::start("watch-refused", 1)?;
    let node = &cluster.nodes()[0];
    for (query, status) in [
        ("resuorce=a", 400),
        ("after=x", 400),
        ("severity=loud", 400),
        ("kind=a&kind=b", 400),
    ] {
        let path = format!("/v1/watch?{query}");
        let request = Request {
            method: "GET",
            path: &path,
            headers: &[],
            body: b"",
            limit: Duration::from_secs(5),
        };
        let answer = http::send(node.api(), &request)?;
        anyhow::ensure!(answer.status == status, "{query}: {} {}", answer.status, answer.text());
    }
    cluster.finish()
}

/// A node without a server passes on what it is asked: reads, changes, and streams through the death of the leader's server.
#[test]
fn a_node_with_a_daemon_only_answers_like_any_other() -> anyhow::Result<()> {
    let mut cluster = Cluster::create("watch-forward")?;
    for n in 1..=3 {
        cluster.add_node(n, "")?;
    }
    cluster.add_node(4, "roles = [\"daemon\"]")?;
    cluster.start_all()?;
    cluster.watch();
    cluster.apply(WISHES)?;
    let daemon_only = cluster.node("n4").api();
    let subscriber = Subscriber::start("through n4", &[daemon_only])?;
    let wishing = std::thread::spawn(move || wish_for(&[daemon_only], Duration::from_secs(5)));
    wait_for("events", FAILOVER_LIMIT, || {
        (subscriber.count() > 50)
            .then_some(())
            .ok_or(format!("{}", subscriber.count()))
    })?;
    let leader = cluster.leader()?;
    let servers = cluster.node(&leader).processes_of("serve-server");
    servers.iter().for_each(|it| it.kill());
    let wished = wishing.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    cluster.wait_until_whole()?;
    let journal = cluster.events()?;
    let findings = seen_once::check(&[subscriber.told(&journal)?], &journal);
    println!("{wished} wishes through n4, {} events told of", findings.looked_at);
    anyhow::ensure!(findings.wrong.is_empty(), "{:#?}", findings.wrong);
    let node = cluster.nodes().iter().find(|node| node.name() == "n4");
    let node = node.ok_or_else(|| anyhow::anyhow!("n4 is gone"))?;
    let refused = cluster.send(node, "POST", "/v1/packages/nobody/start", "")?;
    anyhow::ensure!(refused.status == 404, "{} {}", refused.status, refused.text());
    let status: Status = cluster.ask(node, "/v1/status")?;
    anyhow::ensure!(status.quorate, "{status:?}");
    drop(subscriber);
    cluster.heal()?;
    cluster.finish()
}
