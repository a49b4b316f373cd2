//! Instances of an earlier daemon: what is said of them, and how long they may take.

use client::wire::definition::ProbeDefinition;
use client::wire::duration::DurationText;

use super::*;

fn hello(epoch: u64, ready: bool) -> News {
    News::Hello(Hello {
        supervisor: supervisor(),
        containment: Some(Containment::Namespace),
        package_pid: Some(5),
        epoch,
        mode: "active".to_owned(),
        ready,
        connected: false,
        stopping: false,
    })
}

/// Another daemon goes on with the record of a running instance, whose supervisor has answered.
fn adopting(epoch: u64, ready: bool) -> Daemon {
    let (mut daemon, _) = begin(Some(recorded()));
    news(&mut daemon, START, &key("p", 4), 4, hello(epoch, ready));
    daemon
}

fn says_running(daemon: &Daemon) -> bool {
    daemon.instances[&key("p", 4)].stage == Stage::Running
}

#[test]
fn nothing_is_said_of_it_before_the_desired_set_is_known() {
    let mut daemon = adopting(4, false);
    assert!(!says_running(&daemon));
    // However long that takes: without a quorum it is the deadline's business.
    step(&mut daemon, START + 200_000 * MS, DaemonEvent::Tick);
    assert!(matches!(daemon.instances[&key("p", 4)].stage, Stage::Starting { .. }));
    answer(&mut daemon, START + 200_000 * MS, 1, vec![wanted("p", 4, 4, "active")]);
    assert!(
        says_running(&daemon),
        "without a probe, being there is all that can be seen"
    );
}

#[test]
fn one_with_a_probe_is_running_once_that_passes() {
    let mut daemon = adopting(4, false);
    let mut probed = wanted("p", 4, 4, "active");
    probed.probe = Some(ProbeDefinition {
        exec: Some(vec!["true".to_owned()]),
        tcp: None,
        http: None,
        interval: DurationText::from_ms(100),
        timeout: DurationText::from_ms(100),
        failures: 2,
    });
    let mut actions = answer(&mut daemon, START, 1, vec![probed]);
    actions.extend(step(&mut daemon, START, DaemonEvent::Tick));
    assert!(!says_running(&daemon));
    let asked = actions.iter().find_map(|action| match action {
        DaemonAction::Order {
            order: Order::Run { id, .. },
            ..
        } => Some(*id),
        _ => None,
    });
    let id = asked.expect("it is probed at once");
    news(&mut daemon, START, &key("p", 4), 4, News::Ran { id, error: None });
    assert!(says_running(&daemon));
}

#[test]
fn one_that_said_so_itself_is_ready() {
    assert!(says_running(&adopting(4, true)));
}

#[test]
fn a_change_of_mode_has_the_time_that_its_definition_gives() {
    let mut record = recorded();
    record.instances[0].epoch = 8;
    record.mark("p", 8);
    let (mut daemon, _) = begin(Some(record));
    news(&mut daemon, START, &key("p", 4), 4, hello(4, true));
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 8, "active")]);
    let told_ns = daemon.lease.heard_ns().unwrap();
    assert!(matches!(daemon.instances[&key("p", 4)].stage, Stage::Changing { .. }));
    step(&mut daemon, told_ns + 999 * MS, DaemonEvent::Tick);
    assert!(matches!(daemon.instances[&key("p", 4)].stage, Stage::Changing { .. }));
    let actions = step(&mut daemon, told_ns + 1_000 * MS, DaemonEvent::Tick);
    assert!(
        place_of(&actions, order(&Order::Kill)).is_some(),
        "its start_timeout is 1 s"
    );
}
