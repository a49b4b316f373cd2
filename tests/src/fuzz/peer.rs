//! Messages among servers: what is accepted means the same when it is sent on.

use server::raft::messages;

use super::{Target, Verdict, command};

/// The target. The first byte of an input says which message it is.
pub(super) struct Peer {
    samples: Vec<Vec<u8>>,
}

impl Peer {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut samples = Vec::new();
        for batch in command::history()?.batches.iter().step_by(5) {
            for (kind, bytes) in messages::samples(&batch.proposals)? {
                let number = messages::KINDS.iter().position(|known| *known == kind).unwrap_or(0);
                let sample = [&[u8::try_from(number)?][..], &bytes[..]].concat();
                if !samples.contains(&sample) {
                    samples.push(sample);
                }
            }
        }
        Ok(Self { samples })
    }
}

impl Target for Peer {
    fn name(&self) -> &'static str {
        "peer"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        self.samples.clone()
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "vote",
            "last",
            "entries",
            "proposals",
            "command",
            "Tick",
            "n1",
            "at",
            "wall_ms",
            "request",
            "member",
            "Remove",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let Some((kind, bytes)) = input.split_first() else {
            return Ok(Verdict::Refused);
        };
        let kind = messages::KINDS[usize::from(*kind) % messages::KINDS.len()];
        let Ok(once) = messages::round_trip(kind, bytes) else {
            return Ok(Verdict::Refused);
        };
        match messages::round_trip(kind, &once) {
            Ok(twice) if twice == once => Ok(Verdict::Accepted),
            other => Err(format!("{kind}: sent on it is another: {other:?}")),
        }
    }
}
