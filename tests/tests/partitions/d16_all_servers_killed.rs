//! D16: every server is killed at once under load; they come back at once, and after a while. What was acknowledged is
//! there (I10, compared at the end of each scenario).

use std::time::Duration;

use tests::processes::Process;
use tests::wait::pause;

use crate::story::{Story, span};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    pause(Duration::from_millis(500), "the load runs");
    for node in story.nodes() {
        story
            .at(&node)?
            .processes_of("serve-server")
            .iter()
            .for_each(Process::kill);
    }
    story.cluster.wait_until_whole()?;
    pause(Duration::from_millis(300), "the load runs");
    let mut down = Vec::new();
    for node in story.nodes() {
        down.push(story.kill_server(&node)?);
    }
    pause(span(Duration::from_secs(1), Duration::from_secs(30)), "no server runs");
    drop(down);
    story.cluster.wait_until_whole()
}
