//! Checks every invariant on what a story or a nemesis left in its directory: `checker DIRECTORY…`.
//!
//! A run that found a violation keeps its directory and prints where. What was only seen from outside while it ran (answers
//! of servers, processes) is not in it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use tests::invariants::{Evidence, check_all};

fn main() -> anyhow::Result<ExitCode> {
    let directories: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    anyhow::ensure!(!directories.is_empty(), "give the directories of the runs to check");
    let mut sound = true;
    for directory in directories {
        let evidence = Evidence::of_directory(&directory).with_context(|| directory.display().to_string())?;
        let verdict = check_all(&evidence);
        println!("{}: {verdict}", directory.display());
        for violation in &verdict.violations {
            println!("  {violation}");
        }
        sound &= verdict.violations.is_empty();
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
