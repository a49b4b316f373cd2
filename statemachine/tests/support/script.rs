//! The language of `testdata`: a verb a line, `----`, then all that came of the lines.
//!
//! | verb | does |
//! | --- | --- |
//! | `create` | the first command of the log |
//! | `settings KEY=VALUE…` | `lease`, `min_nodes`, `start_wait`, `shares`, `overload`, `resume`, `mode=NAME:FROM,…>TO,…`, `no_mode` |
//! | `group NAME [kind=free-run|load-share|together] [standbys=N] [failovers=N/TIME]`, `package NAME KEY=VALUE…` | defines; `;` puts several into one command |
//! | `remove package NAME`, `remove group NAME` | removes |
//! | `rule TEXT`, `rules` | writes down a line of rules; puts all lines since the last time in force |
//! | `up NODE [clean] [cut_off=MS] [machine=M] [boot=B] [nonce=N] [DIMENSION=N…]` | registers; `clean` names the session before |
//! | `lost NODE…`, `leave NODE`, `confirm NODE`, `extend NODE TIME`, `drain NODE`, `resume NODE` | nodes |
//! | `maintain\|unmaintain cluster`, `… node NODE [for=TIME]`, `… package PACKAGE` | maintenance |
//! | `halt`, `begin`, `rebalance [MOVES]`, `demote PACKAGE` | the cluster is stopped, started, rebalanced |
//! | `start\|stop\|test\|promote\|clear PACKAGE`, `move PACKAGE NODE`, `mode PACKAGE MODE` | packages |
//! | `runs P`, `failing P`, `ended P`, `fails P [CODE]`, `restarts P TIMES` | reports of the daemon that has it |
//! | `has\|lacks NODE NEED…` | what its daemon says of its resources |
//! | `measures NODE DIMENSION=N…` | what its daemon measured of its load |
//! | `says P [score=N] [busy]` | what it says on its control socket |
//! | `obey` | all daemons do what they are told, until nothing is left to do |
//! | `wait TIME` | lets time pass; a deadline that is met proposes a tick |
//! | `key CLIENT KEY VERB…` | any verb with an idempotency key |
//! | `term N` | Raft's leader changes |
//! | `show`, `desired NODE`, `explain PACKAGE`, `plan VERB…`, `deadline`, `lease` | prints |

use std::fmt::Write as _;

use statemachine::command::{
    Capacity, ClusterSpec, Command, ConfigChange, EndCause, Fencing, GroupKind, InstanceState, InstanceWords,
    Maintained, ModeSpec, Need, Observation, OnQuorumLoss, RequestId, ResourceReport, RestartSpec, Shares, Wish,
};
use statemachine::id::{GroupName, Index, NodeName, PackageName, Term};
use statemachine::time::Millis;
use statemachine::{Applied, Preview, desired, explain, preview, preview_loss};

use super::{Registration, World, mode_word, specs};

/// Runs one line and gives what is printed.
pub fn line(world: &mut World, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (verb, rest) = words.split_first().expect("a line has a verb");
    match *verb {
        "show" => show(world),
        "desired" => show_desired(world, rest[0]),
        "explain" => show_explanation(world, rest[0]),
        "plan" => show_plan(world, rest),
        "deadline" => match world.state.next_deadline() {
            Some(at) => format!("next deadline at {} ms\n", at.0),
            None => "no deadline\n".into(),
        },
        "lease" => format!("longest lease {} ms\n", world.state.cluster().unwrap().lease_high.0),
        "term" => {
            world.term = Term(rest[0].parse().unwrap());
            String::new()
        }
        "wait" => wait(world, rest[0]),
        "rule" => {
            world.rules += line.strip_prefix("rule ").expect("a line of rules");
            world.rules.push('\n');
            String::new()
        }
        "obey" => world.obey().iter().map(report).collect(),
        "restarts" => restarts(world, rest),
        "key" => {
            let request = RequestId {
                client: rest[0].into(),
                key: rest[1].into(),
            };
            let command = command(world, &rest[2..]);
            report(&world.apply_as(Some(request), command))
        }
        _ => {
            let command = if line.contains(';') {
                several(world, line)
            } else {
                command(world, &words)
            };
            report(&world.apply(command))
        }
    }
}

fn wait(world: &mut World, time: &str) -> String {
    world.pass(duration(time));
    match world.state.next_deadline() {
        Some(at) if at <= world.at => report(&world.apply(Command::Tick)),
        _ => String::new(),
    }
}

