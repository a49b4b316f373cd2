//! Real supervisors, driven directly: what they kill, when, and that a killed one leaves nothing (I21).

#![allow(clippy::disallowed_methods, reason = "a while in which something must not happen")]

mod node;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use node::{is_alive, processes_of, read_pid, wait_until};
use server::supervisor::clock::{boottime_ns, ms};
use server::supervisor::protocol::{EndCause, Ended, News, Order, Spec};

struct Supervised {
    directory: tempfile::TempDir,
    child: Child,
    daemon: BufReader<UnixStream>,
}

impl Supervised {
    /// Spawned and waiting for "go"; `containment` is what the supervisor may use.
    fn spawn(command: &[&str], lease_ms: u64, containment: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let deadline_ns = boottime_ns() + ms(lease_ms);
        let spec = Spec {
            package: "p".to_owned(),
            node: "n1".to_owned(),
            start: 1,
            epoch: 1,
            mode: "active".to_owned(),
            own_mode: None,
            output: "released".to_owned(),
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            env: BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap())]),
            directory: None,
            deadline_ns: Some(deadline_ns),
            soft_ns: Some(deadline_ns - ms(20)),
            stop_timeout_ms: 300,
            cgroup: None,
        };
        std::fs::write(directory.path().join("spec.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(node::PATIENCE)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_paceline"))
            .arg("supervise")
            .arg(directory.path())
            .env("PACELINE_CONTAINMENT", containment)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            directory,
            child,
            daemon: BufReader::new(ours),
        }
    }

    fn order(&mut self, order: &Order) {
        let mut line = serde_json::to_vec(order).unwrap();
        line.push(b'\n');
        let _ = self.daemon.get_mut().write_all(&line);
    }

    fn news(&mut self) -> Option<News> {
        let mut line = String::new();
        match self.daemon.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
        }
    }

    fn wait_started(&mut self) {
        while !matches!(self.news(), Some(News::Started { .. })) {}
    }

    fn wait_ended(&mut self) -> Ended {
        loop {
            match self.news() {
                Some(News::Ended(ended)) => return ended,
                Some(_) => {}
                None => panic!("it ended without a word"),
            }
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tree with every way to run away: its own session, a double fork, deaf to SIGTERM, its standard streams closed.
const RUNAWAY: [&str; 3] = [
    "sh",
    "-c",
    "trap '' TERM HUP; (setsid sh -c 'sleep 997 & exec sleep 998' >/dev/null 2>&1 &) ; sleep 999",
];

#[test]
fn a_stop_takes_the_double_forked_too_and_not_longer_than_its_timeout() {
    for containment in ["namespace", "group"] {
        let mut supervised = Supervised::spawn(&RUNAWAY, 10_000, containment);
        supervised.order(&Order::Go);
        supervised.wait_started();
        wait_until("the whole tree", || processes_of(supervised.path()).len() >= 6);
        let asked = Instant::now();
        supervised.order(&Order::Stop { timeout_ms: 300 });
        let ended = supervised.wait_ended();
        let took = asked.elapsed();
        assert_eq!(ended.cause, EndCause::Requested, "{containment}");
        assert!(
            took >= Duration::from_millis(299) && took < Duration::from_millis(600),
            "{containment}: {took:?}"
        );
        supervised.child.wait().unwrap();
        assert_eq!(
            processes_of(supervised.path()),
            Vec::<i32>::new(),
            "{containment}: stopped means empty"
        );
    }
}

#[test]
fn a_program_that_obeys_is_not_killed() {
    let folder = tempfile::tempdir().unwrap();
    let trapped = folder.path().join("trapped");
    let script = format!(
        "trap 'exit 0' TERM; touch {}; while :; do sleep 0.01; done",
        trapped.display()
    );
    let mut supervised = Supervised::spawn(&["sh", "-c", &script], 10_000, "namespace");
    supervised.order(&Order::Go);
    supervised.wait_started();
    wait_until("the program minds the signal", || trapped.exists());
    supervised.order(&Order::Stop { timeout_ms: 10_000 });
    let ended = supervised.wait_ended();
    assert_eq!((ended.cause, ended.code), (EndCause::Requested, Some(0)));
}

#[test]
fn when_the_program_ends_so_does_what_it_left_behind() {
    for containment in ["namespace", "group"] {
        let mut supervised = Supervised::spawn(
            &["sh", "-c", "(setsid sleep 997 >/dev/null 2>&1 &); sleep 0.1; exit 3"],
            10_000,
            containment,
        );
        supervised.order(&Order::Go);
        let ended = supervised.wait_ended();
        assert_eq!((ended.cause, ended.code), (EndCause::Exited, Some(3)));
        supervised.child.wait().unwrap();
        assert_eq!(processes_of(supervised.path()), Vec::<i32>::new(), "{containment}");
    }
}

#[test]
fn without_go_nothing_is_started_and_a_lost_daemon_ends_it() {
    let mut supervised = Supervised::spawn(&["sh", "-c", "sleep 999"], 10_000, "namespace");
    assert!(matches!(supervised.news(), Some(News::Hello(_))));
    std::thread::sleep(Duration::from_millis(50));
    assert!(!supervised.path().join("package.pid").exists());
    supervised.daemon.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    supervised.child.wait().unwrap();
    wait_until("nothing is left", || processes_of(supervised.path()).is_empty());
    assert!(!supervised.path().join("package.pid").exists());
}

#[test]
fn a_deadline_that_is_past_fires_at_once() {
    let mut supervised = Supervised::spawn(&["sleep", "999"], 0, "namespace");
    supervised.order(&Order::Go);
    assert!(!supervised.child.wait().unwrap().success());
    wait_until("nothing is left", || processes_of(supervised.path()).is_empty());
}

#[test]
fn at_the_deadline_the_kernel_kills_a_stopped_tree_exactly() {
    let mut errors = Vec::new();
    for _ in 0..10 {
        let begun = boottime_ns();
        let mut supervised = Supervised::spawn(&RUNAWAY, 300, "namespace");
        supervised.order(&Order::Go);
        supervised.wait_started();
        let package = read_pid(&supervised.path().join("package.pid"));
        wait_until("the whole tree", || processes_of(supervised.path()).len() >= 6);
        let all = processes_of(supervised.path());
        for pid in &all {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGSTOP).unwrap();
        }
        wait_until("the end", || !is_alive(package));
        let took = (boottime_ns() - begun) / 1_000;
        wait_until("the end of all", || all.iter().all(|pid| !is_alive(*pid)));
        errors.push(i64::try_from(took).unwrap() - 300_000);
    }
    errors.sort_unstable();
    eprintln!(
        "deadman, all stopped: {} to {} us around the deadline",
        errors[0], errors[9]
    );
    assert!(errors[9] < 100_000, "K is 100 ms: {errors:?}");
}

/// A supervisor killed at any instant of a start leaves no process. Half of the instants are spread from the first exec on,
/// half from "go" on, so that both halves of a start are hit on slow machines too.
#[test]
fn killed_at_any_instant_of_a_start_it_leaves_nothing() {
    let mut forked = 0;
    for run in 0..240_u32 {
        let mut supervised = Supervised::spawn(&RUNAWAY, 60_000, "namespace");
        if run % 2 == 1 {
            assert!(matches!(supervised.news(), Some(News::Hello(_))));
        }
        supervised.order(&Order::Go);
        let (begun, wait) = (Instant::now(), Duration::from_micros(u64::from(run) * 25));
        while begun.elapsed() < wait {
            std::hint::spin_loop();
        }
        supervised.child.kill().unwrap();
        supervised.child.wait().unwrap();
        forked += u32::from(supervised.path().join("package.pid").exists());
        let path = supervised.path().to_owned();
        wait_until("nothing is left", || processes_of(&path).is_empty());
    }
    eprintln!("killed in 240 starts, in {forked} of them with the package forked: nothing was left");
    assert!(
        forked > 20,
        "the instants must reach past the fork of the package: {forked}"
    );
}

#[test]
fn a_later_daemon_finds_it_by_its_socket() {
    let mut supervised = Supervised::spawn(&["sleep", "999"], 10_000, "namespace");
    supervised.order(&Order::Go);
    supervised.wait_started();
    supervised.daemon.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    let package = read_pid(&supervised.path().join("package.pid"));
    supervised.daemon = BufReader::new(UnixStream::connect(supervised.path().join("daemon")).unwrap());
    let Some(News::Hello(hello)) = supervised.news() else {
        panic!("no hello")
    };
    assert_eq!(
        (hello.package_pid, hello.epoch, hello.supervisor.pid),
        (Some(package), 1, i32::try_from(supervised.child.id()).unwrap())
    );
    supervised.order(&Order::Kill);
    assert_eq!(supervised.wait_ended().cause, EndCause::Requested);
    assert!(!is_alive(package));
}

#[test]
fn sd_notify_and_programs_beside_the_package() {
    let script = "import os,socket,time\n\
        s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.sendto(b'READY=1\\nSTATUS=up', os.environ['NOTIFY_SOCKET']); time.sleep(999)";
    let mut supervised = Supervised::spawn(&["python3", "-c", script], 10_000, "namespace");
    supervised.order(&Order::Go);
    while !matches!(supervised.news(), Some(News::Ready)) {}
    let run = |id: u64, script: &str, timeout_ms: u64| Order::Run {
        id,
        command: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        timeout_ms,
    };
    supervised.order(&run(1, "exit 0", 5_000));
    assert_eq!(supervised.news(), Some(News::Ran { id: 1, error: None }));
    supervised.order(&run(2, "exit 9", 5_000));
    assert_eq!(
        supervised.news(),
        Some(News::Ran {
            id: 2,
            error: Some("exited with 9".to_owned())
        })
    );
    supervised.order(&run(3, "sleep 999", 100));
    assert_eq!(
        supervised.news(),
        Some(News::Ran {
            id: 3,
            error: Some("did not end in time and was killed".to_owned())
        })
    );
    supervised.order(&Order::Kill);
    supervised.wait_ended();
}

/// The order of a reload by a shell script, in an environment of its own.
fn reload(revision: u64, script: &str, setting: &str, timeout_ms: u64) -> Order {
    Order::Reload {
        revision,
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: BTreeMap::from([
            ("PATH".to_owned(), std::env::var("PATH").unwrap()),
            ("SETTING".to_owned(), setting.to_owned()),
        ]),
        timeout_ms,
        stop_timeout_ms: 300,
    }
}

impl Supervised {
    fn wait_reloaded(&mut self) -> (u64, Option<String>) {
        loop {
            match self.news() {
                Some(News::Reloaded { revision, error }) => return (revision, error),
                Some(_) => {}
                None => panic!("it ended without a word"),
            }
        }
    }
}

#[test]
fn a_reload_runs_once_beside_the_package_in_the_changed_environment() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let script = format!("echo $SETTING $PACELINE_PACKAGE $PACELINE_EPOCH >> {}", log.display());
    let mut supervised = Supervised::spawn(&["sleep", "999"], 20_000, "namespace");
    supervised.order(&Order::Go);
    supervised.wait_started();
    supervised.order(&reload(5, &script, "two", 5_000));
    assert_eq!(supervised.wait_reloaded(), (5, None));
    // A later daemon does not know how it ended.
    supervised.order(&reload(5, &script, "two", 5_000));
    assert_eq!(supervised.wait_reloaded(), (5, None));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "two p 1\n");
    // What is run beside it from now on finds it too.
    supervised.order(&Order::Run {
        id: 1,
        command: ["sh", "-c", "[ \"$SETTING\" = two ]"].map(str::to_owned).to_vec(),
        timeout_ms: 5_000,
    });
    assert!(matches!(supervised.news(), Some(News::Ran { id: 1, error: None })));
}

