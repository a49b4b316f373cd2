//! D5: the package's process alone is stopped by a signal for 3 W. The lease goes on, nobody else takes over; and the
//! process goes on under the same epoch, since this package has no health check that could miss it.

use anyhow::ensure;
use nix::sys::signal::Signal;
use tests::wait::pause;

use crate::story::{Story, WAIT};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let (package, epoch) = story.bring("told", "n4")?;
    let before = story.wait_all_active("n1")?;
    let process = story.cluster.package_process(&package, "n4")?;
    process.signal(Signal::SIGSTOP);
    pause(WAIT * 3, "the package does not run");
    let now = story.epochs("n1");
    process.signal(Signal::SIGCONT);
    ensure!(
        now.as_ref().is_ok_and(|now| *now == before),
        "{now:?} instead of {before:?}"
    );
    let later: Vec<_> = story.seen("told")?.into_iter().filter(|i| i.epoch > epoch).collect();
    ensure!(later.is_empty(), "nobody else became active: {later:?}");
    Ok(())
}