/// Fails a package several times in a row, running in between.
fn restarts(world: &mut World, rest: &[&str]) -> String {
    let times: u32 = rest[1].parse().unwrap();
    let mut text = String::new();
    for _ in 0..times {
        let command = command(world, &["fails", rest[0]]);
        text += &report(&world.apply(command));
        text += &world.obey().iter().map(report).collect::<String>();
    }
    text
}

fn several(world: &mut World, line: &str) -> Command {
    let mut all = Vec::new();
    for part in line.split(';') {
        let words: Vec<&str> = part.split_whitespace().collect();
        match command(world, &words) {
            Command::Configure { changes, .. } => all.extend(changes),
            other => panic!("{other:?} is no definition"),
        }
    }
    Command::Configure {
        expect: None,
        changes: all,
    }
}

fn command(world: &mut World, words: &[&str]) -> Command {
    let (verb, rest) = words.split_first().expect("a verb");
    let package = || PackageName::new(rest[0]).unwrap();
    let node = || NodeName::new(rest[0]).unwrap();
    let configure = |change| Command::Configure {
        expect: None,
        changes: vec![change],
    };
    match *verb {
        "since" => Command::IfUnchanged {
            since: Index(rest[0].parse().unwrap()),
            command: Box::new(command(world, &rest[1..])),
        },
        "create" => Command::CreateCluster {
            id: "c1".into(),
            member: NodeName::new("n1").unwrap(),
            peer: vec!["127.0.0.1:1".into()],
            api: "127.0.0.1:2".into(),
        },
        "settings" => configure(ConfigChange::PutCluster(settings(world, rest))),
        "group" => configure(ConfigChange::PutGroup(group(rest))),
        "package" => configure(ConfigChange::PutPackage(define(rest))),
        "rules" => configure(ConfigChange::PutRules(std::mem::take(&mut world.rules))),
        "remove" if rest[0] == "group" => configure(ConfigChange::RemoveGroup(GroupName::new(rest[1]).unwrap())),
        "remove" => configure(ConfigChange::RemovePackage(PackageName::new(rest[1]).unwrap())),
        "up" => up(world, rest),
        "lost" => {
            let sessions = rest.iter().map(|name| world.session(name).expect("a node")).collect();
            Command::NodeLost {
                sessions,
                term: world.term,
            }
        }
        "leave" => world
            .session(rest[0])
            .map(|(node, session)| Command::LeaveNode { node, session })
            .unwrap(),
        "extend" => {
            let (node, session) = world.session(rest[0]).unwrap();
            Command::ExtendLease {
                node,
                session,
                lease: duration(rest[1]),
            }
        }
        "confirm" => Command::ConfirmDown {
            node: node(),
            by: "ada".into(),
        },
        "drain" => Command::SetDrain {
            node: node(),
            drain: true,
        },
        "resume" => Command::SetDrain {
            node: node(),
            drain: false,
        },
        "maintain" => Command::BeginMaintenance {
            of: maintained(rest),
            length: pairs(rest)
                .find(|(key, _)| *key == "for")
                .map(|(_, time)| duration(time)),
        },
        "unmaintain" => Command::EndMaintenance { of: maintained(rest) },
        "halt" => Command::StopCluster,
        "begin" => Command::StartCluster,
        "rebalance" => Command::Rebalance {
            at_most: rest.first().map_or(100, |number| number.parse().unwrap()),
        },
        "demote" => Command::Demote { package: package() },
        "mode" => Command::SetMode {
            package: package(),
            mode: rest[1].into(),
        },
        "attribute" => Command::SetAttribute {
            node: node(),
            key: rest[1].into(),
            value: rest.get(2).map(|value| value.to_string()),
            expect: None,
        },
        "start" => Command::SetWish {
            package: package(),
            wish: Wish::Start,
        },
        "stop" => Command::SetWish {
            package: package(),
            wish: Wish::Stop,
        },
        "test" => Command::SetWish {
            package: package(),
            wish: Wish::Test,
        },
        "promote" => Command::Promote { package: package() },
        "clear" => Command::Clear { package: package() },
        "move" => Command::Move {
            package: package(),
            to: NodeName::new(rest[1]).unwrap(),
        },
        "member" => Command::AddMember {
            name: node(),
            peer: vec!["127.0.0.1:3".into()],
            api: "127.0.0.1:4".into(),
            witness: rest.get(1) == Some(&"witness"),
        },
        "measures" => {
            let (node, session) = world.session(rest[0]).expect("a node");
            let measured = pairs(rest).map(|(name, amount)| (name.to_string(), amount.parse().unwrap()));
            Command::Observe {
                node,
                session,
                sequence: world.state.node(node).unwrap().sequence + 1,
                observations: vec![Observation::Load(Capacity(measured.collect()))],
            }
        }
        "has" | "lacks" => {
            let (node, session) = world.session(rest[0]).expect("a node");
            let observations = rest[1..].iter().map(|need| {
                Observation::Resource(ResourceReport {
                    need: Need::parse(need).unwrap(),
                    up: *verb == "has",
                    detail: if *verb == "has" {
                        String::new()
                    } else {
                        "no link".into()
                    },
                })
            });
            Command::Observe {
                node,
                session,
                sequence: world.state.node(node).unwrap().sequence + 1,
                observations: observations.collect(),
            }
        }
        "says" => {
            let words = InstanceWords {
                package: package(),
                start: world
                    .package(rest[0])
                    .and_then(|it| it.instance.as_ref())
                    .expect("an instance")
                    .start,
                score: pairs(rest)
                    .find(|(key, _)| *key == "score")
                    .map(|(_, score)| score.parse().unwrap()),
                busy: rest.contains(&"busy"),
            };
            world
                .observe(rest[0], vec![Observation::Said(words)])
                .expect("an instance")
        }
        "reloads" => world
            .reload(rest[0], (rest.len() > 1).then(|| rest[1..].join(" ")))
            .expect("a reload that is asked for"),
        _ => observation(world, verb, rest),
    }
}

