//! Plays a session: does what its file says, at its times, and writes down what came of it.

mod acts;
mod files;
mod typing;

use std::time::Duration;

use regex::Regex;
use timeslip_datasets::run::journal::{ActCheck, ActKind, Event, ExchangeEnd, Race, StopWay};
use timeslip_datasets::session::{Check, Does, ScriptedAct, Session, Until};
use timeslip_suites::{Grade, Task, check_act, grade_of};
use timeslip_wire::clock;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::driver::{Ask, Driver, Observation, Observed, SteerAnswer};
use crate::run::agent::{Bench, Stop, Work, transcript};
use crate::run::apart::apart;
use acts::Acts;
use files::Tree;

/// How long is waited for what comes of a stop.
const MAX_STOPPING: Duration = Duration::from_secs(30);

/// What a session is played with.
pub struct Stage<'a> {
    /// The task that the session is.
    pub task: &'a Task,
    /// Its session file.
    pub session: &'a Session,
    /// Where its files are.
    pub bench: Bench,
    /// The trial's start, on the run's clock.
    pub origin: u64,
    /// Most time.
    pub time: Duration,
}

/// What came of a session.
#[derive(Debug)]
pub struct Played {
    /// How it ended.
    pub work: Work,
    /// What its checks found.
    pub grade: Grade,
    /// How long the checks took.
    pub checking_ns: u64,
    /// For how long the trial's clock stood still.
    pub stood_still_ns: u64,
}

impl Played {
    /// A session that could not be held.
    #[must_use]
    pub fn never(stop: Stop, turns: u32, name: &str) -> Self {
        Played {
            grade: Grade {
                verifier_failed: true,
                ..Grade::default()
            },
            checking_ns: 0,
            stood_still_ns: 0,
            work: Work {
                stop,
                transcript: transcript::empty(("timeslip", env!("CARGO_PKG_VERSION")), name, ""),
                turns,
                end: clock::now(),
            },
        }
    }
}

/// Plays a session with a driver; what is journalled goes to `record`.
pub async fn play(
    stage: Stage<'_>,
    driver: Box<dyn Driver>,
    observations: UnboundedReceiver<Observation>,
    record: &mut (dyn FnMut(Event) + Send),
) -> Played {
    let takes_back = |act: &ScriptedAct| matches!(act.does, Does::Undo | Does::Reject);
    let mut player = Player {
        acts: Acts::new(stage.origin),
        deadline: Instant::now() + stage.time,
        tree: Tree::new(&stage.bench, stage.session.acts.iter().any(takes_back)),
        problems: Vec::new(),
        checking_ns: 0,
        stood_still_ns: 0,
        stage,
        driver,
        observations,
        record,
        answering: None,
        redirected_to: None,
        ended: None,
    };
    let stop = player.play().await;
    player.close(stop).await
}

/// Why an act cannot go on.
type Cut<T> = Result<T, Stop>;

struct Player<'a> {
    stage: Stage<'a>,
    driver: Box<dyn Driver>,
    observations: UnboundedReceiver<Observation>,
    record: &'a mut (dyn FnMut(Event) + Send),
    acts: Acts,
    tree: Tree,
    deadline: Instant,
    /// The act whose answer is under way.
    answering: Option<u32>,
    /// The act whose answer follows that one.
    redirected_to: Option<u32>,
    /// The session failed.
    ended: Option<Stop>,
    /// What each check found.
    problems: Vec<Option<String>>,
    checking_ns: u64,
    stood_still_ns: u64,
}

