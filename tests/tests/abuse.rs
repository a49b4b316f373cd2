//! Strangers at the ports: nonsense, slow senders, huge bodies, thousands of idle connections. They get refusals or
//! nothing; memory and descriptors stay bounded; for everybody else the service goes on, and no lease is lost.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use client::wire::status::Status;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tests::cluster::Cluster;
use tests::http::{self, Request};
use tests::processes;

/// A stranger waits so long for an answer or for the end of its connection: more than the server's own limits.
const STRANGER_WAIT: Duration = Duration::from_secs(14);
/// A write of somebody else is acknowledged within this.
const WRITE_WAIT: Duration = Duration::from_secs(5);
/// Idle connections to the API, and to the port for peers.
const IDLE_API: usize = 10_000;
const IDLE_PEER: usize = 4_000;
/// What a server may need more than before.
const RESIDENT_KIB_MORE: u64 = 600 << 10;

/// What is sent, and whether it has to be refused (or is at least taken without harm).
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let put = |body: &[u8]| {
        let head = format!(
            "PUT /v1/packages/web?wait=0 HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let file = |body: &[u8]| {
        let head = format!(
            "PUT /v1/config?wait=0 HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let deep = "[".repeat(100_000);
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(200_000));
    let many_headers: String = (0..5_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let long_number = format!("{{\"name\":\"web\",\"copies\":1{}}}", "0".repeat(100_000));
    vec![
        ("nesting of 100,000 in JSON", put(deep.as_bytes())),
        ("nesting of 100,000 in a file", file(format!("x = {deep}").as_bytes())),
        ("a key twice", put(b"{\"name\":\"web\",\"name\":\"web\",\"run\":{\"command\":[\"/bin/true\"]}}")),
        ("bad UTF-8 in JSON", put(b"{\"name\":\"\xff\xfe\"}")),
        ("bad UTF-8 in a file", file(b"[[package]]\nname = \"\xc3\x28\"\n")),
        ("NUL in JSON", put(b"{\"name\":\"a\0b\"}")),
        ("NUL in a file", file(b"[[package]]\nname = \"a\0b\"\n")),
        ("a number of 100,000 digits", put(long_number.as_bytes())),
        ("a number beyond all", put(b"{\"name\":\"web\",\"copies\":1e99999}")),
        ("bad escapes in the path", b"GET /v1/nodes/%ff%fe HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec()),
        ("two hosts", b"GET /v1/status HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n".to_vec()),
        (
            "a length and chunks",
            b"PUT /v1/packages/web HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n"
                .to_vec(),
        ),
        ("two lengths", b"PUT /v1/config HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde".to_vec()),
        ("a negative length", b"PUT /v1/config HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n".to_vec()),
        ("a bad chunk", b"PUT /v1/config HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc".to_vec()),
        ("a path of 200,000 bytes", long_path.into_bytes()),
        ("5,000 headers", format!("GET /v1/status HTTP/1.1\r\nhost: a\r\n{many_headers}\r\n").into_bytes()),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello \r\n\r\n\r\n".to_vec()),
        ("a bare line", b"HELO me\r\n\r\n".to_vec()),
    ]
}

/// The status of the first answer; none where the connection was closed without one.
fn answered(address: SocketAddr, bytes: &[u8]) -> anyhow::Result<Option<u16>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(STRANGER_WAIT))?;
    stream.set_write_timeout(Some(STRANGER_WAIT))?;
    // A server may refuse before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = [0; 12];
    match stream.read_exact(&mut answer) {
        Ok(()) => Ok(Some(std::str::from_utf8(&answer[9..])?.parse()?)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            anyhow::bail!("neither an answer nor an end within {STRANGER_WAIT:?}")
        }
        Err(_) => Ok(None),
    }
}

/// Sends and hopes for nothing, in pieces with pauses; how long the connection lasted and what was answered.
fn drip(address: SocketAddr, begin: &[u8]) -> anyhow::Result<(Duration, Vec<u8>)> {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(begin)?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while start.elapsed() < STRANGER_WAIT {
        match stream.read(&mut piece) {
            Ok(0) => return Ok((start.elapsed(), answer)),
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if stream.write_all(b"x").is_err() {
                    return Ok((start.elapsed(), answer));
                }
            }
            Err(_) => return Ok((start.elapsed(), answer)),
        }
    }
    anyhow::bail!("a slow sender is still connected after {STRANGER_WAIT:?}")
}

fn write(address: SocketAddr, number: u64) -> anyhow::Result<()> {
    let value = format!("\"{number}\"");
    let request = Request {
        method: "PUT",
        path: "/v1/nodes/n1/attributes/abuse",
        headers: &[],
        body: value.as_bytes(),
        limit: WRITE_WAIT,
    };
    let answer = http::send(address, &request).with_context(|| format!("write {number}"))?;
    anyhow::ensure!(
        answer.status == 200,
        "write {number}: {} {}",
        answer.status,
        answer.text()
    );
    Ok(())
}

/// Descriptors that this process may have: all connections of strangers are its own.
fn raise_descriptor_limit() -> usize {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1024;
    };
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    usize::try_from(hard).unwrap_or(usize::MAX)
}

fn idle(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count)
        .filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok())
        .collect()
}

