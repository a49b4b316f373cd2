//! The daemon's rules as values: what must stand before what, and what must never happen.

use std::collections::BTreeMap;

use client::wire::daemon::{Registered, Renewed};
use client::wire::definition::RunDefinition;

use super::*;
use crate::daemon::instance::Stage;
use crate::supervisor::protocol::{Containment, EndCause, Ended, Hello, News, Order, ProcessId};

mod adoption;
mod crossing;
mod cut_off;
mod reloading;
mod resetting;
mod watching;

const MS: u64 = 1_000_000;
const START: u64 = 1_000_000 * MS;

fn facts() -> Facts {
    Facts {
        name: "n1".to_owned(),
        machine: "m".to_owned(),
        capacity: BTreeMap::new(),
        labels: BTreeMap::new(),
        api: "127.0.0.1:1".to_owned(),
        environment: BTreeMap::new(),
        containment: None,
        restart_lease_ms: 20_000,
        monitor: Default::default(),
        seed: 77,
    }
}

fn place() -> Place {
    Place {
        boot: "boot-1".to_owned(),
        pid_namespace: 1,
        cgroup_namespace: 2,
    }
}

fn begin(found: Option<Record>) -> (Daemon, Vec<DaemonAction>) {
    Daemon::begin(facts(), vec!["a:1".to_owned(), "b:1".to_owned()], found, place(), START)
}

fn wanted(package: &str, start: u64, epoch: u64, mode: &str) -> DesiredInstance {
    DesiredInstance {
        package: package.to_owned(),
        start,
        epoch,
        mode: mode.to_owned(),
        output: "released".to_owned(),
        delay_ms: 0,
        deadline: true,
        reset: false,
        own_mode: None,
        maintained: false,
        shares: BTreeMap::new(),
        run: RunDefinition {
            command: vec!["true".to_owned()],
            env: BTreeMap::new(),
            directory: None,
        },
        promote: Some(vec!["promote".to_owned()]),
        demote: None,
        probe: None,
        start_timeout_ms: 1_000,
        stop_timeout_ms: 1_000,
        reload: None,
    }
}

fn key(package: &str, start: u64) -> InstanceKey {
    InstanceKey {
        package: package.to_owned(),
        start,
    }
}

fn supervisor() -> ProcessId {
    ProcessId {
        pid: 10,
        start_time: 20,
    }
}

/// In a session, with the lease that the first renewal brought.
fn serving() -> Daemon {
    let (mut daemon, _) = begin(None);
    let registered = Registered {
        cluster_id: "c".to_owned(),
        node: 1,
        session: 9,
        servers: Vec::new(),
    };
    step(&mut daemon, START, DaemonEvent::Registered(Box::new(registered)));
    daemon
}

/// The renewal that is under way is answered with a desired set; `generation` 0: with none.
fn answer(daemon: &mut Daemon, now_ns: u64, generation: u64, desired: Vec<DesiredInstance>) -> Vec<DaemonAction> {
    let due = now_ns.max(daemon.next_renewal_ns);
    let mut actions = step(daemon, due, DaemonEvent::Tick);
    let nonce = last_nonce(&actions).expect("a renewal was due");
    let renewed = renewed(nonce, generation, desired);
    actions.extend(step(
        daemon,
        due,
        DaemonEvent::Renewed {
            server: "a:1".to_owned(),
            answer: Box::new(renewed),
        },
    ));
    actions
}

fn last_nonce(actions: &[DaemonAction]) -> Option<u64> {
    actions.iter().rev().find_map(|action| match action {
        DaemonAction::Renew { request, .. } => Some(request.nonce),
        _ => None,
    })
}

fn renewed(nonce: u64, generation: u64, desired: Vec<DesiredInstance>) -> Renewed {
    Renewed {
        nonce,
        lease_ms: 1_000,
        soft_ms: 200,
        renew_ms: 100,
        retry_ms: 25,
        generation,
        desired: (generation > 0).then_some(desired),
        stopping: Vec::new(),
        servers: Vec::new(),
        watch: Vec::new(),
        thresholds: None,
    }
}

