//! A real agent that is driven by its own control protocol, in the task's sandbox and behind
//! the recording proxy: the server, the client and its processes are seen at once.

mod carrier;
mod conversation;
mod processes;
mod records;

use std::sync::Arc;
use std::time::Duration;

use timeslip_datasets::run::Keeper;
use timeslip_datasets::run::journal::{EndedBy, Event, ExchangeEnd, StopWay};
use timeslip_wire::{Endpoint, clock};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::driver::{Abilities, Ask, Boxed, Closed, Driver, Observation, Observed, Observer, Told};
use crate::control::{Carrier as Way, Protocol, Session, Steer};
use crate::run::agent::{Assignment, Bench, External, Launch, Live, Stop, transcript};
use carrier::Carrier;
use conversation::{Command, Conversation, Does};
use processes::Family;
use records::Timeline;

/// How long an agent may take until it can be asked.
const START: Duration = Duration::from_secs(120);

/// How long an agent that reads its standard input may take to end once that is closed. A server
/// does not notice that nobody talks with it any more.
const END: Duration = Duration::from_secs(2);

/// A driven agent.
#[derive(Debug)]
pub struct AgentDriver {
    agent: Arc<External>,
    protocol: &'static Protocol,
    place: Place,
    observer: Observer,
    timeline: Timeline,
    asked: Vec<String>,
    talking: Option<Talking>,
}

/// Where it works, and within which bounds.
#[derive(Debug)]
struct Place {
    endpoint: Endpoint,
    bench: Bench,
    session: String,
    turns: u32,
    time: Duration,
    keeper: Keeper,
    origin: u64,
}

/// A conversation that goes on.
#[derive(Debug)]
struct Talking {
    live: Live,
    commands: mpsc::UnboundedSender<Command>,
    conversation: JoinHandle<()>,
}

impl AgentDriver {
    /// A driver of an agent for one trial, whose clock begins at `origin`; `None` for an agent
    /// that has no control protocol.
    #[must_use]
    pub fn of(
        agent: &Arc<External>,
        assignment: &Assignment<'_>,
        origin: u64,
        observer: Observer,
    ) -> Option<Self> {
        let (protocol, _) = agent.control()?;
        Some(AgentDriver {
            agent: Arc::clone(agent),
            protocol,
            place: Place {
                endpoint: assignment.endpoint.clone(),
                bench: assignment.bench.clone(),
                session: assignment.cache_key.clone(),
                turns: assignment.turns,
                time: assignment.time,
                keeper: assignment.keeper.clone(),
                origin,
            },
            observer,
            timeline: Timeline::from(origin),
            asked: Vec::new(),
            talking: None,
        })
    }

    async fn begin(&mut self) -> Result<(), Stop> {
        let name = self.agent.name();
        let failed = |problem: String| {
            let why = format!("{name} could not be started: {problem}");
            Stop::because(EndedBy::Harness, why)
        };
        let launch = Launch {
            endpoint: &self.place.endpoint,
            bench: &self.place.bench,
            turns: self.place.turns,
            time: self.place.time,
            keeper: &self.place.keeper,
            instruction: None,
        };
        let live = Live::begin(&self.agent, &launch, self.place.origin).await;
        let mut live = live.map_err(|error| failed(error.to_string()))?;
        let begun = async {
            let ends = live.ends.take().ok_or("it is not talked with")?;
            let carrier = Carrier::over(ends)
                .await
                .map_err(|error| error.to_string())?;
            let session = Session {
                directory: self.place.bench.workspace.working_directory().to_owned(),
                mode: self
                    .agent
                    .control()
                    .and_then(|(_, control)| control.mode.clone()),
            };
            let (commands, taken) = mpsc::unbounded_channel();
            let (ready, is_ready) = oneshot::channel();
            let conversation = Conversation::new(
                (self.protocol.begin)(session),
                carrier,
                live.process.and_then(Family::around),
                self.observer.clone(),
            );
            let conversation = tokio::spawn(conversation.hold(taken, ready));
            match tokio::time::timeout(START, is_ready).await {
                Ok(Ok(ready)) => ready.map(|()| (commands, conversation)),
                Ok(Err(_)) => Err("it ended before it could be asked".to_owned()),
                Err(_) => {
                    let seconds = START.as_secs();
                    Err(format!("it could not be asked within {seconds} s"))
                }
            }
        };
        match begun.await {
            Ok((commands, conversation)) => {
                self.talking = Some(Talking {
                    live,
                    commands,
                    conversation,
                });
                Ok(())
            }
            Err(problem) => {
                let words = match live.end_within(Duration::ZERO).await {
                    Ok(ran) => ran.last_words(),
                    Err(error) => format!("; {error}"),
                };
                Err(failed(format!("{problem}{words}")))
            }
        }
    }

