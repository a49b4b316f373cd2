//! Real daemons, supervisors and packages under a manager that says what the test wants.

#![allow(
    clippy::disallowed_methods,
    reason = "a while in which something must not happen, or is done on purpose"
)]

mod node;

use std::time::{Duration, Instant};

use client::wire::definition::ProbeDefinition;
use client::wire::duration::DurationText;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::{Node, instance, is_alive, processes_of, wait_until};

const SLEEP: [&str; 2] = ["sleep", "1000"];

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn a_death_is_reported_at_once_and_the_epoch_never_comes_back() {
    let node = Node::start(1_000);
    let mut delays = Vec::new();
    for epoch in 1..=10 {
        node.manager.set_desired(vec![instance("p", epoch, "active", &SLEEP)]);
        let (_, running) = node.manager.wait_state("p", epoch, "running");
        assert_eq!(running.mode.as_deref(), Some("active"));
        let killed = Instant::now();
        signal(node.pid("p", epoch), Signal::SIGKILL);
        let (at, ended) = node.manager.wait_state("p", epoch, "ended");
        assert_eq!((ended.cause.as_deref(), ended.code), (Some("signalled"), Some(9)));
        delays.push(at.duration_since(killed));
    }
    delays.sort();
    eprintln!("death to report: median {:?}, longest {:?}", delays[5], delays[9]);
    // Still desired under the old epoch: it must not be started again.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!node.run_dir().join("p.10/package.pid").exists() || !is_alive(node.pid("p", 10)));
    node.manager.wait_state("p", 10, "ended");
}

#[test]
fn a_daemon_killed_alone_goes_on_with_the_same_processes() {
    let mut node = Node::start(1_000);
    node.manager.set_desired(vec![
        instance("p", 1, "active", &SLEEP),
        instance("q", 2, "standby", &SLEEP),
    ]);
    node.manager.wait_state("p", 1, "running");
    node.manager.wait_state("q", 2, "running");
    let pids = (node.pid("p", 1), node.pid("q", 2));
    for _ in 0..3 {
        node.kill_daemon();
        node.start_daemon();
        let before = node.manager.0.lock().unwrap().renewals.len();
        node.manager.wait("renewals of the new daemon", |manager| {
            (manager.renewals.len() > before + 15).then_some(())
        });
    }
    assert!(is_alive(pids.0) && is_alive(pids.1), "{}", node.log());
    assert_eq!(pids, (node.pid("p", 1), node.pid("q", 2)));
    {
        let manager = node.manager.0.lock().unwrap();
        assert_eq!(manager.registrations.len(), 1, "the session went on");
        assert!(
            manager.seen.iter().all(|(_, seen)| seen.state == "running"),
            "{:?}",
            manager.seen
        );
    }
    // It still sees a death.
    signal(pids.0, Signal::SIGKILL);
    node.manager.wait_state("p", 1, "ended");
    // And it still can stop.
    node.manager.set_desired(Vec::new());
    let (_, ended) = node.manager.wait_state("q", 2, "ended");
    assert_eq!(ended.cause.as_deref(), Some("requested"));
    assert!(!is_alive(pids.1));
}

#[test]
fn a_package_that_died_while_no_daemon_ran_is_reported_by_the_next() {
    let mut node = Node::start(1_000);
    node.manager.set_desired(vec![instance(
        "p",
        1,
        "active",
        &["sh", "-c", "read x < $0; exit 7", "/dev/null"],
    )]);
    let (_, ended) = node.manager.wait_state("p", 1, "ended");
    assert_eq!((ended.cause.as_deref(), ended.code), (Some("exited"), Some(7)));
    node.manager.set_desired(vec![instance("p", 2, "active", &SLEEP)]);
    node.manager.wait_state("p", 2, "running");
    node.kill_daemon();
    signal(node.pid("p", 2), Signal::SIGKILL);
    node.start_daemon();
    let (_, ended) = node.manager.wait_state("p", 2, "ended");
    assert_eq!((ended.cause.as_deref(), ended.code), (Some("signalled"), Some(9)));
}

