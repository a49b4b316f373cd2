//! Requests with a key: each takes effect once, however often it is sent.
//!
//! Only accepted commands are kept: a rejected one had no effect, so sending it again may be judged anew.

use alloc::sync::Arc;

use crate::command::RequestId;
use crate::digest::{Feed, Hasher};
use crate::id::Index;
use crate::outcome::Accepted;
use crate::store::{Queue, Shards};
use crate::time::{Millis, Timestamp};

/// How long a key is kept.
pub const KEPT_FOR: Millis = Millis(24 * 3_600_000);

/// Keys in all: at about 200 bytes each they stay within 60 MB. The oldest goes first.
pub const KEYS_MAX: usize = 262_144;

/// Keys of one client: one that sends without pause forgets its own oldest, not those of the others.
pub const CLIENT_KEYS_MAX: usize = 131_072;

/// Keys forgotten in one entry: more than one, so that the oldest are gone sooner than new ones come.
const FORGOTTEN_AT_ONCE: u32 = 4;

/// The longest client name and the longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// What is known of a request that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) index: Index,
    pub(crate) at: Timestamp,
    /// Of its command.
    pub(crate) fingerprint: u64,
    pub(crate) accepted: Accepted,
}

/// All requests that are remembered.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    seen: Shards<Arc<RequestId>, Seen>,
    /// In the order of their indexes. A key that its client's bound has pushed out still stands here until its turn.
    order: Queue<(Index, Timestamp, Arc<RequestId>)>,
    clients: Shards<Arc<str>, Queue<(Index, Arc<RequestId>)>>,
    /// Wrapping sum of the digests of what is remembered.
    sum: u64,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            seen: Shards::new(),
            order: Queue::new(),
            clients: Shards::new(),
            sum: 0,
        }
    }

    pub(crate) fn get(&self, request: &RequestId) -> Option<&Seen> {
        self.seen.get(request)
    }

    /// Remembers an accepted request; forgets what is too old or too much.
    pub(crate) fn insert(&mut self, request: &RequestId, seen: Seen) {
        let request = Arc::new(request.clone());
        let index = seen.index;
        let now = seen.at;
        self.sum = self.sum.wrapping_add(digest(&request, &seen));
        self.order.push((index, now, request.clone()));
        let client: Arc<str> = Arc::from(request.client.as_str());
        if self.clients.get(&client).is_none() {
            self.clients.insert(client.clone(), Queue::new());
        }
        let mut pushed_out = None;
        if let Some(queue) = self.clients.get_mut(&client) {
            queue.push((index, request.clone()));
            if queue.len() > CLIENT_KEYS_MAX {
                pushed_out = queue.pop();
            }
        }
        self.seen.insert(request, seen);
        if let Some((_, oldest)) = pushed_out {
            self.forget(&oldest);
        }
        self.expire(now);
    }

    /// All that is remembered, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RequestId, &Seen)> {
        self.order.iter().filter_map(|(index, _, request)| {
            let seen = self.seen.get(request)?;
            (seen.index == *index).then_some((&**request, seen))
        })
    }

    /// Forgets what is older than [`KEPT_FOR`] or beyond [`KEYS_MAX`]: a few at a time, so that no entry pays for many.
    /// What is forgotten follows from what is remembered alone: keys that were pushed out before count for nothing.
    fn expire(&mut self, now: Timestamp) {
        let mut forgotten = 0;
        while let Some((index, at, request)) = self.order.front() {
            let (index, at, request) = (*index, *at, request.clone());
            if self.is_current(index, &request) {
                if forgotten == FORGOTTEN_AT_ONCE || (self.seen.len() <= KEYS_MAX && now.since(at) < KEPT_FOR) {
                    break;
                }
                forgotten = forgotten.saturating_add(1);
                self.pop_of_client(&request);
                self.forget(&request);
            }
            self.order.pop();
        }
        if self.order.len() > KEYS_MAX.saturating_mul(2) {
            self.compact();
        }
    }

    fn is_current(&self, index: Index, request: &Arc<RequestId>) -> bool {
        self.seen.get(request).is_some_and(|seen| seen.index == index)
    }

    /// Takes a client's oldest key out of its queue; a client without keys is gone.
    fn pop_of_client(&mut self, request: &RequestId) {
        let client: Arc<str> = Arc::from(request.client.as_str());
        let Some(queue) = self.clients.get_mut(&client) else {
            return;
        };
        queue.pop();
        if queue.len() == 0 {
            self.clients.remove(&client);
        }
    }

    /// Drops the keys that were pushed out from the order.
    fn compact(&mut self) {
        let mut order = Queue::new();
        for (index, at, request) in self.order.iter() {
            if self.is_current(*index, request) {
                order.push((*index, *at, request.clone()));
            }
        }
        self.order = order;
    }

    fn forget(&mut self, request: &Arc<RequestId>) {
        if let Some(seen) = self.seen.remove(request) {
            self.sum = self.sum.wrapping_sub(digest(request, &seen));
        }
    }
}

