//! `apply` and `export`: the cluster file, in and out.

use std::io::Read as _;
use std::path::Path;

use super::change::{ChangeOptions, finish, may_go_on};
use super::failure::Failure;
use super::plan::describe;
use super::screen::Screen;
use crate::Client;
use crate::file;
use crate::wire::plan::PlanRequest;

/// How often the plan is made anew because the configuration changed while it was looked at.
const PLANS_MAX: u32 = 5;

/// Makes the cluster equal to the file. The plan is bound to its index: what was shown is what is done, or it is shown
/// again.
pub(crate) async fn apply(
    screen: &Screen,
    client: &Client,
    file: &Path,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let text = read_file(file)?;
    for _ in 0..PLANS_MAX {
        let answer = client.plan(&PlanRequest::Apply { file: text.clone() }).await?;
        let plan = &answer.body;
        if options.dry_run && screen.json {
            screen.json(&answer.text);
            return Ok(());
        }
        for line in describe(screen, plan) {
            screen.say(line);
        }
        if options.dry_run {
            screen.next(&[format!("paceline apply {}", file.display())]);
            return Ok(());
        }
        if plan.disruptive {
            may_go_on(screen, options.ask.yes, "Apply this?")?;
        }
        let wait = options.wait.wait();
        let made = client.put_config(&text, Some(plan.index), wait);
        match screen.waiting("applying", made).await {
            Err(error) if error.is_code("changed") => {
                screen.say("the configuration changed meanwhile; the new plan is:");
            }
            Err(error) => return Err(error.into()),
            Ok(answer) => {
                finish(screen, &answer)?;
                screen.next(&[
                    "paceline status              who runs where".to_owned(),
                    "paceline explain PACKAGE     why it is where it is".to_owned(),
                ]);
                return Ok(());
            }
        }
    }
    Err(Failure::Refused(
        "somebody else changes the configuration again and again: nothing was applied".to_owned(),
    ))
}

/// Prints what is defined, so that `apply` takes it.
pub(crate) async fn export(screen: &Screen, client: &Client) -> Result<(), Failure> {
    let answer = client.config().await?;
    if screen.json {
        screen.json(&answer.text);
    } else {
        screen.line(file::render(&answer.body).trim_end());
    }
    Ok(())
}

/// A cluster file's text with the rules that it names, once it is known to have no error.
pub(crate) fn read_file(path: &Path) -> Result<String, Failure> {
    let text = read_text(path)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let inlined = file::inline(&text, |named| std::fs::read_to_string(beside.join(named)));
    let checked = inlined.and_then(|inlined| match file::parse(&inlined.text) {
        Ok(_) => Ok(inlined.text),
        Err(errors) => Err(inlined.relocate(errors)),
    });
    checked.map_err(|errors| Failure::File {
        file: path.to_owned(),
        text,
        errors,
    })
}

/// A file's text; `-` is standard input.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let read = || {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text)?;
            Ok(text)
        } else {
            std::fs::read_to_string(path)
        }
    };
    read().map_err(|source| Failure::Read {
        file: path.to_owned(),
        source,
    })
}