fn observation(world: &World, verb: &str, rest: &[&str]) -> Command {
    let instance = world.package(rest[0]).and_then(|package| package.instance.as_ref());
    let instance = instance.unwrap_or_else(|| panic!("{} has no instance", rest[0]));
    let cause = EndCause::Exited {
        code: rest.get(1).map_or(1, |code| code.parse().unwrap()),
    };
    let states = match verb {
        "runs" => vec![InstanceState::Running { mode: instance.mode }],
        "failing" => vec![InstanceState::Failing { cause }],
        "ended" => vec![InstanceState::Ended {
            cause: EndCause::Requested,
        }],
        "fails" => vec![
            InstanceState::Failing { cause: cause.clone() },
            InstanceState::Ended { cause },
        ],
        "lease-ended" => vec![InstanceState::Ended {
            cause: EndCause::LeaseEnded,
        }],
        other => panic!("{other} is no verb"),
    };
    world.report(rest[0], states, "").unwrap()
}

/// `cluster`, `node N` or `package P`.
fn maintained(rest: &[&str]) -> Maintained {
    match rest[0] {
        "cluster" => Maintained::Cluster,
        "node" => Maintained::Node(NodeName::new(rest[1]).unwrap()),
        "package" => Maintained::Package(PackageName::new(rest[1]).unwrap()),
        other => panic!("{other} can't be in maintenance"),
    }
}

fn pairs<'a>(rest: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    rest.iter().filter_map(|word| word.split_once('='))
}

fn settings(world: &World, rest: &[&str]) -> ClusterSpec {
    let mut spec = world.state.cluster().expect("create first").spec.clone();
    for (key, value) in pairs(rest) {
        match key {
            "lease" => spec.lease = duration(value),
            "min_nodes" => spec.min_nodes = value.parse().unwrap(),
            "start_wait" => spec.start_wait = duration(value),
            "mode" => {
                let (name, between) = value.split_once(':').unwrap();
                let (from, to) = between.split_once('>').unwrap();
                let words = |list: &str| list.split(',').map(Into::into).collect();
                spec.modes.retain(|mode| mode.name != name);
                spec.modes.push(ModeSpec {
                    name: name.into(),
                    from: words(from),
                    to: words(to),
                });
            }
            "no_mode" => spec.modes.retain(|mode| mode.name != value),
            "overload" => spec.overload = value.parse().unwrap(),
            "resume" => spec.resume = value.parse().unwrap(),
            "shares" => {
                spec.shares = match value {
                    "half" => Shares::Half,
                    "priority" => Shares::Priority,
                    "none" => Shares::None,
                    other => panic!("{other} is no formula"),
                }
            }
            other => panic!("{other} is no setting"),
        }
    }
    spec
}

