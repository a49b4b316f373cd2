//! Files of snapshots as they come from other servers: one that is not whole is refused, always.

use std::path::PathBuf;

use server::storage::{SnapshotDirectory, SnapshotHeader};

use super::{Target, Verdict};

/// The target.
pub(super) struct SnapshotFile {
    path: PathBuf,
    directory: SnapshotDirectory,
    whole: Vec<Vec<u8>>,
}

impl SnapshotFile {
    pub(super) fn new() -> anyhow::Result<Self> {
        let path = super::scratch("snapshot-file")?;
        let directory = SnapshotDirectory::open(&path)?;
        let mut whole = Vec::new();
        for (index, body) in [&b""[..], b"state", &[7; 300]].into_iter().enumerate() {
            let header = SnapshotHeader {
                last: Some((3, index as u64 + 1)),
                command: 5,
                membership_at: None,
                membership: vec![1, 2, 3],
            };
            whole.push(std::fs::read(directory.save(&header, body)?.path())?);
        }
        Ok(Self { path, directory, whole })
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Target for SnapshotFile {
    fn name(&self) -> &'static str {
        "snapshot-file"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        self.whole.clone()
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let part = self.directory.part();
        std::fs::write(&part, input).map_err(|error| error.to_string())?;
        let body = self.directory.open_part(&part).and_then(|snapshot| snapshot.body());
        std::fs::remove_file(&part).map_err(|error| error.to_string())?;
        match body {
            Err(_) => Ok(Verdict::Refused),
            Ok(_) if self.whole.iter().any(|whole| whole == input) => Ok(Verdict::Accepted),
            Ok(_) => Err("a damaged file is taken for a whole one".to_owned()),
        }
    }
}
