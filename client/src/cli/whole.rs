//! Changes of the whole cluster: maintenance (of a node or a package, too), stop, start, rebalance.

use super::change::{AT_ONCE, ChangeOptions, finish, run};
use super::failure::Failure;
use super::screen::Screen;
use crate::client::{Client, Maintained};
use crate::wire::control::SetMaintenance;
use crate::wire::duration::DurationText;
use crate::wire::plan::PlanRequest;

/// `maintenance on`: it touches nothing, so it has no plan to show.
pub(crate) async fn begin_maintenance(
    screen: &Screen,
    client: &Client,
    of: &Maintained,
    length: Option<DurationText>,
) -> Result<(), Failure> {
    let asked = SetMaintenance { on: true, length };
    finish(screen, &client.set_maintenance(of, &asked, AT_ONCE).await?)?;
    screen.next(&[format!("paceline maintenance off{}    end it", flag(of))]);
    Ok(())
}

/// `maintenance off`: what waited for it happens now.
pub(crate) async fn end_maintenance(
    screen: &Screen,
    client: &Client,
    of: &Maintained,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let (node, package) = match of {
        Maintained::Cluster => (None, None),
        Maintained::Node(node) => (Some(node.clone()), None),
        Maintained::Package(package) => (None, Some(package.clone())),
    };
    let request = PlanRequest::MaintenanceOff { node, package };
    let asked = SetMaintenance {
        on: false,
        length: None,
    };
    let work = client.set_maintenance(of, &asked, options.wait.wait());
    run(screen, client, request, options, "ending the maintenance", work).await?;
    screen.next(&["paceline status".to_owned()]);
    Ok(())
}

/// The words that name it on the command line.
fn flag(of: &Maintained) -> String {
    match of {
        Maintained::Cluster => String::new(),
        Maintained::Node(node) => format!(" --node {node}"),
        Maintained::Package(package) => format!(" --package {package}"),
    }
}

/// `cluster stop`.
pub(crate) async fn stop_cluster(screen: &Screen, client: &Client, options: &ChangeOptions) -> Result<(), Failure> {
    let work = client.stop_cluster(options.wait.wait());
    run(
        screen,
        client,
        PlanRequest::StopCluster {},
        options,
        "stopping everything",
        work,
    )
    .await?;
    screen.next(&["paceline cluster start    start what is to run".to_owned()]);
    Ok(())
}

/// `cluster start`.
pub(crate) async fn start_cluster(screen: &Screen, client: &Client, options: &ChangeOptions) -> Result<(), Failure> {
    let work = client.start_cluster(options.wait.wait());
    run(
        screen,
        client,
        PlanRequest::StartCluster {},
        options,
        "starting what is to run",
        work,
    )
    .await?;
    screen.next(&["paceline status".to_owned()]);
    Ok(())
}

/// `rebalance`.
pub(crate) async fn rebalance(
    screen: &Screen,
    client: &Client,
    at_most: Option<u32>,
    options: &ChangeOptions,
) -> Result<(), Failure> {
    let work = client.rebalance(at_most, options.wait.wait());
    let request = PlanRequest::Rebalance { at_most };
    run(screen, client, request, options, "moving packages", work).await?;
    screen.next(&["paceline status".to_owned()]);
    Ok(())
}
