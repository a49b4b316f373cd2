//! The one program of paceline: servers, daemons, supervisors, and the operator's command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use server::config::Config;

/// Paceline keeps services running on a cluster of machines.
#[derive(Parser)]
#[command(name = "paceline", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    options: client::cli::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one node of a cluster: its server and its daemon, each a process of its own.
    Serve(NodeFile),
    #[command(hide = true)]
    ServeServer(NodeFile),
    #[command(hide = true)]
    ServeDaemon(NodeFile),
    /// Run a throw-away cluster of three nodes on this machine, with sample packages.
    Dev(server::dev::Arguments),
    #[command(hide = true)]
    Supervise {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    #[command(flatten)]
    Sample(server::sample::Command),
    #[command(flatten)]
    Operator(client::cli::Command),
}

#[derive(clap::Args)]
struct NodeFile {
    /// The node file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { options, command } = Arguments::parse();
    let result = match command {
        Command::Serve(NodeFile { config }) => Config::read(&config)
            .map_err(Into::into)
            .and_then(|config| server::serve::run(&config)),
        Command::ServeServer(NodeFile { config }) => {
            log_to_stderr();
            Config::read(&config)
                .map_err(Into::into)
                .and_then(server::server_process::run)
        }
        Command::ServeDaemon(NodeFile { config }) => {
            log_to_stderr();
            Config::read(&config).map_err(Into::into).and_then(|config| {
                server::forward::start(&config)?;
                server::daemon::run(&config)
            })
        }
        Command::Supervise { arguments } => return server::supervisor::main(&arguments),
        Command::Dev(arguments) => return server::dev::run(&arguments),
        Command::Sample(command) => return server::sample::run(command),
        Command::Operator(command) => return client::cli::run(&options, command),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("paceline: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Log lines go to stderr: whoever started the process keeps them. `PACELINE_LOG` takes a tracing filter.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PACELINE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,openraft=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
