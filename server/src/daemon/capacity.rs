//! What this machine has, where the node file does not say.

use std::collections::BTreeMap;

/// `cpu` in millicores and `memory` in MiB as measured, overridden key by key by what is declared.
#[must_use]
pub fn capacity(declared: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut capacity = BTreeMap::new();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    capacity.insert(
        "cpu".to_owned(),
        u64::try_from(processors).unwrap_or(u64::MAX).saturating_mul(1_000),
    );
    if let Some(memory) = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .as_deref()
        .and_then(memory_mib)
    {
        capacity.insert("memory".to_owned(), memory);
    }
    capacity.extend(declared.iter().map(|(key, value)| (key.clone(), *value)));
    capacity
}

fn memory_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_mib() {
        assert_eq!(memory_mib("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), Some(16_000));
        assert_eq!(memory_mib("nothing"), None);
    }

    #[test]
    fn what_is_declared_wins() {
        let declared = BTreeMap::from([("cpu".to_owned(), 7), ("licences".to_owned(), 2)]);
        let capacity = capacity(&declared);
        assert_eq!((capacity["cpu"], capacity["licences"]), (7, 2));
    }
}
