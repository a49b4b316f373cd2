//! What every program outside the servers uses to speak with them: the daemons, the command line, and yours.
//!
//! [`Client`](client::Client) has one method per request of the API and finds a server by itself; [`wire`] holds the
//! bodies; [`file`] reads a cluster file and reports *all* its errors with line and column.

pub mod file;
mod nearest;
pub mod wire;

pub use nearest::nearest;
