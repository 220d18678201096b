//! The acts of a session so far: what has been seen of each, and what that means.

use timeslip_datasets::run::journal::{
    Act, ActCheck, ActKind, Event, EventKind, ExchangeEnd, Keystroke, Race, StopWay,
};
use timeslip_datasets::session::ScriptedAct;

use crate::run::interactive::driver::{SteerAnswer, StopAnswer};

/// What has been seen of an act's answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Its text so far; of a `type` act, that of the latest suggestion.
    pub text: String,
    /// Output tokens, or events where the stream does not count.
    pub tokens: u32,
    events: u32,
    first: Option<u64>,
    /// Names of the tools that have begun.
    tools: Vec<String>,
    running: u32,
    ended: Option<(u64, Option<ExchangeEnd>)>,
    /// The act that stops or redirects it, and when that was told.
    stop: Option<(u32, u64)>,
}

impl Answer {
    /// Whether a tool of this name has begun; any, if it is empty.
    pub fn has_begun(&self, name: &str) -> bool {
        self.tools
            .iter()
            .any(|tool| name.is_empty() || tool == name)
    }
}

#[derive(Debug)]
struct Entry {
    act: Act,
    answer: Answer,
    /// All of it has been seen.
    over: bool,
    journalled: bool,
    steered: Option<SteerAnswer>,
}

/// All acts that have begun; times are from the trial's start.
#[derive(Debug)]
pub(super) struct Acts {
    origin: u64,
    entries: Vec<Entry>,
    /// The suggestion that is on offer.
    offered: Option<String>,
}

impl Acts {
    pub fn new(origin: u64) -> Self {
        Acts {
            origin,
            entries: Vec::new(),
            offered: None,
        }
    }

    fn offset(&self, at: u64) -> u64 {
        at.saturating_sub(self.origin)
    }

    fn entry(&mut self, act: u32) -> Option<&mut Entry> {
        self.entries.get_mut((act as usize).checked_sub(1)?)
    }

    /// An act begins now; its number.
    pub fn begin(&mut self, scripted: &ScriptedAct, of: Option<u32>) -> u32 {
        let number = self.entries.len() as u32 + 1;
        let kind = scripted.does.kind();
        let began = self.offset(timeslip_wire::clock::now());
        self.entries.push(Entry {
            act: Act {
                of,
                ..Act::begun(number, scripted.name.clone(), kind, began)
            },
            answer: Answer::default(),
            over: false,
            journalled: false,
            steered: None,
        });
        number
    }

    /// The trial's clock stood still.
    pub fn stood_still(&mut self, nanoseconds: u64) {
        self.origin = self.origin.saturating_add(nanoseconds);
    }

    pub fn name(&self, act: u32) -> &str {
        let entry = self.entries.get((act as usize).wrapping_sub(1));
        entry.map_or("", |entry| &entry.act.name)
    }

    pub fn answer(&self, act: u32) -> &Answer {
        static NONE: Answer = Answer {
            text: String::new(),
            tokens: 0,
            events: 0,
            first: None,
            tools: Vec::new(),
            running: 0,
            ended: None,
            stop: None,
        };
        let entry = self.entries.get((act as usize).wrapping_sub(1));
        entry.map_or(&NONE, |entry| &entry.answer)
    }

    /// The last act that was answered.
    pub fn last_answered(&self) -> Option<u32> {
        let speaks = |entry: &&Entry| matches!(entry.act.kind, ActKind::Ask | ActKind::Steer);
        let last = self.entries.iter().rev().find(speaks);
        last.map(|entry| entry.act.act)
    }

    /// The last act that may have changed files, or offered to.
    pub fn last_changing(&self) -> Option<u32> {
        let changes = |entry: &&Entry| {
            matches!(
                entry.act.kind,
                ActKind::Ask | ActKind::Steer | ActKind::Type | ActKind::Accept
            )
        };
        let last = self.entries.iter().rev().find(changes);
        last.map(|entry| entry.act.act)
    }

