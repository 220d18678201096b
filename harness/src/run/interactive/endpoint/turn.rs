//! One model call, while commands may come.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use timeslip_datasets::run::journal::{Event, Exchange, ExchangeEnd, StopWay};
use timeslip_wire::live::{Heard, Reader, Steered, StopOrder, StopSeen, live};
use timeslip_wire::protocols::{Answer, Item, ToolSpec};
use timeslip_wire::{Failure, Session, clock};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Command, tell, tell_at};
use crate::run::interactive::driver::{Observed, Observer, SteerAnswer, StopAnswer};

/// The server's code for a redirection that came too late.
const NOT_ACTIVE: &str = "response_not_active";
/// What the server calls an answer that was redirected.
pub(super) const STEERED: &str = "steered";
/// A stop that was told so long before the end of the answer may have crossed it, where no
/// round trip is known.
const CROSSING_NS: u64 = 1_000_000;

/// One model call.
pub(super) struct Question<'a> {
    /// The act that asks.
    pub act: u32,
    pub turn: u32,
    pub instructions: &'a str,
    pub tools: &'a [ToolSpec],
    pub items: &'a [Item],
    pub deadline: Instant,
    /// The server was redirected and begins by itself.
    pub follows: bool,
}

/// What came of it.
pub(super) struct Asked {
    pub result: Result<Answer, Failure>,
    /// It was stopped, or was to be.
    pub stop: Option<Ended>,
    /// It was redirected.
    pub steer: Option<Redirected>,
}

/// The end of a stop.
#[derive(Debug)]
pub(super) struct Ended {
    /// The act that stops.
    pub act: u32,
    pub end: ExchangeEnd,
    /// When all had been seen of it.
    pub at: u64,
    pub answer: StopAnswer,
    /// Acts that stopped it again.
    pub also: Vec<u32>,
}

impl Ended {
    /// As what the answer ended: by itself, where the stop did not cut it.
    pub(super) fn by(&self) -> Option<ExchangeEnd> {
        match self.answer {
            StopAnswer::Applied { .. } | StopAnswer::Refused(_) | StopAnswer::Lost { .. } => {
                Some(self.end)
            }
            StopAnswer::TooLate | StopAnswer::Missed { .. } => None,
        }
    }
}

/// A redirection that the server accepted.
pub(super) struct Redirected {
    pub act: u32,
    pub text: String,
}

/// What has been told while the call goes on.
#[derive(Default)]
struct Commanded {
    /// The act that stops it, as what, and when that was handed over.
    stop: Option<(u32, ExchangeEnd, u64)>,
    also: Vec<u32>,
    steer: Option<Redirected>,
    /// The server answered the redirection.
    steer_answer: Option<Steered>,
    seen: Option<(u64, StopSeen)>,
}

