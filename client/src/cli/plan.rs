//! What would happen: the plan of a change, before anybody does it.

use std::path::Path;

use super::apply::read_file;
use super::failure::Failure;
use super::screen::{Screen, Tone};
use super::table::{lines, plain};
use crate::Client;
use crate::wire::plan::{Plan, PlanRequest};

/// `plan FILE`, `plan --fail NODE`, `plan --drain NODE`, or several at once.
pub(crate) async fn plan(
    screen: &Screen,
    client: &Client,
    file: Option<&Path>,
    mut changes: Vec<PlanRequest>,
) -> Result<(), Failure> {
    if let Some(file) = file {
        changes.insert(0, PlanRequest::Apply { file: read_file(file)? });
    }
    let next = match (file, changes.as_slice()) {
        (Some(file), [_]) => format!("paceline apply {}", file.display()),
        (None, [PlanRequest::Drain { node }]) => format!("paceline drain {node}"),
        (None, [PlanRequest::Fail { node }]) => format!("paceline status    what runs on {node} now"),
        _ => "paceline status    what runs where now".to_owned(),
    };
    let request = match changes.len() {
        1 => changes.remove(0),
        _ => PlanRequest::Several { changes },
    };
    let answer = client.plan(&request).await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    for line in describe(screen, &answer.body) {
        screen.say(line);
    }
    screen.next(&[next]);
    Ok(())
}

/// A plan in words.
pub(crate) fn describe(screen: &Screen, plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    if !plan.changes.is_empty() {
        out.push("definitions:".to_owned());
        out.extend(plan.changes.iter().map(|change| format!("  {change}")));
    }
    if plan.steps.is_empty() {
        let text = if plan.changes.is_empty() {
            "nothing would change"
        } else {
            "nothing that runs would be touched"
        };
        out.push(text.to_owned());
    } else {
        out.push("steps, in order:".to_owned());
        let rows: Vec<_> = plan
            .steps
            .iter()
            .map(|step| {
                let tone = match step.action.as_str() {
                    "stop" | "restart" => Tone::Bad,
                    "promote" | "start" => Tone::Good,
                    _ => Tone::Busy,
                };
                let place = match &step.from {
                    Some(from) => format!("{from} → {}", step.node),
                    None => step.node.clone(),
                };
                vec![
                    (format!("  {}", step.action), tone),
                    plain(&step.package),
                    plain(place),
                    plain(mode_word(&step.mode)),
                    plain(&step.reason),
                ]
            })
            .collect();
        out.extend(lines(screen, &["  STEP", "PACKAGE", "NODE", "THEN", "WHY"], &rows));
    }
    if !plan.unplaced.is_empty() {
        out.push(screen.paint(Tone::Bad, "would run nowhere:"));
        out.extend(
            plan.unplaced
                .iter()
                .map(|unplaced| format!("  {}: {}", unplaced.package, unplaced.reason)),
        );
    }
    out
}

/// A mode as screens show it: the one that matters in capitals.
pub(crate) fn mode_word(mode: &str) -> &str {
    if mode == "active" { "ACTIVE" } else { mode }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::plan::{Step, Unplaced};

    const SCREEN: Screen = Screen {
        colour: false,
        terminal: false,
        width: 80,
        json: false,
    };

    #[test]
    fn a_plan_reads_as_a_list_of_steps() {
        let step = |action: &str, node: &str, from: Option<&str>, mode: &str, reason: &str| Step {
            action: action.to_owned(),
            package: "web-2".to_owned(),
            node: node.to_owned(),
            from: from.map(str::to_owned),
            mode: mode.to_owned(),
            reason: reason.to_owned(),
        };
        let plan = Plan {
            index: 9,
            changes: vec!["define package web".to_owned()],
            steps: vec![
                step("promote", "n2", None, "active", "n1 fails"),
                step("move", "n3", Some("n1"), "standby", "the group wants 1 standby"),
            ],
            unplaced: vec![Unplaced {
                package: "report".to_owned(),
                reason: "no node is left".to_owned(),
            }],
            disruptive: true,
        };
        let expected = "\
definitions:
  define package web
steps, in order:
  STEP     PACKAGE  NODE     THEN     WHY
  promote  web-2    n2       ACTIVE   n1 fails
  move     web-2    n1 → n3  standby  the group wants 1 standby
would run nowhere:
  report: no node is left";
        assert_eq!(describe(&SCREEN, &plan).join("\n"), expected);
        let nothing = Plan {
            changes: Vec::new(),
            steps: Vec::new(),
            unplaced: Vec::new(),
            ..plan
        };
        assert_eq!(describe(&SCREEN, &nothing), ["nothing would change"]);
    }
}
