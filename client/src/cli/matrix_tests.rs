//! The matrix as it stands on the screen.

use super::*;

const SCREEN: Screen = Screen {
    colour: false,
    terminal: false,
    width: 80,
    json: false,
};

fn node(name: &str, state: &str, drain: bool) -> Node {
    Node {
        name: name.to_owned(),
        id: 1,
        state: state.to_owned(),
        drain,
        maintenance: None,
        overload: false,
        session: None,
        since: String::new(),
        capacity: Default::default(),
        planned: Default::default(),
        shares: Default::default(),
        labels: Default::default(),
        attributes: Default::default(),
        api: String::new(),
        generation: 0,
        containment: None,
    }
}

fn package(name: &str, group: Option<&str>, state: &str, instances: &[(&str, &str, &str, &str)]) -> Package {
    Package {
        name: name.to_owned(),
        group: group.map(str::to_owned),
        unit: group.unwrap_or(name).to_owned(),
        priority: (name == "clock").then_some(3),
        wish: "start".to_owned(),
        state: state.to_owned(),
        reason: String::new(),
        maintenance: None,
        instances: instances
            .iter()
            .map(|(node, state, mode, wanted)| Instance {
                node: (*node).to_owned(),
                mode: (*mode).to_owned(),
                wanted: (*wanted).to_owned(),
                output: "released".to_owned(),
                state: (*state).to_owned(),
                epoch: 1,
                since: String::new(),
                detail: String::new(),
                score: None,
                busy: false,
            })
            .collect(),
        definition: None,
    }
}

fn similar(lines: &[String], expected: &str) {
    assert_eq!(lines.join("\n"), expected.trim_matches('\n'));
}

#[test]
fn a_group_is_one_row_with_its_members_in_the_cells() {
    let nodes = [
        node("n1", "up", false),
        node("n2", "lost", false),
        node("n3", "up", true),
    ];
    let packages = [
        package(
            "web-1",
            Some("web"),
            "running",
            &[("n1", "running", "active", "active")],
        ),
        package(
            "web-2",
            Some("web"),
            "running",
            &[("n2", "running", "standby", "standby")],
        ),
        package("clock", None, "starting", &[("n3", "starting", "stopped", "active")]),
        package("report", None, "failed", &[]),
    ];
    let expected = "
          n1            n2 LOST         n3 (drain)
web       ACTIVE web-1  standby? web-2  ·
clock     ·             ·               starting    prio 3
report    ·             ·               ·           FAILED
";
    similar(&lines(&SCREEN, &nodes, &packages), expected);
}

#[test]
fn what_changes_says_so() {
    let nodes = [node("n1", "up", false), node("n2", "up", false)];
    let packages = [
        package("a", None, "running", &[("n1", "changing", "standby", "active")]),
        package(
            "b",
            None,
            "running",
            &[
                ("n1", "stopping", "active", "stopped"),
                ("n2", "starting", "stopped", "active"),
            ],
        ),
        package("c", None, "running", &[("n2", "failing", "active", "active")]),
        package("d", None, "running", &[("n2", "running", "test", "test")]),
    ];
    let expected = "
          n1         n2
a         promoting  ·
b         stopping   starting
c         ·          FAILING
d         ·          test
";
    similar(&lines(&SCREEN, &nodes, &packages), expected);
}

#[test]
fn every_line_fits_eighty_columns() {
    for count in [1_usize, 3, 5, 7, 8, 40] {
        let nodes: Vec<Node> = (1..=count).map(|n| node(&format!("n{n}"), "up", false)).collect();
        let packages = [
            package(
                "orders-long-name-1",
                Some("orders-long-name"),
                "running",
                &[("n1", "running", "active", "active")],
            ),
            package("orders-long-name-2", Some("orders-long-name"), "running", &[]),
        ];
        for line in lines(&SCREEN, &nodes, &packages) {
            assert!(line.chars().count() <= 80, "{count} nodes: {line}");
        }
    }
    let nodes: Vec<Node> = (1..=40)
        .map(|n| node(&format!("n{n}"), if n == 7 { "lost" } else { "up" }, false))
        .collect();
    let packages = [package(
        "clock",
        None,
        "running",
        &[("n9", "running", "active", "active")],
    )];
    similar(
        &lines(&SCREEN, &nodes, &packages),
        "clock     ACTIVE n9  prio 3\nnodes: n7 LOST",
    );
}

#[test]
fn colour_repeats_what_the_words_say() {
    let nodes = [node("n1", "up", false)];
    let packages = [package("a", None, "running", &[("n1", "running", "active", "active")])];
    let plain = lines(&SCREEN, &nodes, &packages);
    let coloured = lines(&Screen { colour: true, ..SCREEN }, &nodes, &packages);
    assert!(coloured[1].contains("\x1b[1;32mACTIVE\x1b[0m"), "{coloured:?}");
    assert!(plain[1].contains("ACTIVE") && !plain[1].contains('\x1b'));
}
