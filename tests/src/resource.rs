//! A resource that takes fencing tokens: one file a unit, to which every active program appends its token.
//!
//! The kernel orders appends to one file, so that the file's order is the order in which the resource was written to,
//! whatever any clock says.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

/// The resource's file in the directory of its unit.
pub const FILE: &str = "resource";

/// A write to the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWrite {
    /// The token: the writer's epoch.
    pub token: u64,
    /// Which node wrote.
    pub node: String,
    /// Which package.
    pub package: String,
    /// Which process, as the host sees it.
    pub pid: i32,
}

impl fmt::Display for TokenWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.token, self.node, self.package, self.pid)
    }
}

impl FromStr for TokenWrite {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("not a write to the resource: {line:?}");
        let fields: Vec<&str> = line.split(' ').collect();
        let [token, node, package, pid] = fields[..] else {
            return Err(wrong());
        };
        Ok(Self {
            token: token.parse().map_err(|_| wrong())?,
            node: node.to_owned(),
            package: package.to_owned(),
            pid: pid.parse().map_err(|_| wrong())?,
        })
    }
}

/// Reads what the resource of every unit below a directory was written.
///
/// # Errors
/// A file that can't be read, or a complete line that is no write.
pub fn read(directory: &Path) -> anyhow::Result<BTreeMap<String, Vec<TokenWrite>>> {
    let mut found = BTreeMap::new();
    if !directory.exists() {
        return Ok(found);
    }
    for unit in fs::read_dir(directory)? {
        let unit = unit?;
        let path = unit.path().join(FILE);
        if path.exists() {
            let name = unit.file_name().to_string_lossy().into_owned();
            found.insert(name, parse(&fs::read_to_string(path)?)?);
        }
    }
    Ok(found)
}

fn parse(text: &str) -> anyhow::Result<Vec<TokenWrite>> {
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .map(|line| line.parse().map_err(anyhow::Error::msg))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_comes_back_as_it_was() {
        let line = "17 n1 orders-1 4711";
        assert_eq!(line.parse::<TokenWrite>().expect("a write").to_string(), line);
        assert_eq!(parse("17 n1 p 1\n18 n").expect("readable").len(), 1);
        assert!(parse("nonsense\n").is_err());
    }
}
