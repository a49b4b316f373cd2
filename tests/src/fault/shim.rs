//! A small library in C that a node's processes are started with: see `shim.c`. A mapped file controls it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

const SOURCE: &str = include_str!("shim.c");
/// The size of `struct control`.
const CONTROL_BYTES: u64 = 512;
/// Where its fields begin.
const SYNC_AT: u64 = 0;
const WAIT_AT: u64 = 8;
const CLOCK_AT: u64 = 16;
const MET_AT: u64 = 24;
const PATH_AT: u64 = 32;

/// What becomes of an fsync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It is done.
    Honest,
    /// It fails with EIO.
    Fails,
    /// It is not done and says that it was.
    Lies,
    /// It is done after so many milliseconds.
    Slow(u32),
}

/// The shim of one node.
#[derive(Debug)]
pub struct Shim {
    library: PathBuf,
    control_path: PathBuf,
    control: File,
}

impl Shim {
    /// Compiles it into a directory and makes a control file of this name there, with nothing broken.
    ///
    /// # Errors
    /// Where there is no C compiler.
    pub fn create(directory: &Path, name: &str) -> anyhow::Result<Self> {
        let library = directory.join("shim.so");
        compile(SOURCE, &library, &["-shared", "-fPIC"])?;
        let control_path = directory.join(format!("{name}.faults"));
        let control = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&control_path)?;
        control.set_len(CONTROL_BYTES)?;
        // The server runs without privileges.
        fs::set_permissions(&control_path, fs::Permissions::from_mode(0o666))?;
        Ok(Self {
            library,
            control_path,
            control,
        })
    }

    /// What a node must be started with.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        vec![
            ("LD_PRELOAD".to_owned(), text(&self.library)),
            ("PACELINE_FAULTS".to_owned(), text(&self.control_path)),
        ]
    }

    /// From now on, what becomes of an fsync of files with this in their path.
    ///
    /// # Errors
    /// Where the control file can't be written.
    pub fn sync(&self, how: Sync, path: &str) -> anyhow::Result<()> {
        let mut bytes = path.as_bytes().to_vec();
        bytes.push(0);
        anyhow::ensure!(PATH_AT + bytes.len() as u64 <= CONTROL_BYTES, "{path} is too long");
        self.control.write_all_at(&bytes, PATH_AT)?;
        let (number, wait_ms) = match how {
            Sync::Honest => (0, 0),
            Sync::Fails => (1, 0),
            Sync::Lies => (2, 0),
            Sync::Slow(ms) => (3, i64::from(ms)),
        };
        self.put(WAIT_AT, wait_ms)?;
        self.put(SYNC_AT, number)
    }

    /// Moves the wall clock of the node by so many seconds from the machine's.
    ///
    /// # Errors
    /// Where the control file can't be written.
    pub fn clock(&self, seconds: i64) -> anyhow::Result<()> {
        self.put(CLOCK_AT, seconds * 1_000_000_000)
    }

    /// How many syncs were not left as they are: a fault that met nothing has tested nothing.
    ///
    /// # Errors
    /// Where the control file can't be read.
    pub fn met(&self) -> anyhow::Result<i64> {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, MET_AT)?;
        Ok(i64::from_ne_bytes(bytes))
    }

    fn put(&self, at: u64, value: i64) -> anyhow::Result<()> {
        Ok(self.control.write_all_at(&value.to_ne_bytes(), at)?)
    }
}

/// Compiles a C source unless the result is there.
///
/// # Errors
/// What the compiler said.
pub(super) fn compile(source: &str, result: &Path, options: &[&str]) -> anyhow::Result<()> {
    if result.exists() {
        return Ok(());
    }
    let input = result.with_extension("c");
    fs::write(&input, source)?;
    let output = Command::new("cc")
        .args(["-O2", "-Wall"])
        .args(options)
        .arg("-o")
        .arg(result)
        .arg(&input)
        .arg("-ldl")
        .output()
        .context("there is no C compiler: `scripts/setup` installs one")?;
    anyhow::ensure!(
        output.status.success(),
        "cc {}: {}",
        input.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
