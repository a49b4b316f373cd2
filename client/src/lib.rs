//! What every program outside the servers uses to speak with them: the daemons, the command line, and yours.
//!
//! [`Client`] has one method per request of the API and finds a server by itself; [`wire`] holds the bodies; [`mod@file`]
//! reads a cluster file and reports *all* its errors with line and column; [`cli`] is the operator's command line, which
//! speaks nothing but the public API; [`dev`] finds a throw-away cluster that runs on this machine.

pub mod cli;
mod client;
pub mod dev;
mod dual;
mod error;
pub mod file;
mod nearest;
mod sse;
mod target;
mod transport;
mod watch;
pub mod wire;

pub use client::{Answer, Client, EventQuery, Wait};
pub use dual::{Dual, DualWatch};
pub use error::{ClientError, Tried};
pub use nearest::nearest;
pub use watch::{Notice, Watch, WatchQuery};
