//! Which events are asked for.

use statemachine::id::Index;

use super::EventRecord;

/// Which events are wanted; an empty filter wants the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those after this index.
    pub after: Option<Index>,
    /// Only those before this index.
    pub before: Option<Index>,
    /// Only those from this wall time on, in milliseconds since 1970.
    pub since_wall_ms: Option<u64>,
    /// Only those up to this wall time.
    pub until_wall_ms: Option<u64>,
    /// Only resources that match one of these; `*` stands for any characters. Empty: any.
    pub resources: Vec<String>,
    /// Only this kind: of event (`promoted`), or of resource (`package`).
    pub kind: Option<String>,
    /// Only these kinds of event; empty: any.
    pub kinds: Vec<&'static str>,
    /// Only this node.
    pub node: Option<String>,
    /// Only this severity or worse.
    pub severity: Option<String>,
    /// Only those whose text has this in it.
    pub text: Option<String>,
}

impl EventFilter {
    /// Whether what concerns this resource may pass.
    #[must_use]
    pub fn wants(&self, resource: &str) -> bool {
        self.resources.is_empty() || self.resources.iter().any(|glob| glob_matches(glob, resource))
    }

    /// Whether a record passes.
    pub(super) fn matches(&self, record: &EventRecord) -> bool {
        self.wants(&record.resource)
            && self
                .kind
                .as_ref()
                .is_none_or(|kind| *kind == record.kind || resource_kind(&record.resource) == kind)
            && (self.kinds.is_empty() || self.kinds.contains(&record.kind.as_str()))
            && self.node.as_ref().is_none_or(|node| record.node.as_ref() == Some(node))
            && self
                .severity
                .as_ref()
                .is_none_or(|severity| rank(&record.severity) >= rank(severity))
            && self
                .text
                .as_ref()
                .is_none_or(|text| record.text.contains(text.as_str()))
            && self.before.is_none_or(|before| record.index < before.0)
            && self.since_wall_ms.is_none_or(|since| record.wall_ms >= since)
            && self.until_wall_ms.is_none_or(|until| record.wall_ms <= until)
    }
}

/// The word before the colon.
pub(super) fn resource_kind(resource: &str) -> &str {
    resource.split_once(':').map_or(resource, |(kind, _)| kind)
}

pub(super) fn rank(severity: &str) -> u8 {
    match severity {
        "error" => 2,
        "warning" => 1,
        _ => 0,
    }
}

/// `*` stands for any characters; everything else for itself.
pub(super) fn glob_matches(glob: &str, text: &str) -> bool {
    let mut pieces = glob.split('*');
    let Some(rest) = text.strip_prefix(pieces.next().unwrap_or_default()) else {
        return false;
    };
    let mut rest = rest;
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b*", "abc", true),
            ("a*c*d", "abd", false),
            ("*", "", true),
        ] {
            assert_eq!(glob_matches(glob, text), expected, "{glob} {text}");
        }
    }
}
