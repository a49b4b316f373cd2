//! D11: requests arrive and are executed, and no answer comes back to one worker. It never learns that its renewals were
//! answered, and stops; and since the leader's wait begins anew with each answer that it gave, nobody takes over too early.

use anyhow::ensure;
use tests::network::{Lost, Rule};
use tests::wait::pause;

use crate::story::{KILL, LEASE, Story, WAIT, now_ns};

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
    let gap = story.interval(after)?.from_ns.saturating_sub(cut_ns);
    ensure!(
        u128::from(gap) >= WAIT.as_nanos(),
        "taken over {gap} ns after the last answer that arrived"
    );
    Ok(())
}