fn place_of(actions: &[DaemonAction], what: impl Fn(&DaemonAction) -> bool) -> Option<usize> {
    actions.iter().position(what)
}

fn spawn(action: &DaemonAction) -> bool {
    matches!(action, DaemonAction::Spawn { .. })
}

fn order(wanted: &Order) -> impl Fn(&DaemonAction) -> bool + '_ {
    move |action| matches!(action, DaemonAction::Order { order, .. } if order == wanted)
}

fn news(daemon: &mut Daemon, now_ns: u64, key: &InstanceKey, process: u64, news: News) -> Vec<DaemonAction> {
    step(
        daemon,
        now_ns,
        DaemonEvent::News {
            key: key.clone(),
            process,
            news,
        },
    )
}

fn running(daemon: &mut Daemon, key: &InstanceKey, process: u64) {
    let now = daemon.lease.deadline_ns() - 900 * MS;
    step(
        daemon,
        now,
        DaemonEvent::Spawned {
            key: key.clone(),
            supervisor: supervisor(),
            cgroup: None,
        },
    );
    news(
        daemon,
        now,
        key,
        process,
        News::Started {
            package_pid: 5,
            containment: Containment::Namespace,
        },
    );
    assert_eq!(daemon.instances[key].stage, Stage::Running);
}

#[test]
fn recorded_before_it_is_spawned_and_its_supervisor_before_it_may_go() {
    let mut daemon = serving();
    let actions = answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "active")]);
    let spawned = place_of(&actions, spawn).unwrap();
    assert_eq!(actions[spawned - 1], DaemonAction::Record);
    let record = daemon.record();
    assert_eq!(
        (
            record.marks["p"],
            record.instances[0].process,
            record.instances[0].supervisor
        ),
        (4, 4, None)
    );

    let actions = step(
        &mut daemon,
        START,
        DaemonEvent::Spawned {
            key: key("p", 4),
            supervisor: supervisor(),
            cgroup: None,
        },
    );
    let go = place_of(&actions, order(&Order::Go)).unwrap();
    assert_eq!(actions[go - 1], DaemonAction::Record);
    assert_eq!(daemon.record().instances[0].supervisor, Some(supervisor()));
}

#[test]
fn spawned_with_the_deadline_of_the_renewal_that_was_sent() {
    let mut daemon = serving();
    let sent = daemon.next_renewal_ns;
    let actions = answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "active")]);
    let spec = actions.iter().find_map(|action| match action {
        DaemonAction::Spawn { spec, .. } => Some(spec),
        _ => None,
    });
    let deadline = spec.unwrap().deadline_ns.unwrap();
    assert!(deadline <= sent + 1_100 * MS && deadline == daemon.lease.deadline_ns());
}

#[test]
fn nothing_starts_by_an_answer_that_this_process_did_not_ask_for() {
    let mut daemon = serving();
    let foreign = renewed(1_234_567, 1, vec![wanted("p", 4, 4, "active")]);
    let actions = step(
        &mut daemon,
        START,
        DaemonEvent::Renewed {
            server: "a:1".to_owned(),
            answer: Box::new(foreign),
        },
    );
    assert!(place_of(&actions, spawn).is_none());
    assert!(daemon.instances.is_empty());
}

#[test]
fn nothing_starts_when_the_answer_came_too_late() {
    let mut daemon = serving();
    let due = daemon.next_renewal_ns;
    let actions = step(&mut daemon, due, DaemonEvent::Tick);
    let late = renewed(last_nonce(&actions).unwrap(), 1, vec![wanted("p", 4, 4, "active")]);
    let now = daemon.next_renewal_ns + 900 * MS;
    let actions = step(
        &mut daemon,
        now,
        DaemonEvent::Renewed {
            server: "a:1".to_owned(),
            answer: Box::new(late),
        },
    );
    assert!(
        place_of(&actions, spawn).is_none(),
        "the soft stop would already have begun"
    );
    let actions = answer(&mut daemon, now + MS, 0, Vec::new());
    assert!(place_of(&actions, spawn).is_some(), "with the next answer it starts");
}

