//! A data directory that is damaged, or another node's: refused with what was found, and nothing is overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tests::cluster::Cluster;
use tests::wait::wait_for;

/// n3's directory is n2's: `serve` refuses it by name.
#[test]
fn that_of_another_node() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("foreign-directory", 3)?;
    cluster.node("n2").kill()?;
    cluster.node("n3").kill()?;
    let (n2, n3) = (
        cluster.node("n2").data_dir().to_owned(),
        cluster.node("n3").data_dir().to_owned(),
    );
    let kept = n3.with_extension("kept");
    fs::rename(&n3, &kept)?;
    copy(&n2, &n3)?;
    refuses(&mut cluster, "n3", &["n2"])?;
    fs::remove_dir_all(&n3)?;
    fs::rename(&kept, &n3)?;
    for name in ["n2", "n3"] {
        cluster.node(name).start()?;
    }
    cluster.wait_until_whole()?;
    cluster.finish()
}

/// Every file of the store holds noise: refused, and the noise is still there.
#[test]
fn a_damaged_one() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("damaged-directory", 3)?;
    cluster.node("n3").kill()?;
    let n3 = cluster.node("n3").data_dir().to_owned();
    let kept = n3.with_extension("kept");
    copy(&n3, &kept)?;
    let mut damaged = 0;
    for path in files(&n3)? {
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with("MANIFEST") || name.ends_with(".sst") || name.ends_with(".log") {
            let length = fs::metadata(&path)?.len().max(64);
            fs::write(&path, vec![0xa5_u8; usize::try_from(length)?])?;
            damaged += 1;
        }
    }
    anyhow::ensure!(damaged > 0, "nothing to damage below {}", n3.display());
    refuses(&mut cluster, "n3", &["n3"])?;
    fs::remove_dir_all(&n3)?;
    fs::rename(&kept, &n3)?;
    cluster.node("n3").start()?;
    cluster.wait_until_whole()?;
    cluster.finish()
}

/// Starts the node and waits until its log says why it can't go on; the store's files stay as they were.
fn refuses(cluster: &mut Cluster, name: &str, words: &[&str]) -> anyhow::Result<()> {
    let data_dir = cluster.node(name).data_dir().to_owned();
    let before = contents(&data_dir)?;
    let printed = cluster.node(name).log_text()?.len();
    cluster.node(name).start()?;
    wait_for(
        &format!("{name} to refuse its directory"),
        Duration::from_secs(15),
        || {
            let text = cluster.node(name).log_text().map_err(|e| e.to_string())?;
            let new = text.get(printed..).unwrap_or_default();
            let said = new.contains(&data_dir.display().to_string()) && words.iter().all(|word| new.contains(word));
            if said { Ok(()) } else { Err(new.to_owned()) }
        },
    )?;
    cluster.node(name).kill()?;
    let after = contents(&data_dir)?;
    for (path, bytes) in &before {
        anyhow::ensure!(after.get(path) == Some(bytes), "{} was changed", path.display());
    }
    Ok(())
}

/// The store's files with their bytes; what lives only as long as a process runs is left out.
fn contents(directory: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut contents = BTreeMap::new();
    for path in files(directory)? {
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let stored =
            name.ends_with(".sst") || name.ends_with(".log") || name.starts_with("MANIFEST") || name == "CURRENT";
        if stored {
            contents.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(contents)
}

fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            found.extend(files(&path)?);
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for path in files(from)? {
        let target = to.join(path.strip_prefix(from)?);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(&path, &target)?;
    }
    Ok(())
}