/// All that strangers do to one server, on several threads at once.
fn abuse(api: SocketAddr, peer: SocketAddr, idle_api: usize, idle_peer: usize) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let slow_header = scope.spawn(move || drip(api, b"GET /v1/status HTTP/1.1\r\nhost: a\r\nx-slow: "));
        let slow_body = scope.spawn(move || {
            drip(
                api,
                b"PUT /v1/config HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n[clus",
            )
        });
        let silent = scope.spawn(move || drip(peer, b""));
        for (what, bytes) in nonsense() {
            let status = answered(api, &bytes).context(what)?;
            anyhow::ensure!(
                status.is_none_or(|status| (400..500).contains(&status) || status == 503),
                "{what}: answered with {status:?}"
            );
        }
        let declared = format!(
            "PUT /v1/config HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
            1 << 30
        );
        let status = answered(api, declared.as_bytes()).context("1 GiB is announced")?;
        anyhow::ensure!(status == Some(413), "1 GiB is announced: {status:?}");
        send_a_gibibyte(api)?;
        for (path, expected) in [
            ("/peer/v1/join", 413),
            ("/peer/v1/promote", 413),
            ("/peer/v1/append", 421),
        ] {
            let length = (64 << 10) + 1;
            let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
            let sent = [head.into_bytes(), vec![b'x'; length]].concat();
            let status = answered(peer, &sent).context(path)?;
            anyhow::ensure!(
                status == Some(expected),
                "more than 64 KiB from a stranger to {path}: {status:?}"
            );
        }
        for _ in 0..500 {
            let mut stream = TcpStream::connect(api)?;
            let _ = stream.write_all(b"GET /v1/packages HTTP/1.1\r\nhost: a\r\n\r\n");
        }
        let held = (idle(peer, idle_peer), idle(api, idle_api));
        println!(
            "idle connections made: {} to peers' port, {} to the API",
            held.0.len(),
            held.1.len()
        );
        let (took, _) = slow_header.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        println!("a slow header was cut off after {took:?}");
        let (took, answer) = slow_body.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        let text = String::from_utf8_lossy(&answer);
        println!("a slow body was cut off after {took:?}");
        // Where its place was needed for others it is cut off without a word.
        anyhow::ensure!(
            answer.is_empty() || text.starts_with("HTTP/1.1 408"),
            "a slow body: {text}"
        );
        silent.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        drop(held);
        Ok(())
    })
}

/// 1 GiB in chunks: refused long before its end.
fn send_a_gibibyte(api: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(api)?;
    stream.set_write_timeout(Some(STRANGER_WAIT))?;
    stream.write_all(b"PUT /v1/config HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let chunk = [b"10000\r\n", &vec![b'#'; 0x10000][..], b"\r\n"].concat();
    let sent = (0..(1 << 30) / 0x10000)
        .take_while(|_| stream.write_all(&chunk).is_ok())
        .count();
    let mib = (sent * 0x10000) >> 20;
    anyhow::ensure!(mib < 64, "{mib} MiB of a body without end were taken");
    Ok(())
}

#[test]
fn strangers_cost_nobody_else_anything() -> anyhow::Result<()> {
    let descriptors = raise_descriptor_limit();
    let room = descriptors.saturating_sub(500);
    let (idle_api, idle_peer) = if room >= IDLE_API + IDLE_PEER {
        (IDLE_API, IDLE_PEER)
    } else {
        println!("SKIPPED in part: only {descriptors} descriptors here, so fewer than {IDLE_API} idle connections");
        (room * 2 / 3, room / 3)
    };
    let cluster = Cluster::start("abuse", 3)?;
    cluster.apply("[[package]]\nname = \"web\"\nrun.command = [@WITNESS@]\n")?;
    cluster.wait_running("web", "active")?;
    let before: Status = cluster.get("/v1/status")?;
    let leader = cluster.leader()?;
    let node = cluster
        .nodes()
        .iter()
        .find(|node| node.name() == leader)
        .context("the leader is a node")?;
    let (api, peer) = (node.api(), node.peer());
    let server = node.processes_of("serve-server").first().context("its server")?.pid;
    let (_, resident) = processes::usage(server).context("its usage")?;
    let over = AtomicBool::new(false);
    let (mut writes, mut slowest, mut most) = (0_u64, Duration::ZERO, (0, 0));
    std::thread::scope(|scope| {
        let strangers = scope.spawn(|| {
            let done = abuse(api, peer, idle_api, idle_peer);
            over.store(true, Ordering::Relaxed);
            done
        });
        // The same address and the same server as the strangers: nobody has it worse.
        while !over.load(Ordering::Relaxed) {
            let start = Instant::now();
            write(api, writes)?;
            slowest = slowest.max(start.elapsed());
            writes += 1;
            if let Some(usage) = processes::usage(server) {
                most = (most.0.max(usage.0), most.1.max(usage.1));
            }
        }
        strangers
            .join()
            .map_err(|_| anyhow::anyhow!("a panic among the strangers"))?
    })?;
    println!(
        "{writes} writes meanwhile, the slowest took {slowest:?}; at most {} descriptors, {} MiB (before: {} MiB)",
        most.0,
        most.1 >> 10,
        resident >> 10
    );
    anyhow::ensure!(writes > 10, "only {writes} writes");
    anyhow::ensure!(most.1 < resident + RESIDENT_KIB_MORE, "{} MiB in use", most.1 >> 10);
    let after: Status = cluster.get("/v1/status")?;
    anyhow::ensure!(
        (after.leader.as_deref(), after.term) == (Some(leader.as_str()), before.term),
        "the leader changed: {:?} in term {}, was {leader} in term {}",
        after.leader,
        after.term,
        before.term
    );
    let lost: Vec<_> = cluster
        .events()?
        .into_iter()
        .filter(|event| event.kind == "node-lost")
        .collect();
    anyhow::ensure!(lost.is_empty(), "leases were lost: {lost:?}");
    cluster.finish()
}
