//! Clients and operators: what they ask for, again and again until they know the outcome.

use std::collections::{BTreeMap, VecDeque};

use statemachine::command::{
    Capacity, ClusterSpec, Command, ConfigChange, Fencing, GroupKind, GroupSpec, Maintained, OnQuorumLoss, PackageSpec,
    ProbeKind, ProbeSpec, RequestId, RestartSpec, RunSpec, Shares, Wish,
};
use statemachine::id::{GroupName, NodeName, PackageName};
use statemachine::log::v1::Proposal;
use statemachine::node::NodeStatus;
use statemachine::package::Phase;
use statemachine::time::Millis;

use super::message::{Body, Envelope, Origin, ReplyTo, Request, Response};
use super::world::{Event, MS, World};

/// The packages of every simulated cluster: two groups, a single one, and a single one that needs a confirmation.
pub const PACKAGES: [&str; 7] = ["p0", "p1", "p2", "p3", "p4", "p5", "p6"];
/// The cluster's id: a server has it on its disk from its joining on.
pub const CLUSTER: &str = "simulated";
/// Their units.
pub const UNITS: usize = 4;

struct Asked {
    proposal: Proposal,
    first_call: u64,
    begun: u64,
}

/// One client: one command at a time.
pub struct Client {
    /// Asked for before anything at random.
    pub todo: VecDeque<Command>,
    asked: Option<Asked>,
    attempt: u64,
    serial: u64,
    server: usize,
}

impl Client {
    /// Nothing is on its way or waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.todo.is_empty() && self.asked.is_none()
    }
}

fn package(name: &str) -> PackageName {
    match PackageName::new(name) {
        Ok(name) => name,
        Err(error) => panic!("{error}"),
    }
}

fn definition(name: &str, lease: u64, priority: Option<u32>, revision: u64) -> PackageSpec {
    let group = match name {
        "p0" | "p1" | "p2" => GroupName::new("g0").ok(),
        "p3" | "p4" => GroupName::new("g1").ok(),
        _ => None,
    };
    let by_command = matches!(name, "p3" | "p4").then(|| vec!["/bin/change".to_owned()]);
    let probe = (name == "p5").then(|| ProbeSpec {
        kind: ProbeKind::Exec(vec!["/bin/probe".to_owned()]),
        interval: Millis(lease * 5),
        timeout: Millis(lease),
        failures: 2,
    });
    PackageSpec {
        name: package(name),
        copy_of: None,
        group,
        priority,
        load: Capacity(BTreeMap::from([("slots".to_owned(), 5)])),
        nodes: Vec::new(),
        enabled: true,
        safety: if name == "p6" { Fencing::Fenced } else { Fencing::Lease },
        on_quorum_loss: OnQuorumLoss::Stop,
        restart: RestartSpec {
            attempts: 3,
            within: Millis(lease * 60),
        },
        run: RunSpec {
            command: vec![format!("/bin/{name}")],
            environment: BTreeMap::from([("REVISION".to_owned(), revision.to_string())]),
            directory: None,
            promote: by_command.clone(),
            demote: by_command,
            probe,
            start_timeout: Millis(lease * 4),
            stop_timeout: Millis(lease),
            reload: None,
        },
        after: Vec::new(),
        needs: Vec::new(),
        condition: None,
        exclusive: false,
        preemptible: true,
    }
}

fn group(name: &str, standbys: u32, lease: u64) -> Option<ConfigChange> {
    Some(ConfigChange::PutGroup(GroupSpec {
        name: GroupName::new(name).ok()?,
        kind: GroupKind::Duplex,
        standbys,
        failovers: RestartSpec {
            attempts: 20,
            within: Millis(lease * 60),
        },
    }))
}

fn cluster(lease: u64) -> ConfigChange {
    ConfigChange::PutCluster(ClusterSpec {
        name: "simulated".to_owned(),
        lease: Millis(lease),
        min_nodes: 2,
        start_wait: Millis(lease * 5),
        shares: Shares::None,
        overload: 100,
        resume: 85,
        modes: Vec::new(),
    })
}

