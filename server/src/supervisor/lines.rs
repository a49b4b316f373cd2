//! JSON objects, one a line, over a stream socket that never blocks.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use serde::Serialize;

/// A longer line ends the connection: no message of ours comes near.
const LINE_BYTES_MAX: usize = 256 * 1024;
/// A peer that leaves so much unread is cut off rather than waited for.
const OUTBOX_BYTES_MAX: usize = 1024 * 1024;

/// One connection.
pub struct Lines {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    open: bool,
}

impl Lines {
    /// Takes over a connected socket.
    ///
    /// # Errors
    /// Where it can't be made non-blocking.
    pub fn new(stream: UnixStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            inbox: Vec::new(),
            outbox: Vec::new(),
            open: true,
        })
    }

    /// False once the peer has closed, misbehaved, or left too much unread.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Something waits to be written.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.open && !self.outbox.is_empty()
    }

    /// Queues one object and writes as much as the socket takes.
    pub fn send(&mut self, message: &impl Serialize) {
        if !self.open {
            return;
        }
        match serde_json::to_vec(message) {
            Ok(bytes) if self.outbox.len().saturating_add(bytes.len()) < OUTBOX_BYTES_MAX => {
                self.outbox.extend_from_slice(&bytes);
                self.outbox.push(b'\n');
                self.flush();
            }
            Ok(_) | Err(_) => self.open = false,
        }
    }

    /// Writes as much as the socket takes.
    pub fn flush(&mut self) {
        while self.open && !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(0) => self.open = false,
                Ok(written) => drop(self.outbox.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.open = false,
            }
        }
    }

    /// Whole lines that have arrived; what was sent before the peer closed is still returned.
    pub fn receive(&mut self) -> Vec<Vec<u8>> {
        let mut buffer = [0_u8; 4096];
        while self.open {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.open = false,
                Ok(length) => {
                    self.inbox.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    if self.inbox.len() > LINE_BYTES_MAX {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.open = false,
            }
        }
        let mut lines = Vec::new();
        while let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.inbox.drain(..=end).collect();
            line.pop();
            lines.push(line);
        }
        if self.inbox.len() > LINE_BYTES_MAX {
            self.open = false;
            self.inbox.clear();
        }
        lines
    }
}

impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
