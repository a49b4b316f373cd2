//! Makes a standby the active one, waits until it is, and says what is certain where it fails:
//!
//!     cargo run --release -p paceline-client --example switch_over -- 127.0.0.1:7400 web-2

use std::process::ExitCode;
use std::time::Duration;

use client::{Client, ClientError, Wait};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, package] = arguments.as_slice() else {
        eprintln!("usage: switch_over SERVER PACKAGE");
        return ExitCode::from(2);
    };
    match promote(server, package).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(ClientError::Refused(problem)) => {
            eprintln!("refused, and nothing was changed: {}", problem.detail);
            ExitCode::FAILURE
        }
        // It may have been done. The cluster knows; asking it to promote once more does no harm.
        Err(error @ ClientError::Unknown { .. }) => {
            eprintln!("{error}");
            ExitCode::from(4)
        }
        Err(error) => {
            eprintln!("nothing was changed: {error}");
            ExitCode::from(3)
        }
    }
}

async fn promote(server: &str, package: &str) -> Result<(), ClientError> {
    let client = Client::new(&[server.to_owned()])?;
    let done = client.promote(package, Wait::UpTo(Duration::from_secs(30))).await?;
    println!("{}: {}", done.body.outcome, done.body.detail);
    for instance in client.package(package).await?.body.instances {
        println!(
            "{package} on {}: {} under epoch {}",
            instance.node, instance.mode, instance.epoch
        );
    }
    Ok(())
}
