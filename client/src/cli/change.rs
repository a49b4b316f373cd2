//! Changes: each shows its plan with `--dry-run`, asks before it stops anything, waits for the result, and says it.

use std::future::Future;
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::plan::describe;
use super::screen::Screen;
use crate::client::{Answer, Client, Wait};
use crate::error::ClientError;
use crate::wire::duration::DurationText;
use crate::wire::plan::{Done, PlanRequest};

/// Whether a question is asked.
#[derive(Clone, Debug, Args)]
pub struct AskOptions {
    /// Do not ask, whatever it stops.
    #[arg(short, long)]
    pub yes: bool,
}

/// How long the result is waited for.
#[derive(Clone, Debug, Args)]
pub struct WaitOptions {
    /// Do not wait until it is done, only until it is accepted.
    #[arg(long)]
    pub no_wait: bool,
    /// Wait at most so long.
    #[arg(long, value_name = "DURATION", default_value = "60s", conflicts_with = "no_wait")]
    pub timeout: DurationText,
}

/// What every change with a plan takes.
#[derive(Clone, Debug, Args)]
#[allow(
    missing_docs,
    reason = "the comments are the help texts, and flattened options bring their own"
)]
pub struct ChangeOptions {
    /// Show what would happen, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub ask: AskOptions,
    #[command(flatten)]
    pub wait: WaitOptions,
}

impl WaitOptions {
    /// As the client takes it.
    pub(crate) fn wait(&self) -> Wait {
        if self.no_wait {
            Wait::No
        } else {
            Wait::UpTo(Duration::from_millis(self.timeout.ms.max(1)))
        }
    }
}

/// A change whose result nobody has to wait for.
pub(super) const AT_ONCE: Wait = Wait::UpTo(Duration::ZERO);
/// How long a server may take to leave, or to hand over.
const MEMBER_WAIT: Wait = Wait::UpTo(Duration::from_secs(30));

/// `start PACKAGE`.
pub(crate) async fn start(
    screen: &Screen,
    client: &Client,
    package: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let request = PlanRequest::Start {
        package: package.to_owned(),
    };
    let work = client.start(package, options.wait.wait());
    run(screen, client, request, options, &format!("starting {package}"), work).await?;
    screen.next(&[format!("paceline explain {package}    why it is where it is")]);
    Ok(())
}

/// `stop PACKAGE`.
pub(crate) async fn stop(
    screen: &Screen,
    client: &Client,
    package: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let request = PlanRequest::Stop {
        package: package.to_owned(),
    };
    let work = client.stop(package, options.wait.wait());
    run(screen, client, request, options, &format!("stopping {package}"), work).await?;
    screen.next(&[format!("paceline start {package}    have it run again")]);
    Ok(())
}

/// `test PACKAGE`.
pub(crate) async fn test(
    screen: &Screen,
    client: &Client,
    package: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let request = PlanRequest::Test {
        package: package.to_owned(),
    };
    let work = client.test(package, options.wait.wait());
    run(
        screen,
        client,
        request,
        options,
        &format!("starting {package} in test"),
        work,
    )
    .await?;
    screen.next(&[format!(
        "paceline start {package}    end the test: run as the plan chooses"
    )]);
    Ok(())
}

/// `promote PACKAGE`.
pub(crate) async fn promote(
    screen: &Screen,
    client: &Client,
    package: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let request = PlanRequest::Promote {
        package: package.to_owned(),
    };
    let work = client.promote(package, options.wait.wait());
    run(screen, client, request, options, &format!("promoting {package}"), work).await?;
    screen.next(&["paceline status".to_owned()]);
    Ok(())
}

/// `move PACKAGE --to NODE`.
pub(crate) async fn move_to(
    screen: &Screen,
    client: &Client,
    package: &str,
    to: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let request = PlanRequest::Move {
        package: package.to_owned(),
        to: to.to_owned(),
    };
    let work = client.move_to(package, to, options.wait.wait());
    run(
        screen,
        client,
        request,
        options,
        &format!("moving {package} to {to}"),
        work,
    )
    .await?;
    screen.next(&[format!("paceline explain {package}    why it is where it is")]);
    Ok(())
}

