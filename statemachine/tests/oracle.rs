//! The planner against one that is slow and obviously correct: after every entry it looks at every package and every node,
//! and at every set of packages that could give way. Both have to come to the same placement, stops and kept rooms.
//!
//! `PACELINE_ORACLE_CASES` sets how many random clusters; `scripts/long` runs 100,000.

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use statemachine::command::{Command, ConfigChange, GroupKind, Wish};
use statemachine::id::{NodeName, PackageName};
use statemachine::package::Phase;
use support::{Registration, World, specs};

const CASES: u32 = 2_000;

/// One package as it is drawn.
#[derive(Clone, Debug)]
struct Draw {
    cpu: u64,
    memory: u64,
    priority: u8,
    nodes: Vec<usize>,
    preemptible: bool,
    exclusive: bool,
    /// Of this load-share group.
    group: Option<u8>,
    /// Never beside this one.
    not: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Lost(usize),
    Up(usize),
    Drain(usize, bool),
    Wish(usize, bool),
    /// The daemons' next report: on the first node that has something to say.
    Obey,
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let draw = (
        0u64..70,
        0u64..70,
        0u8..4,
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(0usize..4, 1..4)],
        prop::bool::weighted(0.85),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.35, 0u8..2),
        prop::option::weighted(0.25, 0usize..8),
    );
    let draw = draw.prop_map(
        |(cpu, memory, priority, mut nodes, preemptible, exclusive, group, not)| {
            let mut seen = BTreeSet::new();
            nodes.retain(|node| seen.insert(*node));
            Draw {
                cpu,
                memory,
                priority,
                nodes,
                preemptible,
                exclusive,
                group,
                not,
            }
        },
    );
    prop::collection::vec(draw, 1..8)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0usize..4).prop_map(Step::Lost),
        4 => (0usize..4).prop_map(Step::Up),
        2 => (0usize..4, any::<bool>()).prop_map(|(node, drain)| Step::Drain(node, drain)),
        3 => (0usize..8, prop::bool::weighted(0.7)).prop_map(|(package, start)| Step::Wish(package, start)),
        6 => Just(Step::Obey),
    ];
    prop::collection::vec(step, 1..30)
}

/// A node as the oracle knows it.
#[derive(Clone, Debug)]
struct Node {
    up: bool,
    drain: bool,
    capacity: [u64; 2],
}

/// A package as the oracle knows it.
#[derive(Clone, Debug)]
struct Package {
    draw: Draw,
    /// Its place in the one order of importance: smaller is more important.
    rank: (u64, usize),
    wish: bool,
    /// Where it is, and whether it is being stopped there.
    place: Option<(usize, bool)>,
    /// Where room is kept for it.
    claim: Option<usize>,
}

/// Looks at everything, again and again, until nothing changes.
#[derive(Clone, Debug)]
struct Oracle {
    nodes: Vec<Node>,
    packages: Vec<Package>,
}

impl Oracle {
    fn plan(&mut self) {
        while self.stop_one() || self.start_or_claim_one() {}
    }

    /// What may not go on is stopped.
    fn stop_one(&mut self) -> bool {
        for number in 0..self.packages.len() {
            let package = &self.packages[number];
            if let Some((node, false)) = package.place
                && (!package.wish || self.nodes[node].drain)
            {
                self.packages[number].place = Some((node, true));
                return true;
            }
        }
        false
    }

    /// The most important package for which something can be done.
    fn start_or_claim_one(&mut self) -> bool {
        let mut order: Vec<usize> = (0..self.packages.len()).collect();
        order.sort_by_key(|number| self.packages[*number].rank);
        order.into_iter().any(|number| self.start_or_claim(number))
    }

    fn start_or_claim(&mut self, number: usize) -> bool {
        let before = self.packages[number].claim;
        if self.packages[number].place.is_some() {
            return false;
        }
        if !self.packages[number].wish {
            self.packages[number].claim = None;
            return before.is_some();
        }
        if let Some(node) = self.choose(number) {
            self.packages[number].claim = None;
            self.packages[number].place = Some((node, false));
            return true;
        }
        if before.is_some_and(|node| self.victims(number, node) == Some(0)) {
            return false;
        }
        self.packages[number].claim = None;
        let Some((node, victims)) = self.cheapest(number) else {
            return before.is_some();
        };
        for victim in (0..self.packages.len()).filter(|victim| victims & (1 << victim) != 0) {
            let victim = &mut self.packages[victim];
            if victim.claim.take().is_none() {
                victim.place = victim.place.map(|(node, _)| (node, true));
            }
        }
        self.packages[number].claim = Some(node);
        true
    }

