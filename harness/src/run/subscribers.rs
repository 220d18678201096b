//! Who listens to a run: the journal first, then the display and what may end it.

mod journal;
mod progress;
mod watch;

pub use journal::Journal;
pub use progress::Progress;
pub use watch::{Bounds, Watch};

use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::error::Error;
use crate::run::runner::RunEvent;

/// Takes the events of a run, in order, on a thread that measures nothing.
pub trait Subscriber: Send {
    /// Takes one event.
    ///
    /// # Errors
    /// An error ends the run: what cannot be recorded must not be measured.
    fn event(&mut self, event: &RunEvent) -> Result<(), Error>;
}

/// The thread that hands events to subscribers; joining it gives the first error.
pub type Listener = JoinHandle<Result<(), Error>>;

/// Starts the thread that hands every event to every subscriber. It ends when all
/// senders are gone, or with the first error.
///
/// # Errors
/// [`Error::System`] when there is no thread to be had.
pub fn listen(
    mut subscribers: Vec<Box<dyn Subscriber>>,
) -> Result<(mpsc::Sender<RunEvent>, Listener), Error> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("timeslip-events".into())
        .spawn(move || {
            for event in receiver {
                for subscriber in &mut subscribers {
                    subscriber.event(&event)?;
                }
            }
            Ok(())
        })
        .map_err(Error::system("cannot start the thread that records events"))?;
    Ok((sender, thread))
}