    pub fn told(&mut self, act: u32, at: u64) {
        let at = self.offset(at);
        if let Some(entry) = self.entry(act) {
            entry.act.marks.told = Some(at);
        }
    }

    /// A stop or a redirection was told of the answer of `of`.
    pub fn stop(&mut self, act: u32, of: Option<u32>, at: u64) {
        self.told(act, at);
        let Some(of) = of.filter(|of| *of != act) else {
            return;
        };
        let Some(target) = self.entry(of) else { return };
        let answer = &mut target.answer;
        answer.stop = Some((act, at));
        let (events, tokens, running) = (answer.events, answer.tokens, answer.running);
        if let Some(entry) = self.entry(act) {
            entry.act.counts.events_before = events;
            entry.act.counts.tokens_before = tokens;
            entry.act.in_tool = running > 0;
        }
    }

    pub fn output(&mut self, at: u64, act: u32, kind: EventKind, text: &str, tokens: Option<u32>) {
        let offset = self.offset(at);
        let tokens = tokens.unwrap_or(1);
        let Some(entry) = self.entry(act) else { return };
        let Entry {
            act: own, answer, ..
        } = entry;
        answer.events += 1;
        answer.tokens = answer.tokens.saturating_add(tokens);
        answer.text.push_str(text);
        let first = answer.first.is_none();
        answer.first.get_or_insert(offset);
        if kind == EventKind::Text {
            match own.keystrokes.last_mut() {
                Some(key) => {
                    if key.shown.is_none() {
                        key.shown = Some(offset);
                        own.marks.first_output = Some(offset);
                    }
                }
                None => {
                    own.marks.first_output.get_or_insert(offset);
                }
            }
        }
        let stop = answer.stop;
        if first {
            self.redirected(act, offset);
        }
        if let Some((stop, told)) = stop
            && let Some(stopping) = self.entry(stop)
        {
            let counts = &mut stopping.act.counts;
            if at <= told {
                counts.events_before += 1;
                counts.tokens_before = counts.tokens_before.saturating_add(tokens);
            } else {
                counts.stale_events += 1;
                counts.stale_tokens = counts.stale_tokens.saturating_add(tokens);
                stopping.act.marks.last_event = Some(offset);
            }
        }
    }

    /// The first output of an act came: where it goes another way than an answer before it,
    /// that is the first that does.
    fn redirected(&mut self, act: u32, offset: u64) {
        let Some(at) = (act as usize).checked_sub(1) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        match entry.act.kind {
            ActKind::Steer => entry.act.marks.redirected = Some(offset),
            ActKind::Ask => {
                let before = at.checked_sub(1).and_then(|at| self.entries.get_mut(at));
                if let Some(before) = before.filter(|before| before.act.kind == ActKind::Interrupt)
                {
                    before.act.marks.redirected = Some(offset);
                }
            }
            _ => {}
        }
    }

    pub fn tool_started(&mut self, at: u64, act: u32, name: String) {
        let offset = self.offset(at);
        let Some(entry) = self.entry(act) else { return };
        entry.answer.tools.push(name);
        entry.answer.running += 1;
        entry.act.counts.tools += 1;
        entry.act.marks.first_output.get_or_insert(offset);
    }

    pub fn tool_ended(&mut self, act: u32) {
        if let Some(entry) = self.entry(act) {
            entry.answer.running = entry.answer.running.saturating_sub(1);
        }
    }

    pub fn tool_gone(&mut self, at: u64, act: u32) {
        let offset = self.offset(at);
        let stop = self.entry(act).and_then(|entry| entry.answer.stop);
        if let Some(entry) = stop.and_then(|(stop, _)| self.entry(stop)) {
            entry.act.marks.tool_gone = Some(offset);
        }
    }