fn group(rest: &[&str]) -> statemachine::command::GroupSpec {
    let mut spec = specs::group(rest[0], 1);
    for (key, value) in pairs(rest) {
        match key {
            "kind" => {
                spec.kind = match value {
                    "free-run" => GroupKind::FreeRun,
                    "together" => GroupKind::Together,
                    "load-share" => GroupKind::LoadShare,
                    "duplex" => GroupKind::Duplex,
                    other => panic!("{other} is no kind of a group"),
                }
            }
            "standbys" => spec.standbys = value.parse().unwrap(),
            "failovers" => spec.failovers = limit(value),
            other => panic!("{other} is no key of a group"),
        }
    }
    spec
}

fn define(rest: &[&str]) -> statemachine::command::PackageSpec {
    let mut spec = specs::package(rest[0], None);
    for (key, value) in pairs(rest) {
        match key {
            "group" => spec.group = Some(GroupName::new(value).unwrap()),
            "priority" => spec.priority = Some(value.parse().unwrap()),
            "nodes" => spec.nodes = value.split(',').map(|name| NodeName::new(name).unwrap()).collect(),
            "restart" => spec.restart = limit(value),
            "enabled" => spec.enabled = value == "true",
            "safety" => {
                spec.safety = match value {
                    "fenced" => Fencing::Fenced,
                    "token" => Fencing::Token,
                    _ => Fencing::Lease,
                }
            }
            "on_quorum_loss" => {
                spec.on_quorum_loss = match value {
                    "freeze" => OnQuorumLoss::Freeze,
                    "reset" => OnQuorumLoss::Reset,
                    _ => OnQuorumLoss::Stop,
                }
            }
            "preemptible" => spec.preemptible = value == "true",
            "exclusive" => spec.exclusive = value == "true",
            "condition" => spec.condition = Some(value.to_string()),
            "after" => spec.after = value.split(',').map(|name| PackageName::new(name).unwrap()).collect(),
            "needs" => spec.needs = value.split(',').map(|need| Need::parse(need).unwrap()).collect(),
            "env" => drop(spec.run.environment.insert("SETTING".into(), value.into())),
            "reload" => spec.run.reload = Some(vec![value.to_string()]),
            "command" => spec.run.command = vec![value.to_string()],
            dimension => {
                spec.load
                    .0
                    .insert(dimension.to_string(), value.parse().expect("a load"));
            }
        }
    }
    spec
}

fn up(world: &mut World, rest: &[&str]) -> Command {
    let mut options = Registration {
        clean: rest.contains(&"clean"),
        cut_off: rest
            .iter()
            .find_map(|word| word.strip_prefix("cut_off=")?.parse().ok().map(Millis)),
        ..Registration::default()
    };
    let mut capacity = Vec::new();
    for (key, value) in pairs(rest) {
        match key {
            "machine" => options.machine = Some(value.to_string()),
            "boot" => options.boot = Some(value.to_string()),
            "nonce" => options.nonce = Some(value.to_string()),
            dimension => capacity.push((dimension, value.parse().unwrap())),
        }
    }
    world.register(rest[0], &capacity, &options)
}

fn limit(text: &str) -> RestartSpec {
    let (attempts, within) = text.split_once('/').expect("N/TIME");
    RestartSpec {
        attempts: attempts.parse().unwrap(),
        within: duration(within),
    }
}

fn duration(text: &str) -> Millis {
    let digits = text.find(|c: char| !c.is_ascii_digit()).expect("a unit");
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        other => panic!("{other} is no unit"),
    };
    Millis(number.parse::<u64>().unwrap() * factor)
}

/// Events, and the outcome where it says more than that it is done.
fn report(applied: &Applied) -> String {
    let mut text = String::new();
    for event in &applied.events {
        let cause = event.cause.map(|cause| format!(" <- {cause}")).unwrap_or_default();
        let severity = match event.severity().as_str() {
            "info" => "",
            "warning" => " !",
            _ => " !!",
        };
        let _ = writeln!(
            text,
            "{}{cause} {}{severity}: {}",
            event.id,
            event.kind_name(),
            event.text()
        );
    }
    match &applied.outcome {
        Ok(statemachine::Accepted::Done | statemachine::Accepted::Registered { .. }) => {}
        Ok(other) => {
            let _ = writeln!(text, "{} accepted: {other:?}", applied.index);
        }
        Err(rejection) => {
            let _ = writeln!(text, "{} rejected ({}): {rejection}", applied.index, rejection.code());
        }
    }
    text
}

