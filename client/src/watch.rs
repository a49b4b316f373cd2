//! Watching a cluster: the present state, then every change, once and in order, whatever happens to servers meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::ClientError;
use crate::sse::{Message, Reader};
use crate::target::target;
use crate::wire::event::Event;
use crate::wire::watch::{self, Current, Forgotten, WatchedState};

/// A server says something every ten seconds; one that is silent for longer is gone, whatever TCP believes.
const SILENCE_MAX: Duration = Duration::from_secs(25);
/// Between two attempts to be let in again, at first and at most.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What is watched. What is empty does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WatchQuery {
    /// Resources that match one of these, like `package:orders-*`.
    pub resource: Vec<String>,
    /// Of events, like `promoted`, or of resources, like `package`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// On this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Changes that are this grave at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Changes with this in their text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Go on after this index, without the present state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// Something that a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// How a resource is. Comes before [`Notice::Current`] only, and again for all where a server broke off before that.
    State(WatchedState),
    /// The state is complete; every change after its index follows.
    Current(Current),
    /// Something that happened.
    Change(Event),
    /// A server broke off, and the watch goes on at another or tries to: nothing is lost. With the reason.
    Interrupted(String),
}

/// A watch that goes on for ever. [`Watch::next`] resumes by itself at another server; each change is told once.
pub struct Watch {
    client: Client,
    query: WatchQuery,
    stream: Option<Live>,
    notices: VecDeque<Notice>,
    /// The last change that was told.
    seen: Option<(u64, u32)>,
    pause: Duration,
    ended: bool,
}

/// An open stream.
struct Live {
    bytes: BoxStream<'static, Result<Vec<u8>, String>>,
    reader: Reader,
}

impl Client {
    /// `GET /v1/watch`: the present state of what matches, then every change.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), client::ClientError> {
    /// use client::{Client, Notice, WatchQuery};
    /// let client = Client::new(&["10.0.0.1:7400".to_owned(), "10.0.0.2:7400".to_owned()])?;
    /// let query = WatchQuery { resource: vec!["package:orders-*".to_owned()], ..WatchQuery::default() };
    /// let mut watch = client.watch(query);
    /// loop {
    ///     match watch.next().await? {
    ///         Notice::State(state) => println!("{} is {}", state.resource.id, state.resource.state),
    ///         Notice::Change(event) => println!("{}", event.text),
    ///         Notice::Current(_) | Notice::Interrupted(_) => {}
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn watch(&self, query: WatchQuery) -> Watch {
        Watch {
            client: self.clone(),
            query,
            stream: None,
            notices: VecDeque::new(),
            seen: None,
            pause: PAUSE_FIRST,
            ended: false,
        }
    }
}

impl Watch {
    /// Where the watch is: with this as [`WatchQuery::after`] another one goes on from there. None before the state is
    /// complete.
    #[must_use]
    pub fn place(&self) -> Option<u64> {
        self.query.after
    }

    /// The next thing to know. Waits for as long as it takes; may be given up at any time without losing anything but a
    /// connection that was being made.
    ///
    /// # Errors
    /// [`ClientError::Refused`] where the query is wrong, or with the code `forgotten` and the `oldest` index where this
    /// watch fell behind what servers keep: events are lost to it then. Nothing else ends a watch.
    pub async fn next(&mut self) -> Result<Notice, ClientError> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Ok(notice);
            }
            let Some(live) = &mut self.stream else {
                self.connect().await?;
                continue;
            };
            let message = match live.reader.next() {
                Some(message) => message,
                None => {
                    match tokio::time::timeout(SILENCE_MAX, live.bytes.next()).await {
                        Ok(Some(Ok(bytes))) if live.reader.put(&bytes).is_ok() => {}
                        Ok(Some(Ok(_))) => self.interrupt("a message of a server is too large"),
                        Ok(Some(Err(error))) => self.interrupt(&error),
                        Ok(None) => self.interrupt("the server ended the stream"),
                        Err(_) => self.interrupt("the server has fallen silent"),
                    }
                    continue;
                }
            };
            self.take(message)?;
        }
    }

    fn interrupt(&mut self, why: &str) {
        self.stream = None;
        self.notices.push_back(Notice::Interrupted(why.to_owned()));
        self.client.transport().prefer_next();
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if self.ended {
            return Err(ClientError::forgotten(self.query.after.unwrap_or(0)));
        }
        let path = target("/v1/watch", &self.query)?;
        match self.client.transport().stream(&path).await {
            Ok(response) => {
                self.pause = PAUSE_FIRST;
                let bytes = response.bytes_stream();
                let bytes = bytes.map_ok(|bytes| bytes.to_vec()).map_err(|error| error.to_string());
                self.stream = Some(Live {
                    bytes: bytes.boxed(),
                    reader: Reader::default(),
                });
                Ok(())
            }
            Err(error @ (ClientError::Refused(_) | ClientError::Setup(_) | ClientError::Endpoint { .. }))
                if !error.is_code("overloaded") =>
            {
                Err(error)
            }
            Err(_) => {
                let until = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                tokio::time::sleep_until(until).await;
                Ok(())
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<(), ClientError> {
        match message.name.as_str() {
            watch::STATE => self.notices.push_back(Notice::State(read(&message)?)),
            watch::CURRENT => self.notices.push_back(Notice::Current(read(&message)?)),
            watch::CHANGE => {
                let event: Event = read(&message)?;
                let place = (event.index, event.sequence);
                // An index that broke off between two of its events comes again as a whole.
                if self.seen.is_none_or(|seen| seen < place) {
                    self.seen = Some(place);
                    self.notices.push_back(Notice::Change(event));
                }
            }
            watch::FORGOTTEN => {
                let Forgotten { oldest } = read(&message)?;
                self.ended = true;
                self.stream = None;
                return Err(ClientError::forgotten(oldest));
            }
            watch::ELSEWHERE => self.interrupt(&message.data),
            // Signs of life, and messages that this version does not know.
            _ => {}
        }
        // An older place is that of a server that is behind; it never sends what is before it.
        self.query.after = self.query.after.max(message.id);
        Ok(())
    }
}

fn read<T: DeserializeOwned>(message: &Message) -> Result<T, ClientError> {
    serde_json::from_str(&message.data).map_err(|source| ClientError::Malformed {
        endpoint: "the watched server".to_owned(),
        source,
    })
}
