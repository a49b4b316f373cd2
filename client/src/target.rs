//! Paths and queries of requests, escaped.

use serde::Serialize;

use crate::error::ClientError;
use crate::wire::error::Problem;

/// A path with the fields of a query behind it; a list's field comes once for each of its members.
pub(crate) fn target(path: &str, query: &impl Serialize) -> Result<String, ClientError> {
    let fields = serde_json::to_value(query).map_err(|error| ClientError::Setup(error.to_string()))?;
    let mut target = path.to_owned();
    for (key, value) in fields.as_object().into_iter().flatten() {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&format!("{key}={}", encoded(&value)));
        }
    }
    Ok(target)
}

/// A path of segments, each escaped. `.` and `..` would be taken for steps of the path, so they name nothing.
pub(crate) fn path(segments: &[&str]) -> Result<String, ClientError> {
    let mut path = String::new();
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            let detail = format!("{segment:?} is not a name");
            let problem = Problem::new(404, "Not Found", "not_found", detail);
            return Err(ClientError::Refused(Box::new(problem)));
        }
        path.push('/');
        path.push_str(&encoded(segment));
    }
    Ok(path)
}

/// Percent-encoding of everything but letters, digits, `-`, `.`, `_` and `~`.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
