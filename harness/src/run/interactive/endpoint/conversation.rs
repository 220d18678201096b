//! A conversation with an endpoint: what was said so far, and what is done about it.

use std::borrow::Cow;

use timeslip_datasets::atif::Trajectory;
use timeslip_datasets::run::journal::{Event, ExchangeEnd};
use timeslip_wire::protocols::{Answer, Item, ToolSpec};
use timeslip_wire::{Endpoint, Failure, Redaction, Session};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::turn::{Asked, Ended, Question, STEERED};
use super::{Command, nothing_to_steer, tell, too_late, tool};
use crate::run::agent::builtin::{failed, salted, tools};
use crate::run::agent::{Assignment, Bench, Stop, transcript};
use crate::run::interactive::driver::{Ask, Closed, Observed, Observer};

const INSTRUCTIONS: &str = "You are a software engineer who works with a developer in a sandbox without network. \
The developer reads along, interrupts and redirects you. Do what was asked last in the working directory, and no more: \
make the smallest change that is right, and end with one short sentence on what was done.";

const SUGGEST: &str = "You complete code while it is being typed. Answer with nothing but the text that comes next \
at the cursor: no explanation, no quotes, no code fence, nothing that was typed already.";

/// A conversation, and what is done in it.
pub(super) struct Conversation {
    commands: mpsc::UnboundedReceiver<Command>,
    observer: Observer,
    endpoint: Endpoint,
    redaction: Redaction,
    bench: Bench,
    instructions: Cow<'static, str>,
    specs: Vec<ToolSpec>,
    session: Session,
    /// Suggestions are no part of the conversation.
    suggestions: Session,
    items: Vec<Item>,
    transcript: Trajectory,
    /// The trial's start.
    origin: u64,
    deadline: Instant,
    time: std::time::Duration,
    turn: u32,
    turns: u32,
}

impl Conversation {
    pub(super) fn new(
        assignment: &Assignment<'_>,
        origin: u64,
        commands: mpsc::UnboundedReceiver<Command>,
        observer: Observer,
    ) -> Self {
        let endpoint = assignment.endpoint;
        let session = |key: String| Session::new(endpoint, key, origin).on(assignment.measuring);
        Conversation {
            commands,
            observer,
            redaction: endpoint.redaction(),
            bench: assignment.bench.clone(),
            instructions: salted(endpoint, assignment.run_id, INSTRUCTIONS),
            specs: tools::specs(),
            session: session(assignment.cache_key.clone()),
            suggestions: session(format!("typing-{}", assignment.cache_key)),
            items: Vec::new(),
            transcript: transcript::empty(
                ("timeslip", env!("CARGO_PKG_VERSION")),
                &assignment.cache_key,
                &endpoint.model,
            ),
            endpoint: endpoint.clone(),
            origin,
            deadline: Instant::now() + assignment.time,
            time: assignment.time,
            turn: assignment.turns_before,
            turns: assignment.turns,
        }
    }

    /// Whether the server can be told more while it answers.
    pub(super) fn steers(&self) -> bool {
        self.session.steers()
    }

    /// Does what it is told until nobody tells it anything any more.
    pub(super) async fn hold(mut self) -> Closed {
        while let Some(command) = self.commands.recv().await {
            match command {
                Command::Start(done) => {
                    self.warm_up().await;
                    // Whoever started it may be gone.
                    let _ = done.send(());
                }
                Command::Ask(ask) if ask.suggestion => self.suggest(&ask).await,
                Command::Ask(ask) => self.answer(ask).await,
                Command::Interrupt { act, .. } => too_late(&self.observer, act),
                Command::Steer { act, .. } => nothing_to_steer(&self.observer, act),
                Command::StoodStill(nanoseconds) => {
                    self.origin += nanoseconds;
                    // So has the time that it may take.
                    self.deadline += std::time::Duration::from_nanos(nanoseconds);
                    self.session.stood_still(nanoseconds);
                    self.suggestions.stood_still(nanoseconds);
                }
            }
        }
        Closed {
            transcript: self.transcript,
            turns: self.turn,
        }
    }

    async fn warm_up(&mut self) {
        let observer = self.observer.clone();
        let record = |exchange| {
            tell(
                &observer,
                0,
                Observed::Record(Event::Exchange(Box::new(exchange))),
            )
        };
        self.session
            .warm_up(&self.instructions, &self.specs, self.deadline, record)
            .await;
    }

