//! Entries of the log: decoded, applied to states of a real log, by two servers that must agree.

use anyhow::Context as _;
use server::raft::messages;
use statemachine::entry::Entry;
use statemachine::id::Term;
use statemachine::log::v1::Batch;
use statemachine::snapshot::{from_stored, to_stored};
use statemachine::{State, apply, digest, invariant};

use super::{Target, Verdict};

const LOG: &str = include_str!("../../../statemachine/tests/golden/log-v1.txt");
const COMMANDS: &str = include_str!("../../../statemachine/tests/golden/commands-v1.txt");
/// A state of the log is kept after so many entries.
const STATE_EVERY: usize = 8;

/// The target.
pub(super) struct Commands {
    batches: Vec<Batch>,
    states: Vec<State>,
}

/// The states that a server went through, and the batches that led there.
pub(super) struct History {
    pub(super) batches: Vec<Batch>,
    pub(super) states: Vec<State>,
}

/// What the golden files of the state machine hold.
pub(super) fn history() -> anyhow::Result<History> {
    let mut batches = Vec::new();
    let mut states = vec![State::new()];
    let mut state = State::new();
    for (number, line) in LOG.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [term, bytes, _digest] = words[..] else {
            // Another story begins.
            states.push(state);
            state = State::new();
            continue;
        };
        let batch = decode(bytes)?;
        for proposal in &batch.proposals {
            let entry = entry(&state, Term(term.parse()?), &batch, proposal);
            let _ = apply(&mut state, &entry);
        }
        batches.push(batch);
        if number % STATE_EVERY == 0 {
            states.push(state.clone());
        }
    }
    states.push(state);
    for line in COMMANDS.lines() {
        let (_, bytes) = line.split_once(' ').context("a name and bytes")?;
        batches.push(decode(bytes.trim())?);
    }
    Ok(History { batches, states })
}

fn decode(hex: &str) -> anyhow::Result<Batch> {
    let digits: Vec<u8> = hex.bytes().collect();
    let mut bytes = vec![1];
    for pair in digits.chunks(2) {
        bytes.push(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    }
    Ok(messages::batch(&bytes)?)
}

fn entry(state: &State, term: Term, batch: &Batch, proposal: &statemachine::log::v1::Proposal) -> Entry {
    Entry {
        index: state.applied().next(),
        term,
        at: batch.at,
        wall_ms: batch.wall_ms,
        request: proposal.request.clone(),
        command: proposal.command.clone(),
    }
}

impl Commands {
    pub(super) fn new() -> anyhow::Result<Self> {
        let History { batches, states } = history()?;
        Ok(Self { batches, states })
    }
}

impl Target for Commands {
    fn name(&self) -> &'static str {
        "command"
    }

    /// As JSON, so that they are changed as values; as bytes they are a sample of `peer`.
    fn samples(&self) -> Vec<Vec<u8>> {
        self.batches
            .iter()
            .filter_map(|batch| serde_json::to_vec(batch).ok())
            .collect()
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "n1",
            "n2",
            "n3",
            "web",
            "orders",
            "orders-a",
            "orders-b",
            "a",
            "cpu",
            "memory",
            "Tick",
            "Start",
            "Stop",
            "Test",
            "Active",
            "Standby",
            "Running",
            "Failing",
            "Ended",
            "PutPackage",
            "PutGroup",
            "RemovePackage",
            "SetAttribute",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let Ok(batch) = serde_json::from_slice::<Batch>(input) else {
            return Ok(Verdict::Refused);
        };
        let bytes = messages::encode_batch(&batch).map_err(|error| error.to_string())?;
        match messages::batch(&bytes) {
            Ok(again) if again == batch => {}
            other => return Err(format!("encoded and decoded it is another: {other:?}")),
        }
        // Which state, is up to the input alone: so a finding is the input alone.
        let chosen = input.iter().fold(7_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
        });
        let mut state = self.states[chosen % self.states.len()].clone();
        let mut twin = from_stored(to_stored(&state)).map_err(|error| error.to_string())?;
        for proposal in &batch.proposals {
            let entry = entry(&state, Term(1), &batch, proposal);
            let (here, there) = (apply(&mut state, &entry), apply(&mut twin, &entry));
            if here != there {
                return Err(format!("two servers made of it {here:?} and {there:?}"));
            }
            invariant::check(&state).map_err(|violation| format!("after {:?}: {violation}", proposal.command))?;
            if digest(&state) != digest(&twin) {
                return Err(format!("two servers disagree after {:?}", proposal.command));
            }
        }
        Ok(Verdict::Accepted)
    }
}
