//! Network links: how they are, and the kernel's word when one changes.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::path::Path;

use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use tokio::net::UnixDatagram;

use crate::daemon::core::Condition;

/// The group of netlink messages about links.
const LINKS: u32 = 1;

/// How a link is.
pub(super) fn look(name: &str) -> Condition {
    look_in(Path::new("/sys/class/net"), name)
}

fn look_in(root: &Path, name: &str) -> Condition {
    let read = |file: &str| {
        let text = fs::read_to_string(root.join(name).join(file)).unwrap_or_default();
        text.trim().to_owned()
    };
    let state = read("operstate");
    let (up, detail) = match state.as_str() {
        "" => (false, format!("there is no interface {name}")),
        "up" => (true, String::new()),
        // Loopback and some virtual interfaces never say more than that there is a carrier.
        "unknown" if read("carrier") == "1" => (true, String::new()),
        state => (false, format!("interface {name} is {state}")),
    };
    Condition { up, detail }
}

/// The kernel's word that some link has changed; without it links are only looked at now and then.
///
/// A netlink socket is read as any datagram socket is, so it goes by the name of one that tokio knows.
pub(super) struct Changes(Option<UnixDatagram>);

impl Changes {
    pub(super) fn subscribe() -> Self {
        let open = || -> std::io::Result<UnixDatagram> {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, LINKS))?;
            UnixDatagram::from_std(StdUnixDatagram::from(socket))
        };
        match open() {
            Ok(socket) => Self(Some(socket)),
            Err(error) => {
                tracing::info!(%error, "the kernel does not tell of links here: they are looked at twice a second");
                Self(None)
            }
        }
    }

    /// Waits for a change of any link.
    pub(super) async fn next(&self) {
        let Some(socket) = &self.0 else {
            return std::future::pending().await;
        };
        if socket.readable().await.is_err() {
            return std::future::pending().await;
        }
        // What the messages say does not matter: all links are looked at. An overflow is a change too.
        let mut buffer = [0_u8; 4096];
        while socket.try_recv(&mut buffer).is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_what_the_kernel_says() {
        let root = tempfile::tempdir().unwrap();
        for (name, state, carrier) in [
            ("eth0", "up\n", "1\n"),
            ("eth1", "down\n", "0\n"),
            ("lo", "unknown\n", "1\n"),
            ("tun0", "unknown\n", "0\n"),
        ] {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("operstate"), state).unwrap();
            fs::write(root.path().join(name).join("carrier"), carrier).unwrap();
        }
        let up = |name| look_in(root.path(), name).up;
        assert!(up("eth0") && up("lo"));
        assert!(!up("eth1") && !up("tun0"));
        assert_eq!(look_in(root.path(), "eth9").detail, "there is no interface eth9");
        assert_eq!(look_in(root.path(), "eth1").detail, "interface eth1 is down");
    }

    #[test]
    fn loopback_of_this_machine_is_up() {
        assert_eq!(look("lo").up, Path::new("/sys/class/net/lo").exists());
    }
}
