//! D4: the daemon of the active node alone is stopped by a signal for 3 W. The supervisor's timer kills the package, and
//! exactly one other takes over.

use anyhow::ensure;
use nix::sys::signal::Signal;
use tests::wait::pause;

use crate::story::{KILL, LEASE, Story, WAIT, now_ns};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let (_, epoch) = story.bring("told", "n4")?;
    let index = story.index()?;
    let daemons = story.at("n4")?.processes_of("serve-daemon");
    ensure!(daemons.len() == 1, "{} daemons", daemons.len());
    daemons.iter().for_each(|p| p.signal(Signal::SIGSTOP));
    let stopped_ns = now_ns();
    pause(WAIT * 3, "the daemon does not run");
    let now = story.epochs("n1");
    let lost = story.events_since(index, "node-lost");
    daemons.iter().for_each(|p| p.signal(Signal::SIGCONT));
    let now = now.map_err(anyhow::Error::msg)?;
    let lost = lost?;
    ensure!(now.get("told").is_some_and(|e| *e > epoch), "nobody took over: {now:?}");
    ensure!(lost.len() == 1, "lost: {lost:?}");
    let later: Vec<_> = story.seen("told")?.into_iter().filter(|i| i.epoch > epoch).collect();
    ensure!(later.len() == 1, "one takeover, not {later:?}");
    story.gone_within(epoch, stopped_ns, LEASE + KILL)
}
