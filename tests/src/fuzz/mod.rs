//! Fuzzing of everything that parses bytes from outside, on stable Rust and by seed.
//!
//! There is no feedback from coverage on stable, so inputs are made from samples that are accepted: `mutate` changes
//! tokens of text, values of JSON, and bytes. A [`Target`] is a parser with its properties; [`run`] counts what was
//! accepted and what was refused, because a target that refuses everything tests nothing.

mod api;
mod cluster_file;
mod command;
mod condition;
mod daemon_message;
mod mutate;
mod node_file;
mod peer;
mod record;
mod rules;
pub mod run;
mod snapshot;
mod snapshot_file;
mod source;
mod stored;
mod supervisor;

pub use rules::PATENT_EXAMPLE;
pub use source::Source;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was understood.
    Accepted,
    /// It was refused in words.
    Refused,
}

/// A parser with what must hold of it, whatever comes in. A panic is a finding, too.
pub trait Target {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Inputs that are accepted; all others are made from these.
    fn samples(&self) -> Vec<Vec<u8>>;

    /// Whether every sample is accepted. Where a state decides too, some may be refused by what came before them.
    fn takes_every_sample(&self) -> bool {
        true
    }

    /// Words that mean something to this parser.
    fn words(&self) -> &'static [&'static str] {
        &[]
    }

    /// Takes one input.
    ///
    /// # Errors
    /// Which property does not hold, and how.
    fn take(&mut self, input: &[u8]) -> Result<Verdict, String>;

    /// Called at the end of a run: what must hold after all inputs together.
    ///
    /// # Errors
    /// Which property does not hold.
    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// All targets.
///
/// # Errors
/// Where one can't be set up.
pub fn targets() -> anyhow::Result<Vec<Box<dyn Target>>> {
    Ok(vec![
        Box::new(cluster_file::ClusterFile),
        Box::new(rules::Rules),
        Box::new(condition::Conditions),
        Box::new(node_file::NodeFile),
        Box::new(command::Commands::new()?),
        Box::new(snapshot::Snapshot::new()?),
        Box::new(snapshot_file::SnapshotFile::new()?),
        Box::new(stored::Stored),
        Box::new(peer::Peer::new()?),
        Box::new(daemon_message::DaemonMessage),
        Box::new(record::DaemonRecord),
        Box::new(supervisor::Supervisor),
        Box::new(api::ApiRequest::new()?),
    ])
}

/// A directory that is this process's alone.
fn scratch(what: &str) -> std::io::Result<std::path::PathBuf> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("paceline-fuzz-{what}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path)?;
    Ok(path)
}
