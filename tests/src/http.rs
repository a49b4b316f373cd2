//! The smallest HTTP/1.1 client that the tests need: blocking, one request a connection, every step with a limit.
//!
//! Written by hand so that a test sees exactly what is on the wire, also where the server misbehaves, and so that it
//! shares no code with the client that is under test.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Largest answer that a test reads: anything longer is a fault in itself.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; empty for none.
    pub body: &'a [u8],
    /// For connecting, and for each read and write.
    pub limit: Duration,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text, as far as it is UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Where it is none of this shape; the text says what came instead.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|e| anyhow::anyhow!("not the JSON that was expected ({e}): {} {}", self.status, self.text()))
    }
}

/// Sends a request and reads the whole answer.
///
/// # Errors
/// Where no complete answer came: the outcome of a change is then *unknown*.
pub fn send(address: SocketAddr, request: &Request<'_>) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, request.limit)?;
    stream.set_read_timeout(Some(request.limit))?;
    stream.set_write_timeout(Some(request.limit))?;
    stream.set_nodelay(true)?;
    stream.write_all(&encode(address, request))?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    decode(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is not complete"))
}

fn encode(address: SocketAddr, request: &Request<'_>) -> Vec<u8> {
    let mut text = format!(
        "{} {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        request.method,
        request.path,
        request.body.len()
    );
    for (name, value) in request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(request.body);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    answer.body = match answer.header("content-length") {
        Some(length) => rest.get(..length.parse().ok()?)?.to_vec(),
        None if answer.header("transfer-encoding") == Some("chunked") => dechunk(rest)?,
        None => rest.to_vec(),
    };
    Some(answer)
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + length)?);
        rest = rest.get(end + 4 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_answer_is_read() {
        let answer = decode(b"HTTP/1.1 404 Not Found\r\nX-Index: 7\r\nContent-Length: 2\r\n\r\n{}").expect("complete");
        assert_eq!(
            (answer.status, answer.header("x-index"), answer.text().as_str()),
            (404, Some("7"), "{}")
        );
    }

    #[test]
    fn a_chunked_answer_is_put_together() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(decode(bytes).expect("complete").text(), "abcde");
    }

    #[test]
    fn a_cut_off_answer_is_no_answer() {
        assert!(decode(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").is_none());
    }
}