    pub fn answer_ended(&mut self, at: u64, act: u32, by: Option<ExchangeEnd>) {
        let offset = self.offset(at);
        let Some(entry) = self.entry(act) else { return };
        if let Some(key) = entry.act.keystrokes.last_mut()
            && by.is_none()
            && key.shown.is_some()
        {
            key.whole = Some(offset);
        }
        entry.answer.ended = Some((offset, by));
        if matches!(entry.act.kind, ActKind::Ask | ActKind::Steer) {
            entry.act.marks.ended = offset;
        }
        let stop = entry.answer.stop;
        // Whether a redirection that was accepted cut the old answer is known now.
        if let Some(stopping) = stop.and_then(|(stop, _)| self.entry(stop))
            && stopping.steered == Some(SteerAnswer::Accepted)
        {
            stopping.act.race = Some(match by {
                Some(_) => Race::Applied,
                None => Race::Queued,
            });
        }
    }

    /// All has been seen of a stop.
    pub fn stopped(&mut self, at: u64, act: u32, answer: StopAnswer) {
        let offset = self.offset(at);
        let origin = self.origin;
        let Some(entry) = self.entry(act) else { return };
        if !entry.act.kind.stops() {
            return;
        }
        let (race, way, confirmed) = match answer {
            StopAnswer::Applied { way, confirmed } => (Race::Applied, Some(way), confirmed),
            StopAnswer::Missed { way, confirmed } => (Race::Missed, Some(way), confirmed),
            StopAnswer::Lost { way } => (Race::Lost, Some(way), None),
            StopAnswer::TooLate => (Race::TooLate, None, None),
            StopAnswer::Refused(why) => {
                entry.act.detail = Some(why);
                (Race::Refused, None, None)
            }
        };
        entry.act.race = Some(race);
        entry.act.way = way.or(entry.act.way);
        entry.act.marks.confirmed = confirmed.map(|at| at.saturating_sub(origin));
        entry.act.marks.ended = offset;
    }

    pub fn confirmed(&mut self, at: u64, act: u32) {
        let offset = self.offset(at);
        if let Some(entry) = self.entry(act) {
            entry.act.marks.confirmed = Some(offset);
        }
    }

    pub fn steer_answered(&mut self, act: u32, answer: SteerAnswer) {
        if let Some(entry) = self.entry(act) {
            entry.steered = Some(answer);
        }
        // The old answer may have ended before that was known.
        let ended = self.entries.iter().find_map(|entry| {
            let (stop, _) = entry.answer.stop?;
            let (_, by) = entry.answer.ended?;
            (stop == act).then_some(by)
        });
        if let (Some(by), Some(entry)) = (ended, self.entry(act))
            && entry.steered == Some(SteerAnswer::Accepted)
        {
            let cut = by.is_some();
            entry.act.race = Some(if cut { Race::Applied } else { Race::Queued });
        }
    }

    pub fn steered(&self, act: u32) -> Option<&SteerAnswer> {
        let entry = self.entries.get((act as usize).checked_sub(1)?)?;
        entry.steered.as_ref()
    }

    pub fn race(&self, act: u32) -> Option<Race> {
        let entry = self.entries.get((act as usize).checked_sub(1)?)?;
        entry.act.race
    }

    /// A stop of which nothing was seen is lost.
    pub fn lose(&mut self, act: u32) {
        if let Some(entry) = self.entry(act) {
            entry.act.race.get_or_insert(Race::Lost);
        }
    }

    pub fn lost_race(&mut self, act: u32, race: Race, why: Option<String>) {
        if let Some(entry) = self.entry(act) {
            entry.act.race = Some(race);
            entry.act.detail = why.or(entry.act.detail.take());
        }
    }

    pub fn way(&mut self, act: u32, way: StopWay) {
        if let Some(entry) = self.entry(act) {
            entry.act.way = Some(way);
        }
    }

    pub fn detail(&mut self, act: u32, why: String) {
        if let Some(entry) = self.entry(act) {
            entry.act.detail = Some(why);
        }
    }

    pub fn checked(&mut self, act: u32, check: ActCheck) {
        if let Some(entry) = self.entry(act) {
            entry.act.check = Some(check);
        }
    }

