//! The register that a key is to behave like.

/// What one operation does to a register, and what it saw.
///
/// Values are numbers that stand for what clients wrote: every write of a run has a value of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Read this; none: nothing was there.
    Read(Option<u32>),
    /// Wrote this.
    Write(u32),
    /// Found the first and wrote the second.
    Swap(Option<u32>, u32),
    /// Was refused, since it did not find this. Of a key that is not there the server keeps only when any key of its node was
    /// removed last, so a swap from nothing may be refused although nothing is there.
    NotSwapped(Option<u32>),
}

/// What a register holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Register(pub Option<u32>);

impl Register {
    /// The register after a step; none where the step could not have happened to it.
    #[must_use]
    pub fn after(self, step: Step) -> Option<Self> {
        match step {
            Step::Read(seen) => (self.0 == seen).then_some(self),
            Step::Write(value) => Some(Self(Some(value))),
            Step::Swap(from, to) => (self.0 == from).then_some(Self(Some(to))),
            Step::NotSwapped(from) => (from.is_none() || self.0 != from).then_some(self),
        }
    }
}