#[test]
fn an_epoch_is_never_started_twice() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "active")]);
    running(&mut daemon, &key("p", 4), 4);
    let ended = Ended {
        cause: EndCause::Exited,
        code: Some(1),
        detail: "exited with 1".to_owned(),
    };
    news(&mut daemon, START, &key("p", 4), 4, News::Ended(ended));
    for generation in 2..5 {
        let actions = answer(
            &mut daemon,
            START + generation * 150 * MS,
            generation,
            vec![wanted("p", 4, 4, "active")],
        );
        assert!(place_of(&actions, spawn).is_none());
    }
    let actions = answer(&mut daemon, START + 900 * MS, 6, vec![wanted("p", 5, 5, "active")]);
    assert!(place_of(&actions, spawn).is_some());
}

/// Found by a nemesis: the manager promoted an instance whose end was on its way to it. Once it heard of that end it granted
/// the unit elsewhere, while the daemon had started the promoted one.
#[test]
fn what_has_ended_is_not_started_by_a_promotion_that_crossed_its_report() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "standby")]);
    running(&mut daemon, &key("p", 4), 4);
    let ended = Ended {
        cause: EndCause::LeaseEnded,
        code: Some(0),
        detail: "exited with 0".to_owned(),
    };
    news(&mut daemon, START, &key("p", 4), 4, News::Ended(ended));
    assert!(daemon.reports.holds_end("p", 4));
    let promoted = || vec![wanted("p", 4, 8, "active")];
    let actions = answer(&mut daemon, START + 150 * MS, 2, promoted());
    assert!(place_of(&actions, spawn).is_none(), "its end is on its way");

    // Where the report was lost with an earlier daemon it is made anew, and still nothing starts.
    daemon.reports = Reports::default();
    let actions = answer(&mut daemon, START + 300 * MS, 3, promoted());
    assert!(place_of(&actions, spawn).is_none());
    assert!(daemon.reports.holds_end("p", 4));
    let actions = answer(&mut daemon, START + 450 * MS, 4, vec![wanted("p", 9, 9, "active")]);
    assert!(place_of(&actions, spawn).is_some(), "under a new start it may");
}

#[test]
fn promoted_in_place_only_after_epoch_and_deadline() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "standby")]);
    running(&mut daemon, &key("p", 4), 4);
    let actions = answer(&mut daemon, START, 2, vec![wanted("p", 4, 8, "active")]);
    let told = place_of(&actions, |action| {
        matches!(
            action,
            DaemonAction::Order {
                order: Order::Mode { epoch: 8, .. },
                ..
            }
        )
    })
    .unwrap();
    assert!(matches!(
        actions[told - 1],
        DaemonAction::Order {
            order: Order::Renew { .. },
            ..
        }
    ));
    assert_eq!(actions[told - 2], DaemonAction::Record);
    assert_eq!(daemon.record().marks["p"], 8);

    news(
        &mut daemon,
        START,
        &key("p", 4),
        4,
        News::Answered { epoch: 8, error: None },
    );
    let seen = daemon.reports.next_report().unwrap().clone();
    assert!(
        seen.observations
            .iter()
            .any(|seen| (seen.epoch, seen.mode.as_deref()) == (4, Some("standby")))
    );
}