    /// Answers to the end, or until it is stopped.
    async fn answer(&mut self, ask: Ask) {
        let mut act = ask.act;
        self.say(ask.text);
        let mut follows = false;
        loop {
            if self.turn >= self.turns {
                return self.fail(act, Stop::out_of_turns(self.turns));
            }
            self.turn += 1;
            let question = Question {
                act,
                turn: self.turn,
                instructions: &self.instructions,
                tools: &self.specs,
                items: &self.items,
                deadline: self.deadline,
                follows: std::mem::take(&mut follows),
            };
            let asked = question
                .ask(&mut self.session, &mut self.commands, &self.observer)
                .await;
            let Asked {
                result,
                stop,
                steer,
            } = asked;
            let answer = match result {
                Ok(answer) => answer,
                Err(Failure::Stopped) => {
                    self.keep_cut();
                    return self.end_stopped(act, stop);
                }
                Err(Failure::Deadline) => return self.fail(act, Stop::out_of_time(self.time)),
                Err(failure) => return self.fail(act, failed(&self.endpoint, &failure)),
            };
            if let Some(redirected) = steer {
                self.keep(&answer);
                let cut = answer.incomplete.as_deref() == Some(STEERED);
                self.end(act, cut.then_some(ExchangeEnd::Steered));
                act = redirected.act;
                self.say(redirected.text);
                follows = true;
                continue;
            }
            if let Some(stop) = stop {
                self.keep_whole_but_stopped(&answer);
                return self.end_stopped(act, Some(stop));
            }
            if answer.calls.is_empty() {
                self.keep_whole(&answer, Vec::new());
                return self.end(act, None);
            }
            match self.run_tools(act, &answer).await {
                tool::Ran::All => {}
                tool::Ran::Submitted => return self.end(act, None),
                tool::Ran::Stopped(stop) => return self.end_stopped(act, Some(stop)),
                tool::Ran::Failed(stop) => return self.fail(act, stop),
            }
        }
    }

    async fn run_tools(&mut self, act: u32, answer: &Answer) -> tool::Ran {
        let tools = tool::Tools {
            act,
            turn: self.turn,
            bench: &self.bench,
            redaction: &self.redaction,
            origin: self.origin,
            deadline: self.deadline,
            time: self.time,
        };
        let (results, ran) = tools
            .run(
                answer,
                &mut self.session,
                &mut self.commands,
                &self.observer,
            )
            .await;
        self.keep_whole(answer, results);
        ran
    }

    /// A continuation of what is typed: one answer, outside the conversation.
    async fn suggest(&mut self, ask: &Ask) {
        let items = [Item::User(ask.text.clone())];
        self.suggestions.forget();
        let question = Question {
            act: ask.act,
            turn: 0,
            instructions: SUGGEST,
            tools: &[],
            items: &items,
            deadline: self.deadline,
            follows: false,
        };
        let asked = question
            .ask(&mut self.suggestions, &mut self.commands, &self.observer)
            .await;
        match asked.result {
            Err(Failure::Stopped) => self.end_stopped(ask.act, asked.stop),
            Err(Failure::Deadline) => self.fail(ask.act, Stop::out_of_time(self.time)),
            // Without a suggestion one can go on typing.
            Ok(_) | Err(_) => match asked.stop {
                Some(stop) => self.end_stopped(ask.act, Some(stop)),
                None => self.end(ask.act, None),
            },
        }
    }

    fn say(&mut self, text: String) {
        transcript::add_user(&mut self.transcript, &text);
        self.items.push(Item::User(text));
    }

    /// Keeps a whole answer and the results of its calls.
    fn keep_whole(&mut self, answer: &Answer, results: Vec<Item>) {
        transcript::add_turn(&mut self.transcript, answer, &results);
        let outputs = answer.items.iter().cloned();
        self.items.extend(outputs.map(Item::Output));
        self.items.extend(results);
    }

    /// Keeps a whole answer of which no call was run.
    fn keep_whole_but_stopped(&mut self, answer: &Answer) {
        let interrupted = answer.calls.iter().map(|call| Item::ToolResult {
            call_id: call.call_id.clone(),
            output: tool::INTERRUPTED.to_owned(),
        });
        self.keep_whole(answer, interrupted.collect());
    }

    /// Keeps what was shown of an answer that was stopped.
    fn keep_cut(&mut self) {
        if let Some(answer) = self.session.take_cut() {
            self.keep(&answer);
        }
    }

    /// Keeps of an answer that was cut what can go back: no call of which a part is missing.
    fn keep(&mut self, answer: &Answer) {
        if answer.calls.is_empty() && !answer.text.is_empty() {
            self.keep_whole(answer, Vec::new());
        }
    }

    fn end(&self, act: u32, by: Option<ExchangeEnd>) {
        tell(&self.observer, act, Observed::Ended { by });
    }

    fn end_stopped(&self, act: u32, stop: Option<Ended>) {
        let by = stop.as_ref().and_then(Ended::by);
        self.end(act, by);
        if let Some(stop) = stop {
            for late in &stop.also {
                too_late(&self.observer, *late);
            }
            let Ended {
                at, answer, act, ..
            } = stop;
            super::tell_at(&self.observer, at, act, Observed::Stopped(answer));
        }
    }

    fn fail(&self, act: u32, stop: Stop) {
        self.end(act, None);
        tell(&self.observer, act, Observed::Failed(stop));
    }
}
