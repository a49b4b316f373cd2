//! Bytes that change on a disk while nobody looks, and ends of files that never arrived.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::nemesis::Random;

/// One damage, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub at: u64,
    /// What is wrong with it now.
    pub what: String,
}

/// Files below a directory that satisfy a condition and hold something, in order.
///
/// # Errors
/// Where a directory can't be read.
pub fn files(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            found.extend(files(&path, wanted)?);
        } else if kind.is_file() && entry.metadata()?.len() > 0 && wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Flips one bit of one byte of a file.
///
/// # Errors
/// Where the file can't be changed.
pub fn flip(file: &Path, random: &mut Random) -> anyhow::Result<Damage> {
    let open = OpenOptions::new().read(true).write(true).open(file)?;
    let at = random.below(open.metadata()?.len().max(1));
    flip_at(&open, file, at, random)
}

/// Flips one bit of a byte that is not zero: a log file's unused room is zeroes that nobody reads.
///
/// # Errors
/// Where the file can't be changed.
pub fn flip_used(file: &Path, random: &mut Random) -> anyhow::Result<Damage> {
    let open = OpenOptions::new().read(true).write(true).open(file)?;
    let bytes = fs::read(file)?;
    let used = bytes.iter().rposition(|b| *b != 0).map_or(1, |last| last + 1);
    flip_at(&open, file, random.below(used as u64), random)
}

fn flip_at(open: &File, file: &Path, at: u64, random: &mut Random) -> anyhow::Result<Damage> {
    let mut byte = [0];
    open.read_exact_at(&mut byte, at)?;
    let bit = 1_u8 << random.below(8);
    open.write_all_at(&[byte[0] ^ bit], at)?;
    open.sync_all()?;
    Ok(Damage {
        file: file.to_owned(),
        at,
        what: format!("{:#04x} became {:#04x}", byte[0], byte[0] ^ bit),
    })
}

/// Cuts the last bytes off a file, as a write that was torn does.
///
/// # Errors
/// Where the file can't be changed.
pub fn tear(file: &Path, random: &mut Random) -> anyhow::Result<Damage> {
    let open = OpenOptions::new().write(true).open(file)?;
    let length = open.metadata()?.len();
    let cut = 1 + random.below(length.clamp(1, 200));
    let at = length.saturating_sub(cut);
    open.set_len(at)?;
    open.sync_all()?;
    Ok(Damage {
        file: file.to_owned(),
        at,
        what: format!("the last {} bytes are gone", length - at),
    })
}
