//! The stored shapes of log entries. What is stored is frozen per version: see the rules in `docs/UPGRADES.md`.

pub mod v1;
