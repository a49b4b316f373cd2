//! D22: a bit of a follower's store flips while it is down, or the end of a file is gone. It is detected and refused, or
//! repaired from the others, or met nothing that is read; it is never served.

use std::time::Duration;

use anyhow::{Context, ensure};
use client::wire::event::Events;
use client::wire::status::Status;
use tests::fault::damage::{self, Damage};
use tests::nemesis::Random;
use tests::processes::Process;
use tests::wait::wait_for;

use crate::story::{Story, long};

/// Until a server with a damaged store has come up or said that it does not.
const DECIDES_WITHIN: Duration = Duration::from_secs(15);

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let positions = if long() { 200 } else { 5 };
    let leader = story.leader()?;
    let victim = story.other_servers(&leader).remove(0);
    let mut random = Random::new(22);
    let (mut refused, mut went_on) = (0, 0);
    for position in 0..positions {
        if one(story, &victim, &mut random).with_context(|| format!("position {position}"))? {
            went_on += 1;
        } else {
            refused += 1;
        }
    }
    println!("  {positions} damages: {refused} refused, {went_on} met nothing that is needed or were repaired");
    Ok(())
}

/// Whether the server came up in spite of the damage.
fn one(story: &mut Story, victim: &str, random: &mut Random) -> anyhow::Result<bool> {
    story.cluster.node(victim).kill()?;
    let store = story.at(victim)?.data_dir().join("server/db");
    let kept = story.at(victim)?.data_dir().with_extension("kept");
    copy(&store, &kept)?;
    let wanted = |path: &std::path::Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("MANIFEST") || name.ends_with(".log") || name.ends_with(".sst")
    };
    let files = damage::files(&store, &wanted)?;
    ensure!(!files.is_empty(), "no file to damage in {}", store.display());
    let file = &files[usize::try_from(random.below(files.len() as u64))?];
    let damage = if random.below(4) == 0 {
        damage::tear(file, random)?
    } else {
        damage::flip_used(file, random)?
    };
    if random.below(2) == 0 {
        // As after a loss of power, when the note of what was synced may be too old to miss anything.
        let _ = std::fs::remove_file(store.join("SYNCED"));
    }
    let printed = story.at(victim)?.log_text()?.len();
    story.cluster.node(victim).start()?;
    let came_up = decides(story, victim, printed, &damage)?;
    if !came_up {
        // It says what it found and stays out; an operator would let it join anew. Here it gets its old disk back.
        story.cluster.node(victim).processes().iter().for_each(Process::kill);
        story.cluster.node(victim).kill()?;
        std::fs::remove_dir_all(&store)?;
        // The data directory may be a file system of its own, so it can't be renamed.
        copy(&kept, &store)?;
        std::fs::remove_dir_all(&kept)?;
        story.cluster.node(victim).start()?;
    } else {
        std::fs::remove_dir_all(&kept)?;
    }
    story.cluster.wait_until_whole()?;
    Ok(came_up)
}

/// Waits until it has applied what the others have, or has said why it does not start.
fn decides(story: &Story, victim: &str, printed: usize, damage: &Damage) -> anyhow::Result<bool> {
    let goal = story.index()?;
    Ok(wait_for(
        &format!("a decision about {damage:?}"),
        DECIDES_WITHIN,
        || {
            let text = story
                .at(victim)
                .and_then(|n| n.log_text())
                .map_err(|error| format!("{error:#}"))?;
            let new = text.get(printed..).unwrap_or_default().to_lowercase();
            let says = [
                "corrupt",
                "damaged",
                "checksum",
                "cannot be read",
                "can't be read",
                "missing",
                "can't open",
            ];
            if says.iter().any(|word| new.contains(word)) {
                return Ok(false);
            }
            let status: Status = story
                .at(victim)
                .and_then(|n| story.cluster.ask(n, "/v1/status?consistency=local"))
                .map_err(|error| format!("{error:#}: {new}"))?;
            if status.index < goal {
                return Err(format!("at {} of {goal}", status.index));
            }
            // What nothing needs to start is found where it is read: the journal says so, and serves nothing of it.
            match journal_is_whole(story, victim) {
                Ok(()) => Ok(true),
                Err(error) => {
                    let text = format!("{error:#}");
                    let named = says.iter().any(|word| text.to_lowercase().contains(word));
                    if named { Ok(false) } else { Err(text) }
                }
            }
        },
    )?)
}

/// Reads every event that a server has.
fn journal_is_whole(story: &Story, victim: &str) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let path = format!("/v1/events?consistency=local&after={after}&limit=1000");
        let page: Events = story.cluster.ask(story.at(victim)?, &path)?;
        match page.next_after {
            Some(next) if next > after => after = next,
            _ => return Ok(()),
        }
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> anyhow::Result<()> {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(status.success(), "cannot copy {}", from.display());
    Ok(())
}