    /// Has the conversation do something; gives when that was handed over.
    async fn command(&mut self, act: u32, does: Does) -> Option<Told> {
        let talking = self.talking.as_ref()?;
        let (told, handed_over) = oneshot::channel();
        let command = Command { act, does, told };
        talking.commands.send(command).ok()?;
        handed_over.await.ok().map(|at| Told { at })
    }

    /// When something is told to an agent that has gone: its end was told already.
    fn in_vain() -> Told {
        Told { at: clock::now() }
    }

    async fn end(mut self) -> Closed {
        let model = self.place.endpoint.model.clone();
        let mut transcript = transcript::empty(
            (self.agent.name(), self.agent.version()),
            &self.place.session,
            &model,
        );
        transcript::add_user(&mut transcript, &self.asked.join("\n\n"));
        let mut turns = 0;
        if let Some(talking) = self.talking.take() {
            // With its commands the conversation ends, and with it what the agent reads.
            drop(talking.commands);
            let held = talking.conversation.await;
            debug_assert!(held.is_ok());
            let patience = match self.protocol.carrier {
                Way::Pipes => END,
                Way::Http => Duration::ZERO,
            };
            match talking.live.end_within(patience).await {
                Ok(mut ran) => {
                    self.record(Event::AgentRun(ran.agent_run(self.place.origin)));
                    for event in std::mem::take(&mut ran.lines.events) {
                        self.record(event);
                    }
                    for (answer, results) in &ran.lines.answers {
                        transcript::add_turn(&mut transcript, answer, results);
                    }
                    turns = ran.lines.turns;
                }
                Err(error) => self.observe(Observed::Failed(Stop::because(
                    EndedBy::Harness,
                    format!("{}: {error}", self.agent.name()),
                ))),
            }
        }
        Closed { transcript, turns }
    }

    fn record(&self, mut event: Event) {
        self.timeline.place(&mut event);
        self.observe(Observed::Record(event));
    }

    fn observe(&self, what: Observed) {
        // Whoever does not listen any more needs nothing told.
        let _ = self.observer.send(Observation {
            at: clock::now(),
            act: 0,
            what,
        });
    }
}

impl Driver for AgentDriver {
    fn abilities(&self) -> Abilities {
        Abilities {
            steers: match self.protocol.steer {
                Steer::Command => Some(StopWay::AgentSteer),
                Steer::AnotherAsk => None,
            },
            suggests: false,
        }
    }

    fn start(&mut self) -> Boxed<'_, Result<(), Stop>> {
        Box::pin(self.begin())
    }

    fn ask(&mut self, ask: Ask) -> Boxed<'_, Result<Told, Stop>> {
        Box::pin(async move {
            self.asked.push(ask.text.clone());
            match self.command(ask.act, Does::Ask(ask.text)).await {
                Some(told) => {
                    self.timeline.asked(told.at, ask.act);
                    Ok(told)
                }
                None => {
                    let why = format!("{} has ended", self.agent.name());
                    Err(Stop::because(EndedBy::Agent, why))
                }
            }
        })
    }

    fn interrupt(&mut self, act: u32, as_what: ExchangeEnd) -> Boxed<'_, Told> {
        Box::pin(async move {
            let told = self.command(act, Does::Interrupt(as_what)).await;
            let told = told.unwrap_or_else(Self::in_vain);
            self.timeline.stopped(told.at, act, as_what);
            told
        })
    }

    fn steer(&mut self, act: u32, text: &str) -> Boxed<'_, Told> {
        let text = text.to_owned();
        Box::pin(async move {
            self.asked.push(text.clone());
            let told = self.command(act, Does::Steer(text)).await;
            let told = told.unwrap_or_else(Self::in_vain);
            self.timeline.stopped(told.at, act, ExchangeEnd::Steered);
            self.timeline.asked(told.at, act);
            told
        })
    }

    fn stood_still(&mut self, nanoseconds: u64) {
        self.timeline.stood_still(clock::now(), nanoseconds);
    }

    fn close(self: Box<Self>) -> Boxed<'static, Closed> {
        Box::pin(self.end())
    }
}