#[test]
fn cut_off_it_ends_within_its_lease_even_with_everything_stopped() {
    let mut node = Node::start(500);
    node.manager.set_desired(vec![instance(
        "p",
        1,
        "active",
        &["sh", "-c", "trap '' TERM; (setsid sleep 1000 &); sleep 1000"],
    )]);
    node.manager.wait_state("p", 1, "running");
    std::thread::sleep(Duration::from_millis(100));
    let mut all = processes_of(node.directory.path());
    assert!(all.len() >= 5, "daemon, supervisor, shell and its children: {all:?}");
    all.sort_unstable();
    for pid in &all {
        signal(*pid, Signal::SIGSTOP);
    }
    let stopped = Instant::now();
    let daemon = i32::try_from(node.daemon.as_ref().unwrap().id()).unwrap();
    let gone = wait_until("everything of the package is gone", || {
        all.iter().all(|pid| *pid == daemon || !is_alive(*pid))
    });
    let took = gone.duration_since(stopped);
    eprintln!("everything stopped: gone after {took:?} of a lease of 500 ms");
    assert!(took < Duration::from_millis(600), "{took:?}");
    signal(daemon, Signal::SIGCONT);
    node.kill_daemon();
}

#[test]
fn cut_off_alone_it_gets_a_soft_stop_first_and_comes_back_later() {
    let node = Node::start(1_000);
    let script = "trap 'echo stopped softly; exit 0' TERM; while :; do sleep 0.01; done";
    node.manager
        .set_desired(vec![instance("p", 1, "active", &["sh", "-c", script])]);
    node.manager.wait_state("p", 1, "running");
    let pid = node.pid("p", 1);
    let last = {
        let mut manager = node.manager.0.lock().unwrap();
        manager.silent = true;
        manager.renewals.last().unwrap().0
    };
    let gone = wait_until("gone", || !is_alive(pid));
    let after = gone.duration_since(last);
    assert!(
        after > Duration::from_millis(600) && after < Duration::from_millis(1_100),
        "{after:?}"
    );
    node.manager.0.lock().unwrap().silent = false;
    let (_, ended) = node.manager.wait_state("p", 1, "ended");
    assert_eq!(ended.cause.as_deref(), Some("lease_ended"));
    assert!(ended.detail.contains("stopped softly"), "{}", ended.detail);
}

#[test]
fn promoted_by_its_command() {
    let node = Node::start(1_000);
    let mark = node.directory.path().join("promoted");
    let script = format!("echo $PACELINE_MODE $PACELINE_EPOCH > {}", mark.display());
    let mut wanted = instance("p", 1, "standby", &SLEEP);
    wanted.promote = Some(vec!["sh".to_owned(), "-c".to_owned(), script]);
    node.manager.set_desired(vec![wanted.clone()]);
    node.manager.wait_state("p", 1, "running");
    let pid = node.pid("p", 1);
    wanted.epoch = 5;
    wanted.mode = "active".to_owned();
    node.manager.set_desired(vec![wanted]);
    let (_, running) = node.manager.wait_state("p", 5, "running");
    assert_eq!((running.start, running.mode.as_deref()), (1, Some("active")));
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "active 5\n");
    assert!(is_alive(pid), "in place");
}

#[test]
fn a_promotion_that_fails_is_a_failure() {
    let node = Node::start(1_000);
    let mut wanted = instance("p", 1, "standby", &SLEEP);
    wanted.promote = Some(vec!["sh".to_owned(), "-c".to_owned(), "exit 4".to_owned()]);
    node.manager.set_desired(vec![wanted.clone()]);
    node.manager.wait_state("p", 1, "running");
    wanted.epoch = 5;
    wanted.mode = "active".to_owned();
    node.manager.set_desired(vec![wanted]);
    let (_, ended) = node.manager.wait_state("p", 5, "ended");
    assert_eq!(ended.cause.as_deref(), Some("not_ready"));
    assert!(ended.detail.contains("exited with 4"), "{}", ended.detail);
}

