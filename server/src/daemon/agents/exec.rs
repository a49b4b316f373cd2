//! Drives supervisors: spawns them, speaks with them, and proves that nothing is left where one dies without a word.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::daemon::event::DaemonEvent;
use crate::daemon::instance::InstanceKey;
use crate::supervisor::cgroup::Cgroup;
use crate::supervisor::process::{self, Remains};
use crate::supervisor::protocol::{
    CONTROL_SOCKET, DAEMON_SOCKET, News, OUTPUT_FILE, Order, ProcessId, SOCKET_PATH_BYTES_MAX, SPEC_FILE, Spec,
};

/// What a package printed is kept up to this size, and once more as much of what was before.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;
/// How often the size is looked at: a program that prints without end must not fill the disk.
const OUTPUT_CHECK: Duration = Duration::from_secs(1);
/// How much longer than asked a supervisor may take to end its package.
const HANG_WAIT: Duration = Duration::from_secs(2);
/// How often a proof is tried again: the kernel needs some milliseconds to end a namespace.
const PROOF_RETRY: Duration = Duration::from_millis(2);
/// And how often once it takes long.
const PROOF_RETRY_LATER: Duration = Duration::from_millis(100);
/// Directories of earlier processes of a package that are kept, for what they printed.
const DIRECTORIES_KEPT: usize = 3;

/// The supervisors of this node.
pub struct ExecAgent {
    run_dir: PathBuf,
    /// Unique on the machine, because several nodes may share it.
    group: String,
    events: mpsc::Sender<DaemonEvent>,
    links: HashMap<InstanceKey, Link>,
}

struct Link {
    process: u64,
    supervisor: Option<ProcessId>,
    /// The same socket as the watcher reads from. Written to directly: orders are small, and one that does not fit at once
    /// comes too late anyway.
    writer: StdUnixStream,
}

