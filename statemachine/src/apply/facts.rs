//! What rules see of the state, and which names they may use.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::command::{Mode, Output};
use crate::event::mode_word;
use crate::group::Group;
use crate::id::{GroupName, NodeName, PackageName};
use crate::nearest::nearest;
use crate::package::{Instance, Package, Phase};
use crate::rules::{Attribute, Facts, Kind, Names, RuleError, RuleSet, Value, check};
use crate::state::State;

impl Facts for State {
    fn value(&self, name: &str, attribute: &Attribute) -> Option<Value<'_>> {
        let package = || self.package(&PackageName::new(name).ok()?);
        let group = || self.group(&GroupName::new(name).ok()?);
        let node = || self.node_by_name(&NodeName::new(name).ok()?);
        Some(match attribute {
            Attribute::PackageState => up_or_down(running(package()?).is_some()),
            Attribute::PackageNode => Value::Word(self.node_at(running(package()?)?.node)?.name.as_str()),
            Attribute::PackageMode => {
                Value::Word(running(package()?).map_or("stopped", |instance| mode_word(instance.mode)))
            }
            Attribute::PackageOutput => Value::Word(match running(package()?)?.output() {
                Output::Released => "released",
                Output::Inhibited => "inhibited",
            }),
            Attribute::PackagePriority => Value::Number(u64::from(package()?.spec.priority?)),
            Attribute::PackageFailures => count(package()?.failures.len()),
            Attribute::GroupActive => {
                let (_, active) = in_mode(self, group()?, Mode::Active).next()?;
                Value::Word(active.name().as_str())
            }
            Attribute::GroupStandbys => {
                let standbys = in_mode(self, group()?, Mode::Standby);
                count(standbys.filter(|(instance, _)| instance.is_ready()).count())
            }
            Attribute::NodeState => up_or_down(node()?.is_up()),
            Attribute::NodePackages => count(node()?.instances.len()),
            Attribute::NodeAttribute(key) => Value::Word(node()?.attributes.get(key)?),
        })
    }
}

/// An instance that stops or is killed is down to a rule although it still counts as running: what a rule wants is a
/// wish, and a start waits by itself until the end is proven. One that may still run on a lost node is up.
fn running(package: &Package) -> Option<&Instance> {
    let instance = package.instance.as_ref()?;
    (instance.is_live() || instance.phase == Phase::Stranded).then_some(instance)
}

/// The members of a group that run in a mode, with their instances.
fn in_mode<'a>(state: &'a State, group: &'a Group, mode: Mode) -> impl Iterator<Item = (&'a Instance, &'a Package)> {
    state.group_members(group).filter_map(move |(_, member)| {
        let instance = running(member).filter(|instance| instance.mode == mode)?;
        Some((instance, member))
    })
}

fn up_or_down(up: bool) -> Value<'static> {
    Value::Word(if up { "up" } else { "down" })
}

fn count(count: usize) -> Value<'static> {
    Value::Number(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Reads rules and checks them against what is defined.
///
/// # Errors
/// Every error of the text, in the order of their places.
pub fn check_rules(state: &State, text: &str) -> Result<RuleSet, Vec<RuleError>> {
    check(text, &mut Defined { state, listed: None })
}

/// The names that there are.
struct Defined<'a> {
    state: &'a State,
    /// Nodes that have registered or that packages list: gathered once, when the first name is asked for that is none
    /// of a registered node.
    listed: Option<BTreeSet<&'a NodeName>>,
}

impl<'a> Defined<'a> {
    fn listed(&mut self) -> &BTreeSet<&'a NodeName> {
        let state = self.state;
        self.listed.get_or_insert_with(|| {
            let registered = state.nodes.iter().map(|(_, node)| &node.name);
            let listed = state.packages.iter().flat_map(|(_, package)| &package.spec.nodes);
            registered.chain(listed).collect()
        })
    }
}

impl Names for Defined<'_> {
    /// A node that is only listed by a package may come later.
    fn is_known(&mut self, kind: Kind, name: &str) -> bool {
        let state = self.state;
        match kind {
            Kind::Package => PackageName::new(name).is_ok_and(|name| {
                let package = state.package(&name);
                package.is_some_and(|package| !package.removing)
            }),
            Kind::Group => GroupName::new(name).is_ok_and(|name| {
                let group = state.group(&name);
                group.is_some_and(|group| !group.removing)
            }),
            Kind::Node => NodeName::new(name)
                .is_ok_and(|name| state.node_by_name(&name).is_some() || self.listed().contains(&name)),
            Kind::Lan | Kind::Disk | Kind::Address | Kind::Cpu | Kind::Memory | Kind::Service | Kind::Manager => false,
        }
    }

    fn nearest(&mut self, kind: Kind, name: &str) -> Option<String> {
        let state = self.state;
        match kind {
            Kind::Package => {
                let defined = state.packages.iter().filter(|(_, package)| !package.removing);
                nearest(name, defined.map(|(_, package)| package.name().as_str()))
            }
            Kind::Group => {
                let defined = state.groups.iter().filter(|(_, group)| !group.removing);
                nearest(name, defined.map(|(_, group)| group.name().as_str()))
            }
            Kind::Node => nearest(name, self.listed().iter().map(|name| name.as_str())),
            Kind::Lan | Kind::Disk | Kind::Address | Kind::Cpu | Kind::Memory | Kind::Service | Kind::Manager => None,
        }
    }
}
