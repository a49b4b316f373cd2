//! Tests of the store and of whole groups of servers in one process.

mod cluster;
mod durability;
mod handover;
mod store;