/// `drain NODE`.
pub(crate) async fn drain(
    screen: &Screen,
    client: &Client,
    node: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let request = PlanRequest::Drain { node: node.to_owned() };
    let work = client.drain(node, options.wait.wait());
    run(screen, client, request, options, &format!("draining {node}"), work).await?;
    screen.next(&[format!("paceline resume {node}    use it again")]);
    Ok(())
}

/// `resume NODE`.
pub(crate) async fn resume(
    screen: &Screen,
    client: &Client,
    node: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let request = PlanRequest::Resume { node: node.to_owned() };
    let work = client.resume(node, options.wait.wait());
    run(screen, client, request, options, &format!("resuming {node}"), work).await?;
    screen.next(&["paceline status".to_owned()]);
    Ok(())
}

/// `mode PACKAGE MODE`.
pub(crate) async fn set_mode(
    screen: &Screen,
    client: &Client,
    package: &str,
    mode: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let request = PlanRequest::Mode {
        package: package.to_owned(),
        mode: mode.to_owned(),
    };
    let work = client.set_mode(package, mode, options.wait.wait());
    run(
        screen,
        client,
        request,
        options,
        &format!("starting {package} in mode {mode}"),
        work,
    )
    .await?;
    screen.next(&[format!("paceline start {package}    have it run as the plan chooses")]);
    Ok(())
}

/// `demote PACKAGE`.
pub(crate) async fn demote(
    screen: &Screen,
    client: &Client,
    package: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let request = PlanRequest::Demote {
        package: package.to_owned(),
    };
    let work = client.demote(package, options.wait.wait());
    run(screen, client, request, options, &format!("demoting {package}"), work).await?;
    screen.next(&["paceline status".to_owned()]);
    Ok(())
}

/// `clear PACKAGE`.
pub(crate) async fn clear(
    screen: &Screen,
    client: &Client,
    package: &str,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let work = client.clear(package, options.wait.wait());
    let request = PlanRequest::Clear {
        package: package.to_owned(),
    };
    run(screen, client, request, options, &format!("clearing {package}"), work).await?;
    screen.next(&[format!("paceline explain {package}    why it is where it is")]);
    Ok(())
}

/// `confirm-down NODE`: the name is typed once more, because a wrong one lets two instances be active.
pub(crate) async fn confirm_down(
    screen: &Screen,
    client: &Client,
    node: &str,
    confirm: Option<String>,
    by: Option<String>,
) -> Result<(), Failure> {
    let typed = match confirm {
        Some(typed) => typed,
        None if screen.can_ask() => {
            eprintln!(
                "What {node} held starts elsewhere at once. If {node} still runs, both are active and data can be lost."
            );
            screen.ask(&format!("Type the node's name to confirm that {node} is switched off:"))
        }
        None => {
            let text = format!(
                "nobody is here to confirm it: add --confirm {node}, once you know that {node} is switched off"
            );
            return Err(Failure::Refused(text));
        }
    };
    if typed != node {
        return Err(Failure::Refused(format!("{typed:?} is not {node:?}: nothing was done")));
    }
    let by = by.unwrap_or_else(user_at_host);
    finish(screen, &client.confirm_down(node, &by, AT_ONCE).await?)?;
    screen.next(&["paceline events --follow    what starts elsewhere".to_owned()]);
    Ok(())
}

/// `members remove NAME`.
pub(crate) async fn remove_member(
    screen: &Screen,
    client: &Client,
    name: &str,
    options: &AskOptions,
) -> Result<(), Failure> {
    let question = format!("{name} leaves the Raft group for good; it can only join again as a new member. Go on?");
    may_go_on(screen, options.yes, &question)?;
    let answer = screen
        .waiting(&format!("removing {name}"), client.remove_member(name, MEMBER_WAIT))
        .await?;
    finish(screen, &answer)?;
    screen.next(&["paceline members".to_owned()]);
    Ok(())
}

/// `leader move`.
pub(crate) async fn move_leader(screen: &Screen, client: &Client, to: Option<&str>) -> Result<(), Failure> {
    let answer = screen
        .waiting("handing over", client.move_leader(to, MEMBER_WAIT))
        .await?;
    finish(screen, &answer)?;
    screen.next(&["paceline members".to_owned()]);
    Ok(())
}

