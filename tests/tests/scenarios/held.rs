//! Reads that are held until what they ask for has changed: `?index=I&wait=30s`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::{Client, Wait};
use tests::cluster::{Cluster, WISHES};
use tests::http::{self, Request};

/// Long enough that nobody takes a held answer for a late one.
const HELD: Duration = Duration::from_secs(30);
/// An answer that is due may take so long on a busy machine.
const DUE: Duration = Duration::from_secs(10);

fn client(servers: &[SocketAddr]) -> anyhow::Result<Client> {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    Ok(Client::new(&servers)?)
}

/// Writes what nobody asks for, as fast as it goes.
async fn noise(client: &Client, stop: &AtomicBool) -> anyhow::Result<u64> {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        client.put_attribute("n1", "noise", &written.to_string()).await?;
        written += 1;
    }
    Ok(written)
}

/// What changes elsewhere holds no answer up and lets none go; a change of the thing itself does, at any server.
#[test]
fn a_held_read_waits_for_its_own_change_only() -> anyhow::Result<()> {
    let cluster = Cluster::start("held", 3)?;
    cluster.apply(WISHES)?;
    let servers: Vec<SocketAddr> = cluster.nodes().iter().map(tests::node::Node::api).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = AtomicBool::new(false);
        let (writer, operator) = (client(&servers[..1])?, client(&servers[..1])?);
        let follow = async {
            for server in &servers {
                let reader = client(std::slice::from_ref(server))?;
                let first = reader.package("big-1").await?;
                // This server may not know since when it is so: then it says so at once, and knows from there on.
                let held = reader.held(first.index.unwrap_or(0), HELD);
                let index = match tokio::time::timeout(Duration::from_secs(1), held.package("big-1")).await {
                    Ok(answer) => answer?.index.unwrap_or(0),
                    Err(_) => first.index.unwrap_or(0),
                };
                let held = reader.held(index, HELD);
                let mut asked = std::pin::pin!(held.package("big-1"));
                let early = tokio::time::timeout(Duration::from_millis(700), asked.as_mut()).await;
                anyhow::ensure!(early.is_err(), "answered although nothing had changed: {early:?}");
                let wished = if first.body.wish == "start" {
                    operator.stop("big-1", Wait::No).await?
                } else {
                    operator.start("big-1", Wait::No).await?
                };
                let begin = Instant::now();
                let answer = tokio::time::timeout(DUE, asked).await??;
                println!(
                    "{server}: answered {:?} after the wish was acknowledged",
                    begin.elapsed()
                );
                anyhow::ensure!(answer.body.wish != first.body.wish, "{:?}", answer.body);
                anyhow::ensure!(
                    answer.index >= wished.index && answer.index > Some(index),
                    "X-Index {:?} after {index}",
                    answer.index
                );
            }
            stop.store(true, Ordering::Relaxed);
            anyhow::Ok(())
        };
        let (written, ()) = tokio::try_join!(noise(&writer, &stop), follow)?;
        operator.stop("big-1", Wait::No).await?;
        anyhow::ensure!(written > 20, "only {written} other changes: nothing was shown");
        println!("{written} other changes meanwhile");
        anyhow::Ok(())
    })?;
    // Nothing changes: it is answered when the time is over, and is the same.
    let ask = |target: &str| {
        let request = Request {
            method: "GET",
            path: target,
            headers: &[],
            body: b"",
            limit: DUE,
        };
        http::send(servers[0], &request)
    };
    let plain = ask("/v1/groups")?;
    let begin = Instant::now();
    let held = ask(&format!("/v1/groups?index={}&wait=1s", u64::MAX))?;
    anyhow::ensure!(
        held.status == 200 && begin.elapsed() >= Duration::from_secs(1),
        "{held:?}"
    );
    anyhow::ensure!(held.text() == plain.text(), "{} became {}", plain.text(), held.text());
    for (target, status) in [
        ("/v1/groups?index=soon&wait=1s", 400),
        ("/v1/groups?index=1&wait=long", 400),
        ("/v1/groups?index=-1", 400),
        ("/v1/groups?index=1", 200),
        ("/v1/groups?wait=1s", 200),
        // What there is not is refused at once.
        ("/v1/packages/nothing?index=999999999&wait=30s", 404),
    ] {
        let answer = ask(target)?;
        anyhow::ensure!(answer.status == status, "{target}: {answer:?}");
    }
    cluster.heal()?;
    cluster.finish()
}
