//! Packages that are told of a changed definition by their reload command.

use client::wire::daemon::{DesiredReload, InstanceReload};

use super::*;

fn changed(revision: u64) -> DesiredInstance {
    DesiredInstance {
        reload: Some(DesiredReload {
            revision,
            command: vec!["reload".to_owned()],
            env: BTreeMap::from([("SETTING".to_owned(), revision.to_string())]),
            timeout_ms: 2_000,
            stop_timeout_ms: 3_000,
        }),
        ..wanted("p", 4, 4, "active")
    }
}

/// A package that runs, and its daemon.
fn started() -> Daemon {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "active")]);
    running(&mut daemon, &key("p", 4), 4);
    daemon
}

/// The revisions and environments of the reloads that were ordered.
fn ordered(actions: &[DaemonAction]) -> Vec<(u64, String)> {
    let reload = |action: &DaemonAction| match action {
        DaemonAction::Order {
            order: Order::Reload { revision, env, .. },
            ..
        } => Some((*revision, env.get("SETTING").cloned().unwrap_or_default())),
        _ => None,
    };
    actions.iter().filter_map(reload).collect()
}

fn ended(daemon: &mut Daemon, revision: u64, error: Option<&str>) -> Vec<DaemonAction> {
    let now = daemon.lease.deadline_ns() - 900 * MS;
    let error = error.map(str::to_owned);
    news(daemon, now, &key("p", 4), 4, News::Reloaded { revision, error })
}

fn reported(actions: &[DaemonAction]) -> Vec<InstanceReload> {
    let reloads = |action: &DaemonAction| match action {
        DaemonAction::Report { request, .. } => Some(request.reloads.clone()),
        _ => None,
    };
    actions.iter().filter_map(reloads).flatten().collect()
}

/// Whatever is under way is answered, so that the next report can be sent.
fn settle(daemon: &mut Daemon) -> Vec<DaemonAction> {
    let (session, sequence) = (9, daemon.reports.last());
    let now = daemon.lease.deadline_ns() - 900 * MS;
    step(
        daemon,
        now,
        DaemonEvent::Reported {
            session,
            sequence,
            generation: 1,
        },
    )
}

#[test]
fn it_is_ordered_once_and_its_end_is_reported() {
    let mut daemon = started();
    settle(&mut daemon);
    let actions = answer(&mut daemon, START, 2, vec![changed(7)]);
    assert_eq!(ordered(&actions), [(7, "7".to_owned())]);
    let again = answer(&mut daemon, START, 3, vec![changed(7)]);
    assert_eq!(ordered(&again), []);
    let actions = ended(&mut daemon, 7, None);
    let said = reported(&actions);
    assert_eq!(
        (said.len(), said[0].revision, &said[0].error),
        (1, 7, &None),
        "{said:?}"
    );
    let late = answer(&mut daemon, START, 4, vec![changed(7)]);
    assert_eq!(ordered(&late), [], "the manager may not have heard of it yet");
}

#[test]
fn another_change_is_told_once_the_first_has_ended() {
    let mut daemon = started();
    settle(&mut daemon);
    answer(&mut daemon, START, 2, vec![changed(7)]);
    let actions = answer(&mut daemon, START, 3, vec![changed(9)]);
    assert_eq!(ordered(&actions), [], "one at a time");
    let actions = ended(&mut daemon, 9, None);
    assert_eq!(reported(&actions), [], "nobody has run that one");
    let actions = ended(&mut daemon, 7, Some("the reload command exited with 1"));
    assert_eq!(ordered(&actions), [(9, "9".to_owned())]);
    assert_eq!(reported(&actions)[0].revision, 7);
}

#[test]
fn a_supervisor_that_says_nothing_is_not_waited_for() {
    let mut daemon = started();
    settle(&mut daemon);
    answer(&mut daemon, START, 2, vec![changed(7)]);
    let reload = daemon.instances[&key("p", 4)].reload.expect("it was ordered");
    let until_ns = reload.until_ns.expect("it is under way");
    assert!(daemon.next_ns(until_ns - 1).is_some_and(|next| next <= until_ns));
    let actions = step(&mut daemon, until_ns, DaemonEvent::Tick);
    let said = reported(&actions);
    assert!(said[0].error.is_some(), "{said:?}");
    assert_eq!(ordered(&actions), [], "what follows the manager decides");
}

#[test]
fn what_changes_its_mode_is_told_afterwards() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "standby")]);
    running(&mut daemon, &key("p", 4), 4);
    let mut both = changed(7);
    both.epoch = 8;
    let actions = answer(&mut daemon, START, 2, vec![both]);
    assert!(matches!(daemon.instances[&key("p", 4)].stage, Stage::Changing { .. }));
    assert_eq!(ordered(&actions), []);
    let now = daemon.lease.deadline_ns() - 900 * MS;
    let answered = News::Answered { epoch: 8, error: None };
    let actions = news(&mut daemon, now, &key("p", 4), 4, answered);
    assert_eq!(ordered(&actions), [(7, "7".to_owned())]);
}

#[test]
fn what_starts_meanwhile_finds_the_changed_environment() {
    let mut daemon = serving();
    let actions = answer(&mut daemon, START, 1, vec![changed(7)]);
    let spec = actions.iter().find_map(|action| match action {
        DaemonAction::Spawn { spec, .. } => Some(spec.env.get("SETTING").cloned()),
        _ => None,
    });
    assert_eq!(spec, Some(Some("7".to_owned())));
}

#[test]
fn a_later_daemon_asks_again() {
    let (mut daemon, _) = begin(Some(recorded()));
    let hello = News::Hello(Hello {
        supervisor: supervisor(),
        containment: Some(Containment::Namespace),
        package_pid: Some(5),
        epoch: 4,
        mode: "active".to_owned(),
        ready: true,
        connected: false,
        stopping: false,
    });
    news(&mut daemon, START, &key("p", 4), 4, hello);
    let actions = answer(&mut daemon, START, 1, vec![changed(7)]);
    assert_eq!(ordered(&actions), [(7, "7".to_owned())]);
}
