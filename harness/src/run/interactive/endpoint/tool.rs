//! The tool calls of an answer, while commands may come.

use std::time::Duration;

use timeslip_datasets::run::journal::{Event, StopWay};
use timeslip_suites::Cancel;
use timeslip_wire::protocols::{Answer, Item, ToolCall};
use timeslip_wire::{Redaction, Session, clock};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::turn::Ended;
use super::{Command, tell, tell_at};
use crate::run::agent::builtin::tools::{self, Done};
use crate::run::agent::{Bench, Stop};
use crate::run::interactive::driver::{Observed, Observer, SteerAnswer, StopAnswer};

/// What a tool call is answered with that was not run, or not to its end.
pub(super) const INTERRUPTED: &str = "[interrupted by the developer]";

/// The tools of one turn.
pub(super) struct Tools<'a> {
    /// The act whose answer calls them.
    pub act: u32,
    pub turn: u32,
    pub bench: &'a Bench,
    pub redaction: &'a Redaction,
    pub origin: u64,
    pub deadline: Instant,
    pub time: Duration,
}

/// What came of them.
pub(super) enum Ran {
    /// All have run.
    All,
    /// The model says it is finished.
    Submitted,
    /// The developer stopped them.
    Stopped(Ended),
    /// The trial is over.
    Failed(Stop),
}

impl Tools<'_> {
    /// Runs the calls in order. Each has a result, whatever became of it.
    pub(super) async fn run(
        &self,
        answer: &Answer,
        session: &mut Session,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        observer: &Observer,
    ) -> (Vec<Item>, Ran) {
        let (mut results, mut ran) = (Vec::new(), Ran::All);
        for call in &answer.calls {
            let remaining = self.deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() && matches!(ran, Ran::All) {
                ran = Ran::Failed(Stop::out_of_time(self.time));
            }
            let output = match ran {
                Ran::All => {
                    let (done, stop) = self
                        .call(call, remaining, session, commands, observer)
                        .await;
                    ran = match stop {
                        Some(stop) => Ran::Stopped(stop),
                        None if done.over_disk => {
                            Ran::Failed(Stop::out_of_disk(self.bench.disk_mb))
                        }
                        None if done.submitted => Ran::Submitted,
                        None => Ran::All,
                    };
                    done.output
                }
                _ => INTERRUPTED.to_owned(),
            };
            let call_id = call.call_id.clone();
            results.push(Item::ToolResult { call_id, output });
        }
        (results, ran)
    }

    async fn call(
        &self,
        call: &ToolCall,
        remaining: Duration,
        session: &mut Session,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        observer: &Observer,
    ) -> (Done, Option<Ended>) {
        // Without a descriptor left, it runs to its end.
        let cancel = Cancel::new().ok();
        let (call_id, name) = (call.call_id.clone(), call.name.clone());
        tell(observer, self.act, Observed::ToolStarted { call_id, name });
        let mut stop: Option<Ended> = None;
        let working = tools::call(
            self.bench,
            self.turn,
            call,
            self.origin,
            remaining,
            cancel.clone(),
        );
        let mut done = {
            let mut working = std::pin::pin!(session.during(working));
            let mut open = true;
            loop {
                tokio::select! {
                    biased;
                    done = &mut working => break done,
                    command = commands.recv(), if open => match command {
                        Some(Command::Interrupt { act, end }) => match &mut stop {
                            Some(stop) => stop.also.push(act),
                            None => {
                                cancel.iter().for_each(Cancel::cancel);
                                stop = Some(Ended {
                                    act,
                                    end,
                                    at: clock::now(),
                                    answer: StopAnswer::TooLate,
                                    also: Vec::new(),
                                });
                            }
                        },
                        Some(Command::Steer { act, .. }) => {
                            let why = "a tool is running, and no response in progress".to_owned();
                            let refused = Observed::Steered(SteerAnswer::Refused(why));
                            tell(observer, act, refused);
                        }
                        Some(Command::Ask(ask)) => {
                            tell(observer, ask.act, Observed::Ended { by: None });
                        }
                        Some(Command::Start(_) | Command::StoodStill(_)) => {}
                        // The session is closed while it runs.
                        None => {
                            open = false;
                            cancel.iter().for_each(Cancel::cancel);
                        }
                    },
                }
            }
        };
        // No sandbox has a key, but a server may have told one in a way of its own.
        self.redaction.tool(&mut done.tool, &mut done.output);
        let call_id = done.tool.call_id.clone();
        tell(
            observer,
            self.act,
            Observed::Record(Event::Tool(done.tool.clone())),
        );
        let gone_at = done.gone_at.unwrap_or_else(clock::now);
        if let Some(stop) = &mut stop {
            let gone = Observed::ToolGone {
                call_id: call_id.clone(),
            };
            tell_at(observer, gone_at, self.act, gone);
            stop.at = clock::now();
            stop.answer = StopAnswer::Applied {
                way: StopWay::ToolKill,
                confirmed: Some(gone_at),
            };
            done.output.push('\n');
            done.output.push_str(INTERRUPTED);
        }
        tell(observer, self.act, Observed::ToolEnded { call_id });
        (done, stop)
    }
}
