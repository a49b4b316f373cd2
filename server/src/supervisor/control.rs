//! The ordered channel to the package: its control socket, and `sd_notify` datagrams.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener};

use nix::poll::{PollFd, PollFlags};
use serde::{Deserialize, Serialize};

use super::lines::Lines;
use super::protocol::{CONTROL_SOCKET, NOTIFY_SOCKET};

/// A package needs one; more are its children's.
const CONNECTIONS_MAX: usize = 8;

/// What the package is told.
#[derive(Serialize)]
struct Told<'a> {
    mode: &'a str,
    output: &'a str,
    epoch: u64,
}

/// What share of the node's resources is the package's.
#[derive(Serialize)]
struct Share<'a> {
    shares: &'a BTreeMap<String, u64>,
}

/// What the package says; keys of later versions are ignored.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    ok: Option<bool>,
    ready: Option<bool>,
    error: Option<String>,
    score: Option<i64>,
    busy: Option<bool>,
}

/// What came of a look at the sockets.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is ready.
    Ready,
    /// It has answered what it was last told.
    Answer(Result<(), String>),
    /// It has, or has no longer, a connection.
    Connected(bool),
    /// How fit it is to be promoted.
    Score(i64),
    /// Whether it is busy.
    Busy(bool),
}

/// What a line of the package means; nothing where it is none of ours.
pub fn understand(line: &[u8]) -> Vec<Heard> {
    let Ok(said) = serde_json::from_slice::<Said>(line) else {
        return Vec::new();
    };
    let mut heard = Vec::new();
    if said.ready == Some(true) {
        heard.push(Heard::Ready);
    }
    match said.ok {
        Some(true) => heard.push(Heard::Answer(Ok(()))),
        Some(false) => {
            let why = said.error.unwrap_or_else(|| "it gave no reason".to_owned());
            heard.push(Heard::Answer(Err(format!("the package refused: {why}"))));
        }
        None => {}
    }
    heard.extend(said.score.map(Heard::Score));
    heard.extend(said.busy.map(Heard::Busy));
    heard
}

/// The sockets of one package.
pub(super) struct Control {
    listener: UnixListener,
    notify: UnixDatagram,
    connections: Vec<Lines>,
}

impl Control {
    /// Binds both in the working directory: a relative name is never too long.
    ///
    /// # Errors
    /// Where a socket can't be made.
    pub(super) fn bind() -> std::io::Result<Self> {
        let _ = std::fs::remove_file(CONTROL_SOCKET);
        let _ = std::fs::remove_file(NOTIFY_SOCKET);
        let listener = UnixListener::bind(CONTROL_SOCKET)?;
        listener.set_nonblocking(true)?;
        let notify = UnixDatagram::bind(NOTIFY_SOCKET)?;
        notify.set_nonblocking(true)?;
        Ok(Self {
            listener,
            notify,
            connections: Vec::new(),
        })
    }

    /// What to wait for.
    pub(super) fn waits(&self) -> impl Iterator<Item = PollFd<'_>> {
        [
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.notify.as_fd(), PollFlags::POLLIN),
        ]
        .into_iter()
        .chain(self.connections.iter().map(|connection| {
            let flags = if connection.wants_write() {
                PollFlags::POLLIN | PollFlags::POLLOUT
            } else {
                PollFlags::POLLIN
            };
            PollFd::new(connection.as_fd(), flags)
        }))
    }

    /// The package has this way.
    pub(super) fn is_connected(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Tells the package, on the connection that it made last.
    pub(super) fn tell(&mut self, mode: &str, output: &str, epoch: u64) -> bool {
        match self.connections.last_mut() {
            Some(connection) => {
                connection.send(&Told { mode, output, epoch });
                connection.is_open()
            }
            None => false,
        }
    }

    /// Tells the package what share of the node's resources is its own.
    pub(super) fn tell_shares(&mut self, shares: &BTreeMap<String, u64>) {
        if let Some(connection) = self.connections.last_mut() {
            connection.send(&Share { shares });
        }
    }

    /// Looks at all sockets once; never blocks.
    pub(super) fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let before = self.is_connected();
        while let Ok((stream, _)) = self.listener.accept() {
            if self.connections.len() < CONNECTIONS_MAX
                && let Ok(connection) = Lines::new(stream)
            {
                self.connections.push(connection);
            }
        }
        for connection in &mut self.connections {
            connection.flush();
            for line in connection.receive() {
                heard.extend(understand(&line));
            }
        }
        self.connections.retain(Lines::is_open);
        let mut datagram = [0_u8; 4096];
        while let Ok(length) = self.notify.recv(&mut datagram) {
            let text = String::from_utf8_lossy(datagram.get(..length).unwrap_or_default());
            if text.lines().any(|line| line == "READY=1") {
                heard.push(Heard::Ready);
            }
        }
        if self.is_connected() != before {
            heard.insert(0, Heard::Connected(self.is_connected()));
        }
        heard
    }
}
