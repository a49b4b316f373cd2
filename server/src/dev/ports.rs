//! Which ports a throw-away cluster listens on.

use std::net::{Ipv4Addr, TcpListener};

/// The default: then `http://127.0.0.1:7400` is a server, as on a real node.
const FIRST_DEFAULT: u16 = 7_400;
/// Where else to look. Below the range from which the kernel gives ports to outgoing connections: a port in that range
/// could be taken by a neighbour's connection while its node is dead.
const ELSEWHERE: std::ops::Range<u16> = 20_000..32_000;
/// How many other places are tried.
const TRIES: u16 = 100;

/// The ports of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodePorts {
    pub(super) api: u16,
    pub(super) peer: u16,
}

/// The ports of all nodes, held until this is dropped.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) nodes: Vec<NodePorts>,
    /// Where the sample web server listens.
    pub(super) web: u16,
    _held: Vec<TcpListener>,
}

impl Ports {
    /// Free ports in a row: API and peer of each node in turn, then the sample's.
    ///
    /// # Errors
    /// In words, where none are free.
    pub(super) fn choose(nodes: usize, first: Option<u16>) -> Result<Self, String> {
        if let Some(first) = first {
            return Self::from(first, nodes).ok_or_else(|| {
                format!(
                    "ports {first} to {} are not all free: choose others with --port, or leave it out",
                    last(first, nodes)
                )
            });
        }
        if let Some(ports) = Self::from(FIRST_DEFAULT, nodes) {
            return Ok(ports);
        }
        // Where to look first differs by process, so that two that start at once do not meet.
        let room = (ELSEWHERE.end - ELSEWHERE.start) / 20;
        let begin = u16::try_from(std::process::id() % u32::from(room)).unwrap_or(0);
        (0..TRIES)
            .find_map(|step| Self::from(ELSEWHERE.start + (begin + step * 7) % room * 20, nodes))
            .ok_or_else(|| "no free ports were found: choose the first of them with --port".to_owned())
    }

    fn from(first: u16, nodes: usize) -> Option<Self> {
        let mut held = Vec::new();
        let mut next = first;
        let mut take = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, next)).ok()?;
            held.push(listener);
            let taken = next;
            next = next.checked_add(1)?;
            Some(taken)
        };
        let nodes = (0..nodes)
            .map(|_| {
                Some(NodePorts {
                    api: take()?,
                    peer: take()?,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        let web = take()?;
        Some(Self {
            nodes,
            web,
            _held: held,
        })
    }
}

fn last(first: u16, nodes: usize) -> u16 {
    first.saturating_add(u16::try_from(nodes * 2).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_use_are_left_to_others() {
        let first = Ports::choose(3, None).unwrap();
        let second = Ports::choose(3, None).unwrap();
        let all = |ports: &Ports| {
            let mut all: Vec<u16> = ports.nodes.iter().flat_map(|node| [node.api, node.peer]).collect();
            all.push(ports.web);
            all
        };
        assert_eq!(all(&first).len(), 7);
        assert!(all(&first).iter().all(|port| !all(&second).contains(port)));
        let error = Ports::choose(3, Some(first.nodes[0].api)).unwrap_err();
        assert!(error.contains("not all free"), "{error}");
    }
}