impl Feed for Requests {
    fn feed(&self, hasher: &mut Hasher) {
        hasher.word(self.sum);
    }
}

impl Feed for RequestId {
    fn feed(&self, hasher: &mut Hasher) {
        let Self { client, key } = self;
        client.feed(hasher);
        key.feed(hasher);
    }
}

fn digest(request: &RequestId, seen: &Seen) -> u64 {
    let mut hasher = Hasher::new();
    request.feed(&mut hasher);
    let Seen {
        index,
        at,
        fingerprint,
        accepted,
    } = seen;
    index.feed(&mut hasher);
    at.feed(&mut hasher);
    hasher.word(*fingerprint);
    feed_accepted(accepted, &mut hasher);
    hasher.finish()
}

fn feed_accepted(accepted: &Accepted, hasher: &mut Hasher) {
    match accepted {
        Accepted::Done => hasher.word(0),
        Accepted::Registered { node, session } => {
            hasher.word(1);
            node.feed(hasher);
            session.feed(hasher);
        }
        Accepted::MemberAdded { member } => {
            hasher.word(2);
            member.feed(hasher);
        }
        Accepted::Repeated { index, first } => {
            hasher.word(3);
            index.feed(hasher);
            feed_accepted(first, hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn request(client: &str, key: u64) -> RequestId {
        RequestId {
            client: client.into(),
            key: format!("{key}"),
        }
    }

    fn seen(index: u64, at: u64) -> Seen {
        Seen {
            index: Index(index),
            at: Timestamp(at),
            fingerprint: index,
            accepted: Accepted::Done,
        }
    }

    /// What a server holds that loaded a snapshot.
    fn restored(requests: &Requests) -> Requests {
        let mut again = Requests::new();
        for (request, seen) in requests.iter() {
            again.insert(request, seen.clone());
        }
        again
    }

    #[test]
    fn a_key_is_kept_for_a_day() {
        let mut requests = Requests::new();
        requests.insert(&request("a", 1), seen(1, 0));
        requests.insert(&request("b", 1), seen(2, KEPT_FOR.0 - 1));
        assert!(requests.get(&request("a", 1)).is_some());
        requests.insert(&request("b", 2), seen(3, KEPT_FOR.0));
        assert!(requests.get(&request("a", 1)).is_none());
        assert!(requests.get(&request("b", 1)).is_some());
        assert_eq!(restored(&requests).sum, requests.sum);
    }

    #[test]
    fn a_client_that_sends_without_pause_forgets_its_own_oldest() {
        let mut requests = Requests::new();
        requests.insert(&request("patient", 0), seen(1, 0));
        let most = u64::try_from(CLIENT_KEYS_MAX).unwrap();
        for key in 0..most + 10 {
            requests.insert(&request("hasty", key), seen(key + 2, 0));
        }
        assert!(requests.get(&request("patient", 0)).is_some());
        assert!(requests.get(&request("hasty", 9)).is_none());
        assert!(requests.get(&request("hasty", 10)).is_some());
        // What follows is the same for a server that never knew the keys that were pushed out.
        let mut again = restored(&requests);
        for key in 0..most + 5 {
            requests.insert(&request("third", key), seen(most + key + 12, 1));
            again.insert(&request("third", key), seen(most + key + 12, 1));
        }
        assert_eq!(again.sum, requests.sum);
        assert!(requests.seen.len() <= KEYS_MAX);
        assert!(
            requests.get(&request("patient", 0)).is_none(),
            "the oldest of all went first"
        );
    }
}
