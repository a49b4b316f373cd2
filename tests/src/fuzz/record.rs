//! The daemon's record of what it has started: a wrong one must be refused, never half understood.

use std::path::Path;

use server::daemon::record::Record;

use super::{Target, Verdict};

const SAMPLE: &str = r#"{"format":1,"place":{"boot":"b","pid_namespace":1,"cgroup_namespace":2},"session":{"cluster_id":"c","node":2,"session":3,"reported":4},"registering":"nonce","ended":[1,2],"marks":{"web":7,"orders-a":9},"floor":3,"instances":[{"package":"web","start":5,"process":5,"epoch":7,"mode":"active","deadline":true,"reset":false,"supervisor":{"pid":100,"start_time":999},"cgroup":"/sys/fs/cgroup/x"}]}"#;

/// The target.
pub(super) struct DaemonRecord;

impl Target for DaemonRecord {
    fn name(&self) -> &'static str {
        "daemon-record"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        vec![SAMPLE.into(), vec![0; 64]]
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "format",
            "place",
            "session",
            "marks",
            "floor",
            "instances",
            "supervisor",
            "web",
            "active",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let file = Path::new("session.json");
        let record = match Record::decode(file, input) {
            Err(_) => return Ok(Verdict::Refused),
            Ok(None) if input.iter().all(|byte| *byte == 0) => return Ok(Verdict::Accepted),
            Ok(None) => return Err("a record is taken for an empty one".to_owned()),
            Ok(Some(record)) => record,
        };
        let written = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
        match Record::decode(file, &written) {
            Ok(Some(again)) if again == record => {}
            other => return Err(format!("it reads otherwise after it was written: {other:?}")),
        }
        let mut record = record;
        for epoch in [0, 5, 8, u64::MAX] {
            let fresh = record.is_fresh("web", epoch);
            record.mark("web", epoch);
            if record.is_fresh("web", epoch) {
                return Err(format!("epoch {epoch} can be used again (it could before: {fresh})"));
            }
        }
        Ok(Verdict::Accepted)
    }
}
