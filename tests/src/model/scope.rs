//! Which part of the protocol a search covers, and where it ends.

/// What the program of the unit says of its own safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// `safety = "lease"`: the end of the lease releases it.
    Lease,
    /// `safety = "fenced"`: only an operator or the node itself releases it.
    Fenced,
    /// `on_quorum_loss = "freeze"`: no deadline is armed, so the end of the lease releases nothing.
    Freeze,
}

/// The part of the protocol that is searched, with its bounds. Wall time has none: all times are relative.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// `T`.
    pub lease: u8,
    /// `K`, with what drift of the clocks adds.
    pub kill: u8,
    /// `W`.
    pub wait: u8,
    /// Terms; the leader changes once less.
    pub terms: u8,
    /// Epochs that are given out.
    pub epochs: u8,
    /// Sessions of a node; more than one lets it register anew.
    pub sessions: u8,
    /// How often a node's daemon dies and comes again.
    pub restarts: u8,
    /// Both nodes hold an instance, one of them as standby, promoted and demoted without an exit.
    pub standby: bool,
    /// An operator moves the unit.
    pub moves: bool,
    /// The nodes leave in order.
    pub leaves: bool,
    /// The first node asks for an extended lease, as before a planned restart.
    pub extends: bool,
    /// A second machine with the first node's name, and its copied disk.
    pub twin: bool,
    /// Of the unit.
    pub safety: Safety,
}

impl Scope {
    /// Two nodes, two terms, one session each, three epochs; `T` = 1, `K` = 1, `W` = 3.
    #[must_use]
    pub const fn base() -> Self {
        Self {
            lease: 1,
            kill: 1,
            wait: 3,
            terms: 2,
            epochs: 3,
            sessions: 1,
            restarts: 0,
            standby: false,
            moves: false,
            leaves: false,
            extends: false,
            twin: false,
            safety: Safety::Lease,
        }
    }

    /// `W` of the longest lease that may be out.
    #[must_use]
    pub const fn wait_extended(&self) -> u8 {
        self.wait + EXTENSION
    }
}

/// An extended lease is longer by this.
pub const EXTENSION: u8 = 1;
