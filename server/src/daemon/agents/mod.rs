//! How packages are driven. One kind so far: a command of its own under a supervisor.

pub mod exec;
