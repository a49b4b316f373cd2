//! What follows from each action: a tick of time, what daemons do, what leaders do, what the log does.
//!
//! Each function answers whether the action can happen in this state, and if so has made it happen.

pub mod daemon;
pub mod leader;
pub mod log;
pub mod session;
pub mod time;

use super::action::{Action, NodeIndex};
use super::lease_model::LeaseModel;
use super::state::State;

/// The other node.
#[must_use]
pub const fn other(node: NodeIndex) -> NodeIndex {
    1 - node
}

/// Makes an action happen, if it can.
#[must_use]
pub fn step(model: &LeaseModel, state: &mut State, action: Action) -> bool {
    let happened = match action {
        Action::Tick => time::tick(model, state),
        Action::Send(node) => daemon::send(state, node),
        Action::Receive(node) => daemon::receive(model, state, node),
        Action::Mistake(node) => daemon::mistake(state, node),
        Action::Start(node) => daemon::start(model, state, node),
        Action::StartAndDie(node) => daemon::start_and_die(model, state, node),
        Action::Tell(node) => daemon::tell(model, state, node),
        Action::Obey(node) => daemon::obey(model, state, node),
        Action::Stop(node) => daemon::stop(state, node),
        Action::End(node) => daemon::end(state, node),
        Action::ReportEnd(node) => daemon::report_end(model, state, node),
        Action::Die(node) => session::die(model, state, node),
        Action::Continue(node) => session::go_on(model, state, node),
        Action::Forget(node) => session::forget(model, state, node),
        Action::Clear(node) => session::clear(model, state, node),
        Action::Registered(node) => session::registered(model, state, node),
        Action::Leave(node) => session::leave(model, state, node),
        Action::AskToLeave(node) => session::ask_to_leave(model, state, node),
        Action::Answer(node) => leader::answer(model, state, node),
        Action::AnswerDeposed(node) => leader::answer_deposed(model, state, node),
        Action::KeepRound => leader::keep_round(model, state),
        Action::Propose(node) => leader::propose(state, node),
        Action::Elect { has } => leader::elect(model, state, has),
        Action::HandTable => leader::hand_table(model, state),
        Action::Ready => leader::ready(model, state),
        Action::Lose(node) => log::lose(model, state, node),
        Action::Reported { node, stay } => log::reported(model, state, node, stay),
        Action::Register(node) => log::register(model, state, node),
        Action::Left(node) => log::left(model, state, node),
        Action::Move(node) => log::move_away(state, node),
        Action::Place(node) => log::place_standby(model, state, node),
        Action::Demote(node) => log::demote(model, state, node),
        Action::Extend(node) => log::extend(state, node),
        Action::EndExtension(node) => log::end_extension(model, state, node),
        Action::Twin(node) => log::twin(model, state, node),
        Action::Confirm(node) => log::confirm(model, state, node),
    };
    if happened {
        time::tidy(model, state);
    }
    happened
}
