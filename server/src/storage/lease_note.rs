//! The lease whose Raft timers a server starts with: it must know them before it has read the state.

use std::io;

use super::backend::{Backend, Batch, Family};
use super::keys::META_LEASE;
use super::writer::{Durability, Writer};

/// The note.
pub struct LeaseNote;

impl LeaseNote {
    /// The noted lease in milliseconds; none where none was ever noted.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn read(backend: &dyn Backend) -> io::Result<Option<u64>> {
        let Some(bytes) = backend.get(Family::Meta, META_LEASE)? else {
            return Ok(None);
        };
        let bytes: [u8; 8] = bytes
            .as_ref()
            .try_into()
            .map_err(|_| io::Error::other(format!("the note of the lease has {} bytes in place of 8", bytes.len())))?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    /// Notes it durably.
    ///
    /// # Errors
    /// Where it can't be written.
    pub async fn write(writer: &Writer, lease_ms: u64) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.put(Family::Meta, META_LEASE, lease_ms.to_be_bytes().to_vec());
        writer.written(batch, Durability::Now).await
    }
}
