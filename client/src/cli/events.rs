//! What has happened, as it happened.

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::failure::Failure;
use super::screen::{Screen, Tone};
use crate::client::{Client, EventQuery, Wait};
use crate::watch::WatchQuery;
use crate::wire::duration::DurationText;
use crate::wire::event::{Event, MissingEvents};

/// How many past events `--follow` begins with.
const FOLLOW_BEGINS_WITH: u32 = 10;

/// Which events are shown.
#[derive(Clone, Debug, Args)]
pub struct EventOptions {
    /// Go on with every event as it happens.
    #[arg(short, long)]
    follow: bool,
    /// Write all that pass as JSON lines, oldest first, for other programs.
    #[arg(long, conflicts_with_all = ["follow", "limit"])]
    export: bool,
    /// Only after this index.
    #[arg(long, value_name = "INDEX")]
    after: Option<u64>,
    /// Only before this index.
    #[arg(long, value_name = "INDEX")]
    before: Option<u64>,
    /// Only from then on: a time like 2026-11-23T03:00:00Z, or how long ago, like 10m.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only up to then: a time, or how long ago.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only of resources like this: package:web-*, node:n1, group:web, cluster.
    #[arg(long, value_name = "PATTERN")]
    resource: Option<String>,
    /// Only of this kind: node-lost, promoted, package-failed, …
    #[arg(long)]
    kind: Option<String>,
    /// Only on this node.
    #[arg(long)]
    node: Option<String>,
    /// Only of this severity.
    #[arg(long, value_parser = ["info", "warning", "error"])]
    severity: Option<String>,
    /// Only with this in their text.
    #[arg(long)]
    text: Option<String>,
    /// At most so many [default: the newest 100].
    #[arg(long, value_name = "COUNT")]
    limit: Option<u32>,
}

/// `events`.
pub(crate) async fn events(screen: &Screen, client: &Client, options: EventOptions) -> Result<(), Failure> {
    let mut query = EventQuery {
        after: options.after,
        before: options.before,
        since: options.since.as_deref().map(|text| time("--since", text)).transpose()?,
        until: options.until.as_deref().map(|text| time("--until", text)).transpose()?,
        resource: options.resource,
        kind: options.kind,
        node: options.node,
        severity: options.severity,
        text: options.text,
        limit: options.limit,
    };
    if options.export {
        return super::export::export(screen, client, query).await;
    }
    if options.follow {
        if query.after.is_none() && query.since.is_none() && query.limit.is_none() {
            query.limit = Some(FOLLOW_BEGINS_WITH);
        }
        return follow(screen, client, query).await;
    }
    let answer = client.events(&query, Wait::No).await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    if answer.body.stale {
        screen.say(screen.paint(Tone::Bad, super::status::STALE));
    }
    for event in &answer.body.events {
        screen.line(line(screen, event));
    }
    say_missing(screen, &answer.body.missing);
    if answer.body.events.is_empty() {
        screen.say("no such events");
    }
    match (answer.body.next_after, answer.body.next_before) {
        (Some(after), _) => screen.next(&[format!("paceline events --after {after}    the next page")]),
        (None, Some(before)) => screen.next(&[format!("paceline events --before {before}    older ones")]),
        (None, None) => screen.next(&["paceline events --follow    go on as it happens".to_owned()]),
    }
    Ok(())
}

/// Says which stretches of the log the answering server lacks.
pub(crate) fn say_missing(screen: &Screen, missing: &[MissingEvents]) {
    for MissingEvents { first, last } in missing {
        let text = format!(
            "the events of the commands {first} to {last} are not on this server yet: it is getting them from the others"
        );
        screen.say(screen.paint(Tone::Bad, &text));
    }
}

/// Prints events for ever. As JSON: one object a line.
async fn follow(screen: &Screen, client: &Client, query: EventQuery) -> Result<(), Failure> {
    let after = match query.after {
        Some(after) => after,
        None => {
            let answer = client.events(&query, Wait::No).await?;
            answer.body.events.iter().for_each(|event| print(screen, event));
            answer
                .body
                .events
                .last()
                .map_or(answer.index.unwrap_or(0), |event| event.index)
        }
    };
    let watched = WatchQuery {
        resource: query.resource.into_iter().collect(),
        kind: query.kind,
        node: query.node,
        severity: query.severity,
        text: query.text,
        after: Some(after),
    };
    super::watch::print_all(screen, client.watch(watched)).await
}

pub(crate) fn print(screen: &Screen, event: &Event) {
    if screen.json {
        screen.json_line(event);
    } else {
        screen.line(line(screen, event));
    }
}

/// An event in one line: when, where in the order, and what.
pub(crate) fn line(screen: &Screen, event: &Event) -> String {
    let when = event.time.replacen('T', " ", 1);
    let place = format!("{}.{}", event.index, event.sequence);
    format!(
        "{}  {place:>7}  {}",
        screen.paint(Tone::Faint, when.trim_end_matches('Z')),
        what(screen, event)
    )
}

/// What an event says, with its severity where that is more than information.
pub(crate) fn what(screen: &Screen, event: &Event) -> String {
    match event.severity.as_str() {
        "error" => format!("{} {}", screen.paint(Tone::Bad, "ERROR"), event.text),
        "warning" => format!("{} {}", screen.paint(Tone::Busy, "warning"), event.text),
        _ => event.text.clone(),
    }
}

/// A time as the API takes it, from one, or from how long ago it was.
pub(crate) fn time(option: &str, text: &str) -> Result<String, Failure> {
    if let Ok(ago) = text.parse::<DurationText>() {
        let ago = SignedDuration::from_millis(i64::try_from(ago.ms).unwrap_or(i64::MAX));
        let then = Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH);
        return Ok(format!("{then:.3}"));
    }
    text.parse::<Timestamp>().map(|time| format!("{time:.3}")).map_err(|_| {
        Failure::Usage(format!(
            "{option} {text}: expected a time like 2026-11-23T03:00:00Z, or how long ago, like 10m"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = Event {
            index: 17,
            sequence: 0,
            time: "2026-11-23T04:05:06.789Z".to_owned(),
            at_ms: 5,
            resource: "node:n2".to_owned(),
            kind: "node-lost".to_owned(),
            node: Some("n2".to_owned()),
            severity: "warning".to_owned(),
            cause: None,
            text: "n2 is lost".to_owned(),
        };
        let screen = Screen {
            colour: false,
            terminal: false,
            width: 80,
            json: false,
        };
        assert_eq!(
            line(&screen, &event),
            "2026-11-23 04:05:06.789     17.0  warning n2 is lost"
        );
    }

    #[test]
    fn times_are_given_or_ago() {
        assert_eq!(
            time("--since", "2026-11-23T05:00:00+02:00").unwrap(),
            "2026-11-23T03:00:00.000Z"
        );
        let ago: Timestamp = time("--since", "10m").unwrap().parse().unwrap();
        let seconds = Timestamp::now().duration_since(ago).as_secs();
        assert!((599..=601).contains(&seconds), "{seconds}");
        assert_eq!(time("--since", "yesterday").unwrap_err().code(), 2);
    }
}