    /// Where it can be started now: whatever is there, or is being stopped there, counts, and so does room that is kept.
    fn choose(&self, number: usize) -> Option<usize> {
        let package = &self.packages[number];
        if let Some(claim) = package.claim
            && self.fits_now(number, claim, false)
        {
            return Some(claim);
        }
        if package.draw.nodes.is_empty() {
            let open = (0..self.nodes.len()).filter(|node| self.fits_now(number, *node, true));
            return open.max_by_key(|node| (self.score(*node), std::cmp::Reverse(*node)));
        }
        let mut listed = package.draw.nodes.iter().copied();
        listed.find(|node| self.fits_now(number, *node, true))
    }

    /// The free share of the scarcest dimension, in 254ths: what "most room" means.
    fn score(&self, node: usize) -> u64 {
        let held = self.load_on(node, |_| true);
        let shares = self.nodes[node].capacity.iter().zip(held);
        shares
            .map(|(capacity, held)| capacity.saturating_sub(held) * 254 / capacity)
            .min()
            .unwrap()
    }

    /// The load of everybody there whom the filter takes, room that is kept too.
    fn load_on(&self, node: usize, counts: impl Fn(usize) -> bool) -> [u64; 2] {
        let there = (0..self.packages.len()).filter(|other| self.is_on(*other, node) && counts(*other));
        there.fold([0, 0], |sum, other| {
            let draw = &self.packages[other].draw;
            [sum[0] + draw.cpu, sum[1] + draw.memory]
        })
    }

    fn is_on(&self, number: usize, node: usize) -> bool {
        let package = &self.packages[number];
        package.place.is_some_and(|(there, _)| there == node) || package.claim == Some(node)
    }

    fn may_use(&self, number: usize, node: usize) -> bool {
        let list = &self.packages[number].draw.nodes;
        let at = &self.nodes[node];
        at.up && !at.drain && (list.is_empty() || list.contains(&node))
    }

    fn fits_now(&self, number: usize, node: usize, claims_count: bool) -> bool {
        let others: Vec<usize> = (0..self.packages.len()).filter(|other| *other != number).collect();
        let there: Vec<usize> = others
            .iter()
            .copied()
            .filter(|other| self.is_on(*other, node))
            .collect();
        let bodies: Vec<usize> = there
            .iter()
            .copied()
            .filter(|other| claims_count || self.packages[*other].place.is_some())
            .collect();
        self.may_use(number, node)
            && there.iter().all(|other| !self.apart(number, *other))
            && self.has_room(number, node, &bodies)
    }

    /// Whether it may be there beside these, by loads and by who needs the node for itself.
    fn has_room(&self, number: usize, node: usize, beside: &[usize]) -> bool {
        let own = &self.packages[number].draw;
        let sum = beside.iter().fold([own.cpu, own.memory], |sum, other| {
            let draw = &self.packages[*other].draw;
            [sum[0] + draw.cpu, sum[1] + draw.memory]
        });
        let loads = [own.cpu, own.memory];
        let below = (0..2).all(|at| loads[at] == 0 || sum[at] < self.nodes[node].capacity[at]);
        below
            && (!own.exclusive || beside.is_empty())
            && beside.iter().all(|other| !self.packages[*other].draw.exclusive)
    }

    /// Whether two are never on one node: by their group, or by a condition of one of them.
    fn apart(&self, one: usize, other: usize) -> bool {
        self.peers(one, other) || self.excluded(one, other)
    }

    fn peers(&self, one: usize, other: usize) -> bool {
        let group = self.packages[one].draw.group;
        group.is_some() && group == self.packages[other].draw.group
    }

    fn excluded(&self, one: usize, other: usize) -> bool {
        self.packages[one].draw.not == Some(other) || self.packages[other].draw.not == Some(one)
    }

