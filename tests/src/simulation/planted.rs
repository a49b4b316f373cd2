//! Bugs that the simulation plants, to show that it finds them. They are in the simulated surroundings of the product's
//! code, never in the product.

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A node counts its lease from the receipt of the answer.
    LeaseFromReceipt,
    /// The leader waits `T` instead of `W` before it declares a session lost.
    WaitTooShort,
    /// The leader answers renewals without a quorum's confirmation.
    NoQuorumRound,
    /// A new leader does not give every session the whole wait.
    NewLeaderDoesNotWait,
    /// Servers acknowledge what is written but not yet durable.
    AckBeforeDurable,
    /// The deadline works only while the supervisor runs.
    DeadmanInUserSpace,
    /// A daemon that starts again has forgotten which epochs were used.
    EpochReused,
    /// A clean start names sessions whose processes it did not prove gone.
    CleanStartUnproven,
    /// A lost session is written into the log in whatever term there is.
    LostInAnyTerm,
    /// A supervisor that was told "go" after its daemon died arms no deadline.
    DeadlineNotArmed,
    /// A server applies a command twice when it is proposed twice.
    KeysIgnored,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::LeaseFromReceipt,
        Self::WaitTooShort,
        Self::NoQuorumRound,
        Self::NewLeaderDoesNotWait,
        Self::AckBeforeDurable,
        Self::DeadmanInUserSpace,
        Self::EpochReused,
        Self::CleanStartUnproven,
        Self::LostInAnyTerm,
        Self::DeadlineNotArmed,
        Self::KeysIgnored,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeaseFromReceipt => "lease-from-receipt",
            Self::WaitTooShort => "wait-too-short",
            Self::NoQuorumRound => "no-quorum-round",
            Self::NewLeaderDoesNotWait => "new-leader-does-not-wait",
            Self::AckBeforeDurable => "ack-before-durable",
            Self::DeadmanInUserSpace => "deadman-in-user-space",
            Self::EpochReused => "epoch-reused",
            Self::CleanStartUnproven => "clean-start-unproven",
            Self::LostInAnyTerm => "lost-in-any-term",
            Self::DeadlineNotArmed => "deadline-not-armed",
            Self::KeysIgnored => "keys-ignored",
        }
    }

    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|planted| planted.name() == name)
    }
}
