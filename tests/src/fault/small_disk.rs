//! A file system of a fixed size in memory: the quickest full disk.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::mount::{MsFlags, mount, umount};

/// A small file system in memory, mounted on a directory for as long as this lives. Needs root.
#[derive(Debug)]
pub struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    /// Mounts one of so many MiB on the directory; none where this process may not mount (the reason is printed).
    ///
    /// # Errors
    /// Where the directory can't be made.
    pub fn mount(directory: &Path, mebibytes: u32) -> anyhow::Result<Option<Self>> {
        fs::create_dir_all(directory)?;
        let options = format!("size={mebibytes}m,mode=0700");
        match mount(
            Some("tmpfs"),
            directory,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(options.as_str()),
        ) {
            Ok(()) => Ok(Some(Self {
                directory: directory.to_owned(),
            })),
            Err(error) => {
                eprintln!("skipped: no small disk can be mounted here ({error}); run as root to include this");
                Ok(None)
            }
        }
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// Where the file that fills it can't be made.
    pub fn fill(&self) -> anyhow::Result<()> {
        let path = self.filler();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .context("cannot make the filler")?;
        for size in [1 << 20, 4096, 1] {
            let block = vec![0_u8; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// Where it was not filled.
    pub fn free(&self) -> anyhow::Result<()> {
        fs::remove_file(self.filler()).context("the disk was not filled")
    }

    fn filler(&self) -> PathBuf {
        self.directory.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = umount(&self.directory) {
            eprintln!("cannot unmount {}: {error}", self.directory.display());
        }
    }
}
