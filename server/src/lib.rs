//! The servers and the daemons of paceline: all I/O lives here.

pub mod storage;
pub mod timers;
