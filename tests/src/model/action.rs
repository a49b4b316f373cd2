//! What can happen, in the words in which a counterexample is told.

use std::fmt;

/// Which node: 0 or 1.
pub type NodeIndex = usize;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Time passes for everybody; a deadline that is over kills.
    Tick,
    /// A daemon sends a renewal; one that was on its way is lost.
    Send(NodeIndex),
    /// The leader answers it.
    Answer(NodeIndex),
    /// A deposed leader answers it.
    AnswerDeposed(NodeIndex),
    /// The leader completes a round that it will use later.
    KeepRound,
    /// The daemon takes the answer.
    Receive(NodeIndex),
    /// A daemon takes what was sent to its predecessor for the answer to a renewal of its own.
    Mistake(NodeIndex),
    /// Recorded, supervisor recorded, started.
    Start(NodeIndex),
    /// Recorded, and then the daemon dies.
    StartAndDie(NodeIndex),
    /// Recorded, and told of another mode.
    Tell(NodeIndex),
    /// The process answers that it is in that mode.
    Obey(NodeIndex),
    /// What is not desired is stopped, proven.
    Stop(NodeIndex),
    /// The program ends by itself, proven.
    End(NodeIndex),
    /// The daemon reports that nothing is left.
    ReportEnd(NodeIndex),
    /// The report is committed; the unit stays or goes to the other node.
    Reported {
        /// Whose.
        node: NodeIndex,
        /// It stays.
        stay: bool,
    },
    /// The daemon dies.
    Die(NodeIndex),
    /// Another daemon continues from the record.
    Continue(NodeIndex),
    /// Another daemon that can't use the record begins anew.
    Forget(NodeIndex),
    /// All is killed and proven gone, and a registration is sent that names the session.
    Clear(NodeIndex),
    /// The registration is committed.
    Register(NodeIndex),
    /// The daemon hears of it.
    Registered(NodeIndex),
    /// The daemon is told to end: it stops everything and reports that.
    Leave(NodeIndex),
    /// It asks for the end of its session, and exits.
    AskToLeave(NodeIndex),
    /// That is committed.
    Left(NodeIndex),
    /// The leader proposes the session as lost.
    Propose(NodeIndex),
    /// That is committed.
    Lose(NodeIndex),
    /// Another leader is elected, who has or has not what the old one proposed last.
    Elect {
        /// It has it.
        has: bool,
    },
    /// The leader hands its waits to its successor and goes on.
    HandTable,
    /// The new leader has applied its first entry, and so what was left over.
    Ready,
    /// An operator moves the unit.
    Move(NodeIndex),
    /// A new standby is placed.
    Place(NodeIndex),
    /// The holder is to become standby in place.
    Demote(NodeIndex),
    /// The longer lease of a planned restart is committed.
    Extend(NodeIndex),
    /// It is not granted any more.
    EndExtension(NodeIndex),
    /// Another machine of that name registers.
    Twin(NodeIndex),
    /// An operator confirms that the node is off.
    Confirm(NodeIndex),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |node: &NodeIndex| if *node == 0 { "A" } else { "B" };
        let (node, text) = match self {
            Self::Tick => return f.write_str("a tick of time passes"),
            Self::KeepRound => return f.write_str("the leader completes a round and keeps it"),
            Self::Elect { has: true } => {
                return f.write_str("another leader is elected; what the old one proposed is in its log");
            }
            Self::Elect { has: false } => return f.write_str("another leader is elected"),
            Self::HandTable => return f.write_str("the leader hands over its table of waits"),
            Self::Ready => return f.write_str("the new leader has applied what was left over"),
            Self::Reported { node, stay: true } => (node, "'s report is committed; the unit stays there"),
            Self::Reported { node, stay: false } => (node, "'s report is committed; the unit goes elsewhere"),
            Self::Send(node) => (node, " sends a renewal"),
            Self::Answer(node) => (node, "'s renewal is answered by the leader"),
            Self::AnswerDeposed(node) => (node, "'s renewal is answered by the deposed leader"),
            Self::Receive(node) => (node, " receives the answer"),
            Self::Mistake(node) => (node, " takes its predecessor's answer for its own"),
            Self::Start(node) => (node, " records the epoch and starts the instance"),
            Self::StartAndDie(node) => (
                node,
                " records the epoch, and its daemon dies while it starts the instance",
            ),
            Self::Tell(node) => (node, " records the epoch and tells the instance of its mode"),
            Self::Obey(node) => (node, "'s instance answers"),
            Self::Stop(node) => (node, " stops the instance"),
            Self::End(node) => (node, "'s instance ends by itself"),
            Self::ReportEnd(node) => (node, " reports the end"),
            Self::Die(node) => (node, "'s daemon dies"),
            Self::Continue(node) => (node, "'s next daemon continues"),
            Self::Forget(node) => (node, "'s next daemon can't use the record and registers"),
            Self::Clear(node) => (node, " kills everything and registers anew"),
            Self::Register(node) => (node, "'s registration is committed"),
            Self::Registered(node) => (node, " is told of its new session"),
            Self::Leave(node) => (node, "'s daemon is told to end: it stops everything and reports that"),
            Self::AskToLeave(node) => (node, " asks for the end of its session and exits"),
            Self::Left(node) => (node, "'s leave is committed"),
            Self::Propose(node) => (node, "'s session is proposed as lost"),
            Self::Lose(node) => (node, "'s loss is committed"),
            Self::Move(node) => (node, " is to give the unit away"),
            Self::Place(node) => (node, " is to run a standby"),
            Self::Demote(node) => (node, " is to become standby in place"),
            Self::Extend(node) => (node, "'s lease is extended"),
            Self::EndExtension(node) => (node, "'s extended lease is not granted any more"),
            Self::Twin(node) => (node, "'s twin registers with another boot id"),
            Self::Confirm(node) => (node, " is confirmed to be off"),
        };
        write!(f, "{}{text}", name(node))
    }
}
