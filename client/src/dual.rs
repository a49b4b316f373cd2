//! Talking to two nodes at once, so that one of them can die without a pause (M3).
//!
//! Each of the two watches tells every change in the order of the log and leaves none out. So whatever one of them tells
//! first, all that came before it was told already, and what the other tells later is known: a comparison with the last
//! place is all that it takes to deliver each once, with nothing to wait for when one falls silent.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::error::ClientError;
use crate::watch::{Notice, Watch, WatchQuery};

/// Notices of one side that wait to be taken; beyond it that side waits.
const NOTICES_MAX: usize = 256;

/// Two clients of one cluster, each with a node of its own to begin with.
#[derive(Clone, Debug)]
pub struct Dual {
    sides: [Client; 2],
}

/// A watch on two nodes at once. Must be used within a tokio runtime; ends when it is dropped.
pub struct DualWatch {
    dual: Dual,
    query: WatchQuery,
    told: mpsc::Receiver<(usize, Result<Notice, ClientError>)>,
    teller: mpsc::Sender<(usize, Result<Notice, ClientError>)>,
    tasks: [Option<JoinHandle<()>>; 2],
    /// The side whose state is told; the other one begins where that is complete.
    beginning: Option<usize>,
    /// The last change that was told.
    seen: Option<(u64, u32)>,
}

impl Client {
    /// A client of two nodes at once, and of the others where these fail.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`] for a text that is no address, or where there are fewer than two.
    pub fn dual(endpoints: &[String]) -> Result<Dual, ClientError> {
        if endpoints.len() < 2 {
            return Err(ClientError::Endpoint {
                text: endpoints.join(","),
                problem: "expected the addresses of two nodes at least",
            });
        }
        let mut turned = endpoints.to_vec();
        turned.rotate_left(1);
        Ok(Dual {
            sides: [Self::new(endpoints)?, Self::new(&turned)?],
        })
    }
}

impl Dual {
    /// The client of one of the two, for requests that are answered once.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.sides[0]
    }

    /// Watches on both at once: each change is told once, in order, as soon as the first of the two tells it.
    #[must_use]
    pub fn watch(&self, query: WatchQuery) -> DualWatch {
        let (teller, told) = mpsc::channel(NOTICES_MAX);
        let mut watch = DualWatch {
            dual: self.clone(),
            beginning: query.after.is_none().then_some(0),
            query,
            told,
            teller,
            tasks: [None, None],
            seen: None,
        };
        watch.start(0, watch.query.after);
        if watch.beginning.is_none() {
            watch.start(1, watch.query.after);
        }
        watch
    }
}

impl DualWatch {
    /// The next thing to know. May be given up at any time without losing anything.
    ///
    /// # Errors
    /// As [`Watch::next`], where neither side can go on.
    pub async fn next(&mut self) -> Result<Notice, ClientError> {
        loop {
            // One sender is here, so this never ends.
            let Some((side, told)) = self.told.recv().await else {
                return Err(ClientError::Setup("the watch has ended".to_owned()));
            };
            match told {
                Ok(Notice::Change(event)) => {
                    let place = (event.index, event.sequence);
                    if self.seen.is_none_or(|seen| seen < place) {
                        self.seen = Some(place);
                        return Ok(Notice::Change(event));
                    }
                }
                Ok(Notice::Current(current)) => {
                    if self.beginning == Some(side) {
                        self.beginning = None;
                        self.query.after = Some(current.index);
                        self.start(1 - side, Some(current.index));
                        return Ok(Notice::Current(current));
                    }
                }
                Ok(notice @ Notice::State(_)) => {
                    if self.beginning == Some(side) {
                        return Ok(notice);
                    }
                }
                // The other side tells all meanwhile.
                Ok(notice @ Notice::Interrupted(_)) => {
                    if self.tasks[1 - side].is_none() {
                        return Ok(notice);
                    }
                }
                Err(error) => {
                    self.tasks[side] = None;
                    let oldest = error.problem().and_then(|problem| problem.oldest);
                    // It was too far behind. What the other one has told need not be told again.
                    match (self.seen, oldest) {
                        (Some((index, _)), Some(oldest)) if index >= oldest && self.tasks[1 - side].is_some() => {
                            self.start(side, Some(index - 1));
                        }
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    fn start(&mut self, side: usize, after: Option<u64>) {
        let query = WatchQuery {
            after,
            ..self.query.clone()
        };
        let watch = self.dual.sides[side].watch(query);
        self.tasks[side] = Some(tokio::spawn(tell(side, watch, self.teller.clone())));
    }
}

impl Drop for DualWatch {
    fn drop(&mut self) {
        self.tasks.iter().flatten().for_each(JoinHandle::abort);
    }
}

async fn tell(side: usize, mut watch: Watch, teller: mpsc::Sender<(usize, Result<Notice, ClientError>)>) {
    loop {
        let told = watch.next().await;
        let last = told.is_err();
        if teller.send((side, told)).await.is_err() || last {
            return;
        }
    }
}
