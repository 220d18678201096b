//! What the proxy recorded, as lines of a session: whose act each exchange is, why it was cut,
//! and when it was on a clock that stood still in between.

use timeslip_datasets::run::journal::{Event, EventColumns, Exchange, ExchangeEnd, Marks, Tool};

/// What was told to an agent, and when.
#[derive(Debug)]
pub(super) struct Timeline {
    /// The trial's start, on [`timeslip_wire::clock`].
    origin: u64,
    asked: Vec<(u64, u32)>,
    stopped: Vec<(u64, u32, ExchangeEnd)>,
    /// When the trial's clock had stood still, and for how long.
    pauses: Vec<(u64, u64)>,
}

impl Timeline {
    /// Of a trial that began at `origin`.
    pub fn from(origin: u64) -> Self {
        Timeline {
            origin,
            asked: Vec::new(),
            stopped: Vec::new(),
            pauses: Vec::new(),
        }
    }

    /// An act asked for something.
    pub fn asked(&mut self, at: u64, act: u32) {
        self.asked.push((at - self.origin.min(at), act));
    }

    /// An act stopped or redirected what was being answered.
    pub fn stopped(&mut self, at: u64, act: u32, why: ExchangeEnd) {
        self.stopped.push((at - self.origin.min(at), act, why));
    }

    /// The clock had stood still for so long.
    pub fn stood_still(&mut self, at: u64, nanoseconds: u64) {
        self.pauses.push((at - self.origin.min(at), nanoseconds));
    }

    /// Gives a line its act and its time. What is beside the conversation is of no act.
    pub fn place(&self, event: &mut Event) {
        match event {
            Event::Exchange(exchange) => {
                if exchange.side.is_none() {
                    self.attribute(exchange);
                }
                self.shift_exchange(exchange);
            }
            Event::Tool(tool) => self.shift_tool(tool),
            Event::AgentRun(run) => {
                let marks = [
                    &mut run.command_start,
                    &mut run.first_request,
                    &mut run.command_end,
                ];
                marks
                    .into_iter()
                    .flatten()
                    .for_each(|at| *at = self.shifted(*at));
                run.start = self.shifted(run.start);
                run.end = self.shifted(run.end);
            }
            Event::TrialStarted(_) | Event::Act(_) | Event::TrialFinished(_) => {}
        }
    }

    /// An exchange answers the act that was told last before it began. One that was cut after
    /// a stop was told is no failure.
    fn attribute(&self, exchange: &mut Exchange) {
        let Marks { start, done, .. } = exchange.marks;
        let mut asked = self.asked.iter().rev();
        exchange.act = asked.find(|(at, _)| *at <= start).map(|(_, act)| *act);
        if exchange.error.is_none() {
            return;
        }
        let mut stopped = self.stopped.iter();
        let stop = stopped.find(|(at, ..)| (start..=done).contains(at));
        if let Some((_, act, why)) = stop {
            exchange.error = None;
            exchange.ended_by = Some(*why);
            exchange.ended_by_act = Some(*act);
        }
    }

    /// A time of the trial, without the pauses before it.
    fn shifted(&self, at: u64) -> u64 {
        let before = self.pauses.iter().filter(|(pause, _)| *pause <= at);
        at.saturating_sub(before.map(|(_, nanoseconds)| nanoseconds).sum())
    }

    fn shift_exchange(&self, exchange: &mut Exchange) {
        let marks = &mut exchange.marks;
        let optional = [
            &mut marks.settled,
            &mut marks.upgrade_refused,
            &mut marks.dns,
            &mut marks.tcp,
            &mut marks.proxy,
            &mut marks.tls,
            &mut marks.upgraded,
            &mut marks.sent,
            &mut marks.first_byte,
            &mut marks.admitted,
            &mut marks.first_token,
            &mut marks.last_token,
            &mut marks.whole,
            &mut exchange.backoff_until,
        ];
        optional
            .into_iter()
            .flatten()
            .for_each(|at| *at = self.shifted(*at));
        marks.start = self.shifted(marks.start);
        marks.done = self.shifted(marks.done);
        let calls = exchange.calls.iter_mut();
        calls.for_each(|call| call.at = self.shifted(call.at));
        let mut events = EventColumns::with_capacity(exchange.events.as_slice().len());
        for event in exchange.events.as_slice() {
            let mut event = *event;
            event.at = self.shifted(event.at);
            events.push(event);
        }
        exchange.events = events;
    }

    fn shift_tool(&self, tool: &mut Tool) {
        let optional = [&mut tool.command_start, &mut tool.command_end];
        optional
            .into_iter()
            .flatten()
            .for_each(|at| *at = self.shifted(*at));
        tool.start = self.shifted(tool.start);
        tool.end = self.shifted(tool.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(start: u64, done: u64, error: Option<&str>) -> Event {
        Event::Exchange(Box::new(Exchange {
            marks: Marks {
                start,
                first_byte: Some(start + 1),
                done,
                ..Marks::default()
            },
            error: error.map(str::to_owned),
            ..Exchange::default()
        }))
    }

    fn placed(timeline: &Timeline, mut event: Event) -> Exchange {
        timeline.place(&mut event);
        match event {
            Event::Exchange(exchange) => *exchange,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_exchange_is_of_the_act_before_it_and_cut_by_the_stop_within_it() {
        let mut timeline = Timeline::from(1_000);
        timeline.asked(1_100, 1);
        timeline.stopped(1_200, 2, ExchangeEnd::Interrupted);
        timeline.stood_still(1_300, 50);
        timeline.asked(1_400, 3);
        let of = |exchange: &Exchange| (exchange.act, exchange.ended_by_act, exchange.marks.start);
        let cut = placed(&timeline, exchange(110, 201, Some("left")));
        assert_eq!(of(&cut), (Some(1), Some(2), 110));
        assert_eq!(
            (cut.error, cut.ended_by),
            (None, Some(ExchangeEnd::Interrupted))
        );
        let failed = placed(&timeline, exchange(410, 500, Some("status 500")));
        assert_eq!(of(&failed), (Some(3), None, 360));
        assert_eq!(failed.error.as_deref(), Some("status 500"));
        assert_eq!(failed.marks.first_byte, Some(361));
        let before = placed(&timeline, exchange(90, 95, None));
        assert_eq!(of(&before), (None, None, 90));
    }
}
