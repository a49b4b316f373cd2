//! A network namespace by name, and a thread's stay in one.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use nix::sched::{CloneFlags, setns};

/// Where iproute2 keeps a namespace's name.
const NAMES: &str = "/run/netns";

/// A network namespace that this process made. Removed when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Makes one of this name with its loopback up.
    ///
    /// # Errors
    /// Where this machine does not allow it.
    pub fn create(name: &str) -> anyhow::Result<Self> {
        ip(&["netns", "add", name])?;
        let opened = File::open(Path::new(NAMES).join(name)).with_context(|| format!("cannot open namespace {name}"));
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                remove(name);
                return Err(error);
            }
        };
        let namespace = Self {
            name: name.to_owned(),
            file,
        };
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Brings this thread into it until the answer is dropped. Threads and processes that it starts meanwhile are born
    /// in there, and a socket stays where it was opened.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enter(&self) -> anyhow::Result<Stay> {
        let before = File::open("/proc/thread-self/ns/net")?;
        setns(&self.file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter namespace {}", self.name))?;
        Ok(Stay { before })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// A thread's stay in a namespace: it ends on the thread on which it began.
#[derive(Debug)]
pub struct Stay {
    before: File,
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.before, CloneFlags::CLONE_NEWNET) {
            eprintln!("cannot leave a network namespace: {error}");
        }
    }
}

/// Every namespace that has a name on this machine.
#[must_use]
pub fn names() -> Vec<String> {
    let entries = fs::read_dir(NAMES).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// Removes a namespace by its name. What still runs in it keeps it without a name until it ends.
pub fn remove(name: &str) {
    if let Err(error) = ip(&["netns", "del", name]) {
        eprintln!("cannot remove namespace {name}: {error:#}");
    }
}

/// Runs `ip`.
///
/// # Errors
/// What it printed.
pub fn ip(arguments: &[&str]) -> anyhow::Result<String> {
    run("ip", arguments, "")
}

/// Runs a tool that changes the network, and answers what it printed.
///
/// # Errors
/// What it printed to its standard error.
pub fn run(tool: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    // Debian keeps these outside an ordinary user's path.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut child = Command::new(tool)
        .args(arguments)
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {tool}: `scripts/setup` installs it"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    anyhow::ensure!(
        output.status.success(),
        "{tool} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
