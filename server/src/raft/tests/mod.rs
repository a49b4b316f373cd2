//! Tests of the store and of whole groups of servers in one process.

mod cluster;
mod durability;
mod environment;
mod handover;
mod store;
