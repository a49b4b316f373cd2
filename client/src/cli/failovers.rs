//! Takeovers: a table, and the time line of each.

use clap::Args;

use super::events::{say_missing, time};
use super::failure::Failure;
use super::screen::{Screen, Tone, WIDTH_DEFAULT};
use super::table::{lines, plain};
use crate::client::{Client, FailoverQuery};
use crate::wire::failover::{Failover, FailoverPlace, FailoverStage};

/// Columns before the bar of a time line: the time and the stage's name.
const BAR_FROM: usize = 25;

/// Which takeovers are shown.
#[derive(Clone, Debug, Args)]
pub struct FailoverOptions {
    /// Only this one, with its time line: an id of the table, like 17.3.
    #[arg(conflicts_with_all = ["timeline", "after", "before", "since", "until", "package", "group", "of_node", "limit"])]
    id: Option<String>,
    /// Show the time line of each.
    #[arg(short, long)]
    timeline: bool,
    /// Only those that began after this index.
    #[arg(long, value_name = "INDEX")]
    after: Option<u64>,
    /// Only those that began before this index.
    #[arg(long, value_name = "INDEX")]
    before: Option<u64>,
    /// Only from then on: a time like 2026-11-23T03:00:00Z, or how long ago, like 10m.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only up to then: a time, or how long ago.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only from or to this package.
    #[arg(long)]
    package: Option<String>,
    /// Only of this group.
    #[arg(long)]
    group: Option<String>,
    /// Only from or to this node.
    #[arg(long = "node", id = "of_node", value_name = "NODE")]
    node: Option<String>,
    /// At most so many [default: the newest 20].
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
}

/// `failovers`.
pub(crate) async fn failovers(screen: &Screen, client: &Client, options: FailoverOptions) -> Result<(), Failure> {
    if let Some(id) = &options.id {
        let answer = client.failover(id).await?;
        if screen.json {
            screen.json(&answer.text);
            return Ok(());
        }
        describe(screen, &answer.body)
            .into_iter()
            .for_each(|line| screen.line(line));
        screen.next(&[format!(
            "paceline events --after {}    what happened around it",
            answer.body.index.saturating_sub(1)
        )]);
        return Ok(());
    }
    let query = FailoverQuery {
        after: options.after,
        before: options.before,
        since: options.since.as_deref().map(|text| time("--since", text)).transpose()?,
        until: options.until.as_deref().map(|text| time("--until", text)).transpose()?,
        package: options.package,
        group: options.group,
        node: options.node,
        limit: options.limit,
    };
    let answer = client.failovers(&query).await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    if answer.body.stale {
        screen.say(screen.paint(Tone::Bad, super::status::STALE));
    }
    let all = &answer.body.failovers;
    if options.timeline {
        for failover in all {
            describe(screen, failover)
                .into_iter()
                .for_each(|line| screen.line(line));
            screen.line("");
        }
    } else if !all.is_empty() {
        table(screen, all).into_iter().for_each(|line| screen.line(line));
    }
    say_missing(screen, &answer.body.missing);
    if all.is_empty() {
        screen.say("no such takeovers");
    }
    match (answer.body.next_after, answer.body.next_before, all.last()) {
        (Some(after), _, _) => screen.next(&[format!("paceline failovers --after {after}    the next page")]),
        (None, Some(before), _) => screen.next(&[format!("paceline failovers --before {before}    older ones")]),
        (None, None, Some(last)) => {
            screen.next(&[format!("paceline failovers {}    the last one's time line", last.id)])
        }
        (None, None, None) => {}
    }
    Ok(())
}

fn table(screen: &Screen, failovers: &[Failover]) -> Vec<String> {
    let rows: Vec<_> = failovers
        .iter()
        .map(|it| {
            let time = it.began.replacen('T', " ", 1);
            let time = time.split('.').next().unwrap_or_default().to_owned();
            let to = it.to.as_ref().map_or_else(|| "-".to_owned(), |to| to.node.clone());
            let name = it.unit.split_once(':').map_or(it.unit.as_str(), |(_, name)| name);
            let (outcome, tone) = outcome(it);
            vec![
                plain(&it.id),
                (time, Tone::Faint),
                plain(name),
                plain(&it.cause),
                plain(format!("{} > {to}", it.from.node)),
                (outcome, tone),
            ]
        })
        .collect();
    lines(screen, &["ID", "BEGAN", "UNIT", "CAUSE", "FROM > TO", "OUTCOME"], &rows)
}

/// What came of it, in words that need no colour.
fn outcome(failover: &Failover) -> (String, Tone) {
    match (failover.outcome.as_str(), failover.total_ms) {
        ("done", Some(total)) => (format!("done in {}", length(total)), Tone::Good),
        ("failed", _) => ("failed".to_owned(), Tone::Bad),
        (other, _) => (other.replace('-', " "), Tone::Busy),
    }
}

/// A takeover with its time line, within the width of a terminal.
fn describe(screen: &Screen, it: &Failover) -> Vec<String> {
    let width = if screen.terminal { screen.width } else { WIDTH_DEFAULT };
    let (end, tone) = outcome(it);
    let planned = if it.planned { ", planned" } else { "" };
    let mut out = wrap(&format!("{}  {}  {end}", it.id, it.unit), width, 0);
    if let Some(first) = out.first_mut() {
        *first = screen.paint(tone, first);
    }
    let place = |place: &FailoverPlace| format!("{} on {}, epoch {}", place.package, place.node, place.epoch);
    let to = it
        .to
        .as_ref()
        .map_or_else(|| "nobody yet".to_owned(), |to| format!("to {}", place(to)));
    out.extend(wrap(&format!("from {} {to}", place(&it.from)), width, 2));
    out.extend(wrap(&format!("{}{planned}: {}", it.cause, it.because), width, 2));
    if let Some(reason) = &it.reason {
        out.extend(wrap(reason, width, 2));
    }
    if !it.displaced.is_empty() {
        let gone: Vec<String> = it
            .displaced
            .iter()
            .map(|it| format!("{} on {}", it.package, it.node))
            .collect();
        out.extend(wrap(&format!("stopped to make room: {}", gone.join(", ")), width, 2));
    }
    out.extend(time_line(&it.stages, width));
    out
}

