//! `resources`: everything that is watched or controlled.

use super::failure::Failure;
use super::screen::{Screen, Tone};
use super::status::STALE;
use super::table::{lines, plain};
use crate::Client;

/// Lists resources, or shows one.
pub(crate) async fn resources(screen: &Screen, client: &Client, resource: Option<&str>) -> Result<(), Failure> {
    if let Some(resource) = resource {
        let answer = client.resource(resource).await?;
        if screen.json {
            screen.json(&answer.text);
            return Ok(());
        }
        let found = &answer.body;
        screen.line(format!("{}  {}", found.id, found.state));
        for (key, value) in &found.attributes {
            screen.line(format!("  {key}  {value}"));
        }
        return Ok(());
    }
    let answer = client.resources().await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    if answer.body.stale {
        screen.line(screen.paint(Tone::Bad, STALE));
    }
    let rows: Vec<_> = answer
        .body
        .resources
        .iter()
        .map(|found| {
            let tone = match found.state.as_str() {
                "down" | "lost" => Tone::Bad,
                _ => Tone::Plain,
            };
            vec![
                plain(&found.id),
                (found.state.clone(), tone),
                plain(found.node.as_deref().unwrap_or("-")),
            ]
        })
        .collect();
    for line in lines(screen, &["RESOURCE", "STATE", "NODE"], &rows) {
        screen.line(line);
    }
    Ok(())
}
