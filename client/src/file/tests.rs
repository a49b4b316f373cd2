//! Files in, errors out: the text of each error is what a person reads, so it is compared whole.

use super::{check, check_rules, inline, parse, render};
use crate::wire::duration::DurationText;

/// The errors as the command line prints them.
fn errors(text: &str) -> String {
    match parse(text) {
        Ok(_) => "no error\n".to_owned(),
        Err(errors) => errors
            .iter()
            .map(|error| {
                let near = error
                    .nearest
                    .as_ref()
                    .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
                format!("{}:{}: {}{near}\n", error.line, error.column, error.message)
            })
            .collect(),
    }
}

const WHOLE: &str = r#"
[cluster]
name = "shop"
lease = "2s"
min_nodes = 2
start_wait = "30s"

[[group]]
name = "orders"
kind = "duplex"
standbys = 2
failovers = { attempts = 4, within = "5m" }

[[package]]
name = "orders"
group = "orders"
copies = 3
priority = 1
load = { cpu = 500, memory = 256, "gpu.a" = 1 }
nodes = ["n1", "n2"]
enabled = false
safety = "fenced"
on_quorum_loss = "freeze"
run.command = ["/usr/bin/orders", "--say", "a \"quoted\" \\ tab\t line\n"]
run.env = { LANG = "C", "odd key" = "" }
run.directory = "/var/lib/orders"
promote.command = ["orders-promote"]
demote.command = ["/usr/bin/orders-demote"]
reload.command = ["/usr/bin/orders", "reload"]
probe = { tcp = "127.0.0.1:7000", interval = "500ms", timeout = "1s", failures = 3 }
restart = { attempts = 0, within = "1m" }
start_timeout = "20s"
stop_timeout = "90s"

[[package]]
name = "clock"
run.command = ["/usr/bin/clock"]

[[group]]
name = "shop"
kind = "together"

[[package]]
name = "db"
group = "shop"
needs = ["lan:eth1", "disk:/data", "service:store"]
run.command = ["/usr/bin/db"]

[[package]]
name = "app"
group = "shop"
after = ["db"]
run.command = ["/usr/bin/app"]

[[group]]
name = "dual"
kind = "free-run"

[[group]]
name = "workers"
kind = "load-share"

[[package]]
name = "worker"
group = "workers"
copies = 2
condition = "!db & (app | \"shop\")"
run.command = ["/usr/bin/worker"]

[[package]]
name = "big"
exclusive = true
preemptible = false
run.command = ["/usr/bin/big"]
"#;

#[test]
fn a_whole_file_survives_being_written_and_read() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.packages[0].copies, 3);
    assert_eq!(config.packages[0].run.command[2], "a \"quoted\" \\ tab\t line\n");
    assert_eq!(config.packages[1].restart.attempts, 3);
    assert_eq!(parse(&render(&config)).unwrap(), config);
    assert_eq!(check(&config), Ok(()));
}

#[test]
fn an_empty_file_is_a_cluster_without_packages() {
    let config = parse("").unwrap();
    assert_eq!(config.cluster.lease, DurationText::from_ms(1_000));
    assert!(config.packages.is_empty());
    assert_eq!(parse(&render(&config)).unwrap(), config);
}

