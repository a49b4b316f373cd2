//! I18: a server or daemon that ended by itself left a reason on disk; and I16 in part: none of them panicked.

use super::findings::Findings;
use super::sight::Ended;

/// What the parent prints as a child has ended.
const AGAIN: &str = "; starting it again";
/// The same where another start makes no sense.
const FATAL: &str = " can't run here (see above); this node ends";

/// Finds in a node's log every child that ended by itself, with the reason that it printed before.
#[must_use]
pub fn ended(node: &str, log: &str) -> Vec<Ended> {
    let mut found = Vec::new();
    let mut reason: Option<String> = None;
    for line in log.lines() {
        let told = line.strip_prefix("paceline: ");
        let role = told.and_then(|told| told.split(' ').next()).unwrap_or_default();
        // One that ended with 0 was asked to, or asked to be started anew.
        let failed = |told: &str| told.contains(" ended with ") && !told.contains(" ended with 0;");
        let by_itself = told.is_some_and(|told| told.ends_with(FATAL) || (told.ends_with(AGAIN) && failed(told)));
        if by_itself {
            found.push(Ended {
                node: node.to_owned(),
                role: role.to_owned(),
                reason: reason.take(),
            });
        } else if told.is_some_and(|told| told.ends_with(AGAIN)) {
            // Ended by a signal: whoever sent it knows why.
            reason = None;
        } else if told.is_some()
            || line.starts_with("Error: ")
            || line.contains("panicked at")
            || line.contains("ERROR")
        {
            reason = Some(line.to_owned());
        }
    }
    found
}

/// Every end has its reason.
pub fn check(ended: &[Ended]) -> Findings {
    let mut findings = Findings::default();
    for end in ended {
        findings.look();
        match &end.reason {
            None => findings.wrong(format!(
                "{} of {} ended by itself and left no reason",
                end.role, end.node
            )),
            Some(reason) if reason.contains("panicked at") => {
                findings.wrong(format!("{} of {} panicked: {reason}", end.role, end.node));
            }
            Some(_) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_with_a_reason_is_fine() {
        let log = "paceline: this server stops: no space left\npaceline: serve-server ended with 70; starting it again\n\
                   paceline: serve-daemon was ended by SIGKILL; starting it again\n\
                   paceline: serve-server ended with 0; starting it again\n";
        let found = ended("n1", log);
        assert_eq!(found.len(), 1);
        assert_eq!((check(&found).looked_at, check(&found).wrong.len()), (1, 0));
    }

    #[test]
    fn a_planted_silent_end_is_found() {
        let log = "paceline: serve-server was ended by SIGKILL; starting it again\n\
                   paceline: serve-server ended with 1; starting it again\n";
        assert_eq!(check(&ended("n1", log)).wrong.len(), 1);
    }

    #[test]
    fn a_planted_panic_is_found() {
        let log = "thread 'main' panicked at server/src/x.rs:1:2:\npaceline: serve-daemon ended with 101; starting it again\n";
        assert_eq!(check(&ended("n1", log)).wrong.len(), 1);
    }
}
