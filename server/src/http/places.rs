//! Who is connected to a listener, and who makes room for the next.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use futures_util::StreamExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Bounds;

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    bounds: Bounds,
    start: Instant,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// In the order of arrival.
    connections: BTreeMap<u64, Arc<Connection>>,
    by_address: BTreeMap<IpAddr, usize>,
}

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    address: IpAddr,
    start: Instant,
    leave: CancellationToken,
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// Whether a whole request came.
    heard: AtomicBool,
    /// Whether one of them was granted: a stranger's are not, at a listener for servers.
    welcome: AtomicBool,
    /// When it last asked or was answered, in milliseconds since `start`.
    last_ms: AtomicU64,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    connection: Arc<Connection>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

impl Places {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            start: Instant::now(),
            taken: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from there. Where all are taken one that is not being answered makes room: those that
    /// were never granted anything first, and among equals the one that has been silent longest.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.lock();
        let same = taken.by_address.get(&address).copied().unwrap_or(0);
        let crowded_by_one = same >= self.bounds.from_one_address;
        if crowded_by_one || taken.connections.len() >= self.bounds.connections {
            let number = taken
                .connections
                .iter()
                .filter(|(_, other)| !crowded_by_one || other.address == address)
                .filter(|(_, other)| other.busy.load(Ordering::Relaxed) == 0)
                .min_by_key(|(_, other)| {
                    (
                        other.welcome.load(Ordering::Relaxed),
                        other.last_ms.load(Ordering::Relaxed),
                    )
                })
                .map(|(number, _)| *number)?;
            taken.remove(number);
        }
        let connection = Arc::new(Connection {
            address,
            start: self.start,
            leave: CancellationToken::new(),
            busy: AtomicUsize::new(0),
            heard: AtomicBool::new(false),
            welcome: AtomicBool::new(false),
            last_ms: AtomicU64::new(0),
        });
        connection.touch();
        let number = taken.next;
        taken.next += 1;
        taken.connections.insert(number, Arc::clone(&connection));
        *taken.by_address.entry(address).or_default() += 1;
        Some(Place {
            places: Arc::clone(self),
            number,
            connection,
        })
    }
}

impl Taken {
    fn remove(&mut self, number: u64) {
        let Some(connection) = self.connections.remove(&number) else {
            return;
        };
        connection.leave.cancel();
        if let Some(count) = self.by_address.get_mut(&connection.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&connection.address);
            }
        }
    }
}

impl Place {
    /// What is known of its connection.
    pub(super) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// Returns once the connection has to end: another needs its place, or it was silent for too long.
    pub(super) async fn must_go(&self, header_wait: Duration, idle_wait: Duration) {
        tokio::select! {
            () = self.connection.leave.cancelled() => {}
            () = self.connection.silent(header_wait, idle_wait) => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(self.number);
    }
}

impl Connection {
    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.heard.store(true, Ordering::Relaxed);
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.touch();
        Busy(Arc::clone(self))
    }

    fn touch(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    async fn silent(&self, header_wait: Duration, idle_wait: Duration) {
        loop {
            let wait = if self.heard.load(Ordering::Relaxed) {
                idle_wait
            } else {
                header_wait
            };
            let until = self.start + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + wait;
            if self.busy.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(wait).await;
            } else if until <= Instant::now() {
                return;
            } else {
                tokio::time::sleep_until(until).await;
            }
        }
    }
}

impl Busy {
    /// The request was answered so.
    pub(super) fn answered(&self, status: StatusCode) {
        if status.is_success() {
            self.0.welcome.store(true, Ordering::Relaxed);
        }
    }

    /// A stream without an end keeps its connection for as long as the client takes what comes: only then the next piece is
    /// asked for, and each is a sign of life. One that is never read is silent, and ends like all that are.
    pub(super) fn follow(self, answer: Response<Body>) -> Response<Body> {
        let endless = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes() == b"text/event-stream");
        if !endless {
            return answer;
        }
        let connection = Arc::clone(&self.0);
        answer.map(|body| Body::from_stream(body.into_data_stream().inspect(move |_| connection.touch())))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.touch();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn places(connections: usize, from_one_address: usize) -> Arc<Places> {
        Places::new(Bounds {
            connections,
            from_one_address,
        })
    }

    #[tokio::test]
    async fn a_stranger_makes_room_before_a_welcome_one_does() {
        let places = places(2, 2);
        let welcome = places.take(HERE).unwrap();
        welcome.connection().begin().answered(StatusCode::OK);
        let stranger = places.take(HERE).unwrap();
        stranger.connection().begin().answered(StatusCode::MISDIRECTED_REQUEST);
        let _third = places.take(HERE).unwrap();
        assert!(stranger.connection.leave.is_cancelled());
        assert!(!welcome.connection.leave.is_cancelled());
    }

    #[tokio::test]
    async fn who_is_being_answered_keeps_its_place() {
        let places = places(1, 1);
        let first = places.take(HERE).unwrap();
        let busy = first.connection().begin();
        assert!(places.take(HERE).is_none(), "there is nobody to send away");
        drop(busy);
        assert!(places.take(HERE).is_some());
        assert!(first.connection.leave.is_cancelled());
    }

    #[tokio::test]
    async fn one_address_can_only_crowd_out_itself() {
        let places = places(3, 2);
        let other = places.take(THERE).unwrap();
        let mine: Vec<Place> = (0..5).map(|_| places.take(HERE).unwrap()).collect();
        let gone = mine
            .iter()
            .filter(|place| place.connection.leave.is_cancelled())
            .count();
        assert_eq!(gone, 3);
        assert!(!other.connection.leave.is_cancelled());
        drop((mine, other));
        assert!(places.lock().connections.is_empty() && places.lock().by_address.is_empty());
    }

    #[tokio::test]
    async fn one_that_says_nothing_has_to_go() {
        let places = places(1, 1);
        let place = places.take(HERE).unwrap();
        let wait = Duration::from_millis(20);
        tokio::time::timeout(Duration::from_secs(5), place.must_go(wait, wait))
            .await
            .unwrap();
    }
}