#[test]
fn every_error_of_a_file_is_reported_at_its_place() {
    let text = r#"
[cluster]
lease = "100ms"
min_node = 2
shares = "halve"

[[group]]
name = "web"
kind = "duplix"

[[group]]
name = "web"
kind = "load-share"
standbys = "one"

[[package]]
name = "a b"
group = "wep"
priority = 0
run.command = "/usr/bin/web --port 80"

[[package]]
name = "web"
copies = 2
run.command = ["bin/web"]
probe = { tcp = "127.0.0.1", http = "http://127.0.0.1/" }
stop_timeout = 10
condition = "!batch"
limits = { memory = 512 }

[[package]]
name = "web-2"
enabled = "yes"
safety = "leese"
load = { cpu = -1 }
nodes = ["n1", "n1"]
run.command = []
restart = { attempts = 3 }

[[package]]
run.ocf = "heartbeat:pgsql"
"#;
    let expected = r#"3:9: lease: 100ms is out of range: expected 200ms to 1m
4:1: unknown key "min_node" in [cluster]: expected name, lease, min_nodes, start_wait, shares, overload, resume, rules or rules_file; did you mean "min_nodes"?
5:10: shares: "halve": expected "none", "half" or "priority"; did you mean "half"?
9:8: kind: "duplix": expected "duplex", "free-run", "load-share" or "together"; did you mean "duplex"?
12:8: group "web" is already defined at line 8: give each its own name
14:12: standbys: expected a whole number from 0 to 1000, found a string
17:8: name: ' ' can't stand in a name: expected letters, digits, '.', '_' or '-', the first a letter or digit
18:9: there is no group "wep" in this file: expected one of web; did you mean "web"?
19:12: priority: 0: expected a whole number from 1
20:15: run.command: expected a list, as nothing here is read by a shell: ["/usr/bin/web", "--port", "80"]
25:16: run.command: "bin/web" is a relative path: expected an absolute path, or a bare name that is found in the daemon's PATH
26:9: probe: expected exactly one of exec, tcp and http, found tcp and http
26:17: probe.tcp: "127.0.0.1": expected HOST:PORT, like "127.0.0.1:7000"
27:16: stop_timeout: expected a duration in quotes, like "500ms", "10s", "5m", "2h" or "1d", found an integer
28:13: condition: nothing is named "batch" here: expected a package or a group of this file
29:1: "limits" in [[package]] is not supported by this version yet: remove it
32:8: package "web-2" and package "web" (line 23) both make a package "web-2", by their copies: rename one
33:11: enabled: expected true or false, found a string
34:10: safety: "leese": expected "lease", "fenced" or "token"; did you mean "lease"?
35:16: load.cpu: -1: expected a whole number from 0
36:16: nodes: "n1" stands there twice: expected each node once
37:15: run.command is empty: expected a list like ["/usr/bin/program", "--argument"]: program and arguments, no shell
38:11: restart: within is missing: expected { attempts = 3, within = "10m" }
40:1: [[package]]: a package needs a name, like name = "orders-a"
41:5: "ocf" in run is not supported by this version yet: remove it
"#;
    similar(&errors(text), expected);
}

#[test]
fn broken_syntax_is_reported_without_its_echoes() {
    let text = "[cluster]\nlease = 1s\n\n[[package]]\nname = \"web\nrun.command = [\"/bin/web\"]\npriorty = 1\n";
    let found = errors(text);
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines[0].starts_with("2:"), "{found}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("5:") && line.contains("not TOML")),
        "{found}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("7:1: unknown key \"priorty\"")),
        "{found}"
    );
    assert!(!found.contains("needs a name"), "{found}");
}

#[test]
fn one_bracket_instead_of_two_is_explained() {
    let found = errors("[package]\nname = \"web\"\n");
    assert!(found.contains("expected [[package]] with two brackets"), "{found}");
    let found = errors("[[packages]]\nname = \"web\"\n");
    assert!(found.contains("did you mean \"package\"?"), "{found}");
}

#[test]
fn names_must_stay_apart_and_short() {
    let long = "a".repeat(62);
    let found = errors(&format!(
        "[[package]]\nname = \"{long}\"\ncopies = 2\nrun.command = [\"/x\"]\n"
    ));
    assert!(found.contains("would have 64 bytes"), "{found}");
    let twice = "[[package]]\nname = \"x\"\nrun.command = [\"/x\"]\n";
    let found = errors(&format!("{twice}{twice}"));
    similar(
        &found,
        "5:8: package \"x\" is already defined at line 2: give each its own name\n",
    );
}

