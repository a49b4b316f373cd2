//! An ext4 file system in a file, as small as a test wants it, from which the power can be taken.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use nix::mount::{MntFlags, umount2};

use super::shim::compile;
use crate::wait::wait_for;

/// For the kernel to let go of what killed processes had open.
const LET_GO_WITHIN: Duration = Duration::from_secs(5);
const POWER_CUT: &str = include_str!("power_cut.c");

/// A disk with one file system, mounted on a directory for as long as this lives. Needs root.
#[derive(Debug)]
pub struct LoopDisk {
    directory: PathBuf,
    image: PathBuf,
    tool: PathBuf,
}

impl LoopDisk {
    /// Makes one of so many MiB beside the directory and mounts it there.
    ///
    /// # Errors
    /// Where this machine has no loop devices or no ext4, or this is not root.
    pub fn mount(directory: &Path, mebibytes: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        let disk = Self {
            directory: directory.to_owned(),
            image: directory.with_extension("img"),
            tool: directory.with_file_name("power_cut"),
        };
        compile(POWER_CUT, &disk.tool, &[])?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&disk.image)?;
        file.set_len(mebibytes << 20)?;
        run("mkfs.ext4", &["-q", "-F", "-m", "0"], &[&disk.image])?;
        disk.attach()?;
        // A new node's directory is empty.
        fs::remove_dir(directory.join("lost+found"))?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The power goes: what was not synced never reaches the disk, and every further access fails.
    ///
    /// # Errors
    /// Where the kernel can't do it.
    pub fn cut_power(&self) -> anyhow::Result<()> {
        run(&self.tool.to_string_lossy(), &[], &[&self.directory])
    }

    /// The power is back: the file system comes up from what was on the disk. Nothing may use it.
    ///
    /// # Errors
    /// Where something still uses it, or the disk is not what ext4 can recover.
    pub fn restore(&self) -> anyhow::Result<()> {
        let backing = PathBuf::from(format!("/sys/dev/block/{}/loop/backing_file", self.device()?));
        let image = fs::canonicalize(&self.image)?;
        // The kernel lets go of what a killed process had open a moment after the process is gone: its threads end one by one.
        wait_for(
            &format!("nobody to use {}", self.directory.display()),
            LET_GO_WITHIN,
            || umount2(&self.directory, MntFlags::empty()).map_err(|error| error.to_string()),
        )?;
        // The mount namespace of such a process may keep the file system a moment longer. The same image mounted meanwhile
        // would be that file system again, which has no power.
        wait_for(
            &format!("no file system to be left on {}", image.display()),
            LET_GO_WITHIN,
            || match fs::read_to_string(&backing) {
                Ok(attached) if Path::new(attached.trim_end()) == image => Err(attached),
                _ => Ok(()),
            },
        )?;
        self.attach()
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// Where the file that fills it can't be made.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.filler())?;
        for size in [1 << 20, 4096, 1] {
            let block = vec![0_u8; size];
            while file.write_all(&block).is_ok() {}
        }
        // What is only promised by the page cache is not yet full.
        let _ = file.sync_all();
        Ok(())
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// Where it was not filled.
    pub fn free(&self) -> anyhow::Result<()> {
        fs::remove_file(self.filler()).context("the disk was not filled")
    }

    /// The numbers of its device, as `MAJOR:MINOR`.
    ///
    /// # Errors
    /// Where it is not mounted.
    pub fn device(&self) -> anyhow::Result<String> {
        let device = fs::metadata(&self.directory)?.dev();
        Ok(format!(
            "{}:{}",
            nix::sys::stat::major(device),
            nix::sys::stat::minor(device)
        ))
    }

    fn filler(&self) -> PathBuf {
        self.directory.join("filler")
    }

    fn attach(&self) -> anyhow::Result<()> {
        // Rare commits by the journal's own clock: only what asks to be synced is synced.
        run(
            "mount",
            &["-o", "loop,noatime,commit=600"],
            &[&self.image, &self.directory],
        )
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.directory, MntFlags::MNT_DETACH) {
            eprintln!("cannot unmount {}: {error}", self.directory.display());
        }
    }
}

/// Unmounts every file system of a test below this directory whose owner is gone, as its path says.
pub fn sweep(base: &Path, orphaned: impl Fn(&Path) -> bool) {
    let Ok(mounts) = fs::read_to_string("/proc/mounts") else {
        return;
    };
    let paths = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    for path in paths.filter(|path| path.starts_with(base) && orphaned(path)) {
        let _ = umount2(path, MntFlags::MNT_DETACH);
    }
}

fn run(tool: &str, options: &[&str], paths: &[&Path]) -> anyhow::Result<()> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(tool)
        .args(options)
        .args(paths)
        .env("PATH", path)
        .output()
        .with_context(|| format!("cannot run {tool}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