#[test]
fn of_one_package_one_instance_at_a_time() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "active")]);
    running(&mut daemon, &key("p", 4), 4);
    let actions = answer(&mut daemon, START, 2, vec![wanted("p", 6, 6, "active")]);
    assert!(place_of(&actions, order(&Order::Stop { timeout_ms: 1_000 })).is_some());
    assert!(place_of(&actions, spawn).is_none(), "the old one is still there");
    let ended = Ended {
        cause: EndCause::Requested,
        code: Some(15),
        detail: String::new(),
    };
    let now = daemon.lease.deadline_ns() - 900 * MS;
    let actions = news(&mut daemon, now, &key("p", 4), 4, News::Ended(ended));
    assert!(place_of(&actions, spawn).is_some());
}

#[test]
fn a_desired_set_that_does_not_know_the_last_report_is_ignored() {
    let mut daemon = serving();
    answer(&mut daemon, START, 3, vec![wanted("p", 4, 4, "active")]);
    running(&mut daemon, &key("p", 4), 4);
    daemon.report_generation = 9;
    answer(&mut daemon, START, 5, Vec::new());
    assert_eq!(daemon.instances[&key("p", 4)].stage, Stage::Running);
    assert_eq!(daemon.generation, 3);
}

#[test]
fn a_session_that_is_over_is_cleared_before_another_is_asked_for() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "active")]);
    running(&mut daemon, &key("p", 4), 4);
    let actions = step(
        &mut daemon,
        START,
        DaemonEvent::RenewFailed {
            session: 9,
            code: "session_ended".to_owned(),
        },
    );
    assert!(place_of(&actions, order(&Order::Kill)).is_some());
    assert!(place_of(&actions, |action| matches!(action, DaemonAction::Register { .. })).is_none());
    let actions = step(
        &mut daemon,
        START,
        DaemonEvent::Gone {
            key: key("p", 4),
            process: 4,
        },
    );
    let register = actions.iter().find_map(|action| match action {
        DaemonAction::Register { request, .. } => Some(request),
        _ => None,
    });
    assert_eq!(register.unwrap().ended, [9]);
}

#[test]
fn a_node_that_was_declared_down_says_how_long_it_was_cut_off() {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, Vec::new());
    let heard_ns = daemon.lease.heard_ns().unwrap();
    let actions = step(
        &mut daemon,
        heard_ns + 3_200 * MS,
        DaemonEvent::RenewFailed {
            session: 9,
            code: "session_ended".to_owned(),
        },
    );
    let register = actions.iter().find_map(|action| match action {
        DaemonAction::Register { request, .. } => Some(request),
        _ => None,
    });
    assert_eq!(register.unwrap().cut_off_ms, Some(3_200));
}

#[test]
fn a_restart_waits_for_an_answer_that_brings_the_longer_lease() {
    let exits = |actions: &[DaemonAction]| actions.contains(&DaemonAction::Exit);
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "active")]);
    running(&mut daemon, &key("p", 4), 4);
    let asked = START + 300 * MS;
    let actions = step(&mut daemon, asked, DaemonEvent::Restart);
    assert!(matches!(
        actions.iter().find(|action| matches!(action, DaemonAction::Extend { .. })),
        Some(DaemonAction::Extend { request, .. }) if request.lease_ms == 20_000
    ));
    step(&mut daemon, asked, DaemonEvent::Extended);
    // A leader that has just taken over grants the usual lease: that is not what was asked for.
    assert!(!exits(&answer(&mut daemon, asked, 0, Vec::new())));
    let due = daemon.next_renewal_ns;
    let actions = step(&mut daemon, due, DaemonEvent::Tick);
    let longer = Renewed {
        lease_ms: 20_000,
        ..renewed(last_nonce(&actions).unwrap(), 0, Vec::new())
    };
    let actions = step(
        &mut daemon,
        due,
        DaemonEvent::Renewed {
            server: "a:1".to_owned(),
            answer: Box::new(longer),
        },
    );
    assert!(exits(&actions));
    let armed = place_of(
        &actions,
        |action| matches!(action, DaemonAction::Order { order: Order::Renew { deadline_ns, .. }, .. } if *deadline_ns > asked + 20_000 * MS),
    );
    assert!(armed < place_of(&actions, |action| *action == DaemonAction::Exit) && armed.is_some());
}