#[test]
fn a_reload_that_fails_or_hangs_says_so_and_changes_nothing() {
    let mut supervised = Supervised::spawn(&["sleep", "999"], 20_000, "namespace");
    supervised.order(&Order::Go);
    supervised.wait_started();
    supervised.order(&reload(5, "exit 3", "two", 5_000));
    let (revision, error) = supervised.wait_reloaded();
    assert_eq!(revision, 5);
    assert!(
        error.as_ref().is_some_and(|error| error.contains("exited with 3")),
        "{error:?}"
    );
    supervised.order(&reload(6, "sleep 998", "two", 200));
    supervised.order(&reload(6, "true", "two", 200));
    let (revision, error) = supervised.wait_reloaded();
    assert_eq!(revision, 6);
    assert!(
        error
            .as_ref()
            .is_some_and(|error| error.contains("did not end in time")),
        "{error:?}"
    );
    wait_until("the command is gone", || {
        processes_of(supervised.path())
            .iter()
            .all(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.contains("998")))
    });
    supervised.order(&Order::Run {
        id: 1,
        command: ["sh", "-c", "[ -z \"$SETTING\" ]"].map(str::to_owned).to_vec(),
        timeout_ms: 5_000,
    });
    assert!(matches!(supervised.news(), Some(News::Ran { id: 1, error: None })));
}
