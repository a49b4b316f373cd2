//! Measuring: what `scripts/bench` runs. Every figure comes with the machine's load and with how it was measured.

pub mod etcd;
pub mod events;
pub mod failover;
pub mod load;
pub mod plan;
pub mod report;
pub mod saturation;
pub mod switchover;
pub mod watch;
pub mod writes;