fn recorded() -> Record {
    let mut daemon = serving();
    answer(&mut daemon, START, 1, vec![wanted("p", 4, 4, "active")]);
    running(&mut daemon, &key("p", 4), 4);
    daemon.record()
}

#[test]
fn a_later_daemon_continues_and_settles_the_report_in_doubt() {
    let record = recorded();
    let (mut daemon, actions) = begin(Some(record.clone()));
    assert!(actions.iter().any(
        |action| matches!(action, DaemonAction::Adopt { key, process: 4, .. } if *key == super::tests::key("p", 4))
    ));
    let report = actions.iter().find_map(|action| match action {
        DaemonAction::Report { request, .. } => Some(request.clone()),
        _ => None,
    });
    let report = report.unwrap();
    assert_eq!(
        (report.sequence, report.observations.len()),
        (record.session.unwrap().reported, 0)
    );
    // What the manager wants is not known yet: nothing is stopped for that.
    let hello = Hello {
        supervisor: supervisor(),
        containment: Some(Containment::Namespace),
        package_pid: Some(5),
        epoch: 4,
        mode: "active".to_owned(),
        ready: false,
        connected: false,
        stopping: false,
    };
    let actions = news(&mut daemon, START, &key("p", 4), 4, News::Hello(hello));
    assert!(!actions.iter().any(|action| matches!(
        action,
        DaemonAction::Order {
            order: Order::Stop { .. } | Order::Kill,
            ..
        }
    )));
    assert!(daemon.instances.contains_key(&key("p", 4)));
    // Epochs of the earlier daemon stay used.
    assert!(!daemon.record.is_fresh("p", 4));
}

#[test]
fn after_a_boot_the_session_is_named_as_over() {
    let mut record = recorded();
    record.place.boot = "boot-0".to_owned();
    let (_, actions) = begin(Some(record));
    let register = actions.iter().find_map(|action| match action {
        DaemonAction::Register { request, .. } => Some(request),
        _ => None,
    });
    assert_eq!(register.unwrap().ended, [9]);
}

#[test]
fn what_can_not_be_seen_is_not_named_as_over() {
    let mut record = recorded();
    record.place.pid_namespace = 99;
    let (_, actions) = begin(Some(record));
    let register = actions.iter().find_map(|action| match action {
        DaemonAction::Register { request, .. } => Some(request),
        _ => None,
    });
    assert!(register.unwrap().ended.is_empty());
}

#[test]
fn a_registration_in_doubt_is_sent_again_under_its_nonce() {
    let nonce = |actions: &[DaemonAction]| {
        actions.iter().find_map(|action| match action {
            DaemonAction::Register { request, .. } => Some(request.nonce.clone()),
            _ => None,
        })
    };
    let (daemon, actions) = begin(None);
    let place = place_of(&actions, |action| matches!(action, DaemonAction::Register { .. })).unwrap();
    assert_eq!(actions[place - 1], DaemonAction::Record);
    let (_, again) = begin(Some(daemon.record()));
    assert_eq!(nonce(&actions), nonce(&again));
}

