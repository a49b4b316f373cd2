//! The model as stateright searches it.

use stateright::{Model, Property};

use super::action::Action;
use super::rules::{Confirmation, OwnAnswers, Rules, Takeover};
use super::scope::{Safety, Scope};
use super::state::State;
use super::steps;

/// No two instances are active at one instant (I1).
pub const ONE_ACTIVE: &str = "at most one instance is active";
/// No epoch becomes active twice, and they grow (I2).
pub const EPOCHS_GROW: &str = "epochs grow and none is used twice";
/// A witness: the search has seen a takeover.
pub const TAKEN_OVER: &str = "the unit is taken over";
/// A witness: the search has seen a takeover under the last leader, whose predecessors all led.
pub const TAKEN_OVER_LATE: &str = "the unit is taken over under the last leader";

/// A part of the protocol under some rules.
#[derive(Clone, Copy, Debug)]
pub struct LeaseModel {
    /// Which part.
    pub scope: Scope,
    /// Under which rules.
    pub rules: Rules,
}

impl LeaseModel {
    fn node_actions(&self, node: usize, actions: &mut Vec<Action>) {
        let Self { scope, rules } = self;
        actions.extend([
            Action::Send(node),
            Action::Answer(node),
            Action::Receive(node),
            Action::Start(node),
            Action::Stop(node),
            Action::End(node),
            Action::ReportEnd(node),
            Action::Reported { node, stay: false },
            Action::Reported { node, stay: true },
            Action::Propose(node),
            Action::Lose(node),
            Action::Clear(node),
        ]);
        let mut when = |is: bool, some: &[Action]| {
            if is {
                actions.extend_from_slice(some);
            }
        };
        when(
            scope.restarts > 0,
            &[Action::StartAndDie(node), Action::Die(node), Action::Continue(node)],
        );
        when(scope.restarts > 0 && scope.sessions > 1, &[Action::Forget(node)]);
        when(scope.sessions > 1, &[Action::Register(node), Action::Registered(node)]);
        when(
            scope.standby,
            &[
                Action::Tell(node),
                Action::Obey(node),
                Action::Place(node),
                Action::Demote(node),
            ],
        );
        when(scope.moves, &[Action::Move(node)]);
        when(
            scope.leaves,
            &[Action::Leave(node), Action::AskToLeave(node), Action::Left(node)],
        );
        when(
            scope.extends && node == 0,
            &[Action::Extend(node), Action::EndExtension(node)],
        );
        when(scope.twin && node == 0, &[Action::Twin(node)]);
        when(scope.safety != Safety::Lease, &[Action::Confirm(node)]);
        when(rules.confirmation != Confirmation::Own, &[Action::AnswerDeposed(node)]);
        when(rules.answers != OwnAnswers::Only, &[Action::Mistake(node)]);
    }
}

impl Model for LeaseModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self.scope.wait)]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        actions.extend([
            Action::Tick,
            Action::Ready,
            Action::Elect { has: false },
            Action::Elect { has: true },
        ]);
        self.node_actions(0, actions);
        self.node_actions(1, actions);
        if self.rules.confirmation == Confirmation::Earlier {
            actions.push(Action::KeepRound);
        }
        if matches!(self.rules.takeover, Takeover::Table | Takeover::OldTable) {
            actions.push(Action::HandTable);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        steps::step(self, &mut state, action).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_ACTIVE, |_: &Self, state: &State| state.actives() <= 1),
            Property::always(EPOCHS_GROW, |_: &Self, state: &State| !state.reused),
            Property::sometimes(TAKEN_OVER, |_: &Self, state: &State| {
                state.used > 1 && state.actives() == 1
            }),
            Property::sometimes(TAKEN_OVER_LATE, |model: &Self, state: &State| {
                let last = state.leader.term == model.scope.terms && state.leader.ready;
                last && state.used > 1 && state.actives() == 1
            }),
        ]
    }
}
