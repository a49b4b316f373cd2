//! What daemons send to servers, up to the command that is made of it.

use client::wire::daemon::{Extend, Leave, Register, Renew, Renewed, Report};
use serde::Serialize;
use serde::de::DeserializeOwned;
use server::api::protocol;

use super::{Target, Verdict};

const SAMPLES: [&str; 5] = [
    r#"{"name":"n1","machine":"m","boot":"b","nonce":"x","ended":[3,4],"capacity":{"cpu":1000,"memory":512},"labels":{"rack":"a"},"api":"127.0.0.1:7400","containment":"namespace","cut_off_ms":900}"#,
    r#"{"cluster_id":"c","node":2,"session":3,"nonce":77,"generation":4}"#,
    r#"{"node":2,"session":3,"sequence":1,"observations":[{"package":"web","start":5,"epoch":6,"state":"ended","cause":"exited","code":-9,"detail":"it ended"},{"package":"web","start":5,"epoch":6,"state":"running","mode":"active","detail":""}]}"#,
    r#"{"node":2,"session":3,"lease_ms":30000}"#,
    r#"{"nonce":1,"lease_ms":1000,"soft_ms":300,"renew_ms":200,"retry_ms":50,"generation":3,"desired":[{"package":"web","start":5,"epoch":6,"mode":"active","output":"released","delay_ms":0,"deadline":true,"run":{"command":["/bin/true"],"env":{"A":"b"}},"promote":["/bin/p"],"probe":{"tcp":"127.0.0.1:80"},"start_timeout_ms":1,"stop_timeout_ms":2}],"servers":["127.0.0.1:7401"]}"#,
];

/// The target. An input is tried as every message.
pub(super) struct DaemonMessage;

impl Target for DaemonMessage {
    fn name(&self) -> &'static str {
        "daemon-message"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        SAMPLES.iter().map(|sample| sample.as_bytes().to_vec()).collect()
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "running",
            "failing",
            "ended",
            "requested",
            "exited",
            "signalled",
            "not_started",
            "probe_failed",
            "lease_ended",
            "standby",
            "active",
            "test",
            "namespace",
            "user_namespace",
            "group",
            "n1",
            "web",
            "cpu",
            "detail",
            "mode",
            "cause",
        ]
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let mut accepted = false;
        if let Some(message) = stable::<Register>(input)? {
            accepted |= protocol::register(message).is_ok();
        }
        if let Some(message) = stable::<Report>(input)? {
            accepted |= protocol::report(message).is_ok();
        }
        if let Some(message) = stable::<Extend>(input)? {
            let _ = protocol::extend(&message);
            accepted = true;
        }
        if let Some(message) = stable::<Leave>(input)? {
            let _ = protocol::leave(&message);
            accepted = true;
        }
        accepted |= stable::<Renew>(input)?.is_some() | stable::<Renewed>(input)?.is_some();
        Ok(if accepted { Verdict::Accepted } else { Verdict::Refused })
    }
}

/// A message, where it is one; it has to read the same after it was written.
pub(super) fn stable<T: DeserializeOwned + Serialize + PartialEq>(input: &[u8]) -> Result<Option<T>, String> {
    let Ok(message) = serde_json::from_slice::<T>(input) else {
        return Ok(None);
    };
    let written = serde_json::to_vec(&message).map_err(|error| error.to_string())?;
    match serde_json::from_slice::<T>(&written) {
        Ok(again) if again == message => Ok(Some(message)),
        _ => Err(format!(
            "it reads otherwise after it was written as {}",
            written.escape_ascii()
        )),
    }
}
