//! What is driven: an endpoint through the built-in agent's loop, or a real agent.

use std::pin::Pin;

use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::run::journal::{Event, EventKind, ExchangeEnd, StopWay};
use tokio::sync::mpsc;

use crate::run::agent::Stop;

/// A future of a trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that answers a developer.
///
/// A driver answers at most one [`Ask`] at a time; what it says of it while it goes on, it
/// says through its [`Observer`], in order, each with the number of the act that asked. Its
/// methods come back as soon as what they do has been handed over, and never wait for an
/// answer or for the end of one. The player calls one method at a time.
///
/// The rule of attribution: whatever belongs to an answer is told with the number of the act
/// that asked for it, however late it comes; nothing of an old answer is ever told with the
/// number of a new one.
pub trait Driver: Send {
    /// What it can do beside asking and interrupting.
    fn abilities(&self) -> Abilities;

    /// Gets ready for the first ask: starts a process, opens what is kept open, warms up. It
    /// waits until that is done.
    ///
    /// # Errors
    /// Why no session can be held.
    fn start(&mut self) -> Boxed<'_, Result<(), Stop>>;

    /// Asks, when nothing is being answered. What was said before in the session is part of
    /// the conversation, stopped answers included as far as they were shown.
    ///
    /// # Errors
    /// Why nothing can be asked any more: the trial ends.
    fn ask(&mut self, ask: Ask) -> Boxed<'_, Result<Told, Stop>>;

    /// Stops what is being answered: the stream, the running tool, and what it started.
    /// [`Observed::Stopped`] follows when all that can be seen of the stop has been seen; the
    /// answer's own [`Observed::Ended`] comes before it. A stop that comes when nothing is
    /// being answered changes nothing and is answered, too, as [`StopAnswer::TooLate`].
    fn interrupt(&mut self, act: u32, as_what: ExchangeEnd) -> Boxed<'_, Told>;

    /// Says more while something is being answered, by the driver's own way to redirect; only
    /// where [`Abilities::steers`]. [`Observed::Steered`] follows. Where it was accepted, what
    /// comes of it is told with `act` as its number.
    fn steer(&mut self, act: u32, text: &str) -> Boxed<'_, Told>;

    /// The trial's clock stood still for so long, while nothing was being answered: from now
    /// on times in [`Observed::Record`] are that much smaller.
    fn stood_still(&mut self, nanoseconds: u64);

    /// Ends the session and whatever runs. Everything not yet told is told before.
    fn close(self: Box<Self>) -> Boxed<'static, Closed>;
}

/// What a driver can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// It has a way of its own to redirect an answer. Where it has none, the player
    /// interrupts and asks.
    pub steers: Option<StopWay>,
    /// It offers continuations: an [`Ask`] without tools, outside the conversation. Where it
    /// does not, `type` acts are skipped and say so.
    pub suggests: bool,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Number of the act that asks.
    pub act: u32,
    /// In these words.
    pub text: String,
    /// A continuation of what is typed: no tools, and no part of the conversation.
    pub suggestion: bool,
}

/// When something was handed over, on [`timeslip_wire::clock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The moment.
    pub at: u64,
}

/// Where a driver tells what it sees.
pub type Observer = mpsc::UnboundedSender<Observation>;

/// Something that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// When, on [`timeslip_wire::clock`]: when its bytes arrived, where that is known.
    pub at: u64,
    /// The act whose answer it is part of; of a stop or a redirection, its own number.
    pub act: u32,
    /// What.
    pub what: Observed,
}

/// What a driver sees.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// A piece of the answer.
    Output {
        /// What it carries.
        kind: EventKind,
        /// Its text, as far as it is shown: of tool arguments none is.
        text: String,
        /// Its tokens, where the stream says.
        tokens: Option<u32>,
    },
    /// A tool began to run.
    ToolStarted {
        /// The call's id.
        call_id: String,
        /// The tool's name.
        name: String,
    },
    /// Its result is there.
    ToolEnded {
        /// The call's id.
        call_id: String,
    },
    /// The last process of a stopped tool is gone.
    ToolGone {
        /// The call's id.
        call_id: String,
    },
    /// The answer has ended. Output may still come where a stop was not heeded.
    Ended {
        /// Why, where it was not by itself.
        by: Option<ExchangeEnd>,
    },
    /// The answer failed, and the session with it.
    Failed(Stop),
    /// All has been seen of a stop; `at` is when.
    Stopped(StopAnswer),
    /// What came of a redirection.
    Steered(SteerAnswer),
    /// A line for the journal: an exchange, a tool call, a run of an agent. Its times count
    /// from the trial's start. An exchange names its act.
    Record(Event),
}

/// What came of a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopAnswer {
    /// The answer was cut.
    Applied {
        /// By what way it was told.
        way: StopWay,
        /// When the other side said so, where it says anything.
        confirmed: Option<u64>,
    },
    /// It had ended before the stop was carried out.
    TooLate,
    /// The other side said no.
    Refused(String),
    /// It was taken, and the answer went on to its end.
    Missed {
        /// By what way it was told.
        way: StopWay,
        /// When the other side said that it was taken, where it did.
        confirmed: Option<u64>,
    },
    /// Nothing was heard within the time that is waited.
    Lost {
        /// By what way it was told.
        way: StopWay,
    },
}

/// What came of a redirection; `at` is when it was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SteerAnswer {
    /// It was taken; whether and when the old answer is cut is seen by its `Ended`.
    Accepted,
    /// The old answer had ended.
    TooLate(String),
    /// The other side said no.
    Refused(String),
}

/// The end of a session.
#[derive(Debug)]
pub struct Closed {
    /// What was said and done.
    pub transcript: Trajectory,
    /// Model calls.
    pub turns: u32,
}