    /// Who has to go for it there, as a set of numbers; none where it can't be there whoever goes. What is being stopped is
    /// gone by then. Of all sets that do, the one whose most important member is the least important, then the next.
    fn victims(&self, number: usize, node: usize) -> Option<u32> {
        if !self.may_use(number, node) {
            return None;
        }
        let others: Vec<usize> = (0..self.packages.len()).filter(|other| *other != number).collect();
        if others
            .iter()
            .any(|other| self.is_on(*other, node) && self.peers(number, *other))
        {
            return None;
        }
        let leaving = |other: usize| self.packages[other].place.is_some_and(|(_, stopping)| stopping);
        let there = others.into_iter().filter(|other| self.is_on(*other, node));
        let stay: Vec<usize> = there.filter(|other| !leaving(*other)).collect();
        let mut yielding: Vec<usize> = stay
            .iter()
            .copied()
            .filter(|other| self.packages[*other].draw.preemptible)
            .filter(|other| self.packages[*other].rank > self.packages[number].rank)
            .collect();
        // The least important first: as a number, a set with a more important member is larger.
        yielding.sort_by_key(|other| std::cmp::Reverse(self.packages[*other].rank));
        (0..1u32 << yielding.len())
            .find(|set| {
                let gone = |other: &usize| {
                    yielding
                        .iter()
                        .position(|it| it == other)
                        .is_some_and(|at| set & (1 << at) != 0)
                };
                let beside: Vec<usize> = stay.iter().copied().filter(|other| !gone(other)).collect();
                beside.iter().all(|other| !self.excluded(number, *other)) && self.has_room(number, node, &beside)
            })
            .map(|set| {
                let gone = yielding.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0);
                gone.fold(0, |all, (_, other)| all | (1 << other))
            })
    }

    /// Where the least is given up for it.
    fn cheapest(&self, number: usize) -> Option<(usize, u32)> {
        let list = &self.packages[number].draw.nodes;
        let nodes: Vec<usize> = if list.is_empty() {
            (0..self.nodes.len()).collect()
        } else {
            list.clone()
        };
        let mut found: Vec<(usize, u32)> = Vec::new();
        for node in nodes {
            found.extend(self.victims(number, node).map(|victims| (node, victims)));
        }
        if list.is_empty() && found.iter().any(|(_, victims)| *victims == 0) {
            found.retain(|(_, victims)| *victims == 0);
            found.sort_by_key(|(node, _)| (std::cmp::Reverse(self.score(*node)), *node));
        }
        let dearest = |victims: u32| {
            let all = (0..self.packages.len()).filter(|other| victims & (1 << other) != 0);
            all.map(|other| self.packages[other].rank).min()
        };
        // None is cheaper than any; else the larger rank, which is the less important one; the first among equals.
        let cost = |victims: u32| dearest(victims).map(std::cmp::Reverse);
        let least = found.iter().map(|(_, victims)| cost(*victims)).min()?;
        found.into_iter().find(|(_, victims)| cost(*victims) == least)
    }
}

fn name_of(number: usize) -> String {
    format!("p{number}")
}

fn node_of(number: usize) -> String {
    format!("n{number}")
}

/// The real state in the oracle's words.
fn seen(world: &World, number: usize) -> (Option<(usize, bool)>, Option<usize>) {
    let row = world.package(&name_of(number)).unwrap();
    let index = |node: &str| node[1..].parse::<usize>().unwrap();
    let place = row.instance.as_ref().map(|instance| {
        let node = world.state.node_at(instance.node).unwrap();
        (
            index(node.name.as_str()),
            matches!(instance.phase, Phase::Stopping { .. }),
        )
    });
    let claim = row.claim.and_then(|node| world.state.node_at(node));
    (place, claim.map(|node| index(node.name.as_str())))
}

fn compare(world: &World, oracle: &Oracle) -> Result<(), TestCaseError> {
    for number in 0..oracle.packages.len() {
        let package = &oracle.packages[number];
        prop_assert_eq!(
            seen(world, number),
            (package.place, package.claim),
            "p{} after entry {}: the planner's, then the oracle's\n{:#?}",
            number,
            world.state.applied(),
            oracle
        );
    }
    Ok(())
}

fn begin(draws: &[Draw], capacities: &[(u64, u64)]) -> (World, Oracle) {
    let mut world = World::new();
    let _ = world.apply(Command::CreateCluster {
        id: "c1".into(),
        member: NodeName::new("n0").unwrap(),
        peer: vec!["127.0.0.1:1".into()],
        api: "127.0.0.1:2".into(),
    });
    for group in 0..2 {
        let mut spec = specs::group(&format!("g{group}"), 0);
        spec.kind = GroupKind::LoadShare;
        let _ = world.apply(configure(vec![ConfigChange::PutGroup(spec)]));
    }
    for (number, (cpu, memory)) in capacities.iter().enumerate() {
        let command = world.register(
            &node_of(number),
            &[("cpu", *cpu), ("memory", *memory)],
            &Registration::default(),
        );
        let _ = world.apply(command);
    }
    let oracle = Oracle {
        nodes: capacities
            .iter()
            .map(|(cpu, memory)| Node {
                up: true,
                drain: false,
                capacity: [*cpu, *memory],
            })
            .collect(),
        packages: draws
            .iter()
            .enumerate()
            .map(|(number, draw)| Package {
                draw: draw.clone(),
                rank: (
                    if draw.priority == 0 {
                        u64::MAX
                    } else {
                        u64::from(draw.priority)
                    },
                    number,
                ),
                wish: true,
                place: None,
                claim: None,
            })
            .collect(),
    };
    (world, oracle)
}