impl World {
    /// Clients begin: the first one makes the cluster.
    pub fn begin_clients(&mut self) {
        let lease = self.plan.lease_ms;
        let mut todo = VecDeque::new();
        for server in 0..self.servers.len() {
            let (name, peer) = (self.node_name(server), vec![format!("s{server}:7400")]);
            let api = format!("n{server}:7400");
            todo.push_back(if server == 0 {
                Command::CreateCluster {
                    id: CLUSTER.to_owned(),
                    member: name,
                    peer,
                    api,
                }
            } else {
                Command::AddMember {
                    name,
                    peer,
                    api,
                    witness: false,
                }
            });
        }
        let mut changes = vec![cluster(lease)];
        changes.extend(group("g0", 2, lease));
        changes.extend(group("g1", 1, lease));
        changes.extend(PACKAGES.map(|name| ConfigChange::PutPackage(definition(name, lease, None, 0))));
        todo.push_back(Command::Configure { expect: None, changes });
        for client in 0..self.plan.clients {
            self.clients.push(Client {
                todo: std::mem::take(&mut todo),
                asked: None,
                attempt: 0,
                serial: 0,
                server: client,
            });
            let at = 10 * MS + self.lease_ns * 4 * client as u64;
            self.at(at, Event::ClientActs(client, 0));
        }
    }

    /// The host of a client: outside the cluster.
    #[must_use]
    pub fn client_host(&self, client: usize) -> usize {
        self.hosts.len() + client
    }

    /// Asks for something new, or again for what was not answered in time.
    pub fn client_acts(&mut self, client: usize, attempt: u64) {
        if self.clients[client].attempt != attempt {
            return;
        }
        self.next_id += 1;
        let call = self.next_id;
        if self.clients[client].asked.is_none() {
            let next = self.clients[client].todo.pop_front();
            let Some(command) = next.or_else(|| (!self.healing).then(|| self.any_command()).flatten()) else {
                let at = self.now + self.lease_ns / 4;
                return self.at(at, Event::ClientActs(client, attempt));
            };
            let begun = self.checks.newest_acknowledged();
            let its = &mut self.clients[client];
            its.serial += 1;
            let request = RequestId {
                client: format!("c{client}"),
                key: its.serial.to_string(),
            };
            its.asked = Some(Asked {
                proposal: Proposal {
                    request: Some(request),
                    command,
                },
                first_call: call,
                begun,
            });
        }
        let servers = self.servers.len();
        let its = &mut self.clients[client];
        its.attempt += 1;
        let attempt = its.attempt;
        let Some(asked) = &its.asked else { return };
        let body = Request::Propose(Box::new(asked.proposal.clone()));
        its.server = (its.server + 1) % servers;
        let to = its.server;
        let reply = ReplyTo {
            origin: Origin::Client { client },
            call,
        };
        self.send(Envelope {
            from: self.client_host(client),
            to,
            for_server: true,
            body: Body::Request(reply, body),
        });
        let patience = self.now + (self.lease_ns / 2).clamp(200 * MS, 3_000 * MS);
        self.at(patience, Event::ClientActs(client, attempt));
    }

    /// An answer for a client, perhaps to an earlier try.
    pub fn client_hears(&mut self, client: usize, call: u64, response: Response) {
        let its = &mut self.clients[client];
        let Some(asked) = its.asked.as_ref().filter(|asked| call >= asked.first_call) else {
            return;
        };
        its.attempt += 1;
        let attempt = its.attempt;
        let wait = match response {
            Response::Answered(answer) => {
                let begun = asked.begun;
                its.asked = None;
                let busy = !its.todo.is_empty();
                self.checks.acknowledged(begun, &answer);
                self.acknowledged += 1;
                let pause = self.plan.client_pause_ns;
                if busy { MS } else { self.client_random.about(pause) }
            }
            _ => self.client_random.between(MS, self.lease_ns / 5),
        };
        // A server that refuses is not asked again at once.
        self.at(self.now + wait, Event::ClientActs(client, attempt));
    }

