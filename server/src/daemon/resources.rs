//! Looks at links, disks and services of this node. Tasks beside the daemon's loop; what they find comes as an event.
//!
//! A change of a link is an event of the kernel's (netlink); disks and services have to be asked. Everything is looked at
//! again after a while in any case, so that an event that was lost costs no more than that.

mod disk;
mod link;
mod load;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::core::Condition;
use super::event::DaemonEvent;
use crate::config::Monitor;

/// How often links and disks are looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// The least time between two looks: a link that flaps must not keep the processor busy.
const PAUSE: Duration = Duration::from_millis(50);

/// The tasks that look.
pub struct Resources {
    names: watch::Sender<BTreeSet<String>>,
}

impl Resources {
    /// Looks at no resource yet, and measures the load as the node file says.
    #[must_use]
    pub fn begin(
        http: &reqwest::Client,
        events: &mpsc::Sender<DaemonEvent>,
        monitor: &Monitor,
        capacity: &BTreeMap<String, u64>,
    ) -> Self {
        let (names, receiver) = watch::channel(BTreeSet::new());
        tokio::spawn(look_at_machine(receiver.clone(), events.clone()));
        let services = monitor.service.clone();
        tokio::spawn(service::look(receiver, events.clone(), http.clone(), services));
        tokio::spawn(load::measure(monitor.load.clone(), capacity.clone(), events.clone()));
        Self { names }
    }

    /// From now on these are looked at.
    pub fn watch(&self, names: BTreeSet<String>) {
        self.names.send_replace(names);
    }
}

/// Links and disks, one look after another.
async fn look_at_machine(mut names: watch::Receiver<BTreeSet<String>>, events: mpsc::Sender<DaemonEvent>) {
    let changes = link::Changes::subscribe();
    let mut disks = disk::Disks::default();
    let mut last: BTreeMap<String, Condition> = BTreeMap::new();
    loop {
        let wanted = names.borrow_and_update().clone();
        last.retain(|name, _| wanted.contains(name));
        let mut found = BTreeMap::new();
        for name in &wanted {
            let condition = match name.split_once(':') {
                Some(("lan", link)) => link::look(link),
                Some(("disk", path)) => disks.look(path).await,
                _ => continue,
            };
            if last.get(name) != Some(&condition) {
                found.insert(name.clone(), condition);
            }
        }
        last.extend(found.clone());
        if !found.is_empty() && events.send(DaemonEvent::Looked(found)).await.is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            changed = names.changed() => {
                if changed.is_err() {
                    return;
                }
                // Whoever asks anew wants to hear of all of them.
                last.clear();
            }
            () = changes.next() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
