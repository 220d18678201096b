//! An exchange that somebody reads along while it is under way, and may stop or redirect.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use timeslip_datasets::run::journal::{EventKind, ExchangeEnd, StopWay};
use tokio::sync::{mpsc, oneshot};

/// How long is waited for what comes back of a stop.
pub(crate) const MAX_STOPPING: Duration = Duration::from_secs(2);

/// What is told of an exchange while it is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Output came.
    Output {
        /// When, on [`clock::now`](crate::clock::now).
        at: u64,
        /// What it carries.
        kind: EventKind,
        /// The text in it, where it is text.
        text: String,
        /// Its tokens, where the stream says.
        tokens: Option<u32>,
    },
    /// The server answered a redirection.
    Steered {
        /// When.
        at: u64,
        /// What it said.
        answer: Steered,
    },
    /// A stop has been carried out, and all has been seen of it.
    Stopped(StopSeen),
}

/// What a server says to a redirection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steered {
    /// It will go another way.
    Accepted,
    /// Outputs of calls are owed first.
    Pending,
    /// It will not: a code and words. Untrusted.
    Failed(String, String),
}

/// A stop that was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopOrder {
    /// As what the exchange ends.
    pub end: ExchangeEnd,
    /// The act that ends it.
    pub act: u32,
}

impl StopOrder {
    /// How long is waited for what comes back of it. Whoever types on does not wait.
    pub(crate) fn patience(&self) -> Duration {
        match self.end {
            ExchangeEnd::Interrupted | ExchangeEnd::Steered => MAX_STOPPING,
            ExchangeEnd::Superseded => Duration::ZERO,
        }
    }
}

/// What was seen of a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopSeen {
    /// By what way it was told.
    pub way: StopWay,
    /// When the other side said that it was told, where it says anything.
    pub confirmed: Option<u64>,
    /// Why it could not be carried out.
    pub refused: Option<String>,
    /// The answer came to its own end all the same.
    pub ended: bool,
}

impl StopSeen {
    /// A stop of which nothing comes back.
    #[must_use]
    pub fn silent(way: StopWay) -> Self {
        StopSeen {
            way,
            confirmed: None,
            refused: None,
            ended: false,
        }
    }
}

/// The reader's end.
#[derive(Debug)]
pub struct Reader {
    stop: Option<oneshot::Sender<StopOrder>>,
    words: mpsc::UnboundedSender<String>,
}

impl Reader {
    /// Stops the exchange; the first time only.
    pub fn stop(&mut self, order: StopOrder) {
        if let Some(stop) = self.stop.take() {
            // Where nobody takes it, the exchange has ended.
            let _ = stop.send(order);
        }
    }

    /// Says more, to be told to the server as soon as the response has a name; false where
    /// the exchange has ended.
    pub fn steer(&self, text: &str) -> bool {
        self.words.send(text.to_owned()).is_ok()
    }
}

/// The exchange's end.
#[derive(Debug)]
pub struct Live {
    stop: oneshot::Receiver<StopOrder>,
    /// What `stop` brought, or that it brings nothing any more.
    order: Option<Option<StopOrder>>,
    pub(crate) tap: Tap,
}

/// The part of it that goes with the recorder.
#[derive(Debug)]
pub(crate) struct Tap {
    heard: mpsc::UnboundedSender<Heard>,
    words: Option<mpsc::UnboundedReceiver<String>>,
    /// The response's id, once the server has named it.
    id: Arc<OnceLock<String>>,
    /// Bytes of the text that were told.
    told: usize,
}

/// Both ends of an exchange that is read along; what is heard goes to `heard`.
#[must_use]
pub fn live(heard: mpsc::UnboundedSender<Heard>) -> (Reader, Live) {
    let (stop, stopped) = oneshot::channel();
    let (words, said) = mpsc::unbounded_channel();
    let reader = Reader {
        stop: Some(stop),
        words,
    };
    let live = Live {
        stop: stopped,
        order: None,
        tap: Tap {
            heard,
            words: Some(said),
            id: Arc::default(),
            told: 0,
        },
    };
    (reader, live)
}

impl Live {
    /// The stop, once it is wanted; pends for ever where it never is. May be waited for again
    /// and again.
    pub(crate) async fn stopped(&mut self) -> StopOrder {
        if self.order.is_none() {
            self.order = Some((&mut self.stop).await.ok());
        }
        match self.order {
            Some(Some(order)) => order,
            _ => std::future::pending().await,
        }
    }

    /// Tells that a stop has been carried out.
    pub(crate) fn tell(&self, seen: StopSeen) {
        self.tap.tell(Heard::Stopped(seen));
    }

    /// A tap for the next try: its response has no name yet.
    pub(crate) fn tap(&mut self) -> Tap {
        self.tap.id = Arc::default();
        Tap {
            heard: self.tap.heard.clone(),
            words: self.tap.words.take(),
            id: Arc::clone(&self.tap.id),
            told: 0,
        }
    }

    /// Takes back what went with the recorder.
    pub(crate) fn take_back(&mut self, tap: Tap) {
        self.tap.words = tap.words;
    }

    /// The response's id, as far as the server has named it; it is found out elsewhere.
    pub(crate) fn response_id(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.tap.id)
    }
}

impl Tap {
    pub(crate) fn tell(&self, heard: Heard) {
        // Whoever does not listen any more need not know.
        let _ = self.heard.send(heard);
    }

    /// The part of the whole text so far that has not been told.
    pub(crate) fn untold(&mut self, whole: &str) -> String {
        let from = std::mem::replace(&mut self.told, whole.len());
        whole.get(from..).unwrap_or_default().to_owned()
    }

    pub(crate) fn named(&self, id: Option<String>) {
        if let Some(id) = id {
            let _ = self.id.set(id);
        }
    }

    /// What the reader says next.
    pub(crate) async fn word(&mut self) -> String {
        let word = match &mut self.words {
            Some(words) => words.recv().await,
            None => None,
        };
        match word {
            Some(word) => word,
            None => {
                self.words = None;
                std::future::pending().await
            }
        }
    }
}
