//! D11: requests arrive and are executed, and no answer comes back to one worker. It never learns that its renewals were
//! answered, and stops. Another takes over: on its report of that, where none before it waits for an answer, else because it
//! says with each renewal for how long no answer has come, and is left to be lost.

use anyhow::ensure;
use tests::network::{Lost, Rule};
use tests::wait::pause;

use crate::story::{KILL, LEASE, Story, now_ns};

pub fn run(story: &mut Story) -> anyhow::Result<()> {
    let (_, epoch) = story.bring("told", "n4")?;
    let rules = ["n1", "n2", "n3"]
        .map(|server| Rule::new(server, "n4", Lost::Replies))
        .to_vec();
    story.cluster.break_network(rules, &["n4"])?;
    let cut_ns = now_ns();
    pause(LEASE * 3, "every answer to n4 is lost");
    let dropped = story.cluster.network()?.dropped()?;
    ensure!(dropped > 0, "answers were lost");
    story.gone_within(epoch, cut_ns, LEASE + KILL)?;
    let after = story.wait_moved("n1", "told", epoch)?;
    let (old, new) = (story.interval(epoch)?, story.interval(after)?);
    ensure!(new.node != "n4", "{new:?}");
    ensure!(new.from_ns > old.until_ns, "{old:?}, then {new:?}");
    Ok(())
}
