//! D6: the leading server is killed. Another one leads, and not one package stops.

use std::time::Duration;

use crate::story::Story;

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let before = story.wait_all_active("n1")?;
    let index = story.index()?;
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    let down = story.kill_server(&leader)?;
    let new = story.wait_leader_other_than(&leader, &others)?;
    story.stays(Duration::from_secs(2), &new, &before)?;
    drop(down);
    story.nobody_lost_since(index)
}
