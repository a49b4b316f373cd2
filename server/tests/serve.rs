//! The small parent of a node, with the daemon as its only child: a server needs a cluster.

mod node;

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node::{Node, instance, is_alive, processes_of, wait_until};

fn start_parent(node: &Node) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(node.directory.path().join("daemon.log"))
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_paceline"))
        .args(["serve", "--config"])
        .arg(node.directory.path().join("node.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

/// The daemon that runs now.
fn daemon(node: &Node) -> Option<i32> {
    processes_of(node.directory.path()).into_iter().find(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.windows(12).any(|part| part == b"serve-daemon"))
    })
}

fn node_without_daemon() -> Node {
    let mut node = Node::start(1_000);
    node.kill_daemon();
    node
}

#[test]
fn a_daemon_that_dies_is_started_again_at_once_and_no_package_stops() {
    let node = node_without_daemon();
    let mut parent = start_parent(&node);
    node.manager
        .set_desired(vec![instance("p", 1, "active", &["sleep", "1000"])]);
    node.manager.wait_state("p", 1, "running");
    let package = node.pid("p", 1);
    let first = daemon(&node).unwrap();
    signal(first, Signal::SIGKILL);
    wait_until("another daemon", || daemon(&node).is_some_and(|pid| pid != first));
    let before = node.manager.0.lock().unwrap().renewals.len();
    node.manager.wait("renewals", |manager| {
        (manager.renewals.len() > before + 15).then_some(())
    });
    assert!(is_alive(package));

    // Asked before the signal: afterwards it may be gone already.
    let second = daemon(&node).unwrap();
    signal(pid(&parent), Signal::SIGHUP);
    wait_until("a third daemon", || daemon(&node).is_some_and(|pid| pid != second));
    let before = node.manager.0.lock().unwrap().renewals.len();
    node.manager.wait("renewals", |manager| {
        (manager.renewals.len() > before + 5).then_some(())
    });
    assert!(is_alive(package), "executed anew, and the package runs on");

    signal(pid(&parent), Signal::SIGTERM);
    assert!(parent.wait().unwrap().success());
    assert_eq!(node.manager.0.lock().unwrap().left.len(), 1);
    assert_eq!(processes_of(node.directory.path()), Vec::<i32>::new());
}

#[test]
fn a_parent_that_is_killed_takes_its_children_along() {
    let node = node_without_daemon();
    let mut parent = start_parent(&node);
    node.manager
        .set_desired(vec![instance("p", 1, "active", &["sleep", "1000"])]);
    node.manager.wait_state("p", 1, "running");
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("nothing is left, the packages within their lease", || {
        processes_of(node.directory.path()).is_empty()
    });
}

#[test]
fn a_child_that_can_not_run_here_ends_the_node_with_its_reason() {
    let node = node_without_daemon();
    std::fs::create_dir_all(node.run_dir()).unwrap();
    std::fs::write(node.run_dir().join("session.json"), "something else").unwrap();
    let status = start_parent(&node).wait().unwrap();
    assert_eq!(status.code(), Some(30));
    assert!(node.log().contains("is not a session record"), "{}", node.log());
    assert_eq!(
        std::fs::read_to_string(node.run_dir().join("session.json")).unwrap(),
        "something else"
    );
}

#[test]
fn a_server_directory_that_is_somebody_elses_ends_the_node_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    std::fs::create_dir_all(data_dir.join("server")).unwrap();
    std::fs::write(data_dir.join("server/holiday.jpg"), "not ours").unwrap();
    let config = directory.path().join("node.toml");
    let text = format!(
        "name = \"n1\"\nroles = [\"server\"]\ndata_dir = {data_dir:?}\napi = \"127.0.0.1:0\"\npeer = [\"127.0.0.1:0\"]\n"
    );
    std::fs::write(&config, text).unwrap();
    let started = std::time::Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_paceline"))
        .args(["serve", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(30), "{said}");
    assert!(
        said.contains("is not paceline's") && said.contains("point data_dir at another place"),
        "{said}"
    );
    assert_eq!(said.matches("is not paceline's").count(), 1, "tried once: {said}");
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    assert_eq!(std::fs::read(data_dir.join("server/holiday.jpg")).unwrap(), b"not ours");
}
