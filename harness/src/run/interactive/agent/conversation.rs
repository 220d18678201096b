//! The conversation with an agent: what is told to it, what it says to that, and what became of
//! the processes that its tools began.

use std::time::Duration;

use timeslip_datasets::run::journal::{EndedBy, EventKind, ExchangeEnd, StopWay};
use timeslip_wire::clock;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::super::driver::{Observation, Observed, Observer, SteerAnswer, StopAnswer};
use super::carrier::{Arrived, Carrier, What};
use super::processes::{self, Family, Gone, Own};
use crate::control::{Came, Dialogue, End, Message, Said, Steered, Told};
use crate::run::agent::Stop;

/// How long is waited for what an agent says to a stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// How soon after a stop an answer has to end by itself that the stop came too late for.
const TOO_LATE: u64 = 250_000_000;

/// How long is waited for the processes of a stopped tool.
const TOOL_PATIENCE: Duration = Duration::from_secs(15);

/// Something to do.
#[derive(Debug)]
pub(super) struct Command {
    /// The act that does it.
    pub act: u32,
    pub does: Does,
    /// Where is told when it was handed over.
    pub told: oneshot::Sender<u64>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Does {
    Ask(String),
    Interrupt(ExchangeEnd),
    Steer(String),
}

/// A conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    dialogue: Box<dyn Dialogue>,
    carrier: Carrier,
    family: Option<Family>,
    observer: Observer,
    /// The act of every ask, by number.
    acts: Vec<u32>,
    /// The last ask has no end yet.
    answering: bool,
    /// What was the agent's own when the last ask was told.
    own: Own,
    /// The last tool that began and has not ended, in the agent's words.
    tool: Option<String>,
    stop: Option<Stopping>,
    steer: Option<Steering>,
    gone: mpsc::UnboundedReceiver<(u32, Gone)>,
    tell_gone: mpsc::UnboundedSender<(u32, Gone)>,
}

/// A stop that was told.
#[derive(Debug)]
struct Stopping {
    act: u32,
    as_what: ExchangeEnd,
    /// The ask that it stops.
    ask: u32,
    /// When it was told.
    at: u64,
    tool: Option<String>,
    deadline: Instant,
    confirmed: Option<u64>,
    /// How the answer ended.
    end: Option<StopAnswer>,
    /// What became of the tool's processes; absent until that is known.
    gone: Option<Gone>,
    /// Nothing more of it is waited for.
    is_over: bool,
}

/// A redirection that was told.
#[derive(Debug)]
struct Steering {
    act: u32,
    /// The ask that it is, or that it is added to.
    ask: u32,
    /// It was answered.
    answered: bool,
}

impl Conversation {
    pub fn new(
        dialogue: Box<dyn Dialogue>,
        carrier: Carrier,
        family: Option<Family>,
        observer: Observer,
    ) -> Self {
        let (tell_gone, gone) = mpsc::unbounded_channel();
        Conversation {
            dialogue,
            carrier,
            family,
            observer,
            acts: Vec::new(),
            answering: false,
            own: Own::default(),
            tool: None,
            stop: None,
            steer: None,
            gone,
            tell_gone,
        }
    }

