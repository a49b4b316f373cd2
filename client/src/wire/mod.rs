//! HTTP bodies of `/v1`: plain data, no behaviour beyond reading and writing themselves.
//!
//! Answers may gain fields freely; readers ignore what they do not know. Bodies that people write (definitions) refuse
//! unknown keys.

pub mod control;
pub mod daemon;
pub mod definition;
pub mod duration;
pub mod error;
pub mod event;
pub mod failover;
pub mod node;
pub mod package;
pub mod plan;
pub mod resource;
pub mod rules;
pub mod status;
pub mod watch;
