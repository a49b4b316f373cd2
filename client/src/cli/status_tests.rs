//! What `status` prints, and how `status --check` judges.

use super::*;

fn status(json: serde_json::Value) -> Status {
    let mut whole = serde_json::json!({
        "cluster": "demo", "cluster_id": "x", "node": "n1", "leader": "n1", "term": 2, "quorate": true, "stale": false,
        "index": 17, "raft_committed": 1, "raft_applied": 1, "digest": "0", "lease_ms": 1000,
        "members": [{"id": 1, "name": "n1", "peer": [], "api": "", "role": "voter"}],
        "nodes": [node("n1", "up"), node("n2", "up")],
        "packages": [package("clock", "running", "n1")],
    });
    if let (Some(whole), Some(changes)) = (whole.as_object_mut(), json.as_object()) {
        whole.extend(changes.clone());
    }
    serde_json::from_value(whole).unwrap()
}

fn node(name: &str, state: &str) -> serde_json::Value {
    serde_json::json!({"name": name, "id": 1, "state": state, "drain": false, "since": "", "capacity": {}, "planned": {},
        "generation": 1})
}

fn package(name: &str, state: &str, node: &str) -> serde_json::Value {
    serde_json::json!({"name": name, "wish": "start", "state": state, "reason": "no node is left", "instances": [
        {"node": node, "mode": "active", "wanted": "active", "output": "released", "state": "running", "epoch": 4, "since": ""}
    ]})
}

#[test]
fn status_fits_one_look() {
    let screen = Screen {
        colour: false,
        terminal: false,
        width: 80,
        json: false,
    };
    let expected = "\
cluster demo   quorate   voters 1   leader n1   nodes 2/2 up   index 17

          n1        n2
clock     ACTIVE    ·";
    assert_eq!(describe(&screen, &status(serde_json::json!({}))).join("\n"), expected);

    let troubled = status(serde_json::json!({
        "quorate": false, "stale": true, "leader": null, "warnings": ["n1 speaks plaintext"],
        "nodes": [node("n1", "up"), node("n2", "lost")],
        "packages": [package("clock", "failed", "n1")],
    }));
    let expected = "\
NO QUORUM: this is one server's own copy, and may be old
cluster demo   NO QUORUM   voters 1   leader none   nodes 1/2 up   index 17

          n1        n2 LOST
clock     ACTIVE    ·         FAILED

clock failed: no node is left
warning: n1 speaks plaintext";
    assert_eq!(describe(&screen, &troubled).join("\n"), expected);
}

#[test]
fn check_ends_as_monitoring_plugins_do() {
    let group = |state: &str| Group {
        name: "web".to_owned(),
        kind: "duplex".to_owned(),
        standbys: 1,
        members: Vec::new(),
        active: None,
        state: state.to_owned(),
    };
    let mut member = package("web-1", "running", "n1");
    member["group"] = "web".into();
    let web = status(serde_json::json!({"packages": [member]}));
    assert_eq!(
        judge(&web, &[group("redundant")]),
        (0, "OK - 2 nodes up, 1 packages, leader n1".to_owned())
    );
    assert_eq!(judge(&web, &[group("degraded")]).0, 1);
    assert_eq!(judge(&web, &[group("lost")]).0, 2);
    let lost = status(serde_json::json!({"nodes": [node("n1", "up"), node("n2", "lost")]}));
    assert_eq!(
        judge(&lost, &[]).1,
        "WARNING - node n2 lost; 1 nodes up, 1 packages, leader n1"
    );
    let failed = status(serde_json::json!({"packages": [package("clock", "failed", "n1")]}));
    assert_eq!(judge(&failed, &[]).0, 2);
    assert_eq!(judge(&status(serde_json::json!({"quorate": false})), &[]).0, 2);
}