/// Any order of events: whatever is started or told was recorded in the same step before, its epoch was never used, the
/// lease allowed it, and no second instance of the package had processes.
#[test]
fn whatever_happens_the_rules_hold() {
    for seed in 0..300_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut pick = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut daemon = serving();
        let (mut now, mut generation, mut epoch) = (START, 0, 10);
        let mut used: BTreeMap<String, u64> = BTreeMap::new();
        let mut desired: Vec<DesiredInstance> = Vec::new();
        let mut nonces = Vec::new();
        for _ in 0..300 {
            now += pick(60) * MS;
            let package = ["p", "q"][usize::try_from(pick(2)).unwrap()];
            let target = daemon
                .instances
                .iter()
                .filter(|(key, _)| key.package == package)
                .map(|(key, it)| (key.clone(), it.process))
                .next_back();
            let event = match (pick(10), target) {
                (0..=3, _) => match nonces.pop() {
                    Some(nonce) => {
                        match pick(4) {
                            0 => desired.retain(|wanted| wanted.package != package),
                            1 => {
                                desired.retain(|wanted| wanted.package != package);
                                epoch += 1;
                                desired.push(wanted(package, epoch, epoch, "standby"));
                            }
                            2 => {
                                if let Some(wanted) = desired.iter_mut().find(|wanted| wanted.package == package) {
                                    epoch += 1;
                                    wanted.epoch = epoch;
                                    wanted.mode = "active".to_owned();
                                    wanted.promote = (pick(2) == 0).then(|| vec!["x".to_owned()]);
                                }
                            }
                            _ => {}
                        }
                        generation += 1;
                        DaemonEvent::Renewed {
                            server: "a:1".to_owned(),
                            answer: Box::new(renewed(nonce, generation, desired.clone())),
                        }
                    }
                    None => DaemonEvent::Tick,
                },
                (4, Some((key, _))) => DaemonEvent::Spawned {
                    key,
                    supervisor: supervisor(),
                    cgroup: None,
                },
                (5, Some((key, process))) => {
                    let started = News::Started {
                        package_pid: 3,
                        containment: Containment::Namespace,
                    };
                    DaemonEvent::News {
                        key,
                        process,
                        news: started,
                    }
                }
                (6, Some((key, process))) => {
                    let epoch = daemon.instances[&key].epoch;
                    DaemonEvent::News {
                        key,
                        process,
                        news: News::Answered {
                            epoch,
                            error: (pick(3) == 0).then(String::new),
                        },
                    }
                }
                (7, Some((key, process))) => {
                    let ended = Ended {
                        cause: EndCause::Exited,
                        code: Some(0),
                        detail: String::new(),
                    };
                    DaemonEvent::News {
                        key,
                        process,
                        news: News::Ended(ended),
                    }
                }
                (8, Some((key, process))) => DaemonEvent::Gone { key, process },
                _ => DaemonEvent::Tick,
            };
            let actions = step(&mut daemon, now, event);
            check(&daemon, now, &actions, &mut used);
            nonces.extend(actions.iter().filter_map(|action| match action {
                DaemonAction::Renew { request, .. } => Some(request.nonce),
                _ => None,
            }));
        }
    }
}

fn check(daemon: &Daemon, now: u64, actions: &[DaemonAction], used: &mut BTreeMap<String, u64>) {
    let mut recorded = false;
    for action in actions {
        let (package, epoch) = match action {
            DaemonAction::Record => {
                recorded = true;
                continue;
            }
            DaemonAction::Spawn { key, spec } => {
                assert_eq!(spec.deadline_ns, Some(daemon.lease.deadline_ns()));
                (&key.package, spec.epoch)
            }
            DaemonAction::Order {
                key,
                order: Order::Mode { epoch, .. },
            } => (&key.package, *epoch),
            DaemonAction::Order { order: Order::Go, .. } => {
                assert!(recorded, "go before the supervisor is recorded");
                continue;
            }
            _ => continue,
        };
        assert!(recorded, "{action:?} before it is recorded");
        assert!(daemon.lease.allows(now), "{action:?} without a lease");
        assert!(
            used.get(package).is_none_or(|last| epoch > *last),
            "{action:?} uses an epoch twice"
        );
        assert_eq!(daemon.record().marks.get(package), Some(&epoch));
        used.insert(package.clone(), epoch);
        let with_process = daemon
            .instances
            .iter()
            .filter(|(key, it)| key.package == *package && it.has_process())
            .count();
        assert!(with_process <= 1, "two instances of {package} have processes");
    }
}