impl ExecAgent {
    /// `run_dir` holds a directory for each process of a package.
    #[must_use]
    pub fn new(run_dir: PathBuf, events: mpsc::Sender<DaemonEvent>) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        run_dir.hash(&mut hasher);
        Self {
            group: format!("{:016x}", hasher.finish()),
            run_dir,
            events,
            links: HashMap::new(),
        }
    }

    /// Spawns a supervisor, which waits for "go".
    ///
    /// # Errors
    /// A sentence for people; nothing runs then.
    pub fn spawn(&mut self, key: &InstanceKey, mut spec: Spec) -> Result<(ProcessId, Option<PathBuf>), String> {
        let process = spec.epoch;
        let directory = self.directory(key, process);
        let control = directory.join(CONTROL_SOCKET);
        let length = control.as_os_str().len();
        if length > SOCKET_PATH_BYTES_MAX {
            return Err(format!(
                "the path {} has {length} bytes, and a Unix socket's may have {SOCKET_PATH_BYTES_MAX}: choose a shorter data_dir",
                control.display()
            ));
        }
        let name = format!("{}.{process}", key.package);
        let cgroup = Cgroup::make(&self.group, &name);
        spec.cgroup = cgroup.as_ref().map(|cgroup| cgroup.path().to_owned());
        self.remove_old_directories(&key.package);
        let (ours, child) = self.execute(&directory, &spec).map_err(|error| {
            if let Some(cgroup) = &cgroup {
                cgroup.remove();
            }
            format!("can't start a supervisor in {}: {error}", directory.display())
        })?;
        let supervisor = i32::try_from(child.id()).ok().and_then(process::identify);
        let Some(supervisor) = supervisor else {
            return Err("the supervisor ended at once; see output.log in its directory".to_owned());
        };
        self.attach(key, process, ours, Some(child), Some(supervisor), spec.cgroup.clone());
        Ok((supervisor, spec.cgroup))
    }

    fn execute(&self, directory: &Path, spec: &Spec) -> io::Result<(StdUnixStream, Child)> {
        fs::create_dir_all(directory)?;
        fs::write(directory.join(SPEC_FILE), serde_json::to_vec(spec)?)?;
        let output = fs::File::options()
            .create(true)
            .append(true)
            .open(directory.join(OUTPUT_FILE))?;
        let (ours, theirs) = StdUnixStream::pair()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("supervise")
            .arg(directory)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output))
            .spawn()?;
        Ok((ours, child))
    }

    /// Connects to a supervisor that an earlier daemon spawned; where it does not answer, kills and proves.
    pub fn adopt(&mut self, key: &InstanceKey, process: u64, supervisor: Option<ProcessId>, cgroup: Option<PathBuf>) {
        let socket = self.directory(key, process).join(DAEMON_SOCKET);
        let alive = supervisor.is_some_and(process::is_alive);
        let connected = if alive {
            StdUnixStream::connect(&socket)
        } else {
            Err(io::ErrorKind::NotFound.into())
        };
        match connected {
            Ok(stream) => self.attach(key, process, stream, None, supervisor, cgroup),
            Err(_) => drop(tokio::spawn(
                self.watch(key, process, None, supervisor, cgroup).conclude(None),
            )),
        }
    }

    /// Tells a supervisor; one that does not take it is as good as dead and ends at its deadline.
    pub fn order(&mut self, key: &InstanceKey, order: &Order) {
        let Some(link) = self.links.get_mut(key) else { return };
        let Ok(mut line) = serde_json::to_vec(order) else {
            return;
        };
        line.push(b'\n');
        if let (Some(supervisor), Some(within)) = (link.supervisor, ends_within(order)) {
            tokio::spawn(async move {
                tokio::time::sleep(within).await;
                process::kill_exactly(supervisor);
            });
        }
        match link.writer.write(&line) {
            Ok(written) if written == line.len() => {}
            // Half a line would garble the next one.
            Ok(_) | Err(_) => {
                let epoch = link.process;
                tracing::warn!(
                    package = key.package,
                    epoch,
                    "its supervisor takes no orders; it ends at its deadline"
                );
                if matches!(order, Order::Kill | Order::Stop { .. })
                    && let Some(state) = process::read_state(&self.directory(key, epoch))
                {
                    process::kill_exactly(state.supervisor);
                }
            }
        }
    }

    /// Where events go.
    #[must_use]
    pub fn events(&self) -> &mpsc::Sender<DaemonEvent> {
        &self.events
    }

    /// Where a process of a package has its files.
    #[must_use]
    pub fn directory(&self, key: &InstanceKey, process: u64) -> PathBuf {
        self.run_dir.join(format!("{}.{process}", key.package))
    }

    fn attach(
        &mut self,
        key: &InstanceKey,
        process: u64,
        stream: StdUnixStream,
        child: Option<Child>,
        supervisor: Option<ProcessId>,
        cgroup: Option<PathBuf>,
    ) {
        let watch = self.watch(key, process, child, supervisor, cgroup);
        let reader = stream
            .set_nonblocking(true)
            .and_then(|()| stream.try_clone())
            .and_then(UnixStream::from_std);
        match reader {
            Ok(reader) => {
                self.links.insert(
                    key.clone(),
                    Link {
                        process,
                        supervisor,
                        writer: stream,
                    },
                );
                tokio::spawn(watch.run(reader));
            }
            // Too many open files, for one: what can't be watched is ended.
            Err(_) => drop(tokio::spawn(watch.conclude(None))),
        }
    }

    fn watch(
        &self,
        key: &InstanceKey,
        process: u64,
        child: Option<Child>,
        supervisor: Option<ProcessId>,
        cgroup: Option<PathBuf>,
    ) -> Watch {
        let directory = self.directory(key, process);
        Watch {
            key: key.clone(),
            process,
            directory,
            child,
            supervisor,
            cgroup,
            events: self.events.clone(),
        }
    }

    /// Keeps what the last few processes of a package printed. The number in the name is an epoch, so order is age.
    fn remove_old_directories(&self, package: &str) {
        let Ok(entries) = fs::read_dir(&self.run_dir) else {
            return;
        };
        let in_use: Vec<u64> = self.links.values().map(|link| link.process).collect();
        let mut old: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let (of, epoch) = name.to_str()?.rsplit_once('.')?;
                epoch
                    .parse()
                    .ok()
                    .filter(|epoch| of == package && !in_use.contains(epoch))
            })
            .collect();
        old.sort_unstable();
        old.truncate(old.len().saturating_sub(DIRECTORIES_KEPT));
        for epoch in old {
            let directory = self.run_dir.join(format!("{package}.{epoch}"));
            // Without a proof that it ended, the state file may still be needed for one.
            if process::read_state(&directory)
                .is_none_or(|state| !process::is_alive(state.supervisor) && !process::is_alive(state.init))
            {
                let _ = fs::remove_dir_all(directory);
            }
        }
    }
}

/// How long a supervisor may take to end after an order: one that hangs is then killed, and its package with it. Most die at
/// their deadline before; those without one (`on_quorum_loss = "freeze"`) would never.
fn ends_within(order: &Order) -> Option<Duration> {
    match order {
        Order::Stop { timeout_ms } => Some(Duration::from_millis(*timeout_ms).saturating_add(HANG_WAIT)),
        Order::Kill => Some(HANG_WAIT),
        Order::Go
        | Order::Renew { .. }
        | Order::Mode { .. }
        | Order::Shares { .. }
        | Order::Reload { .. }
        | Order::Run { .. }
        | Order::Status => None,
    }
}

