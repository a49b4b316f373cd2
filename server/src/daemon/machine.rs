//! Which machine this is: a name belongs to one machine, and a second one of that name is refused.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;

/// Digest of a key that is made once in the data directory and of the machine's own id: a copied disk is another machine.
///
/// # Errors
/// Where the key can neither be read nor made.
pub fn machine(data_dir: &Path) -> io::Result<String> {
    let file = data_dir.join("machine.key");
    let key = match fs::read_to_string(&file) {
        Ok(key) => key,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0_u8; 16];
            getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
            let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            // Written as a whole: half a key would make this another machine at the next start.
            let new = data_dir.join("machine.key.new");
            fs::write(&new, &key)?;
            fs::File::open(&new)?.sync_all()?;
            fs::rename(&new, &file)?;
            key
        }
        Err(error) => return Err(error),
    };
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    id.trim().hash(&mut hasher);
    Ok(format!("{}-{:016x}", key.trim(), hasher.finish()))
}
