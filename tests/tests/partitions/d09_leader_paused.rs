//! D9: the leading server is stopped by a signal for 2 W and goes on. What its old timers propose never commits: nobody
//! is declared lost, nothing is taken over.

use nix::sys::signal::Signal;

use crate::story::{Story, WAIT};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let before = story.wait_all_active("n1")?;
    let index = story.index()?;
    let leader = story.leader()?;
    let others = story.other_servers(&leader);
    let servers = story.at(&leader)?.processes_of("serve-server");
    servers.iter().for_each(|p| p.signal(Signal::SIGSTOP));
    let stayed = story
        .wait_leader_other_than(&leader, &others)
        .and_then(|new| story.stays(WAIT * 2, &new, &before).map(|()| new));
    servers.iter().for_each(|p| p.signal(Signal::SIGCONT));
    let new = stayed?;
    story.stays(WAIT, &new, &before)?;
    story.nobody_lost_since(index)
}
