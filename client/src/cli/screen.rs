//! What is written to the terminal, and asked there.

use std::fmt::Display;
use std::future::Future;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde::Serialize;

/// How often the progress of a wait is drawn.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// The width that everything fits in where the terminal does not tell its own.
pub(crate) const WIDTH_DEFAULT: usize = 80;

/// A meaning that is shown by colour too; the words carry it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Standby,
    Busy,
    Bad,
    Faint,
    Strong,
}

/// Where output goes and what it may look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    pub(crate) colour: bool,
    /// Whether a person reads standard output.
    pub(crate) terminal: bool,
    pub(crate) width: usize,
    /// Standard output carries the API's JSON; words for people go to standard error.
    pub(crate) json: bool,
}

impl Screen {
    /// The screen of this process. Colour only on a terminal, and not where `NO_COLOR` is set.
    pub(crate) fn of_process(json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = std::env::var("COLUMNS")
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|width| *width >= 40);
        Self {
            colour: terminal && !no_colour,
            terminal,
            width: width.unwrap_or(WIDTH_DEFAULT),
            json,
        }
    }

    /// A text in the colour of its meaning.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "1;32",
            Tone::Standby => "36",
            Tone::Busy => "33",
            Tone::Bad => "1;31",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// One line for people: on standard error where standard output carries JSON.
    pub(crate) fn say(&self, line: impl Display) {
        if self.json {
            eprintln!("{line}")
        } else {
            self.line(line)
        }
    }

    /// One line of the result. A reader that has gone away (`| head`) is no failure.
    pub(crate) fn line(&self, line: impl Display) {
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    /// The API's answer as it came.
    pub(crate) fn json(&self, text: &str) {
        self.line(text.trim_end());
    }

    /// One of many things as JSON, on a line of its own.
    pub(crate) fn json_line(&self, it: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(it) {
            self.line(text);
        }
    }

    /// What to try next, for people only.
    pub(crate) fn next(&self, hints: &[String]) {
        if !self.terminal || self.json {
            return;
        }
        for (position, hint) in hints.iter().enumerate() {
            let head = if position == 0 { "next: " } else { "      " };
            self.line(self.paint(Tone::Faint, &format!("{head}{hint}")));
        }
    }

    /// Whether somebody is there who can answer a question.
    pub(crate) fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks for a line.
    pub(crate) fn ask(&self, question: &str) -> String {
        eprint!("{question} ");
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        let _ = std::io::stdin().lock().read_line(&mut answer);
        answer.trim().to_owned()
    }

    /// Shows on a terminal that something is waited for, and for how long already.
    pub(crate) async fn waiting<F: Future>(&self, what: &str, work: F) -> F::Output {
        if !std::io::stderr().is_terminal() {
            return work.await;
        }
        let began = Instant::now();
        let mut tick = tokio::time::interval(PROGRESS_EVERY);
        tick.tick().await;
        let mut work = std::pin::pin!(work);
        let mut drawn = false;
        loop {
            tokio::select! {
                output = &mut work => {
                    if drawn {
                        eprint!("\r\x1b[K");
                    }
                    return output;
                }
                _ = tick.tick() => {
                    drawn = true;
                    eprint!("\r\x1b[K{what} … {:.1} s", began.elapsed().as_secs_f64());
                    let _ = std::io::stderr().flush();
                }
            }
        }
    }
}