    /// Talks until nobody commands any more, or the agent has gone. `ready` is told when the
    /// agent can be asked, or why it cannot.
    pub async fn hold(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        ready: oneshot::Sender<Result<(), String>>,
    ) {
        let mut ready = Some(ready);
        let opening = self.dialogue.open();
        self.write(opening).await;
        loop {
            let deadline = self.stop.as_ref().map(|stop| stop.deadline);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                arrived = self.carrier.next() => {
                    let over = self.take(arrived, &mut ready).await;
                    if let Some(why) = over {
                        tell_ready(&mut ready, Err(why.clone()));
                        self.give_up(&why);
                        return;
                    }
                }
                Some((act, gone)) = self.gone.recv() => {
                    if let Some(stop) = self.stop.as_mut().filter(|stop| stop.act == act) {
                        stop.gone = Some(gone);
                    }
                    self.settle();
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    if let Some(stop) = &mut self.stop {
                        stop.end.get_or_insert(StopAnswer::Lost { way: StopWay::AgentInterrupt });
                        stop.gone.get_or_insert(Gone::Nothing);
                        stop.is_over = true;
                    }
                    self.settle();
                }
            }
        }
    }

    fn observe(&self, at: u64, act: u32, what: Observed) {
        // Whoever does not listen any more needs nothing told.
        let _ = self.observer.send(Observation { at, act, what });
    }

    /// The number of the last ask.
    fn last_ask(&self) -> u32 {
        u32::try_from(self.acts.len()).unwrap_or(u32::MAX)
    }

    fn act_of(&self, ask: u32) -> u32 {
        let index = usize::try_from(ask).unwrap_or_default().checked_sub(1);
        let act = index.and_then(|index| self.acts.get(index));
        act.copied().unwrap_or_default()
    }

    /// Hands messages over.
    async fn write(&mut self, messages: Vec<Message>) -> u64 {
        match self.carrier.write(messages).await {
            Ok(at) => at,
            // What is read from it says why, too.
            Err(_) => clock::now(),
        }
    }

    async fn obey(&mut self, Command { act, does, told }: Command) {
        let at = match does {
            Does::Ask(text) => {
                self.own = self.family.map(Family::own).unwrap_or_default();
                let messages = self.dialogue.ask(&text);
                self.acts.push(act);
                self.answering = true;
                (self.tool, self.steer) = (None, None);
                self.write(messages).await
            }
            Does::Interrupt(_) if !self.answering => {
                let at = clock::now();
                self.observe(at, act, Observed::Stopped(StopAnswer::TooLate));
                at
            }
            Does::Interrupt(as_what) => self.interrupt(act, as_what).await,
            Does::Steer(_) if !self.answering => {
                let at = clock::now();
                let why = "nothing was being answered".to_owned();
                self.observe(at, act, Observed::Steered(SteerAnswer::TooLate(why)));
                at
            }
            Does::Steer(text) => {
                let messages = self.dialogue.steer(&text);
                let asks = usize::try_from(self.dialogue.asks()).unwrap_or_default();
                self.acts.resize(asks, act);
                self.steer = Some(Steering {
                    act,
                    ask: self.last_ask(),
                    answered: false,
                });
                self.write(messages).await
            }
        };
        // Whoever does not wait for it needs nothing told.
        let _ = told.send(at);
    }

    async fn interrupt(&mut self, act: u32, as_what: ExchangeEnd) -> u64 {
        // Only of what the agent calls a tool: helpers come and go at any time.
        let family = self.family.filter(|_| self.tool.is_some());
        let began = family
            .map(|family| family.tools(&self.own))
            .unwrap_or_default();
        let messages = self.dialogue.interrupt();
        let at = self.write(messages).await;
        let gone = began.is_empty().then_some(Gone::Nothing);
        if gone.is_none() {
            let tell = self.tell_gone.clone();
            // What comes of it is told; nobody has to wait for it.
            drop(tokio::task::spawn_blocking(move || {
                let _ = tell.send((act, processes::wait_for(began, TOOL_PATIENCE)));
            }));
        }
        self.stop = Some(Stopping {
            act,
            as_what,
            ask: self.last_ask(),
            at,
            tool: self.tool.clone(),
            deadline: Instant::now() + PATIENCE,
            confirmed: None,
            end: None,
            gone,
            is_over: false,
        });
        at
    }

    /// Takes in what came; why nothing more will come, if so.
    async fn take(
        &mut self,
        arrived: Option<Arrived>,
        ready: &mut Option<oneshot::Sender<Result<(), String>>>,
    ) -> Option<String> {
        let Some(Arrived { at, what }) = arrived else {
            return Some("it cannot be read from any more".to_owned());
        };
        let taken = match &what {
            What::Message(message) => self.dialogue.take(Came::Message(message)),
            What::Answer { call, status, body } => self.dialogue.take(Came::Answer {
                call: *call,
                status: *status,
                body,
            }),
            What::Over(why) => return Some(why.clone()),
        };
        if !taken.write.is_empty() {
            self.write(taken.write).await;
        }
        for Told { ask, said } in taken.said {
            match said {
                Said::Ready => tell_ready(ready, Ok(())),
                Said::Broken(why) => return Some(why),
                said => self.said(at, ask, said),
            }
        }
        None
    }

    fn said(&mut self, at: u64, ask: u32, said: Said) {
        let act = self.act_of(ask);
        match said {
            Said::Reasoning => self.output(at, act, EventKind::Reasoning, String::new()),
            Said::Text(text) => self.output(at, act, EventKind::Text, text),
            Said::ToolStarted { id, name } => {
                self.tool = Some(id.clone());
                self.observe(at, act, Observed::ToolStarted { call_id: id, name });
            }
            Said::ToolEnded { id } => {
                if self.tool.as_ref() == Some(&id) {
                    self.tool = None;
                }
                self.observe(at, act, Observed::ToolEnded { call_id: id });
            }
            Said::Confirmed => {
                if let Some(stop) = &mut self.stop {
                    stop.confirmed.get_or_insert(at);
                }
                self.settle();
            }
            Said::Steered(steered) => self.steered(at, steered),
            Said::Ended(end) => self.ended(at, ask, end),
            // They change nothing.
            Said::Started | Said::Unknown(_) | Said::Ready | Said::Broken(_) => {}
        }
    }

    fn output(&self, at: u64, act: u32, kind: EventKind, text: String) {
        let tokens = None;
        self.observe(at, act, Observed::Output { kind, text, tokens });
    }

    fn steered(&mut self, at: u64, steered: Steered) {
        let Some(mut steer) = self.steer.take() else {
            return;
        };
        let first = !std::mem::replace(&mut steer.answered, true);
        let cut = steered == Steered::Cut;
        let applied = cut || steered == Steered::Applied;
        let answer = match steered {
            Steered::Refused(why) if self.answering => SteerAnswer::Refused(why),
            Steered::Refused(why) => SteerAnswer::TooLate(why),
            Steered::Taken | Steered::Applied | Steered::Cut => SteerAnswer::Accepted,
        };
        let (act, refused) = (steer.act, answer != SteerAnswer::Accepted);
        if first {
            self.observe(at, act, Observed::Steered(answer));
        }
        if refused {
            return;
        }
        let before = self.act_of(steer.ask);
        if applied && before != act {
            // It goes on in the same turn: what was answered before is over.
            let by = cut.then_some(ExchangeEnd::Steered);
            self.observe(at, before, Observed::Ended { by });
            if let Some(last) = self.acts.last_mut() {
                *last = act;
            }
        }
        self.steer = Some(steer);
    }

    fn ended(&mut self, at: u64, ask: u32, end: End) {
        let act = self.act_of(ask);
        let redirected = self.steer.as_ref().is_some_and(|steer| steer.ask > ask);
        if redirected {
            self.steered(at, Steered::Taken);
        }
        let stop = self
            .stop
            .as_mut()
            .filter(|stop| stop.ask == ask && stop.end.is_none());
        let by = match (stop, &end) {
            (Some(stop), End::Finished) => {
                let (way, confirmed) = (StopWay::AgentInterrupt, stop.confirmed);
                // Of some protocols the end is all the confirmation there is.
                let soon = at.saturating_sub(stop.at) < TOO_LATE;
                stop.end = Some(match confirmed {
                    None if soon => StopAnswer::TooLate,
                    _ => StopAnswer::Missed { way, confirmed },
                });
                None
            }
            // However an agent calls the end of what was stopped.
            (Some(stop), End::Stopped | End::Failed(_)) => {
                stop.end = Some(StopAnswer::Applied {
                    way: StopWay::AgentInterrupt,
                    confirmed: None,
                });
                Some(stop.as_what)
            }
            (None, End::Finished) => None,
            (None, End::Stopped) if redirected => Some(ExchangeEnd::Steered),
            (None, End::Stopped) => None,
            (None, End::Failed(why)) => {
                let stop = Stop::because(EndedBy::Agent, why.clone());
                self.observe(at, act, Observed::Failed(stop));
                None
            }
        };
        if ask == self.last_ask() {
            self.answering = false;
            self.tool = None;
        }
        self.observe(at, act, Observed::Ended { by });
        let left_over = self.steer.take_if(|steer| steer.ask == ask);
        if let Some(steer) = left_over.filter(|steer| steer.act != act) {
            // It was taken, and nothing came of it.
            self.observe(at, steer.act, Observed::Ended { by: None });
        }
        self.settle();
    }

    /// Tells of a stop once all of it has been seen.
    fn settle(&mut self) {
        let seen = |stop: &mut Stopping| {
            let is_applied = matches!(stop.end, Some(StopAnswer::Applied { .. }));
            let heard = !is_applied || stop.confirmed.is_some();
            stop.is_over || (stop.end.is_some() && stop.gone.is_some() && heard)
        };
        let Some(stop) = self.stop.take_if(seen) else {
            return;
        };
        if let (Some(Gone::At(at)), Some(call_id)) = (stop.gone, stop.tool) {
            self.observe(at, self.act_of(stop.ask), Observed::ToolGone { call_id });
        }
        let answer = match stop.end {
            Some(StopAnswer::Applied { way, .. }) => StopAnswer::Applied {
                way,
                confirmed: stop.confirmed,
            },
            Some(answer) => answer,
            None => return,
        };
        self.observe(clock::now(), stop.act, Observed::Stopped(answer));
    }

    /// The agent has gone: whoever waits for it is told.
    fn give_up(&mut self, why: &str) {
        let at = clock::now();
        if let Some(stop) = self.stop.take() {
            let way = StopWay::AgentInterrupt;
            self.observe(at, stop.act, Observed::Stopped(StopAnswer::Lost { way }));
        }
        let act = self.act_of(self.last_ask());
        let stop = Stop::because(EndedBy::Agent, format!("the agent has gone: {why}"));
        self.observe(at, act, Observed::Failed(stop));
    }
}

fn tell_ready(
    ready: &mut Option<oneshot::Sender<Result<(), String>>>,
    is_ready: Result<(), String>,
) {
    if let Some(ready) = ready.take() {
        // Whoever does not wait any more needs nothing told.
        let _ = ready.send(is_ready);
    }
}