/// One supervisor's watcher: a task that ends with it.
struct Watch {
    key: InstanceKey,
    process: u64,
    directory: PathBuf,
    child: Option<Child>,
    supervisor: Option<ProcessId>,
    cgroup: Option<PathBuf>,
    events: mpsc::Sender<DaemonEvent>,
}

impl Watch {
    async fn run(self, reader: UnixStream) {
        let mut lines = BufReader::new(reader).lines();
        let mut check = tokio::time::interval(OUTPUT_CHECK);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut ended = None;
        let mut limiting: Option<tokio::task::JoinHandle<()>> = None;
        loop {
            tokio::select! {
                line = lines.next_line() => {
                    let Ok(Some(line)) = line else { break };
                    match serde_json::from_str(&line) {
                        Ok(News::Ended(mut end)) => {
                            end.detail = with_last_output(&end.detail, &self.directory.join(OUTPUT_FILE));
                            ended = Some(News::Ended(end));
                            if let Some(news) = &ended {
                                self.say(news.clone()).await;
                            }
                        }
                        Ok(News::Hello(hello)) if self.supervisor.is_some_and(|known| known != hello.supervisor) => break,
                        Ok(news) => self.say(news).await,
                        Err(error) => tracing::warn!(package = self.key.package, %error, "a supervisor said something else"),
                    }
                }
                // A slow disk must hold up neither the daemon's one thread nor this loop.
                _ = check.tick() => {
                    if limiting.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                        let file = self.directory.join(OUTPUT_FILE);
                        limiting = Some(tokio::task::spawn_blocking(move || limit_output(&file)));
                    }
                }
            }
        }
        self.conclude(ended).await;
    }

    /// Proves that nothing is left, then says so where the supervisor has not.
    async fn conclude(mut self, ended: Option<News>) {
        let remains = Remains::of(&self.directory, self.supervisor, self.cgroup.clone());
        if ended.is_none() {
            remains.kill();
        }
        let mut tries = 0_u32;
        loop {
            if let Some(child) = &mut self.child {
                let _ = child.try_wait();
            }
            if remains.is_empty() {
                break;
            }
            tries = tries.saturating_add(1);
            if ended.is_none() && tries.is_multiple_of(100) {
                tracing::warn!(
                    package = self.key.package,
                    process = self.process,
                    "something of it is still there after SIGKILL; trying on"
                );
                remains.kill();
            }
            tokio::time::sleep(if tries < 500 { PROOF_RETRY } else { PROOF_RETRY_LATER }).await;
        }
        remains.clean_up();
        if ended.is_some() {
            return;
        }
        match process::read_state(&self.directory).and_then(|state| state.ended) {
            Some(mut end) => {
                end.detail = with_last_output(&end.detail, &self.directory.join(OUTPUT_FILE));
                self.say(News::Ended(end)).await;
            }
            None => {
                let event = DaemonEvent::Gone {
                    key: self.key.clone(),
                    process: self.process,
                };
                let _ = self.events.send(event).await;
            }
        }
    }

    async fn say(&self, news: News) {
        let event = DaemonEvent::News {
            key: self.key.clone(),
            process: self.process,
            news,
        };
        let _ = self.events.send(event).await;
    }
}

/// Copies a file that has become too long and empties it. The package goes on writing to it, at its new end, and never
/// waits for anybody; what it prints between copy and cut is lost.
fn limit_output(file: &Path) {
    if fs::metadata(file).is_ok_and(|data| data.len() > OUTPUT_BYTES_MAX) {
        let _ = copy_end(file, &file.with_extension("log.1"));
        if let Ok(file) = fs::File::options().write(true).open(file) {
            let _ = file.set_len(0);
        }
    }
}

fn copy_end(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = fs::File::open(from)?;
    let length = source.metadata()?.len();
    source.seek(SeekFrom::Start(length.saturating_sub(OUTPUT_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    source.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)?;
    fs::File::create(to)?.write_all(&bytes)
}

/// The detail, with the last line that the package printed.
fn with_last_output(detail: &str, file: &Path) -> String {
    let tail = || -> io::Result<Vec<u8>> {
        let mut source = fs::File::open(file)?;
        let length = source.metadata()?.len();
        source.seek(SeekFrom::Start(length.saturating_sub(2048)))?;
        let mut bytes = Vec::new();
        source.take(2048).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = tail().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    match text.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => format!("{detail}; last output: {line}"),
        None => detail.to_owned(),
    }
}