#[test]
fn promoted_by_its_control_socket() {
    let node = Node::start(1_000);
    let script = "import json,os,socket,time\n\
        s=socket.socket(socket.AF_UNIX); s.connect(os.environ['PACELINE_CONTROL']); f=s.makefile('rw')\n\
        f.write('{\"ready\":true}\\n'); f.flush()\n\
        told=json.loads(f.readline()); print('told', told['mode'], told['epoch'], flush=True)\n\
        f.write('{\"ok\":true}\\n'); f.flush(); time.sleep(1000)";
    let mut wanted = instance("p", 1, "standby", &["python3", "-c", script]);
    node.manager.set_desired(vec![wanted.clone()]);
    node.manager.wait_state("p", 1, "running");
    let pid = node.pid("p", 1);
    // The package connects when it likes; promoted earlier than that it would be started anew.
    let supervised = node.run_dir().join("p.1/daemon");
    wait_until("a connection", || {
        use std::io::BufRead;
        let stream = std::os::unix::net::UnixStream::connect(&supervised).unwrap();
        let mut line = String::new();
        std::io::BufReader::new(stream).read_line(&mut line).unwrap();
        line.contains("\"connected\":true")
    });
    // Looking took the daemon's place at the supervisor: let a new daemon take it back.
    let mut node = node;
    node.kill_daemon();
    node.start_daemon();
    wanted.epoch = 3;
    wanted.mode = "active".to_owned();
    node.manager.set_desired(vec![wanted]);
    let (_, running) = node.manager.wait_state("p", 3, "running");
    assert_eq!(running.mode.as_deref(), Some("active"));
    assert!(is_alive(pid), "in place");
    assert!(
        std::fs::read_to_string(node.run_dir().join("p.1/output.log"))
            .unwrap()
            .contains("told active 3")
    );
}

#[test]
fn without_a_way_to_be_told_it_is_started_anew_under_the_same_instance() {
    let node = Node::start(1_000);
    let script = "echo $PACELINE_MODE $PACELINE_EPOCH; exec sleep 1000";
    let mut wanted = instance("p", 1, "standby", &["sh", "-c", script]);
    node.manager.set_desired(vec![wanted.clone()]);
    node.manager.wait_state("p", 1, "running");
    let pid = node.pid("p", 1);
    wanted.epoch = 4;
    wanted.mode = "active".to_owned();
    node.manager.set_desired(vec![wanted]);
    let (_, running) = node.manager.wait_state("p", 4, "running");
    assert_eq!((running.start, running.mode.as_deref()), (1, Some("active")));
    assert!(!is_alive(pid));
    wait_until("output", || {
        std::fs::read_to_string(node.run_dir().join("p.4/output.log")).is_ok_and(|text| text == "active 4\n")
    });
    let manager = node.manager.0.lock().unwrap();
    assert!(
        manager.seen.iter().all(|(_, seen)| seen.state == "running"),
        "{:?}",
        manager.seen
    );
}

#[test]
fn what_can_not_be_executed_says_why() {
    let node = Node::start(1_000);
    let mut nowhere = instance("c", 3, "active", &SLEEP);
    nowhere.run.directory = Some("/no/such/directory".to_owned());
    node.manager.set_desired(vec![
        instance("a", 1, "active", &["/no/such/program"]),
        instance("b", 2, "active", &["/etc/passwd"]),
        nowhere,
        instance("d", 4, "active", &["no-such-program-anywhere"]),
    ]);
    for (package, epoch, words) in [
        ("a", 1, "ENOENT"),
        ("b", 2, "chmod +x"),
        ("c", 3, "can't enter the directory"),
        ("d", 4, "no such program in PATH"),
    ] {
        let (_, ended) = node.manager.wait_state(package, epoch, "ended");
        assert_eq!(ended.cause.as_deref(), Some("not_started"), "{ended:?}");
        assert!(ended.detail.contains(words), "{}", ended.detail);
    }
}

