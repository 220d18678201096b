//! Reads the copy of what was passed on: from events of connections to what was seen.

mod content;
mod credentials;
mod exchange;
mod request;
mod socket;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::protocols::Answer;
use timeslip_wire::{Recorder, clock};

use crate::budget::Budget;
use crate::seen::Seen;
use crate::told::{Event, Id};
use exchange::Exchanging;
use socket::Socket;

/// All that has not ended.
pub struct Recording {
    keeping: Keeping,
    seen: SyncSender<Seen>,
    open: BTreeMap<Id, Open>,
}

/// What every record is made with.
pub struct Keeping {
    pub origin: u64,
    /// Bytes of a body that are kept.
    pub max_body: usize,
    pub budget: Budget,
}

impl Keeping {
    pub fn offset(&self, at: u64) -> u64 {
        at.saturating_sub(self.origin)
    }
}

/// One request, or what has become of it.
enum Open {
    Exchange(Box<Exchanging>),
    Socket(Box<Socket>),
}

/// Why something is not kept.
const NO_ROOM: &str = "there is no room for more";

/// How long is slept while there is something to record. Whoever tells of it has nobody to
/// wake then, which would take longer than all else that is done with an event.
const NAP: Duration = Duration::from_millis(5);

/// Records until nobody tells of anything any more.
pub fn run(mut recording: Recording, told: &Receiver<(Id, Event)>) {
    while let Ok(first) = told.recv() {
        let mut next = Some(first);
        while let Some((id, event)) = next.take() {
            recording.take(id, event);
            for (id, event) in told.try_iter() {
                recording.take(id, event);
            }
            std::thread::sleep(NAP);
            next = told.try_recv().ok();
        }
    }
    let at = clock::now();
    let ids: Vec<Id> = recording.open.keys().copied().collect();
    for id in ids {
        let problem = Some("the proxy was stopped".to_owned());
        recording.take(id, Event::Over { at, problem });
    }
}

/// The finished exchange, which was done at `done` from the origin.
fn finished(
    recorder: Recorder,
    transport: &str,
    done: u64,
    failure: Option<String>,
) -> (Exchange, Answer) {
    let (mut exchange, answer) = recorder.finish(transport);
    // Whoever takes it may hold it for long.
    exchange.events.shrink_to_fit();
    exchange.marks.done = done;
    exchange.error = failure;
    (exchange, answer)
}

impl Recording {
    pub fn new(origin: u64, max_body: usize, budget: Budget, seen: SyncSender<Seen>) -> Self {
        Recording {
            keeping: Keeping {
                origin,
                max_body,
                budget,
            },
            seen,
            open: BTreeMap::new(),
        }
    }

    fn take(&mut self, id: Id, event: Event) {
        let Recording { keeping, seen, .. } = self;
        let mut tell = |one: Seen| {
            // Whoever does not listen any more needs nothing told.
            let _ = seen.send(one);
        };
        if let Event::Request { .. } = event {
            let exchange = Exchanging::begin(id, event, keeping);
            self.open
                .extend(exchange.map(|exchange| (id, Open::Exchange(Box::new(exchange)))));
            return;
        }
        match self.open.remove(&id) {
            Some(Open::Exchange(exchange)) => match exchange.take(event, keeping, &mut tell) {
                exchange::Next::Exchange(exchange) => {
                    self.open.insert(id, Open::Exchange(exchange));
                }
                exchange::Next::Socket(socket) => {
                    self.open.insert(id, Open::Socket(socket));
                }
                exchange::Next::Over => {}
            },
            Some(Open::Socket(mut socket)) => {
                if socket.take(event, keeping, &mut tell) {
                    self.open.insert(id, Open::Socket(socket));
                }
            }
            None => {
                // There was no room for it, or it is the first of a connection that was never
                // made.
                let problem = match event {
                    Event::Over { problem, .. } => problem,
                    Event::ResponseEnd(..) => Some(NO_ROOM.to_owned()),
                    _ => return,
                };
                tell(Seen {
                    connection: id.connection,
                    problem,
                    ..Seen::default()
                });
            }
        }
    }
}