    /// An act is over.
    pub fn end(&mut self, act: u32, at: u64) {
        let offset = self.offset(at);
        if let Some(entry) = self.entry(act) {
            entry.act.marks.ended = offset;
            entry.over = true;
        }
    }

    /// A stop is over, at the moment at which all had been seen of it.
    pub fn end_if_open(&mut self, act: u32) {
        let now = self.offset(timeslip_wire::clock::now());
        if let Some(entry) = self.entry(act) {
            if entry.act.race == Some(Race::Lost) {
                entry.act.marks.ended = now;
            }
            entry.over = true;
        }
    }

    /// Counts what the journal is told.
    pub fn count(&mut self, event: &Event) {
        let Event::Exchange(exchange) = event else {
            return;
        };
        let superseded = exchange.ended_by == Some(ExchangeEnd::Superseded);
        let of = exchange.act;
        if let Some(entry) = of.and_then(|act| self.entry(act)) {
            entry.act.counts.requests += 1;
            entry.act.counts.cancelled += u32::from(superseded);
        }
    }

    /// The acts whose answers have ended since this was asked last.
    pub fn finish(&mut self) -> Vec<u32> {
        let mut finished = Vec::new();
        for entry in &mut self.entries {
            let speaks = matches!(entry.act.kind, ActKind::Ask | ActKind::Steer);
            if speaks && !entry.over && entry.answer.ended.is_some() {
                entry.over = true;
                finished.push(entry.act.act);
            }
        }
        finished
    }

    /// The acts that are over and were not journalled; of an `interrupt`, only once the next
    /// act is over, too, which may redirect.
    pub fn over(&mut self) -> Vec<Act> {
        let over: Vec<bool> = self.entries.iter().map(|entry| entry.over).collect();
        let mut acts = Vec::new();
        for (at, entry) in self.entries.iter_mut().enumerate() {
            let waits = entry.act.kind == ActKind::Interrupt && over.get(at + 1) != Some(&true);
            if entry.over && !entry.journalled && !waits {
                entry.journalled = true;
                acts.push(entry.act.clone());
            }
        }
        acts
    }

    /// All that were not journalled, at the session's end.
    pub fn all(&mut self, end: u64) -> Vec<Act> {
        let end = self.offset(end);
        let open = self.entries.iter_mut().filter(|entry| !entry.journalled);
        open.map(|entry| {
            entry.journalled = true;
            if !entry.over && entry.answer.ended.is_none() {
                entry.act.marks.ended = end.max(entry.act.marks.began);
            }
            entry.act.clone()
        })
        .collect()
    }

    /// A key was pressed.
    pub fn key(&mut self, act: u32, at: u64) {
        let at = self.offset(at);
        if let Some(entry) = self.entry(act) {
            entry.act.keystrokes.push(Keystroke {
                at,
                ..Keystroke::default()
            });
            entry.act.marks.last_keystroke = Some(at);
            // What was shown belongs to a key before.
            entry.act.marks.first_output = None;
        }
    }

    /// The suggestion of the latest key was asked for.
    pub fn key_asked(&mut self, act: u32, at: u64) {
        let at = self.offset(at);
        if let Some(entry) = self.entry(act) {
            entry.answer.text.clear();
            entry.act.marks.told = Some(at);
            if let Some(key) = entry.act.keystrokes.last_mut() {
                key.asked = Some(at);
            }
        }
    }

    /// The request of the latest key was cancelled.
    pub fn key_cancelled(&mut self, act: u32, at: u64) {
        let at = self.offset(at);
        let key = self
            .entry(act)
            .and_then(|entry| entry.act.keystrokes.last_mut());
        if let Some(key) = key {
            key.cancelled = Some(at);
        }
    }

    /// A suggestion is on offer.
    pub fn offer(&mut self, suggestion: String) {
        self.offered = Some(suggestion);
    }

    /// What is on offer.
    pub fn offered(&self) -> Option<String> {
        self.offered.clone()
    }

    /// Nothing is on offer any more.
    pub fn settled(&mut self) {
        self.offered = None;
    }
}
