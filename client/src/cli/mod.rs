//! The operator's command line. It speaks nothing but the public API, so whatever it can do a program can do too.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 done; 1 refused or failed; 2 usage; 3
//! no server could be reached; 4 timed out, or unknown whether it was done; 5 no quorum.

mod actions;
mod apply;
mod change;
mod devnodes;
mod events;
mod explain;
mod export;
mod failover;
mod failovers;
mod failure;
mod matrix;
mod plan;
mod resources;
mod rules;
mod screen;
mod status;
mod table;
mod watch;
mod whole;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::Client;
use crate::client::Maintained;
use crate::dev::Runtime;
use crate::wire::duration::DurationText;
use crate::wire::plan::PlanRequest;
pub use actions::MembersAction;
use change::ChangeOptions;
use failure::Failure;
use screen::Screen;

/// Where servers are looked for where nothing names them.
const SERVER_DEFAULT: &str = "http://127.0.0.1:7400";

/// What every operator's command takes.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Servers to ask, in turn, until one answers [default: those of a running `paceline dev`, else
    /// http://127.0.0.1:7400].
    #[arg(
        long,
        global = true,
        value_name = "URL,…",
        value_delimiter = ',',
        env = "PACELINE_SERVER"
    )]
    pub server: Vec<String>,
    /// How results are printed: for people, or the API's JSON as it is.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// The API's JSON as it is.
    Json,
}