fn configure(changes: Vec<ConfigChange>) -> Command {
    Command::Configure { expect: None, changes }
}

/// All packages in one entry.
fn define(draws: &[Draw]) -> Command {
    let specs = draws.iter().enumerate().map(|(number, draw)| {
        let group = draw.group.map(|group| format!("g{group}"));
        let mut spec = specs::package(&name_of(number), group.as_deref());
        spec.load = specs::amounts(&[("cpu", draw.cpu), ("memory", draw.memory)]);
        spec.priority = (draw.priority > 0).then_some(u32::from(draw.priority));
        spec.nodes = draw
            .nodes
            .iter()
            .map(|node| NodeName::new(&node_of(*node)).unwrap())
            .collect();
        spec.preemptible = draw.preemptible;
        spec.exclusive = draw.exclusive;
        spec.condition = draw.not.map(|other| format!("!{}", name_of(other)));
        ConfigChange::PutPackage(spec)
    });
    configure(specs.collect())
}

/// Does a step with both; a step that makes no sense at the moment is left out.
fn take(world: &mut World, oracle: &mut Oracle, step: Step) -> bool {
    match step {
        Step::Lost(node) if oracle.nodes[node].up => {
            let sessions = vec![world.session(&node_of(node)).unwrap()];
            let term = world.term;
            let _ = world.apply(Command::NodeLost { sessions, term });
            oracle.nodes[node].up = false;
            for package in &mut oracle.packages {
                package.place = package.place.filter(|(there, _)| *there != node);
            }
        }
        Step::Up(node) if !oracle.nodes[node].up => {
            let command = world.register(
                &node_of(node),
                &[],
                &Registration {
                    clean: true,
                    ..Default::default()
                },
            );
            let _ = world.apply(command);
            oracle.nodes[node].up = true;
        }
        Step::Drain(node, drain) => {
            let name = NodeName::new(&node_of(node)).unwrap();
            let _ = world.apply(Command::SetDrain { node: name, drain });
            oracle.nodes[node].drain = drain;
        }
        Step::Wish(package, start) if package < oracle.packages.len() => {
            let wish = if start { Wish::Start } else { Wish::Stop };
            let name = PackageName::new(&name_of(package)).unwrap();
            let _ = world.apply(Command::SetWish { package: name, wish });
            oracle.packages[package].wish = start;
        }
        Step::Obey => {
            let before: Vec<_> = (0..oracle.packages.len())
                .map(|it| world.package(&name_of(it)).unwrap().instance.clone())
                .collect();
            if world.obey_at_most(1).is_empty() {
                return false;
            }
            // What was being stopped on the node that reported is gone.
            for (number, before) in before.iter().enumerate() {
                let now = &world.package(&name_of(number)).unwrap().instance;
                let epoch = |it: &Option<statemachine::package::Instance>| it.as_ref().map(|it| it.start);
                if oracle.packages[number].place.is_some_and(|(_, stopping)| stopping) && epoch(before) != epoch(now) {
                    oracle.packages[number].place = None;
                }
            }
        }
        Step::Lost(_) | Step::Up(_) | Step::Wish(..) => return false,
    }
    oracle.plan();
    true
}

fn cases() -> u32 {
    std::env::var("PACELINE_ORACLE_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(CASES)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_planner_does_what_looking_at_everything_does(
        mut draws in draws(),
        capacities in prop::collection::vec((60u64..160, 60u64..160), 4),
        steps in steps(),
    ) {
        let count = draws.len();
        for (number, draw) in draws.iter_mut().enumerate() {
            draw.not = draw.not.filter(|other| *other < count && *other != number);
        }
        let (mut world, mut oracle) = begin(&draws, &capacities);
        let defined = world.apply(define(&draws));
        prop_assert!(defined.outcome.is_ok(), "{:?}", defined.outcome);
        oracle.plan();
        compare(&world, &oracle)?;
        for step in steps {
            if take(&mut world, &mut oracle, step) {
                compare(&world, &oracle)?;
            }
        }
        // In the end every daemon does what it is told, and both rest at the same placement.
        for _ in 0..200 {
            if !take(&mut world, &mut oracle, Step::Obey) {
                break;
            }
            compare(&world, &oracle)?;
        }
    }
}
