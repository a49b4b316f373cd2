//! The servers and the daemons of paceline: all I/O lives here.
//!
//! `main -> {api, daemon, raft}`, `api -> raft`, `raft -> storage`; `daemon` speaks to servers only over HTTP, as on a
//! remote machine. `docs/ARCHITECTURE.md` has the map.

pub mod api;
pub mod config;
pub mod daemon;
pub mod dev;
pub mod failovers;
pub mod forward;
pub mod http;
pub mod lease;
pub mod metrics;
pub mod raft;
pub mod sample;
pub mod serve;
pub mod server_process;
pub mod storage;
pub mod supervisor;
pub mod timers;
mod witness;
