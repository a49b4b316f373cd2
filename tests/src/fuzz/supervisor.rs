//! Lines between daemon, supervisor and package, through a real socket.

use std::io::{ErrorKind, Write as _};
use std::os::unix::net::UnixStream;

use server::supervisor::control;
use server::supervisor::lines::Lines;
use server::supervisor::protocol::{News, Order, Spec, StateFile};

use super::daemon_message::stable;
use super::{Target, Verdict};

const SAMPLES: [&str; 6] = [
    "\"go\"\n{\"renew\":{\"deadline_ns\":99999,\"soft_ns\":9999}}\n\"kill\"\n",
    "{\"mode\":{\"mode\":\"active\",\"output\":\"released\",\"epoch\":7,\"command\":[\"/bin/p\"],\"timeout_ms\":100}}\n{\"stop\":{\"timeout_ms\":5}}\n",
    "{\"hello\":{\"supervisor\":{\"pid\":1,\"start_time\":2},\"containment\":\"namespace\",\"package_pid\":3,\"epoch\":4,\"mode\":\"active\",\"ready\":true,\"connected\":false,\"stopping\":false}}\n",
    "\"ready\"\n{\"answered\":{\"epoch\":7,\"error\":null}}\n{\"ended\":{\"cause\":\"exited\",\"code\":1,\"detail\":\"x\"}}\n",
    "{\"ok\":true}\n{\"ready\":true}\n{\"ok\":false,\"error\":\"busy\"}\n",
    "{\"package\":\"web\",\"node\":\"n1\",\"start\":1,\"epoch\":2,\"mode\":\"active\",\"output\":\"released\",\"command\":[\"/bin/true\"],\"env\":{\"A\":\"b\"},\"directory\":null,\"deadline_ns\":5,\"soft_ns\":4,\"stop_timeout_ms\":3,\"cgroup\":null}\n",
];

/// The target.
pub(super) struct Supervisor;

impl Target for Supervisor {
    fn name(&self) -> &'static str {
        "supervisor"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        SAMPLES.iter().map(|sample| sample.as_bytes().to_vec()).collect()
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "go", "kill", "status", "renew", "mode", "stop", "ready", "ok", "error", "ended", "exited", "hello", "\n",
            "true",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let (mut writer, reader) = UnixStream::pair().map_err(|error| error.to_string())?;
        writer.set_nonblocking(true).map_err(|error| error.to_string())?;
        let mut lines = Lines::new(reader).map_err(|error| error.to_string())?;
        let (mut rest, mut received) = (input, Vec::new());
        while !rest.is_empty() && lines.is_open() {
            match writer.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("the socket: {error}")),
            }
            received.extend(lines.receive());
        }
        drop(writer);
        received.extend(lines.receive());
        let whole = received.iter().map(|line| line.len() + 1).sum::<usize>();
        if received.join(&b'\n').iter().zip(input).any(|(got, sent)| got != sent) || whole > input.len() {
            return Err("the lines that came are not those that were sent".to_owned());
        }
        let mut understood = 0;
        for line in &received {
            understood += control::understand(line).len();
            understood += usize::from(stable::<Order>(line)?.is_some());
            understood += usize::from(stable::<News>(line)?.is_some());
            understood += usize::from(stable::<Spec>(line)?.is_some());
            understood += usize::from(stable::<StateFile>(line)?.is_some());
        }
        Ok(if understood > 0 {
            Verdict::Accepted
        } else {
            Verdict::Refused
        })
    }
}
