//! The test program: a package that writes down when it is active, so that a second active instance can't hide.
//!
//! ```text
//! witness --dir DIRECTORY [--unit NAME] [--way control|start] [--ignore-term] [--exit-after MS] [--says LINE]
//! ```
//!
//! It appends its records (see `tests::witness`) to a file of its own under `DIRECTORY/UNIT`, a beat every 10 ms while it
//! is active with its output released, and holds `flock` on `DIRECTORY/UNIT/lock` while it is: the kernel drops the lock at its death, so an
//! overlap is exact even under SIGKILL. With `--way control` it connects to `PACELINE_CONTROL` and is told of changes
//! of mode there; with `--way start` it knows only what it was started with. `--says` is one more line that it says there. With each beat it writes its fencing token to
//! `DIRECTORY/UNIT/resource`, which all programs of the unit share.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use tests::resource::{self, TokenWrite};
use tests::wait::monotonic_ns;
use tests::witness::{BEAT_MS, Kind, Record};

fn main() -> anyhow::Result<()> {
    let options = Options::read()?;
    // Before anything is written: who has seen a record may send a signal.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let signals = SignalFd::new(&signals)?;
    Witness::begin(&options)?.run(&options, &signals)
}

struct Options {
    directory: PathBuf,
    unit: Option<String>,
    control: bool,
    ignore_term: bool,
    exit_after: Option<Duration>,
    says: Option<String>,
}

impl Options {
    fn read() -> anyhow::Result<Self> {
        let mut arguments = env::args().skip(1);
        let mut directory = None;
        let mut options = Self {
            directory: PathBuf::new(),
            unit: None,
            control: true,
            ignore_term: false,
            exit_after: None,
            says: None,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--dir" => directory = Some(PathBuf::from(value()?)),
                "--unit" => options.unit = Some(value()?),
                "--way" => options.control = value()? == "control",
                "--ignore-term" => options.ignore_term = true,
                "--exit-after" => options.exit_after = Some(Duration::from_millis(value()?.parse()?)),
                "--says" => options.says = Some(value()?),
                _ => bail!("unknown option {argument}"),
            }
        }
        options.directory = directory.context("--dir is needed: where records are written")?;
        Ok(options)
    }
}

struct Witness {
    file: File,
    resource: File,
    lock_path: PathBuf,
    lock: Option<Flock<File>>,
    unit: String,
    package: String,
    node: String,
    pid: i32,
    epoch: u64,
    mode: String,
    output: String,
    began: Instant,
}

impl Witness {
    fn begin(options: &Options) -> anyhow::Result<Self> {
        let package = env::var("PACELINE_PACKAGE").context("PACELINE_PACKAGE is part of the package contract")?;
        let node = env::var("PACELINE_NODE").context("PACELINE_NODE is part of the package contract")?;
        let mode = env::var("PACELINE_MODE").context("PACELINE_MODE is part of the package contract")?;
        let output = env::var("PACELINE_OUTPUT").context("PACELINE_OUTPUT is part of the package contract")?;
        let epoch = env::var("PACELINE_EPOCH")
            .context("PACELINE_EPOCH is part of the package contract")?
            .parse()?;
        let unit = options.unit.clone().unwrap_or_else(|| package.clone());
        let directory = options.directory.join(&unit);
        fs::create_dir_all(&directory)?;
        let pid = host_pid()?;
        let path = directory.join(format!("{node}-{package}-{pid}-{}.log", monotonic_ns()));
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let resource = OpenOptions::new()
            .create(true)
            .append(true)
            .open(directory.join(resource::FILE))?;
        let mut witness = Self {
            file,
            resource,
            lock_path: directory.join("lock"),
            lock: None,
            unit,
            package,
            node,
            pid,
            epoch,
            mode: String::new(),
            output: String::new(),
            began: Instant::now(),
        };
        witness.write(Kind::Start)?;
        witness.change(&mode, &output, epoch)?;
        Ok(witness)
    }

    /// Takes up a mode. What it writes comes before the answer, so that nobody counts it as active before the file does.
    fn change(&mut self, mode: &str, output: &str, epoch: u64) -> anyhow::Result<()> {
        if self.counts() {
            self.write(Kind::Inactive)?;
            self.lock = None;
        }
        self.epoch = epoch;
        mode.clone_into(&mut self.mode);
        output.clone_into(&mut self.output);
        match mode {
            "active" if self.counts() => {
                self.write(Kind::Active)?;
                self.take_lock()
            }
            "active" => self.write(Kind::Inhibited),
            "test" => self.write(Kind::Test),
            _ => self.write(Kind::Standby),
        }
    }

    /// Whether it is what may be there only once: active, with its output released.
    fn counts(&self) -> bool {
        self.mode == "active" && self.output == "released"
    }