    fn any_command(&mut self) -> Option<Command> {
        let lease = self.plan.lease_ms;
        let hosts = self.hosts.len();
        let random = &mut self.client_random;
        let any = package(random.pick(&PACKAGES));
        let node = NodeName::new(&format!("n{}", random.index(hosts))).ok()?;
        Some(match random.below(17) {
            0 => Command::SetWish {
                package: any,
                wish: Wish::Stop,
            },
            1..=3 => Command::SetWish {
                package: any,
                wish: Wish::Start,
            },
            4 | 5 => Command::Move { package: any, to: node },
            6 | 7 => Command::Promote { package: any },
            8 => Command::SetDrain {
                node,
                drain: random.chance(400),
            },
            9 => Command::SetAttribute {
                node,
                key: "colour".to_owned(),
                value: Some(random.below(9).to_string()),
                expect: None,
            },
            10 => Command::Clear { package: any },
            11 => {
                let priority = Some(random.between(1, 9) as u32);
                let revision = random.below(4);
                let spec = definition(any.as_str(), lease, priority, revision);
                Command::Configure {
                    expect: None,
                    changes: vec![ConfigChange::PutPackage(spec)],
                }
            }
            12 => Command::Configure {
                expect: None,
                changes: vec![cluster(if random.chance(300) { lease * 2 } else { lease })],
            },
            13 => Command::Demote { package: any },
            14 => Command::BeginMaintenance {
                of: match random.below(5) {
                    0 => Maintained::Cluster,
                    1 | 2 => Maintained::Node(node),
                    _ => Maintained::Package(any),
                },
                length: Some(Millis(lease * random.between(1, 20))),
            },
            15 if random.chance(100) => {
                self.clients[0].todo.push_back(Command::StartCluster);
                Command::StopCluster
            }
            15 => Command::Rebalance { at_most: 3 },
            _ => Command::SetWish {
                package: any,
                wish: if random.chance(300) { Wish::Test } else { Wish::Start },
            },
        })
    }

    /// An operator confirms that a lost node is down, but only where it truly has no power.
    pub fn operator_looks(&mut self) {
        let lost: Vec<NodeName> = self
            .checks
            .state
            .nodes()
            .filter(|node| matches!(node.status, NodeStatus::Lost { confirmed: false, .. }))
            .map(|node| node.name.clone())
            .collect();
        for node in lost {
            let off = self.hosts.iter().any(|host| host.name == node.as_str() && !host.up);
            if off && self.client_random.chance(500) && self.clients[0].todo.len() < 8 {
                let by = "operator".to_owned();
                self.clients[0].todo.push_back(Command::ConfirmDown { node, by });
            }
        }
        self.at(self.now + self.lease_ns * 5, Event::OperatorLooks);
    }

    /// An operator confirms that nothing of a node's earlier sessions is left, where that is true and packages wait for it.
    pub fn operator_confirms(&mut self) {
        let state = &self.checks.state;
        let mut nodes = Vec::new();
        for instance in state.packages().filter_map(|package| package.instance.as_ref()) {
            let Some(node) = state
                .node_at(instance.node)
                .filter(|_| instance.phase == Phase::Stranded)
            else {
                continue;
            };
            let lives = |host: &super::host::Host| {
                let mut all = host.supervisors.values();
                all.any(|supervisor| supervisor.session == instance.session.0)
            };
            if !self
                .hosts
                .iter()
                .any(|host| host.name == node.name.as_str() && lives(host))
            {
                nodes.push(node.name.clone());
            }
        }
        for node in nodes {
            let by = "operator".to_owned();
            self.clients[0].todo.push_back(Command::ConfirmDown { node, by });
        }
    }

    /// What an operator does once all is mended: everything is wished, on all nodes, as it was at first.
    pub fn operator_mends(&mut self) {
        let lease = self.plan.lease_ms;
        let todo = &mut self.clients[0].todo;
        todo.push_back(Command::Configure {
            expect: None,
            changes: vec![cluster(lease)],
        });
        todo.push_back(Command::StartCluster);
        let of = Maintained::Cluster;
        todo.push_back(Command::EndMaintenance { of });
        for host in &self.hosts {
            if let Ok(node) = NodeName::new(&host.name) {
                todo.push_back(Command::EndMaintenance {
                    of: Maintained::Node(node.clone()),
                });
                todo.push_back(Command::SetDrain { node, drain: false });
            }
        }
        // A member in maintenance holds its whole group, so this is ended before anything is wished.
        for name in PACKAGES {
            let of = Maintained::Package(package(name));
            todo.push_back(Command::EndMaintenance { of });
        }
        for name in PACKAGES {
            let package = package(name);
            todo.push_back(Command::SetWish {
                package: package.clone(),
                wish: Wish::Start,
            });
            todo.push_back(Command::Clear { package });
        }
    }
}
