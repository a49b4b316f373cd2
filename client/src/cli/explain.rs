//! Why a package is where it is: the plan's own reasons.

use super::failure::Failure;
use super::screen::{Screen, Tone};
use super::table::{lines, plain};
use crate::Client;
use crate::wire::package::Explanation;

/// `explain PACKAGE`.
pub(crate) async fn explain(screen: &Screen, client: &Client, package: &str) -> Result<(), Failure> {
    let answer = client.explain(package).await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    for line in describe(screen, &answer.body) {
        screen.line(line);
    }
    screen.next(&[format!(
        "paceline events --resource package:{package}    what happened to it"
    )]);
    Ok(())
}

fn describe(screen: &Screen, explanation: &Explanation) -> Vec<String> {
    let mut out = Vec::new();
    if explanation.stale {
        out.push(screen.paint(Tone::Bad, super::status::STALE));
    }
    out.push(format!(
        "{}: {}",
        screen.paint(Tone::Strong, &explanation.package),
        explanation.summary
    ));
    if !explanation.because.is_empty() {
        out.push("because:".to_owned());
        out.extend(explanation.because.iter().map(|event| format!("  {event}")));
    }
    if !explanation.nodes.is_empty() {
        let rows: Vec<_> = explanation
            .nodes
            .iter()
            .map(|verdict| {
                let tone = match verdict.verdict.as_str() {
                    "chosen" => Tone::Good,
                    "rejected" => Tone::Bad,
                    _ => Tone::Plain,
                };
                vec![
                    plain(format!("  {}", verdict.node)),
                    (verdict.verdict.clone(), tone),
                    plain(&verdict.reason),
                ]
            })
            .collect();
        out.extend(lines(screen, &["  NODE", "VERDICT", "WHY"], &rows));
    }
    if !explanation.next.is_empty() {
        out.push("what would change it:".to_owned());
        out.extend(explanation.next.iter().map(|next| format!("  {next}")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::package::NodeVerdict;

    #[test]
    fn every_node_has_its_verdict() {
        let verdict = |node: &str, verdict: &str, reason: &str| NodeVerdict {
            node: node.to_owned(),
            verdict: verdict.to_owned(),
            reason: reason.to_owned(),
        };
        let explanation = Explanation {
            package: "web-2".to_owned(),
            summary: "active on n2, under epoch 9".to_owned(),
            because: vec!["17.0 n1 is lost".to_owned()],
            nodes: vec![
                verdict("n1", "rejected", "n1 is lost"),
                verdict("n2", "chosen", "it was standby there"),
            ],
            next: vec!["`paceline promote web-1` gives it back".to_owned()],
            stale: true,
        };
        let screen = Screen {
            colour: false,
            terminal: false,
            width: 80,
            json: false,
        };
        let expected = "\
NO QUORUM: this is one server's own copy, and may be old
web-2: active on n2, under epoch 9
because:
  17.0 n1 is lost
  NODE  VERDICT   WHY
  n1    rejected  n1 is lost
  n2    chosen    it was standby there
what would change it:
  `paceline promote web-1` gives it back";
        assert_eq!(describe(&screen, &explanation).join("\n"), expected);
    }
}
