//! Drives an endpoint directly: the built-in agent's loop, with somebody who reads along.
//!
//! A task of its own holds the conversation. It reads commands while it waits for a model
//! call or a tool, so that a stop reaches either at once.

mod conversation;
mod tool;
mod turn;

use timeslip_datasets::run::journal::{ExchangeEnd, StopWay};
use timeslip_wire::clock;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::driver::{
    Abilities, Ask, Boxed, Closed, Driver, Observation, Observed, Observer, SteerAnswer,
    StopAnswer, Told,
};
use crate::run::agent::{Assignment, Stop};
use conversation::Conversation;

/// The driver of an endpoint.
#[derive(Debug)]
pub struct EndpointDriver {
    commands: mpsc::UnboundedSender<Command>,
    abilities: Abilities,
    conversation: JoinHandle<Closed>,
}

/// What a conversation is told to do.
#[derive(Debug)]
enum Command {
    Start(oneshot::Sender<()>),
    Ask(Ask),
    Interrupt { act: u32, end: ExchangeEnd },
    Steer { act: u32, text: String },
    StoodStill(u64),
}

impl EndpointDriver {
    /// Drives the endpoint of an assignment, whose trial began at `origin`. What is seen goes
    /// to `observer`.
    #[must_use]
    pub fn new(assignment: &Assignment<'_>, origin: u64, observer: Observer) -> Self {
        let (commands, told) = mpsc::unbounded_channel();
        let conversation = Conversation::new(assignment, origin, told, observer);
        EndpointDriver {
            commands,
            abilities: Abilities {
                steers: conversation.steers().then_some(StopWay::ResponseSteer),
                suggests: true,
            },
            conversation: tokio::spawn(conversation.hold()),
        }
    }

    /// Hands a command over. The conversation goes on until it is closed.
    fn tell(&self, command: Command) -> Told {
        let at = clock::now();
        let _ = self.commands.send(command);
        Told { at }
    }
}

impl Driver for EndpointDriver {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn start(&mut self) -> Boxed<'_, Result<(), Stop>> {
        let (done, started) = oneshot::channel();
        self.tell(Command::Start(done));
        Box::pin(async move {
            // Where the conversation has crashed, closing says so.
            let _ = started.await;
            Ok(())
        })
    }

    fn ask(&mut self, ask: Ask) -> Boxed<'_, Result<Told, Stop>> {
        let told = self.tell(Command::Ask(ask));
        Box::pin(std::future::ready(Ok(told)))
    }

    fn interrupt(&mut self, act: u32, end: ExchangeEnd) -> Boxed<'_, Told> {
        let told = self.tell(Command::Interrupt { act, end });
        Box::pin(std::future::ready(told))
    }

    fn steer(&mut self, act: u32, text: &str) -> Boxed<'_, Told> {
        let text = text.to_owned();
        let told = self.tell(Command::Steer { act, text });
        Box::pin(std::future::ready(told))
    }

    fn stood_still(&mut self, nanoseconds: u64) {
        self.tell(Command::StoodStill(nanoseconds));
    }

    fn close(self: Box<Self>) -> Boxed<'static, Closed> {
        let EndpointDriver {
            commands,
            conversation,
            ..
        } = *self;
        drop(commands);
        Box::pin(async move {
            match conversation.await {
                Ok(closed) => closed,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => std::future::pending().await,
                },
            }
        })
    }
}

/// Tells what was seen.
fn tell(observer: &Observer, act: u32, what: Observed) {
    tell_at(observer, clock::now(), act, what);
}

/// Tells what was seen at a moment.
fn tell_at(observer: &Observer, at: u64, act: u32, what: Observed) {
    // Nobody listens any more only when the trial is over.
    let _ = observer.send(Observation { at, act, what });
}

/// Answers a stop that came when nothing was being answered.
fn too_late(observer: &Observer, act: u32) {
    tell(observer, act, Observed::Stopped(StopAnswer::TooLate));
}

/// Answers a redirection that came when nothing was being answered.
fn nothing_to_steer(observer: &Observer, act: u32) {
    let why = "nothing is being answered".to_owned();
    tell(observer, act, Observed::Steered(SteerAnswer::TooLate(why)));
}