#[test]
fn a_definition_without_a_file_is_checked_by_the_same_rules() {
    let mut config = parse(WHOLE).unwrap();
    config.packages[1].run.command.clear();
    config.packages[1].group = Some("orders2".to_owned());
    let errors = check(&config).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().all(|error| error.line == 0 && error.column == 0));
}

#[test]
fn what_a_package_says_of_others_and_of_its_node_is_checked() {
    let text = r#"
[[group]]
name = "shop"
kind = "together"

[[group]]
name = "pair"
kind = "duplex"

[[package]]
name = "db"
group = "shop"
needs = ["lan", "disk:data", "lan:eth1", "lan:eth1", "cpu:1"]
run.command = ["/usr/bin/db"]

[[package]]
name = "app"
group = "shop"
after = ["dv"]
run.command = ["/usr/bin/app"]

[[package]]
name = "alone"
after = ["db"]
run.command = ["/usr/bin/alone"]

[[package]]
name = "a"
group = "pair"
after = ["db"]
run.command = ["/usr/bin/a"]

[[package]]
name = "many"
group = "shop"
copies = 2
after = ["db"]
run.command = ["/usr/bin/many"]
"#;
    let expected = r#"13:10: needs: "lan": expected "lan:INTERFACE", "disk:/MOUNT/POINT" or "service:NAME"
13:17: needs: disk:data: expected a mount point, like disk:/data
13:42: needs: "lan:eth1" stands there twice: expected each once
13:54: needs: "cpu:1": expected "lan:INTERFACE", "disk:/MOUNT/POINT" or "service:NAME"
19:10: after: group "shop" has no package "dv": expected one of its members; did you mean "db"?
24:10: after: expected a group of kind "together" around both: order is kept there only
30:10: after: expected a group of kind "together" around both: order is kept there only
37:10: after: many has copies, and only one package can have a place in an order
"#;
    similar(&errors(text), expected);
    let circle = r#"[[group]]
name = "g"
kind = "together"
[[package]]
name = "x"
group = "g"
after = ["y"]
run.command = ["/x"]
[[package]]
name = "y"
group = "g"
after = ["x"]
run.command = ["/y"]
"#;
    similar(
        &errors(circle),
        "7:10: after: none of these could be first, each comes after another: x, y; take one away\n",
    );
}

/// Compares line by line, so that a difference is seen at once.
fn similar(found: &str, expected: &str) {
    for (number, (found_line, expected_line)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found_line, expected_line, "line {} of:\n{found}", number + 1);
    }
    assert_eq!(found, expected);
}

const RULED: &str = r#"
[[package]]
name = "pkg1"
run.command = ["/bin/a"]
[[package]]
name = "web"
copies = 2
run.command = ["/bin/b"]
[[group]]
name = "g"
kind = "duplex"
[cluster]
"#;

#[test]
fn rules_survive_being_written_and_read() {
    for rules in [
        "pkg1 (halt) { \"web-1\"->startup }",
        "\npkg1 (halt) {\n\tif (node:n1.attr.x == \"\" || node:n1.attr.x == \"\\\") { }\n}\n# the \"\"\" end\"",
        "\"pkg1\"(halt){}\r\n# \u{1}",
    ] {
        let mut config = parse(RULED).unwrap();
        config.cluster.rules = rules.to_owned();
        assert_eq!(parse(&render(&config)), Ok(config), "{rules}");
    }
}

