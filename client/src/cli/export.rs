//! The log for other programs: one JSON object a line, oldest first.

use super::failure::Failure;
use super::screen::Screen;
use crate::client::{Client, EventQuery, Wait};

/// Events that are asked for at once.
const PAGE_EVENTS: u32 = 5_000;

/// `events --export`: everything that passes and was there as it began.
pub(crate) async fn export(screen: &Screen, client: &Client, mut query: EventQuery) -> Result<(), Failure> {
    let end = client.status().await?.index.unwrap_or(u64::MAX - 1);
    query.after = Some(query.after.unwrap_or(0));
    query.before = Some(query.before.unwrap_or(u64::MAX).min(end + 1));
    query.limit = Some(PAGE_EVENTS);
    loop {
        let page = client.events(&query, Wait::No).await?.body;
        // Half of a log must not pass for all of it.
        if let Some(missing) = page.missing.first() {
            return Err(Failure::Refused(format!(
                "the events of the commands {} to {} are not on this server yet: it is getting them from the others; try again, \
                 or name another server",
                missing.first, missing.last
            )));
        }
        for event in &page.events {
            screen.json_line(event);
        }
        match page.next_after {
            Some(next) if Some(next) > query.after => query.after = Some(next),
            _ => return Ok(()),
        }
    }
}