impl Player<'_> {
    async fn play(&mut self) -> Stop {
        if let Err(stop) = self.driver.start().await {
            return stop;
        }
        let session = self.stage.session;
        for scripted in &session.acts {
            if let Err(stop) = self.act(scripted).await {
                return stop;
            }
        }
        match self.finish_answers().await {
            Ok(()) => Stop::FINISHED,
            Err(stop) => stop,
        }
    }

    async fn act(&mut self, scripted: &ScriptedAct) -> Cut<()> {
        match &scripted.does {
            Does::Ask { text } => self.ask(scripted, text).await,
            Does::Wait { until } => self.wait(scripted, until).await,
            Does::Interrupt => self.interrupt(scripted).await,
            Does::Steer { text } => self.steer(scripted, text).await,
            Does::Type(typed) => self.types(scripted, typed).await,
            Does::Accept | Does::Reject | Does::Undo => self.settle(scripted).await,
        }
    }

    async fn ask(&mut self, scripted: &ScriptedAct, text: &str) -> Cut<()> {
        self.finish_answers().await?;
        self.remember().await?;
        let act = self.acts.begin(scripted, None);
        self.put(act, text).await
    }

    /// Asks, as part of an act.
    async fn put(&mut self, act: u32, text: &str) -> Cut<()> {
        let ask = Ask {
            act,
            text: text.to_owned(),
            suggestion: false,
        };
        let told = self.driver.ask(ask).await?;
        self.acts.told(act, told.at);
        self.answering = Some(act);
        Ok(())
    }

    async fn wait(&mut self, scripted: &ScriptedAct, until: &Until) -> Cut<()> {
        let of = self.answering.or(self.acts.last_answered());
        let act = self.acts.begin(scripted, of);
        let began = Instant::now();
        let pattern = match until {
            Until::Matches(pattern) => Regex::new(pattern).ok(),
            _ => None,
        };
        loop {
            let answer = of.map(|of| self.acts.answer(of));
            let holds = match until {
                Until::Tokens(tokens) => answer.is_some_and(|answer| answer.tokens >= *tokens),
                Until::Text(text) => answer.is_some_and(|answer| answer.text.contains(text)),
                Until::Matches(_) => answer
                    .zip(pattern.as_ref())
                    .is_some_and(|(answer, pattern)| pattern.is_match(&answer.text)),
                Until::Tool(name) => answer.is_some_and(|answer| answer.has_begun(name)),
                Until::Ms(ms) => began.elapsed() >= Duration::from_millis(*ms),
                Until::End(_) => false,
            };
            let over = self.answering.is_none() && !matches!(until, Until::Ms(_));
            if holds || over {
                break;
            }
            let until = match until {
                Until::Ms(ms) => began + Duration::from_millis(*ms),
                _ => self.deadline,
            };
            self.observe(until).await?;
        }
        self.acts.end(act, clock::now());
        self.check(act, scripted.check.as_ref(), of).await
    }

    async fn interrupt(&mut self, scripted: &ScriptedAct) -> Cut<()> {
        let of = self.answering.or(self.acts.last_answered());
        let act = self.acts.begin(scripted, of);
        self.stop(act, of).await?;
        self.acts.end_if_open(act);
        self.finish_answers().await?;
        self.check(act, scripted.check.as_ref(), of).await
    }

    /// Stops what is being answered, and waits until all has been seen of that.
    async fn stop(&mut self, act: u32, of: Option<u32>) -> Cut<()> {
        self.take_in();
        let told = self.driver.interrupt(act, ExchangeEnd::Interrupted).await;
        self.acts.stop(act, of, told.at);
        let patience = Instant::now() + MAX_STOPPING;
        while self.acts.race(act).is_none() && Instant::now() < patience {
            self.observe(patience.min(self.deadline)).await?;
        }
        self.acts.lose(act);
        Ok(())
    }

    async fn steer(&mut self, scripted: &ScriptedAct, text: &str) -> Cut<()> {
        self.take_in();
        let of = self.answering.or(self.acts.last_answered());
        let act = self.acts.begin(scripted, of);
        let running = self.answering.is_some();
        match self.driver.abilities().steers.filter(|_| running) {
            Some(way) => {
                let told = self.driver.steer(act, text).await;
                self.acts.stop(act, of, told.at);
                self.acts.way(act, way);
                let patience = Instant::now() + MAX_STOPPING;
                while self.acts.steered(act).is_none() && Instant::now() < patience {
                    self.observe(patience.min(self.deadline)).await?;
                }
                match self.acts.steered(act).cloned() {
                    Some(SteerAnswer::Accepted) => return Ok(()),
                    Some(SteerAnswer::TooLate(why)) => {
                        self.acts.lost_race(act, Race::TooLate, Some(why));
                        self.finish_old_answer(of).await?;
                    }
                    Some(SteerAnswer::Refused(why)) => {
                        self.acts.detail(act, why);
                        self.interrupt_and_ask(act, of).await?;
                    }
                    None => {
                        self.acts.lost_race(act, Race::Lost, None);
                        self.interrupt_and_ask(act, of).await?;
                    }
                }
            }
            None if running => self.interrupt_and_ask(act, of).await?,
            None => {
                let now = clock::now();
                self.acts.stop(act, of, now);
                self.acts.lost_race(act, Race::TooLate, None);
            }
        }
        self.put_redirected(act, text).await
    }

    /// Stops what is being answered, so that the new text can be asked.
    async fn interrupt_and_ask(&mut self, act: u32, of: Option<u32>) -> Cut<()> {
        self.stop(act, of).await?;
        self.acts.way(act, StopWay::InterruptAndAsk);
        self.finish_old_answer(of).await
    }

    async fn put_redirected(&mut self, act: u32, text: &str) -> Cut<()> {
        let ask = Ask {
            act,
            text: text.to_owned(),
            suggestion: false,
        };
        self.driver.ask(ask).await?;
        self.answering = Some(act);
        Ok(())
    }

    /// The redirection was accepted: its answer follows the old one.
    fn redirect(&mut self, act: u32) {
        match self.answering {
            Some(_) => self.redirected_to = Some(act),
            None => self.answering = Some(act),
        }
    }

    async fn settle(&mut self, scripted: &ScriptedAct) -> Cut<()> {
        self.finish_answers().await?;
        let of = self.acts.last_changing();
        let act = self.acts.begin(scripted, of);
        let offered = self.acts.offered();
        let done = match (scripted.does.kind(), offered) {
            (ActKind::Accept, Some(suggestion)) => {
                self.remember().await?;
                self.tree.insert(&self.stage.bench, &suggestion)
            }
            (ActKind::Accept, None) => Err("there is no suggestion to accept".to_owned()),
            // What was only offered is not in the file.
            (ActKind::Reject, Some(_)) => Ok(()),
            _ => {
                let (tree, bench) = (&mut self.tree, &self.stage.bench);
                tree.restore(bench).await
            }
        };
        self.acts.settled();
        if let Err(problem) = done {
            self.acts.detail(act, problem);
        }
        self.acts.end(act, clock::now());
        self.check(act, scripted.check.as_ref(), of).await
    }

    /// Remembers what the files are now, where a session takes something back.
    async fn remember(&mut self) -> Cut<()> {
        let pausing = clock::now();
        let (tree, bench) = (&mut self.tree, &self.stage.bench);
        let remembered = tree.remember(bench).await;
        self.stand_still(pausing);
        remembered.map_err(harness_fault)
    }

    /// Waits until nothing is being answered, and judges what was.
    async fn finish_answers(&mut self) -> Cut<()> {
        self.take_in();
        while self.answering.is_some() {
            self.observe(self.deadline).await?;
        }
        for act in self.acts.finish() {
            let scripted = self.stage.session.acts.get(act as usize - 1);
            let check = scripted.and_then(|scripted| scripted.check.as_ref());
            self.check(act, check, Some(act)).await?;
        }
        self.flush();
        Ok(())
    }

    async fn finish_old_answer(&mut self, of: Option<u32>) -> Cut<()> {
        while self.answering.is_some() && self.answering == of {
            self.observe(self.deadline).await?;
        }
        Ok(())
    }

    /// Tries the check of an act on what has come of it, while the trial's clock stands still.
    async fn check(&mut self, act: u32, check: Option<&Check>, of: Option<u32>) -> Cut<()> {
        let Some(check) = check else {
            return Ok(());
        };
        let pausing = clock::now();
        let said = of
            .map(|of| self.acts.answer(of).text.clone())
            .unwrap_or_default();
        let (check, task, bench) = (
            check.clone(),
            self.stage.task.clone(),
            self.stage.bench.clone(),
        );
        let found = apart(move || {
            let Some(step) = task.steps.first() else {
                return Ok(None);
            };
            check_act(
                &check,
                &said,
                (&task, step),
                &bench.workspace,
                &bench.sandbox,
            )
        });
        let found = found.await;
        let took_ns = clock::now() - pausing;
        self.checking_ns += took_ns;
        // While something is being answered, time goes on.
        if self.answering.is_none() {
            self.stand_still(pausing);
        }
        let problem = found.map_err(harness_fault)?;
        let name = self.acts.name(act).to_owned();
        self.acts.checked(
            act,
            ActCheck {
                passed: problem.is_none(),
                reason: problem.clone(),
                took_ns,
            },
        );
        self.problems
            .push(problem.map(|problem| format!("act {act} ({name}): {problem}")));
        Ok(())
    }

    /// The trial's clock stood still since `pausing`.
    fn stand_still(&mut self, pausing: u64) {
        let stood = clock::now().saturating_sub(pausing);
        self.stood_still_ns += stood;
        self.deadline += Duration::from_nanos(stood);
        self.acts.stood_still(stood);
        self.driver.stood_still(stood);
    }

    /// Takes in what has been seen so far.
    fn take_in(&mut self) {
        while let Ok(observation) = self.observations.try_recv() {
            self.take(observation);
        }
    }

    /// Waits for the next observation, and no longer than until a moment.
    async fn observe(&mut self, until: Instant) -> Cut<()> {
        let until = until.min(self.deadline);
        match tokio::time::timeout_at(until, self.observations.recv()).await {
            Ok(Some(observation)) => {
                self.take(observation);
                // What came together is taken in together.
                self.take_in();
            }
            Ok(None) => return Err(harness_fault("the driver has ended".to_owned())),
            Err(_) if Instant::now() >= self.deadline => {
                return Err(Stop::out_of_time(self.stage.time));
            }
            Err(_) => {}
        }
        match self.ended.clone() {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    fn take(&mut self, observation: Observation) {
        let Observation { at, act, what } = observation;
        match what {
            Observed::Record(event) => {
                self.acts.count(&event);
                (self.record)(event);
            }
            Observed::Failed(stop) => {
                self.answering = None;
                self.ended = Some(stop);
            }
            Observed::Ended { by } => {
                self.acts.answer_ended(at, act, by);
                if self.answering == Some(act) {
                    self.answering = self.redirected_to.take();
                }
            }
            Observed::Stopped(answer) => self.acts.stopped(at, act, answer),
            Observed::Steered(answer) => {
                if answer == SteerAnswer::Accepted {
                    self.acts.confirmed(at, act);
                    // Here, because the old answer's end may come with the new one's.
                    self.redirect(act);
                }
                self.acts.steer_answered(act, answer);
            }
            Observed::Output { kind, text, tokens } => {
                self.acts.output(at, act, kind, &text, tokens);
            }
            Observed::ToolStarted { name, .. } => self.acts.tool_started(at, act, name),
            Observed::ToolEnded { .. } => self.acts.tool_ended(act),
            Observed::ToolGone { .. } => self.acts.tool_gone(at, act),
        }
    }

    /// Journals the acts that are over and of which nothing more is awaited.
    fn flush(&mut self) {
        for act in self.acts.over() {
            (self.record)(Event::Act(Box::new(act)));
        }
    }

    async fn close(mut self, stop: Stop) -> Played {
        let end = clock::now();
        let closed = self.driver.close().await;
        while let Some(observation) = self.observations.recv().await {
            let Observation { what, .. } = observation;
            if let Observed::Record(event) = what {
                self.acts.count(&event);
                (self.record)(event);
            }
        }
        for act in self.acts.all(end) {
            (self.record)(Event::Act(Box::new(act)));
        }
        // What was not reached does not hold.
        let planned = self.stage.session.acts.iter();
        let planned = planned.filter(|act| act.check.is_some()).count();
        let missing = planned.saturating_sub(self.problems.len());
        let unreached = || Some("its act was not reached".to_owned());
        self.problems
            .extend(std::iter::repeat_with(unreached).take(missing));
        Played {
            grade: grade_of(&self.problems),
            checking_ns: self.checking_ns,
            stood_still_ns: self.stood_still_ns,
            work: Work {
                stop,
                transcript: closed.transcript,
                turns: closed.turns,
                end,
            },
        }
    }
}

/// A fault of the machinery.
fn harness_fault(problem: String) -> Stop {
    Stop::because(timeslip_datasets::run::journal::EndedBy::Harness, problem)
}
