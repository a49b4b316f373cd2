//! The folder that holds everything of a throw-away cluster.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// How its name begins: nothing else is ever removed.
const PREFIX: &str = "paceline-dev-";
/// Unix sockets lie a few levels below, and their paths are at most 107 bytes long.
const PARENT_BYTES_MAX: usize = 40;

/// A folder that is removed at the end.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// A new folder, readable by this user only.
    ///
    /// # Errors
    /// Where the temporary directory can't be written.
    pub(super) fn create(keep: bool) -> std::io::Result<Self> {
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() > PARENT_BYTES_MAX {
            parent = PathBuf::from("/tmp");
        }
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = parent.join(format!("{PREFIX}{random}"));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, keep })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays.
    pub(super) fn is_kept(&self) -> bool {
        self.keep
    }

    /// It stays: somebody will want to look at the logs.
    pub(super) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Folder {
    /// Removes it, or says that it stays.
    fn drop(&mut self) {
        if self.keep {
            eprintln!("paceline dev: {} is kept", self.path.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("paceline dev: can't remove {}: {error}", self.path.display());
        }
    }
}

/// Removes the folder that a killed `dev` has left, if it is one.
pub(super) fn remove_dead(path: &Path) {
    let ours = path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(PREFIX));
    if ours && path.is_dir() && !path.is_symlink() {
        eprintln!("paceline dev: removing {}, left by one that was killed", path.display());
        if let Err(error) = std::fs::remove_dir_all(path) {
            eprintln!("paceline dev: can't remove {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_folders_are_removed() {
        let other = tempfile::tempdir().unwrap();
        remove_dead(other.path());
        assert!(other.path().exists());
        let left = Folder::create(false).unwrap();
        let path = left.path().to_owned();
        std::mem::forget(left);
        assert!(path.is_dir());
        remove_dead(&path);
        assert!(!path.exists());
    }

    #[test]
    fn it_goes_with_its_owner_unless_it_is_kept() {
        let mut folder = Folder::create(false).unwrap();
        let path = folder.path().to_owned();
        std::fs::write(path.join("n1.log"), "x").unwrap();
        folder.keep();
        drop(folder);
        assert!(path.exists());
        remove_dead(&path);
        let folder = Folder::create(false).unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
