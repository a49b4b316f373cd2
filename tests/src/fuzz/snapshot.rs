//! Stored states: what can be loaded is stored the same again, and goes on without a panic.

use statemachine::command::Command;
use statemachine::entry::Entry;
use statemachine::id::Term;
use statemachine::snapshot::{from_stored, to_stored, v1};
use statemachine::{State, apply, digest, invariant};

use super::{Target, Verdict, command};

/// The target.
pub(super) struct Snapshot {
    states: Vec<State>,
}

impl Snapshot {
    pub(super) fn new() -> anyhow::Result<Self> {
        let states = command::history()?.states;
        Ok(Self { states })
    }
}

impl Target for Snapshot {
    fn name(&self) -> &'static str {
        "snapshot"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        self.states
            .iter()
            .filter_map(|state| serde_json::to_vec(&to_stored(state)).ok())
            .collect()
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "n1", "n2", "web", "orders", "orders-a", "cpu", "memory", "Up", "Lost", "Left",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let Ok(stored) = serde_json::from_slice::<v1::Snapshot>(input) else {
            return Ok(Verdict::Refused);
        };
        let Ok(mut state) = from_stored(stored) else {
            return Ok(Verdict::Refused);
        };
        // A state that breaks a rule was no server's. It need not be repaired, only be told from a lawful one.
        if invariant::check(&state).is_err() {
            return Ok(Verdict::Refused);
        }
        let mut twin = from_stored(to_stored(&state)).map_err(|error| format!("stored again: {error}"))?;
        if digest(&twin) != digest(&state) {
            return Err("stored and loaded it is another".to_owned());
        }
        let entry = Entry {
            index: state.applied().next(),
            term: Term(1),
            at: state.at(),
            wall_ms: 0,
            request: None,
            command: Command::Tick,
        };
        if apply(&mut state, &entry) != apply(&mut twin, &entry) || digest(&twin) != digest(&state) {
            return Err("two servers disagree after a tick".to_owned());
        }
        Ok(Verdict::Accepted)
    }
}