#[test]
fn a_probe_decides_when_it_is_ready_and_when_it_has_failed() {
    let node = Node::start(1_000);
    let healthy = node.directory.path().join("healthy");
    let mut wanted = instance("p", 1, "active", &SLEEP);
    wanted.probe = Some(ProbeDefinition {
        exec: Some(vec!["test".to_owned(), "-e".to_owned(), healthy.display().to_string()]),
        tcp: None,
        http: None,
        interval: DurationText::from_ms(50),
        timeout: DurationText::from_ms(1_000),
        failures: 2,
    });
    node.manager.set_desired(vec![wanted]);
    let pid = node.pid("p", 1);
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        node.manager.0.lock().unwrap().seen.is_empty(),
        "not ready before the probe passes"
    );
    std::fs::write(&healthy, "").unwrap();
    node.manager.wait_state("p", 1, "running");
    std::fs::remove_file(&healthy).unwrap();
    node.manager.wait_state("p", 1, "failing");
    let (_, ended) = node.manager.wait_state("p", 1, "ended");
    assert_eq!(ended.cause.as_deref(), Some("probe_failed"));
    assert!(ended.detail.contains("2 times"), "{}", ended.detail);
    assert!(!is_alive(pid));
}

#[test]
fn a_session_that_is_over_is_killed_and_named_in_the_next() {
    let node = Node::start(1_000);
    node.manager.set_desired(vec![instance(
        "p",
        1,
        "active",
        &["sh", "-c", "trap '' TERM; (setsid sleep 1000 &); sleep 1000"],
    )]);
    node.manager.wait_state("p", 1, "running");
    let all: Vec<i32> = processes_of(node.directory.path());
    let daemon = i32::try_from(node.daemon.as_ref().unwrap().id()).unwrap();
    let state = std::fs::read(node.run_dir().join("p.1/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    let supervisor = i32::try_from(state["supervisor"]["pid"].as_i64().unwrap()).unwrap();
    {
        let mut manager = node.manager.0.lock().unwrap();
        manager.desired.clear();
        manager.sequences.clear();
        manager.ended = true;
    }
    let second = node
        .manager
        .wait("another registration", |manager| manager.registrations.get(1).cloned());
    assert_eq!(second.ended, [101]);
    // The supervisor has proven that nothing of the package is left, said so, and ends a moment later.
    assert!(
        all.iter()
            .all(|pid| *pid == daemon || *pid == supervisor || !is_alive(*pid)),
        "proven gone before it was named"
    );
    wait_until("the supervisor's end", || !is_alive(supervisor));
}

#[test]
fn sigterm_stops_everything_and_leaves() {
    let mut node = Node::start(1_000);
    node.manager.set_desired(vec![
        instance("p", 1, "active", &SLEEP),
        instance(
            "q",
            2,
            "active",
            &["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
        ),
    ]);
    node.manager.wait_state("p", 1, "running");
    node.manager.wait_state("q", 2, "running");
    std::thread::sleep(Duration::from_millis(50));
    node.signal_daemon(Signal::SIGTERM);
    let status = node.daemon.take().unwrap().wait().unwrap();
    assert!(status.success());
    let manager = node.manager.0.lock().unwrap();
    assert_eq!(manager.left.len(), 1);
    for package in ["p", "q"] {
        assert!(
            manager
                .seen
                .iter()
                .any(|(_, seen)| seen.package == package && seen.state == "ended"),
            "{:?}",
            manager.seen
        );
    }
    drop(manager);
    assert_eq!(processes_of(node.directory.path()), Vec::<i32>::new());
}

#[test]
fn a_planned_restart_extends_the_lease_and_stops_nothing() {
    let mut node = Node::start(500);
    node.manager.set_desired(vec![instance("p", 1, "active", &SLEEP)]);
    node.manager.wait_state("p", 1, "running");
    let pid = node.pid("p", 1);
    node.signal_daemon(Signal::SIGHUP);
    assert!(node.daemon.take().unwrap().wait().unwrap().success());
    assert_eq!(node.manager.0.lock().unwrap().extended.len(), 1);
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(is_alive(pid), "three leases later it runs on");
    node.start_daemon();
    let before = node.manager.0.lock().unwrap().renewals.len();
    node.manager.wait("renewals", |manager| {
        (manager.renewals.len() > before + 3).then_some(())
    });
    node.manager.set_desired(Vec::new());
    node.manager.wait_state("p", 1, "ended");
    assert!(!is_alive(pid));
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let mut node = Node::start(1_000);
    node.manager
        .wait("a session", |manager| manager.registrations.first().map(|_| ()));
    let first = node.daemon.take();
    node.start_daemon();
    let second = node.daemon.take().unwrap().wait_with_output().unwrap();
    assert_eq!(second.status.code(), Some(30));
    assert!(node.log().contains("another daemon (process"), "{}", node.log());
    node.daemon = first;
}

#[test]
fn a_crash_under_the_same_desired_set_is_no_busy_loop() {
    let node = Node::start(1_000);
    node.manager.set_desired(vec![instance("p", 1, "active", &["false"])]);
    node.manager.wait_state("p", 1, "ended");
    let mut again = instance("p", 2, "active", &["false"]);
    again.delay_ms = 400;
    let asked = Instant::now();
    node.manager.set_desired(vec![again]);
    let (at, _) = node.manager.wait_state("p", 2, "ended");
    assert!(at.duration_since(asked) >= Duration::from_millis(400));
    std::thread::sleep(Duration::from_millis(300));
    let ends = node
        .manager
        .0
        .lock()
        .unwrap()
        .seen
        .iter()
        .filter(|(_, seen)| seen.state == "ended")
        .count();
    assert_eq!(ends, 2);
}

/// A `[reset]` command that only writes down why it was called.
fn reset_command(mark: &std::path::Path) -> String {
    format!(
        "[reset]\ncommand = [\"/bin/sh\", \"-c\", \"echo $PACELINE_RESET_REASON > {0}.new; mv {0}.new {0}\"]\n",
        mark.display()
    )
}

#[test]
fn a_node_that_hears_no_quorum_stops_its_package_and_is_then_reset() {
    let marks = tempfile::tempdir().unwrap();
    let mark = marks.path().join("reset");
    let node = Node::start_with(500, &reset_command(&mark));
    let mut wanted = instance(
        "p",
        1,
        "active",
        &["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
    );
    wanted.reset = true;
    node.manager
        .set_desired(vec![wanted, instance("q", 2, "active", &SLEEP)]);
    node.manager.wait_state("p", 1, "running");
    node.manager.wait_state("q", 2, "running");
    let (p, q) = (node.pid("p", 1), node.pid("q", 2));
    let silent = Instant::now();
    node.manager.0.lock().unwrap().silent = true;
    wait_until("the reset", || {
        assert!(
            !mark.exists() || (!is_alive(p) && !is_alive(q)),
            "first stopped, then reset"
        );
        mark.exists()
    });
    let after = silent.elapsed();
    assert!(after > Duration::from_millis(350), "not before the deadline: {after:?}");
    let reason = std::fs::read_to_string(&mark).unwrap();
    assert!(reason.contains("package p has on_quorum_loss"), "{reason}");
    let kept = std::fs::read_to_string(node.directory.path().join("data/RESET")).unwrap();
    assert!(kept.contains("package p"), "the reason is on disk: {kept}");

    // This reset did nothing to the machine. The node goes on, and is not reset again for the same cause.
    std::fs::remove_file(&mark).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(!mark.exists());
    // The next daemon says why there was one.
    let mut node = node;
    node.kill_daemon();
    node.start_daemon();
    wait_until("the log", || node.log().contains("this node was reset"));
}

#[test]
fn a_package_that_was_stopped_in_time_resets_nothing() {
    let marks = tempfile::tempdir().unwrap();
    let mark = marks.path().join("reset");
    let mut node = Node::start_with(500, &reset_command(&mark));
    let mut wanted = instance("p", 1, "active", &SLEEP);
    wanted.reset = true;
    node.manager.set_desired(vec![wanted.clone()]);
    node.manager.wait_state("p", 1, "running");
    node.manager.set_desired(Vec::new());
    node.manager.wait_state("p", 1, "ended");
    node.manager.0.lock().unwrap().silent = true;
    std::thread::sleep(Duration::from_millis(1_200));
    assert!(!mark.exists(), "nothing ran when the lease ended");

    // Nor does a daemon that is killed and started again while its package runs on.
    node.manager.0.lock().unwrap().silent = false;
    wanted.start = 7;
    wanted.epoch = 7;
    node.manager.set_desired(vec![wanted]);
    node.manager.wait_state("p", 7, "running");
    node.kill_daemon();
    node.start_daemon();
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(!mark.exists() && is_alive(node.pid("p", 7)), "{}", node.log());
}

#[test]
fn an_adopted_instance_is_running_once_its_probe_passes_again() {
    let mut node = Node::start(2_000);
    let healthy = node.directory.path().join("healthy");
    std::fs::write(&healthy, "").unwrap();
    let mut wanted = instance("p", 1, "active", &SLEEP);
    wanted.probe = Some(ProbeDefinition {
        exec: Some(vec!["test".to_owned(), "-e".to_owned(), healthy.display().to_string()]),
        tcp: None,
        http: None,
        interval: DurationText::from_ms(50),
        timeout: DurationText::from_ms(1_000),
        failures: 100,
    });
    node.manager.set_desired(vec![wanted]);
    node.manager.wait_state("p", 1, "running");
    node.kill_daemon();
    std::fs::remove_file(&healthy).unwrap();
    let before = {
        let manager = node.manager.0.lock().unwrap();
        (manager.seen.len(), manager.renewals.len())
    };
    node.start_daemon();
    node.manager.wait("renewals of the new daemon", |manager| {
        (manager.renewals.len() > before.1 + 3).then_some(())
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        node.manager.0.lock().unwrap().seen.len(),
        before.0,
        "an unhealthy one is not said to be running"
    );
    std::fs::write(&healthy, "").unwrap();
    node.manager
        .wait("the report", |manager| (manager.seen.len() > before.0).then_some(()));
}

#[test]
fn a_registration_says_how_processes_are_held_together() {
    let node = Node::start(1_000);
    let registered = node
        .manager
        .wait("a registration", |manager| manager.registrations.first().cloned());
    let kind = registered.containment.unwrap();
    assert!(
        ["namespace", "user_namespace", "group"].contains(&kind.as_str()),
        "{kind}"
    );
    // It is what its supervisors then do.
    node.manager.set_desired(vec![instance("p", 1, "active", &SLEEP)]);
    node.manager.wait_state("p", 1, "running");
    let state = std::fs::read_to_string(node.run_dir().join("p.1/state.json")).unwrap();
    assert!(state.contains(&format!("\"containment\":\"{kind}\"")), "{state}");
}

#[test]
fn a_supervisor_that_hangs_without_a_deadline_is_killed_after_a_stop() {
    let node = Node::start(1_000);
    let mut frozen = instance("p", 1, "active", &["sh", "-c", "trap '' TERM; sleep 1000"]);
    frozen.deadline = false;
    node.manager.set_desired(vec![frozen]);
    node.manager.wait_state("p", 1, "running");
    let package = node.pid("p", 1);
    let state = std::fs::read(node.run_dir().join("p.1/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    signal(
        i32::try_from(state["supervisor"]["pid"].as_i64().unwrap()).unwrap(),
        Signal::SIGSTOP,
    );
    let asked = Instant::now();
    node.manager.set_desired(Vec::new());
    let (at, ended) = node.manager.wait_state("p", 1, "ended");
    assert_eq!(ended.cause.as_deref(), Some("requested"));
    assert!(!is_alive(package));
    assert!(at.duration_since(asked) < Duration::from_secs(5));
}

#[test]
fn without_namespaces_it_is_said_that_there_are_groups_only() {
    let asked = |kind: Option<&str>| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_paceline"))
            .args(["supervise", "--containment"])
            .envs(kind.map(|kind| ("PACELINE_CONTAINMENT", kind)))
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(asked(Some("group")), "group\n");
    assert!(["namespace\n", "user_namespace\n", "group\n"].contains(&asked(None).as_str()));
}