fn show(world: &World) -> String {
    let mut text = String::new();
    for package in world.state.packages() {
        let name = package.name();
        let state = package.state().as_str();
        match &package.instance {
            Some(instance) => {
                let node = &world.state.node_at(instance.node).unwrap().name;
                let mode = instance.mode_name();
                let inhibited = match (instance.is_inhibited(), instance.held) {
                    (true, _) => " inhibited",
                    (false, true) => " held",
                    (false, false) => "",
                };
                let _ = writeln!(
                    text,
                    "{name}: {state}, {mode}{inhibited} on {node}, epoch {}",
                    instance.epoch
                );
            }
            None => {
                let why = package.idle.as_ref().map(ToString::to_string).unwrap_or_default();
                let _ = writeln!(text, "{name}: {state}: {why}");
            }
        }
    }
    for group in world.state.groups() {
        let _ = writeln!(text, "group {}: {}", group.name(), group.health.as_str());
    }
    text
}

fn show_desired(world: &World, node: &str) -> String {
    let Some(set) = world.session(node).and_then(|(node, _)| desired(&world.state, node)) else {
        return "none\n".into();
    };
    let mut text = format!("generation {}\n", set.generation);
    for it in set.instances {
        let deadline = if it.deadline { "" } else { ", no deadline" };
        let delay = if it.delay.0 == 0 {
            String::new()
        } else {
            format!(", after {} ms", it.delay.0)
        };
        let mode = it.own_mode.as_deref().unwrap_or(mode_word(it.mode));
        let maintained = if it.maintained { ", maintained" } else { "" };
        let shares: Vec<String> = it
            .shares
            .0
            .iter()
            .map(|(name, share)| format!(", {name} {share}"))
            .collect();
        let shares = shares.concat();
        let _ = writeln!(
            text,
            "{}: {mode}, {:?}, start {}, epoch {}{delay}{deadline}{maintained}{shares}, runs {:?}",
            it.package,
            it.output,
            it.start,
            it.epoch,
            it.run().command
        );
        if let Some(reload) = it.reload {
            let _ = writeln!(
                text,
                "{}: reload to revision {} by {:?} with {:?}",
                it.package,
                reload.revision,
                reload.spec.run.reload.as_deref().unwrap_or_default(),
                reload.spec.run.environment
            );
        }
    }
    text
}

fn show_explanation(world: &World, package: &str) -> String {
    let Some(told) = explain(&world.state, &PackageName::new(package).unwrap()) else {
        return "no such package\n".into();
    };
    let mut text = format!("{}\n", told.summary);
    for node in told.nodes {
        let _ = writeln!(text, "  {} {}: {}", node.node, node.verdict.as_str(), node.reason);
    }
    for next in told.next {
        let _ = writeln!(text, "  next: {next}");
    }
    text
}

fn show_plan(world: &mut World, rest: &[&str]) -> String {
    let planned = if rest[0] == "lost" {
        preview_loss(&world.state, &NodeName::new(rest[1]).unwrap())
    } else {
        let line = rest.join(" ");
        let command = if line.contains(';') {
            several(world, &line)
        } else {
            command(world, rest)
        };
        preview(&world.state, &[command])
    };
    match planned {
        Ok(planned) => print_plan(&planned),
        Err(rejection) => format!("rejected ({}): {rejection}\n", rejection.code()),
    }
}

fn print_plan(planned: &Preview) -> String {
    let mut text = format!(
        "at {}{}\n",
        planned.index,
        if planned.disruptive { ", disruptive" } else { "" }
    );
    for change in &planned.changes {
        let _ = writeln!(text, "  {change}");
    }
    for step in &planned.steps {
        let from = step
            .from
            .as_ref()
            .map(|from| format!(" from {from}"))
            .unwrap_or_default();
        let mode = step
            .mode
            .map(|mode| format!(" as {}", mode_word(mode)))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "  {} {}{from} on {}{mode}: {}",
            step.action.as_str(),
            step.package,
            step.node,
            step.reason
        );
    }
    for unplaced in &planned.unplaced {
        let _ = writeln!(text, "  unplaced {}: {}", unplaced.package, unplaced.reason);
    }
    text
}