#[test]
fn errors_of_rules_have_their_place_in_the_file() {
    let long = "rules = \"\"\"\npkg1 (hlat) { web->startup }\nnode:n9 (down) { é }\n\"\"\"\n";
    assert_eq!(
        errors(&format!("{RULED}{long}")),
        "\
14:7: rules: there is no event of a package \"hlat\": expected startup, halt, fail, promote, demote or mode; did you mean \"halt\"?
14:15: rules: there is no package \"web\"; did you mean \"web-1\"?
15:18: rules: 'é' can't stand here: expected a name, a text in quotes or an operator
"
    );
    assert_eq!(
        errors(&format!("{RULED}rules = 'pkg2 (halt) {{ }}'\n")),
        "13:10: rules: there is no package \"pkg2\"; did you mean \"pkg1\"?\n"
    );
    assert_eq!(
        errors(&format!("{RULED}rules = \"pkg1 (halt) {{ }}\\npkg2 (halt) {{ }}\"\n")),
        "13:9: rules, line 2, column 1: there is no package \"pkg2\"; did you mean \"pkg1\"?\n"
    );
    assert_eq!(
        errors(&format!("{RULED}rules = \"\"\nrules_file = \"x\"\n")),
        "14:14: rules_file: expected rules or rules_file, not both\n"
    );
}

#[test]
fn a_rules_file_is_put_in_its_place() {
    let text = format!("{RULED}rules_file = \"my.rules\"  # here\nmin_nodes = 2\n");
    let load = |rules: &'static str| {
        move |file: &str| {
            assert_eq!(file, "my.rules");
            Ok(rules.to_owned())
        }
    };
    let inlined = inline(&text, load("pkg1 (halt) { }\n")).unwrap();
    assert_eq!(parse(&inlined.text).unwrap().cluster.rules, "pkg1 (halt) { }\n\n");
    assert_eq!(inlined.text.lines().count(), text.lines().count());
    let wrong = inline(&text, load("pkg1 (halt) { }\npkg2 (halt) { }")).unwrap();
    let found = wrong.relocate(parse(&wrong.text).unwrap_err());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].line, found[0].column), (13, 14));
    assert_eq!(
        found[0].message,
        "my.rules, line 2, column 1: there is no package \"pkg2\""
    );
    let missing = inline(&text, |_| Err(std::io::Error::other("it is gone"))).unwrap_err();
    assert_eq!(missing[0].message, "rules_file: can't read \"my.rules\": it is gone");
    assert_eq!(inline(RULED, |_| unreachable!()).unwrap().text, RULED);
    let unread = parse(&text).unwrap_err();
    assert!(
        unread[0].message.starts_with("rules_file is read by"),
        "{}",
        unread[0].message
    );
}

#[test]
fn rules_alone_are_checked_with_and_without_a_cluster_file() {
    let config = parse(RULED).unwrap();
    let text = "pkg1 (halt) { pkg9->startup }\nnode:n1 (up) { }";
    assert_eq!(check_rules(text, None), Ok(2));
    assert_eq!(check_rules(text, Some(&config)).unwrap_err().len(), 1);
    assert!(check_rules("pkg1 (halt) { pkg9->strat }", None).is_err());
}

#[test]
fn a_condition_is_read_where_it_stands() {
    let text = r#"
[[group]]
name = "pair"
kind = "duplex"

[[package]]
name = "db"
group = "pair"
copies = 2
condition = "!pair"
run.command = ["/usr/bin/db"]

[[package]]
name = "app"
condition = "db-1 && db-2"
run.command = ["/usr/bin/app"]

[[package]]
name = "log"
condition = "(db-1 | ap) & db"
run.command = ["/usr/bin/log"]

[[package]]
name = "self"
condition = "!self"
exclusive = 1
run.command = ["/usr/bin/self"]
"#;
    let expected = r#"10:13: condition: it excludes "pair", which is there wherever db is: take that out
15:20: condition: a condition has one '&', not two: those belong to rules
20:13: condition: nothing is named "ap" here: expected a package or a group of this file; did you mean "app"?
20:13: condition: nothing is named "db" here: it has copies, so expected one of db-1 to db-2, or its group; did you mean "db-1"?
25:13: condition: it excludes "self", which is there wherever self is: take that out
26:13: exclusive: expected true or false, found an integer
"#;
    similar(&errors(text), expected);
}