impl Question<'_> {
    pub(super) async fn ask(
        &self,
        session: &mut Session,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        observer: &Observer,
    ) -> Asked {
        let (heard, mut hearing) = mpsc::unbounded_channel();
        let (mut reader, end) = live(heard);
        session.read_along(end);
        let mut told = Commanded::default();
        // The act that redirects, from 1.
        let redirecting = AtomicU32::new(0);
        let round_trip = AtomicU64::new(0);
        let record = |exchange: Exchange| {
            if let Some(ping_ns) = exchange.ping_ns {
                round_trip.store(ping_ns, Ordering::Relaxed);
            }
            self.record(exchange, redirecting.load(Ordering::Relaxed), observer);
        };
        let result = {
            let asking = async {
                let (turn, instructions, tools) = (self.turn, self.instructions, self.tools);
                let (items, deadline) = (self.items, self.deadline);
                match self.follows {
                    true => {
                        session
                            .follow(turn, instructions, tools, items, deadline, record)
                            .await
                    }
                    false => {
                        session
                            .ask(turn, instructions, tools, items, deadline, record)
                            .await
                    }
                }
            };
            let mut asking = std::pin::pin!(asking);
            let mut open = true;
            loop {
                tokio::select! {
                    biased;
                    Some(heard) = hearing.recv() => {
                        self.heard(heard, &mut told, observer);
                        redirecting.store(told.accepted().unwrap_or(0), Ordering::Relaxed);
                    }
                    command = commands.recv(), if open => match command {
                        Some(command) => self.command(command, &mut told, &mut reader, observer),
                        // The session is closed in the middle of an answer.
                        None => {
                            open = false;
                            reader.stop(StopOrder { end: ExchangeEnd::Interrupted, act: self.act });
                        }
                    },
                    result = &mut asking => break result,
                }
            }
        };
        while let Ok(heard) = hearing.try_recv() {
            self.heard(heard, &mut told, observer);
        }
        let accepted = told.accepted().is_some();
        let redirected = told.steer.take();
        if let Some(steer) = redirected.as_ref().filter(|_| told.steer_answer.is_none()) {
            // Whatever the server still says of it must not reach the next answer.
            session.disconnect();
            let why = "the answer ended before the server said anything".to_owned();
            tell(
                observer,
                steer.act,
                Observed::Steered(SteerAnswer::TooLate(why)),
            );
        }
        Asked {
            stop: told.ended(round_trip.into_inner(), &result),
            steer: redirected.filter(|_| accepted && result.is_ok()),
            result,
        }
    }

    fn record(&self, mut exchange: Exchange, redirecting: u32, observer: &Observer) {
        exchange.act = Some(self.act);
        if redirecting > 0 && exchange.incomplete.as_deref() == Some(STEERED) {
            exchange.ended_by = Some(ExchangeEnd::Steered);
            exchange.ended_by_act = Some(redirecting);
        }
        let record = Event::Exchange(Box::new(exchange));
        tell(observer, self.act, Observed::Record(record));
    }

    fn command(
        &self,
        command: Command,
        told: &mut Commanded,
        reader: &mut Reader,
        observer: &Observer,
    ) {
        match command {
            Command::Interrupt { act, end } if told.stop.is_none() => {
                told.stop = Some((act, end, clock::now()));
                reader.stop(StopOrder { end, act });
            }
            Command::Interrupt { act, .. } => told.also.push(act),
            Command::Steer { act, text } if told.stop.is_none() && told.steer.is_none() => {
                reader.steer(&text);
                told.steer = Some(Redirected { act, text });
            }
            Command::Steer { act, .. } => {
                let why = "the answer is being stopped or redirected already".to_owned();
                tell(observer, act, Observed::Steered(SteerAnswer::Refused(why)));
            }
            // Nothing is asked while something is being answered.
            Command::Ask(ask) => {
                tell(observer, ask.act, Observed::Ended { by: None });
            }
            Command::Start(_) | Command::StoodStill(_) => {}
        }
    }

    fn heard(&self, heard: Heard, told: &mut Commanded, observer: &Observer) {
        match heard {
            Heard::Output {
                at,
                kind,
                text,
                tokens,
            } => {
                let output = Observed::Output { kind, text, tokens };
                tell_at(observer, at, self.act, output);
            }
            Heard::Steered { at, answer } => {
                if let Some(steer) = told.steer.as_ref().filter(|_| told.steer_answer.is_none()) {
                    let said = match &answer {
                        Steered::Accepted => SteerAnswer::Accepted,
                        Steered::Pending => {
                            SteerAnswer::TooLate("outputs of calls are owed".into())
                        }
                        Steered::Failed(code, words) if code == NOT_ACTIVE => {
                            SteerAnswer::TooLate(words.clone())
                        }
                        Steered::Failed(code, words) => {
                            SteerAnswer::Refused(format!("{code}: {words}"))
                        }
                    };
                    tell_at(observer, at, steer.act, Observed::Steered(said));
                    told.steer_answer = Some(answer);
                }
            }
            Heard::Stopped(seen) => told.seen = Some((clock::now(), seen)),
        }
    }
}

impl Commanded {
    /// The act whose redirection was accepted.
    fn accepted(&self) -> Option<u32> {
        let accepted = self.steer_answer == Some(Steered::Accepted);
        self.steer
            .as_ref()
            .filter(|_| accepted)
            .map(|steer| steer.act)
    }

    /// What came of a stop. An answer that came to its end within a round trip of it had
    /// ended before the server could know.
    fn ended(self, round_trip_ns: u64, result: &Result<Answer, Failure>) -> Option<Ended> {
        let (act, end, told_at) = self.stop?;
        let (at, answer) = match self.seen {
            Some((at, seen)) => {
                let (way, confirmed) = (seen.way, seen.confirmed);
                let crossing = round_trip_ns.max(CROSSING_NS);
                let answer = match seen.refused {
                    Some(why) => StopAnswer::Refused(why),
                    None if seen.ended && at.saturating_sub(told_at) <= crossing => {
                        StopAnswer::TooLate
                    }
                    None if seen.ended => StopAnswer::Missed { way, confirmed },
                    None => StopAnswer::Applied { way, confirmed },
                };
                (at, answer)
            }
            // The answer was whole before the stop reached it; its calls are not run.
            None => {
                let at = clock::now();
                let calls = result.as_ref().is_ok_and(|answer| !answer.calls.is_empty());
                let answer = match calls {
                    true => StopAnswer::Applied {
                        way: StopWay::ToolKill,
                        confirmed: Some(at),
                    },
                    false => StopAnswer::TooLate,
                };
                (at, answer)
            }
        };
        Some(Ended {
            act,
            end,
            at,
            answer,
            also: self.also,
        })
    }
}
