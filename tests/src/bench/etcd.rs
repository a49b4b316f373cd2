//! Three etcd members of Debian's package on loopback, for comparison in the same run. Needs `scripts/setup --bench`.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::load::MakeRequest;
use crate::http::{self, Request};
use crate::wait::wait_for;

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;
const START_LIMIT: Duration = Duration::from_secs(20);
/// Keys that the clients write, on both sides of a comparison: few, so that both hold the same small data.
pub const KEYS: usize = 64;

/// A running etcd cluster; it ends with this.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Child>,
    addresses: Vec<SocketAddr>,
}

impl Etcd {
    /// Starts three members below a directory, with etcd's defaults.
    ///
    /// # Errors
    /// Where `etcd` is not installed or does not come up.
    pub fn start(directory: &Path, network: (u8, u8)) -> anyhow::Result<Self> {
        let ip = |n: u8| Ipv4Addr::new(127, network.0, network.1, n);
        let peers: Vec<String> = (1..=3).map(|n| format!("e{n}=http://{}:{PEER_PORT}", ip(n))).collect();
        let mut etcd = Self {
            members: Vec::new(),
            addresses: Vec::new(),
        };
        for n in 1..=3_u8 {
            let (client, peer) = (
                format!("http://{}:{CLIENT_PORT}", ip(n)),
                format!("http://{}:{PEER_PORT}", ip(n)),
            );
            let log = File::create(directory.join(format!("etcd-{n}.log")))?;
            let member = Command::new("etcd")
                .args(["--name", &format!("e{n}"), "--data-dir"])
                .arg(directory.join(format!("etcd-{n}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &peers.join(","), "--initial-cluster-state", "new"])
                .args(["--logger", "zap", "--log-level", "error"])
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
                .context("etcd can't be started: run `scripts/setup --bench` first")?;
            etcd.members.push(member);
            etcd.addresses.push(SocketAddr::from((ip(n), CLIENT_PORT)));
        }
        wait_for("etcd with a leader", START_LIMIT, || {
            etcd.addresses
                .iter()
                .try_for_each(|address| put_once(*address).map_err(|e| format!("{e:#}")))
        })?;
        Ok(etcd)
    }

    /// Where its clients go.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where its leader is.
    ///
    /// # Errors
    /// Where no member says that it leads.
    pub fn leader(&self) -> anyhow::Result<SocketAddr> {
        let leads = |address: &SocketAddr| {
            let status = ask(*address, "/v3/maintenance/status", "{}").ok()?;
            (status.get("leader")? == status.get("header")?.get("member_id")?).then_some(*address)
        };
        self.addresses.iter().find_map(leads).context("no member of etcd leads")
    }

    /// Its process ids.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        self.members.iter().filter_map(|m| i32::try_from(m.id()).ok()).collect()
    }

    /// Its version, as it says it.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn version(&self) -> anyhow::Result<String> {
        let first = *self.addresses.first().context("etcd has no member")?;
        let request = Request {
            method: "GET",
            path: "/version",
            headers: &[],
            body: b"",
            limit: START_LIMIT,
        };
        let answer: Value = http::send(first, &request)?.json()?;
        Ok(answer
            .get("etcdserver")
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// Puts a value of `bytes` bytes under the client's key, through the JSON gateway.
#[must_use]
pub fn put_request(host: &str, bytes: usize) -> MakeRequest {
    let host = host.to_owned();
    Arc::new(move |client, n, buffer| {
        let key = base64(format!("bench-{:02}", client % KEYS).as_bytes());
        let body = format!(
            "{{\"key\":\"{key}\",\"value\":\"{}\"}}",
            base64(value(client, n, bytes).as_bytes())
        );
        buffer.extend_from_slice(
            format!(
                "POST /v3/kv/put HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
    })
}

/// A value that differs with each request.
#[must_use]
pub fn value(client: usize, n: u64, bytes: usize) -> String {
    let mut text = format!("{client}-{n}-");
    while text.len() < bytes {
        text.push('x');
    }
    text.truncate(bytes);
    text
}

fn put_once(address: SocketAddr) -> anyhow::Result<()> {
    ask(address, "/v3/kv/put", "{\"key\":\"YQ==\",\"value\":\"YQ==\"}").map(|_| ())
}

fn ask(address: SocketAddr, path: &str, body: &str) -> anyhow::Result<Value> {
    let request = Request {
        method: "POST",
        path,
        headers: &[],
        body: body.as_bytes(),
        limit: Duration::from_secs(2),
    };
    let answer = http::send(address, &request)?;
    anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    answer.json()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[((bits >> (18 - 6 * place)) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_usual_one() {
        for (plain, coded) in [
            ("", ""),
            ("a", "YQ=="),
            ("ab", "YWI="),
            ("abc", "YWJj"),
            ("bench-00", "YmVuY2gtMDA="),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn values_have_the_size_that_was_asked_for_and_differ() {
        assert_eq!(value(3, 9, 256).len(), 256);
        assert_ne!(value(3, 9, 256), value(3, 10, 256));
    }
}
