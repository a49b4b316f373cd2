//! The sample packages of `paceline dev`, and an example of the contract between paceline and a package.
//!
//! `sample-web` is a hot-standby pair's program. What it does is all that a program needs for a failover in milliseconds:
//!
//! 1. It reads its mode and its epoch from the environment, and connects to the Unix socket `PACELINE_CONTROL`.
//! 2. As a standby it does everything but the work: it is started, connected, and waits.
//! 3. It says `{"ready":true}`.
//! 4. When the line `{"mode":"active","output":"released","epoch":17}` comes, it takes up the work (here: it begins to
//!    listen) and only then answers `{"ok":true}`. Until that answer it does not count as active.
//!
//! It shows its epoch with every answer. A program that writes to a store would hand the epoch over with every write, so
//! that the store can refuse a writer of an older epoch: that is the fencing token.
//!
//! It is never told to become a standby again: it has no `demote` command, so paceline stops it and starts it anew.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Subcommand;
use serde::Deserialize;

/// The samples. They are no part of the operator's command line, so `--help` does not list them.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// A web server with a standby that takes over.
    #[command(hide = true)]
    SampleWeb {
        /// Listens here on the loopback while it is active.
        #[arg(long)]
        port: u16,
    },
    /// Prints the time every second while it is active.
    #[command(hide = true)]
    SampleClock,
}

/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
/// Connections that are answered at a time; more wait in the kernel.
const CONNECTIONS_MAX: usize = 64;
/// A request's head that is longer is not read to its end.
const REQUEST_BYTES_MAX: usize = 4_096;
/// The port of a process that has just died may need a moment to be free.
const BIND_TRIES: u32 = 50;
/// Between two tries.
const BIND_PAUSE: Duration = Duration::from_millis(10);

/// Runs a sample.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::SampleWeb { port } => web(port),
        Command::SampleClock => clock(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What paceline tells a package at its start.
struct Environment {
    package: String,
    node: String,
    mode: String,
    epoch: u64,
}

impl Environment {
    fn read() -> Self {
        let text = |key: &str| std::env::var(key).unwrap_or_default();
        Self {
            package: text("PACELINE_PACKAGE"),
            node: text("PACELINE_NODE"),
            mode: text("PACELINE_MODE"),
            epoch: text("PACELINE_EPOCH").parse().unwrap_or(0),
        }
    }
}

/// A line of the control socket. Further fields may come: they are not for this program.
#[derive(Debug, Deserialize)]
struct Told {
    mode: Option<String>,
    epoch: Option<u64>,
}

fn web(port: u16) -> std::io::Result<()> {
    let environment = Arc::new(Environment::read());
    // Connected before anything else: from here on paceline knows that this program can be told.
    let control = std::env::var_os("PACELINE_CONTROL")
        .map(UnixStream::connect)
        .transpose()?;
    let mut active = false;
    if environment.mode == "active" {
        serve(port, &environment, environment.epoch)?;
        active = true;
    }
    let Environment {
        package,
        node,
        mode,
        epoch,
    } = &*environment;
    say(&format!("{package} on {node}: {mode} under epoch {epoch}"));
    let Some(control) = control else {
        // Nobody can tell it anything: it stays what it was started as.
        loop {
            std::thread::park();
        }
    };

    let mut answers = control.try_clone()?;
    answers.write_all(b"{\"ready\":true}\n")?;
    for line in BufReader::new(control).lines() {
        let told: Told = match serde_json::from_str(&line?) {
            Ok(told) => told,
            Err(error) => {
                eprintln!("not understood: {error}");
                continue;
            }
        };
        let Some(mode) = told.mode else { continue };
        let epoch = told.epoch.unwrap_or(0);
        if mode == "active" {
            if !active {
                serve(port, &environment, epoch)?;
                active = true;
            }
            say(&format!("{package} on {node}: active under epoch {epoch}"));
            answers.write_all(b"{\"ok\":true}\n")?;
        } else {
            answers.write_all(b"{\"ok\":false}\n")?;
        }
    }
    // The supervisor is gone, so nobody holds this program's deadline any more.
    Ok(())
}

/// Begins to listen, and answers from other threads.
fn serve(port: u16, environment: &Arc<Environment>, epoch: u64) -> std::io::Result<()> {
    let listener = bind(port)?;
    let environment = Arc::clone(environment);
    let answered = Arc::new(AtomicU64::new(0));
    let open = Arc::new(AtomicUsize::new(0));
    std::thread::Builder::new().name("listen".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
                continue;
            }
            open.fetch_add(1, Ordering::Relaxed);
            let (environment, answered, open) = (Arc::clone(&environment), Arc::clone(&answered), Arc::clone(&open));
            let spawned = std::thread::Builder::new().spawn({
                let open = Arc::clone(&open);
                move || {
                    let number = answered.fetch_add(1, Ordering::Relaxed) + 1;
                    let text = format!(
                        "{} on {}: active under epoch {epoch}, answer {number}\n",
                        environment.package, environment.node
                    );
                    // A client that goes away early is its own affair.
                    let _ = answer(stream, &text);
                    open.fetch_sub(1, Ordering::Relaxed);
                }
            });
            if spawned.is_err() {
                open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    })?;
    Ok(())
}

fn bind(port: u16) -> std::io::Result<TcpListener> {
    let mut tries = 0;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && tries < BIND_TRIES => {
                tries += 1;
                pause(BIND_PAUSE);
            }
            other => return other,
        }
    }
}

fn answer(mut stream: TcpStream, text: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let mut head = Vec::new();
    let mut part = [0_u8; 512];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < REQUEST_BYTES_MAX {
        match stream.read(&mut part)? {
            0 => break,
            length => head.extend_from_slice(&part[..length]),
        }
    }
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )?;
    stream.flush()
}

/// The simplest package there is: it knows nothing of paceline. It is started where it is to run, and stopped.
fn clock() -> std::io::Result<()> {
    let Environment {
        package,
        node,
        mode,
        epoch,
    } = Environment::read();
    loop {
        let now = jiff::Timestamp::now();
        say(&format!("{now:.0} {package} on {node}: {mode} under epoch {epoch}"));
        pause(Duration::from_secs(1));
    }
}

/// Waits without a way to be woken.
fn pause(length: Duration) {
    let (_sender, receiver) = mpsc::sync_channel::<()>(0);
    let _ = receiver.recv_timeout(length);
}

/// A line of output. Whoever read it may be gone, which is no reason to stop the work.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A standby does not listen; told to be active it listens before it says ok.
    #[test]
    fn a_standby_listens_only_once_it_is_told() {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let environment = Arc::new(Environment {
            package: "web-2".to_owned(),
            node: "n2".to_owned(),
            mode: "standby".to_owned(),
            epoch: 4,
        });
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
        serve(port, &environment, 9).unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(
            text.ends_with("web-2 on n2: active under epoch 9, answer 1\n"),
            "{text}"
        );
    }

    #[test]
    fn lines_of_the_control_socket_may_hold_more_than_is_known() {
        let told: Told = serde_json::from_str(r#"{"mode":"active","output":"released","epoch":17,"later":1}"#).unwrap();
        assert_eq!((told.mode.as_deref(), told.epoch), (Some("active"), Some(17)));
        // The socket's type is that of the standard library: a package in any language can do the same.
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("control")).unwrap();
        assert!(UnixStream::connect(listener.local_addr().unwrap().as_pathname().unwrap()).is_ok());
    }
}
