//! The servers and the daemons of paceline: all I/O lives here.

pub mod raft;
pub mod storage;
pub mod timers;