    fn take_lock(&mut self) -> anyhow::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.lock_path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => self.lock = Some(lock),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => self.write(Kind::Overlap)?,
            Err((_, error)) => return Err(error).context("cannot lock the unit's file"),
        }
        Ok(())
    }

    fn write(&mut self, kind: Kind) -> anyhow::Result<()> {
        let record = Record {
            at_ns: monotonic_ns(),
            kind,
            unit: self.unit.clone(),
            package: self.package.clone(),
            node: self.node.clone(),
            pid: self.pid,
            epoch: self.epoch,
        };
        Ok(self.file.write_all(format!("{record}\n").as_bytes())?)
    }

    /// One write to the resource, as a program would make it that hands its token over.
    fn write_token(&mut self) -> anyhow::Result<()> {
        let write = TokenWrite {
            token: self.epoch,
            node: self.node.clone(),
            package: self.package.clone(),
            pid: self.pid,
        };
        Ok(self.resource.write_all(format!("{write}\n").as_bytes())?)
    }

    fn run(&mut self, options: &Options, signals: &SignalFd) -> anyhow::Result<()> {
        let mut control = if options.control { Control::connect()? } else { None };
        if let (Some(control), Some(says)) = (&mut control, &options.says) {
            control.say(&format!("{says}\n"))?;
        }
        loop {
            let (told, asked_to_end) = wait(signals, control.as_ref())?;
            if asked_to_end {
                let _ = signals.read_signal()?;
                if !options.ignore_term {
                    return self.end();
                }
            }
            if told {
                match control.as_mut().map(Control::read).transpose()? {
                    Some(lines) if !lines.is_empty() => self.obey(&lines, control.as_mut())?,
                    // The other side is gone: the supervisor, and with it the right to go on. It will kill us.
                    _ => control = None,
                }
            }
            if options.exit_after.is_some_and(|after| self.began.elapsed() >= after) {
                std::process::exit(3);
            }
            if self.counts() {
                self.write(Kind::Beat)?;
                self.write_token()?;
            }
        }
    }

    fn obey(&mut self, lines: &[serde_json::Value], control: Option<&mut Control>) -> anyhow::Result<()> {
        let Some(control) = control else { return Ok(()) };
        for line in lines {
            if let Some(mode) = line.get("mode").and_then(serde_json::Value::as_str) {
                let epoch = line
                    .get("epoch")
                    .and_then(serde_json::Value::as_u64)
                    .unwrap_or(self.epoch);
                let output = line
                    .get("output")
                    .and_then(serde_json::Value::as_str)
                    .unwrap_or(&self.output)
                    .to_owned();
                if mode != self.mode || output != self.output || epoch != self.epoch {
                    self.change(mode, &output, epoch)?;
                }
                control.say("{\"ok\":true}\n")?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.counts() {
            self.write(Kind::Inactive)?;
            self.lock = None;
        }
        self.write(Kind::Exit)
    }
}

/// Waits for the next beat, or less where something came: (a line on the control socket, a signal).
fn wait(signals: &SignalFd, control: Option<&Control>) -> anyhow::Result<(bool, bool)> {
    let mut files = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    if let Some(control) = control {
        files.push(PollFd::new(control.stream.as_fd(), PollFlags::POLLIN));
    }
    let limit = PollTimeout::try_from(Duration::from_millis(BEAT_MS)).unwrap_or(PollTimeout::ZERO);
    match poll(&mut files, limit) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready = |n: usize| files.get(n).and_then(PollFd::any).unwrap_or(false);
    Ok((ready(1), ready(0)))
}

struct Control {
    stream: UnixStream,
    pending: Vec<u8>,
}

impl Control {
    fn connect() -> anyhow::Result<Option<Self>> {
        let Ok(path) = env::var("PACELINE_CONTROL") else {
            return Ok(None);
        };
        let stream = UnixStream::connect(&path).with_context(|| format!("cannot connect to {path}"))?;
        let mut control = Self {
            stream,
            pending: Vec::new(),
        };
        control.say("{\"ready\":true}\n")?;
        control.stream.set_nonblocking(true)?;
        Ok(Some(control))
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        match self.stream.write_all(line.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// The complete lines that came; none at the end of the stream.
    fn read(&mut self) -> anyhow::Result<Vec<serde_json::Value>> {
        let mut buffer = [0_u8; 4096];
        match self.stream.read(&mut buffer) {
            Ok(n) => self.pending.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Ok(Vec::new()),
        }
        let mut lines = Vec::new();
        while let Some(end) = self.pending.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            lines.push(serde_json::from_slice(&line)?);
        }
        Ok(lines)
    }
}

/// The id that the host knows this process by: `/proc` is the host's, also inside a PID namespace.
fn host_pid() -> anyhow::Result<i32> {
    let link = fs::read_link(Path::new("/proc/self"))?;
    Ok(link.to_string_lossy().parse()?)
}