/// A line a stage: when it was, and a bar from the stage before to it, all on one scale.
fn time_line(stages: &[FailoverStage], width: usize) -> Vec<String> {
    let room = width.saturating_sub(BAR_FROM + 1).max(1);
    let end = stages.last().map_or(0, |stage| stage.ms).max(1);
    let column = |ms: u64| {
        let scaled = u128::from(ms) * (room as u128) / u128::from(end);
        usize::try_from(scaled).unwrap_or(room).min(room)
    };
    let mut before = 0;
    stages
        .iter()
        .map(|stage| {
            let (from, to) = (column(before), column(stage.ms));
            before = stage.ms;
            let bar = format!("{}{}|", " ".repeat(from), "=".repeat(to.saturating_sub(from)));
            format!("  {:>10}  {:<10} {bar}", length(stage.ms), stage.stage)
        })
        .collect()
}

/// A length of time: milliseconds up to ten seconds, and what people count in from there.
fn length(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..10 => format!("{ms} ms"),
        10..120 => format!("{seconds}.{} s", ms % 1_000 / 100),
        120..7_200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// A text in lines of at most this width, broken between words; a word that is longer stands alone.
fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let further = if out.is_empty() { indent } else { indent + 2 };
        let used = further + line.chars().count() + usize::from(!line.is_empty());
        if !line.is_empty() && used + word.chars().count() > width {
            out.push(format!("{}{line}", " ".repeat(further)));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let further = if out.is_empty() { indent } else { indent + 2 };
    out.push(format!("{}{line}", " ".repeat(further)).trim_end().to_owned());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, ms: u64) -> FailoverStage {
        FailoverStage {
            stage: name.to_owned(),
            ms,
            time: "2026-11-23T04:05:06.789Z".to_owned(),
            event: "17.0".to_owned(),
            text: String::new(),
        }
    }

    fn failover() -> Failover {
        let place = |package: &str, node: &str, epoch| FailoverPlace {
            package: package.to_owned(),
            node: node.to_owned(),
            epoch,
        };
        Failover {
            id: "17.1".to_owned(),
            index: 17,
            unit: "group:orders".to_owned(),
            group: Some("orders".to_owned()),
            cause: "node-lost".to_owned(),
            planned: false,
            because: "node n1 is lost: the lease of session 4 has surely ended, and nobody has heard of it since"
                .to_owned(),
            outcome: "done".to_owned(),
            reason: None,
            from: place("orders-1", "n1", 3),
            to: Some(place("orders-2", "n2", 9)),
            began: "2026-11-23T04:05:06.789Z".to_owned(),
            total_ms: Some(1_412),
            stages: vec![
                stage("detected", 0),
                stage("decided", 1_350),
                stage("ended", 1_350),
                stage("told", 1_350),
                stage("active", 1_412),
            ],
            displaced: Vec::new(),
        }
    }

    const SCREEN: Screen = Screen {
        colour: false,
        terminal: true,
        width: 80,
        json: false,
    };

    #[test]
    fn a_time_line_fits_the_terminal_and_needs_no_colour() {
        let lines = describe(&SCREEN, &failover());
        assert_eq!(
            lines,
            [
                "17.1  group:orders  done in 1412 ms",
                "  from orders-1 on n1, epoch 3 to orders-2 on n2, epoch 9",
                "  node-lost: node n1 is lost: the lease of session 4 has surely ended, and",
                "    nobody has heard of it since",
                "        0 ms  detected   |",
                "     1350 ms  decided    ===================================================|",
                "     1350 ms  ended                                                         |",
                "     1350 ms  told                                                          |",
                "     1412 ms  active                                                        ===|",
            ]
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn long_names_are_broken_and_never_beyond_the_edge() {
        let mut it = failover();
        it.because = "x".repeat(70) + " " + &"y ".repeat(60);
        it.displaced = vec![
            crate::wire::failover::Displaced {
                package: "batch".to_owned(),
                node: "n3".to_owned(),
            };
            20
        ];
        let lines = describe(&SCREEN, &it);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(
            lines
                .iter()
                .any(|line| line.contains("stopped to make room: batch on n3"))
        );
    }

    #[test]
    fn the_table_says_from_where_to_where_and_how_long() {
        let mut waiting = failover();
        (waiting.to, waiting.total_ms, waiting.outcome) = (None, None, "under-way".to_owned());
        let lines = table(&SCREEN, &[failover(), waiting]);
        assert_eq!(
            lines,
            [
                "ID    BEGAN                UNIT    CAUSE      FROM > TO  OUTCOME",
                "17.1  2026-11-23 04:05:06  orders  node-lost  n1 > n2    done in 1412 ms",
                "17.1  2026-11-23 04:05:06  orders  node-lost  n1 > -     under way",
            ]
        );
    }

    #[test]
    fn lengths() {
        for (ms, text) in [
            (0, "0 ms"),
            (9_999, "9999 ms"),
            (10_000, "10.0 s"),
            (119_950, "119.9 s"),
            (125_000, "2 min 5 s"),
            (7_260_000, "2 h 1 min"),
        ] {
            assert_eq!(length(ms), text);
        }
    }
}
