//! Whether a history could have come from one register that does one thing at a time.

mod register;
mod search;
#[cfg(test)]
mod tests;

pub use register::{Register, Step};
pub use search::{Answer, Call, search};