/// `attributes NODE [KEY=VALUE…]`.
pub(crate) async fn attributes(
    screen: &Screen,
    client: &Client,
    node: &str,
    set: &[String],
    remove: &[String],
) -> Result<(), Failure> {
    let pairs: Vec<(&str, &str)> = set
        .iter()
        .map(|pair| {
            pair.split_once('=')
                .ok_or_else(|| Failure::Usage(format!("{pair:?}: expected KEY=VALUE, like rack=a")))
        })
        .collect::<Result<_, _>>()?;
    for (key, value) in pairs {
        client.put_attribute(node, key, value).await?;
    }
    for key in remove {
        client.delete_attribute(node, key).await?;
    }
    let answer = client.attributes(node).await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    if answer.body.attributes.is_empty() {
        screen.line(format!("{node} has no attributes"));
        screen.next(&[format!("paceline attributes {node} KEY=VALUE")]);
    }
    for (key, value) in &answer.body.attributes {
        screen.line(format!("{key}={value}"));
    }
    Ok(())
}

/// Plans, asks where something stops, does it, and says what came of it. With `--dry-run` it ends after the plan.
pub(super) async fn run(
    screen: &Screen,
    client: &Client,
    request: PlanRequest,
    options: &ChangeOptions,
    what: &str,
    work: impl Future<Output = Result<Answer<Done>, ClientError>>,
) -> Result<(), Failure> {
    if options.dry_run || !options.ask.yes {
        let answer = client.plan(&request).await?;
        if options.dry_run {
            if screen.json {
                screen.json(&answer.text);
            } else {
                describe(screen, &answer.body).iter().for_each(|line| screen.line(line));
            }
            return Ok(());
        }
        if answer.body.disruptive {
            describe(screen, &answer.body).iter().for_each(|line| screen.say(line));
            may_go_on(screen, false, "Go on?")?;
        }
    }
    let answer = screen.waiting(what, work).await?;
    finish(screen, &answer)
}

/// Whether a change may be made: said by `--yes`, or by a person.
pub(crate) fn may_go_on(screen: &Screen, yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !screen.can_ask() {
        let text =
            "this stops something that runs, and nobody is here to be asked: add --yes, or look first with --dry-run";
        return Err(Failure::Refused(text.to_owned()));
    }
    match screen.ask(&format!("{question} [y/N]")).to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Refused("nothing was done".to_owned())),
    }
}

/// Says what came of a change.
pub(crate) fn finish(screen: &Screen, answer: &Answer<Done>) -> Result<(), Failure> {
    if screen.json {
        screen.json(&answer.text);
    }
    let done = &answer.body;
    if done.outcome == "timeout" {
        return Err(Failure::TimedOut(format!(
            "{}; it goes on: look with `paceline status`",
            done.detail
        )));
    }
    if !screen.json {
        screen.line(&done.detail);
    }
    Ok(())
}

/// Who this is, as far as it can be known: only a word for the record.
fn user_at_host() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|key| std::env::var(key).ok())
        .unwrap_or_else(|| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => user,
        host => format!("{user}@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(outcome: &str) -> Answer<Done> {
        let body = Done {
            index: 3,
            outcome: outcome.to_owned(),
            detail: "so".to_owned(),
            steps: Vec::new(),
        };
        Answer {
            index: Some(3),
            body,
            text: String::new(),
        }
    }

    #[test]
    fn a_result_that_is_not_there_in_time_ends_in_four() {
        let screen = Screen {
            colour: false,
            terminal: false,
            width: 80,
            json: false,
        };
        assert!(finish(&screen, &answer("done")).is_ok());
        assert!(finish(&screen, &answer("pending")).is_ok());
        assert_eq!(finish(&screen, &answer("timeout")).unwrap_err().code(), 4);
    }

    #[test]
    fn without_a_terminal_and_without_yes_it_refuses() {
        let screen = Screen {
            colour: false,
            terminal: false,
            width: 80,
            json: false,
        };
        assert!(may_go_on(&screen, true, "?").is_ok());
        // Tests have no terminal on standard input when they run in the gate; where they do, nobody can answer.
        if !screen.can_ask() {
            assert_eq!(may_go_on(&screen, false, "?").unwrap_err().code(), 1);
        }
    }

    #[test]
    fn waits_are_as_they_were_asked_for() {
        let options = |no_wait, ms| WaitOptions {
            no_wait,
            timeout: DurationText::from_ms(ms),
        };
        assert_eq!(options(true, 60_000).wait(), Wait::No);
        assert_eq!(options(false, 1_500).wait(), Wait::UpTo(Duration::from_millis(1_500)));
    }
}