/// What an operator can do.
#[derive(Clone, Debug, Subcommand)]
#[allow(
    missing_docs,
    reason = "the comments are the help texts, and flattened options bring their own"
)]
pub enum Command {
    /// Show the cluster at a glance: leader, nodes, and what runs where.
    Status {
        /// Print one line and end in 0, 1 or 2 (ok, warning, critical), as monitoring plugins do.
        #[arg(long)]
        check: bool,
    },
    /// List nodes, or show one.
    Nodes {
        /// Only this node.
        node: Option<String>,
    },
    /// List packages, or show one.
    Packages {
        /// Only this package.
        package: Option<String>,
    },
    /// List everything that is watched or controlled, or show one.
    Resources {
        /// Only this one, like `lan:n1/eth1`.
        resource: Option<String>,
    },
    /// Make the cluster equal to a cluster file: shows the plan first.
    Apply {
        /// The cluster file; `-` reads standard input.
        file: PathBuf,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Show what would happen, and change nothing.
    Plan {
        /// If this cluster file were applied; `-` reads standard input.
        #[arg(required_unless_present_any = ["fail", "drain", "stop", "start"])]
        file: Option<PathBuf>,
        /// If this node failed; of several options all happen, in the order of this list.
        #[arg(long, value_name = "NODE")]
        fail: Vec<String>,
        /// If this node were drained.
        #[arg(long, value_name = "NODE")]
        drain: Vec<String>,
        /// If this package were stopped.
        #[arg(long, value_name = "PACKAGE")]
        stop: Vec<String>,
        /// If this package were started.
        #[arg(long, value_name = "PACKAGE")]
        start: Vec<String>,
    },
    /// Have a package run, active or standby as the plan chooses.
    Start {
        /// The package, or the definition of several copies.
        package: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Have a package not run.
    Stop {
        /// The package, or the definition of several copies.
        package: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Have a package run in test: never active, its output inhibited.
    Test {
        /// The package.
        package: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Make a standby the active one of its group.
    Promote {
        /// The standby.
        package: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Move a package to another node.
    Move {
        /// The package.
        package: String,
        /// Where to.
        #[arg(long, value_name = "NODE")]
        to: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Forget a package's failures, so that it may start everywhere again.
    Clear {
        /// The package.
        package: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Have a package run in a mode of your own, as `[[mode]]` defines it: never active, its output inhibited.
    Mode {
        /// The package.
        package: String,
        /// The mode.
        mode: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Make an active package a standby: the fittest standby of its group takes over.
    Demote {
        /// The active package.
        package: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Have nothing started, stopped or taken over while people work: in the cluster, on a node, or of a package.
    Maintenance {
        #[command(subcommand)]
        action: MaintenanceAction,
    },
    /// Stop everything in order, or start it again.
    Cluster {
        #[command(subcommand)]
        action: ClusterAction,
    },
    /// Move packages back to the nodes that they prefer, and from fuller nodes to emptier ones.
    Rebalance {
        /// So many at most.
        #[arg(long, value_name = "MOVES")]
        at_most: Option<u32>,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Move everything away from a node and keep it away.
    Drain {
        /// The node.
        node: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Use a drained node again.
    Resume {
        /// The node.
        node: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Give your word that a lost node is switched off, so that what it held may start elsewhere.
    ConfirmDown {
        /// The node.
        node: String,
        /// The node's name once more, where nobody can be asked to type it.
        #[arg(long, value_name = "NODE")]
        confirm: Option<String>,
        /// Who says so; it is recorded [default: the user at this host].
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Show what has happened, oldest first.
    Events(events::EventOptions),
    /// Show takeovers, each from its cause to its end, with its stages and their times.
    Failovers(failovers::FailoverOptions),
    /// Show how resources are, and then every change as it happens, through failures of servers.
    Watch(watch::WatchOptions),
    /// Say why a package is where it is, or runs nowhere, and what would change that.
    #[command(visible_alias = "why")]
    Explain {
        /// The package.
        package: String,
    },
    /// Print what is defined, as a cluster file.
    Export,
    /// Check rules before they are applied.
    Rules {
        #[command(subcommand)]
        action: RulesAction,
    },
    /// List or remove servers of the Raft group.
    Members {
        #[command(subcommand)]
        action: Option<MembersAction>,
    },
    /// Hand over the lead of the Raft group.
    Leader {
        #[command(subcommand)]
        action: LeaderAction,
    },
    /// Show or set small replicated values of a node.
    Attributes {
        /// The node.
        node: String,
        /// Set these.
        #[arg(value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// Remove this one.
        #[arg(long, value_name = "KEY")]
        remove: Vec<String>,
    },
    /// On a `dev` cluster: SIGKILL to a whole node, and watch the failover.
    KillNode {
        /// The node.
        node: String,
    },
    /// On a `dev` cluster: start a node that was killed, and watch it come back.
    StartNode {
        /// The node.
        node: String,
    },
}

/// What is in maintenance: the whole cluster where nothing is named.
#[derive(Clone, Debug, Args)]
#[group(multiple = false)]
pub struct Scope {
    /// Only this node and what runs there.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Only this package and its group.
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
}

impl Scope {
    fn maintained(self) -> Maintained {
        match (self.node, self.package) {
            (Some(node), _) => Maintained::Node(node),
            (None, Some(package)) => Maintained::Package(package),
            (None, None) => Maintained::Cluster,
        }
    }
}

/// What can be done with maintenance.
#[derive(Clone, Debug, Subcommand)]
#[allow(
    missing_docs,
    reason = "the comments are the help texts, and flattened options bring their own"
)]
pub enum MaintenanceAction {
    /// From now on nothing is touched; said again it ends at another time.
    On {
        #[command(flatten)]
        scope: Scope,
        /// It ends by itself after this [default: when somebody says so].
        #[arg(long = "for", value_name = "DURATION")]
        length: Option<DurationText>,
    },
    /// What waited for its end happens now: shows the plan first.
    Off {
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// What can be done with the whole cluster.
#[derive(Clone, Debug, Subcommand)]
#[allow(
    missing_docs,
    reason = "the comments are the help texts, and flattened options bring their own"
)]
pub enum ClusterAction {
    /// Stop every package in order; nothing starts before `cluster start`, and no wish changes.
    Stop {
        #[command(flatten)]
        options: ChangeOptions,
    },
    /// Start what is to run.
    Start {
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// What can be done with rules.
#[derive(Clone, Debug, Subcommand)]
pub enum RulesAction {
    /// Read a file of rules and print every error; asks no server.
    Check {
        /// The rules; `-` reads standard input.
        file: PathBuf,
        /// The cluster file whose packages and groups they may name.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// What can be done with the lead.
#[derive(Clone, Debug, Subcommand)]
pub enum LeaderAction {
    /// Hand it over to another server.
    Move {
        /// To this one [default: any that is caught up].
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
    },
}

/// Does what an operator asked, on a runtime of its own, and says by the exit code what came of it.
#[must_use]
pub fn run(options: &Options, command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("paceline: can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run_async(options, command))
}

async fn run_async(options: &Options, command: Command) -> ExitCode {
    let screen = Screen::of_process(options.output == Output::Json);
    let result = match (connect(options), &command) {
        (Ok(client), Command::Status { check: true }) => return status::check(&screen, &client).await,
        (Ok(client), _) => perform(&screen, &client, command).await,
        (Err(failure), _) => Err(failure),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The client for the servers that were named, or found.
fn connect(options: &Options) -> Result<Client, Failure> {
    let named: Vec<String> = options
        .server
        .iter()
        .filter(|server| !server.trim().is_empty())
        .cloned()
        .collect();
    let servers = if !named.is_empty() {
        named
    } else if let Ok(runtime) = Runtime::load() {
        runtime.servers
    } else {
        vec![SERVER_DEFAULT.to_owned()]
    };
    Ok(Client::new(&servers)?)
}

async fn perform(screen: &Screen, client: &Client, command: Command) -> Result<(), Failure> {
    match command {
        Command::Status { check: _ } => status::status(screen, client).await,
        Command::Nodes { node } => status::nodes(screen, client, node.as_deref()).await,
        Command::Packages { package } => status::packages(screen, client, package.as_deref()).await,
        Command::Resources { resource } => resources::resources(screen, client, resource.as_deref()).await,
        Command::Apply { file, options } => apply::apply(screen, client, &file, &options).await,
        Command::Plan {
            file,
            fail,
            drain,
            stop,
            start,
        } => {
            let fail = fail.into_iter().map(|node| PlanRequest::Fail { node });
            let drain = drain.into_iter().map(|node| PlanRequest::Drain { node });
            let stop = stop.into_iter().map(|package| PlanRequest::Stop { package });
            let start = start.into_iter().map(|package| PlanRequest::Start { package });
            let changes = fail.chain(drain).chain(stop).chain(start).collect();
            plan::plan(screen, client, file.as_deref(), changes).await
        }
        Command::Start { package, options } => change::start(screen, client, &package, &options).await,
        Command::Stop { package, options } => change::stop(screen, client, &package, &options).await,
        Command::Test { package, options } => change::test(screen, client, &package, &options).await,
        Command::Promote { package, options } => change::promote(screen, client, &package, &options).await,
        Command::Move { package, to, options } => change::move_to(screen, client, &package, &to, &options).await,
        Command::Clear { package, options } => change::clear(screen, client, &package, &options).await,
        Command::Mode { package, mode, options } => change::set_mode(screen, client, &package, &mode, &options).await,
        Command::Demote { package, options } => change::demote(screen, client, &package, &options).await,
        Command::Maintenance { action } => match action {
            MaintenanceAction::On { scope, length } => {
                whole::begin_maintenance(screen, client, &scope.maintained(), length).await
            }
            MaintenanceAction::Off { scope, options } => {
                whole::end_maintenance(screen, client, &scope.maintained(), &options).await
            }
        },
        Command::Cluster { action } => match action {
            ClusterAction::Stop { options } => whole::stop_cluster(screen, client, &options).await,
            ClusterAction::Start { options } => whole::start_cluster(screen, client, &options).await,
        },
        Command::Rebalance { at_most, options } => whole::rebalance(screen, client, at_most, &options).await,
        Command::Drain { node, options } => change::drain(screen, client, &node, &options).await,
        Command::Resume { node, options } => change::resume(screen, client, &node, &options).await,
        Command::ConfirmDown { node, confirm, by } => change::confirm_down(screen, client, &node, confirm, by).await,
        Command::Events(options) => events::events(screen, client, options).await,
        Command::Failovers(options) => failovers::failovers(screen, client, options).await,
        Command::Watch(options) => watch::watch(screen, client, options).await,
        Command::Explain { package } => explain::explain(screen, client, &package).await,
        Command::Export => apply::export(screen, client).await,
        Command::Rules {
            action: RulesAction::Check { file, config },
        } => rules::check(screen, &file, config.as_deref()),
        Command::Members {
            action: None | Some(MembersAction::List),
        } => status::members(screen, client).await,
        Command::Members {
            action: Some(MembersAction::Remove { name, options }),
        } => change::remove_member(screen, client, &name, &options).await,
        Command::Leader {
            action: LeaderAction::Move { to },
        } => change::move_leader(screen, client, to.as_deref()).await,
        Command::Attributes { node, set, remove } => change::attributes(screen, client, &node, &set, &remove).await,
        Command::KillNode { node } => devnodes::kill(screen, &node).await,
        Command::StartNode { node } => devnodes::start(screen, &node).await,
    }
}

/// The cluster at a glance, as `status` prints it: for programs that show it on a terminal of their own.
#[must_use]
pub fn overview(status: &crate::wire::status::Status) -> Vec<String> {
    status::describe(&Screen::of_process(false), status)
}

/// An event in one line, as `events` prints it.
#[must_use]
pub fn event_line(event: &crate::wire::event::Event) -> String {
    events::line(&Screen::of_process(false), event)
}
