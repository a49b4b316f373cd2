//! Tests of the store and of whole groups of servers in one process.

mod store;
mod durability;
mod cluster;
