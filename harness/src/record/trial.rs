//! What a proxy saw of a client, as the lines of a journal.

use std::collections::BTreeMap;
use std::io;

use timeslip_datasets::run::bodies::BodyWriter;
use timeslip_datasets::run::journal::{Event, Exchange, Marks, Tool};
use timeslip_proxy::Seen;
use timeslip_wire::protocols::{Digest, RequestSeen, ToolCall};

use super::{AnsweredCall, Asked, Conversations, Role, Side, ToolTimes, sides};

/// A client that is being recorded.
#[derive(Debug, Default)]
pub struct Recording {
    requests: Vec<(Asked, Exchange)>,
    unread: u32,
    bodies: Option<BodyWriter>,
}

/// What a client did between its start and its end.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Its exchanges and tool calls, in the order in which they ended. Times are what they
    /// were: offsets from the proxy's origin.
    pub events: Vec<Event>,
    /// Who asked what.
    pub conversations: Conversations,
    /// Requests that nothing here can read; they were passed on all the same.
    pub unread: u32,
    /// Calls whose results never came.
    pub unanswered: usize,
}

impl Recording {
    /// A recording that keeps what is said, where `bodies` is there.
    #[must_use]
    pub fn new(bodies: Option<BodyWriter>) -> Self {
        Recording {
            bodies,
            ..Recording::default()
        }
    }

    /// Takes in what a proxy saw, in any order.
    ///
    /// # Errors
    /// When what was said cannot be kept.
    pub fn take(&mut self, seen: Seen) -> io::Result<()> {
        let asked = asked(&seen);
        if seen.upgrade.is_some() {
            // What it took is in the marks of the first message that went over it.
            return Ok(());
        }
        let is_read = seen.exchange.is_some() || sides::of_request(&asked) != Some(Side::Other);
        self.unread += u32::from(!is_read);
        let mut bodies = [None, None];
        if let Some(writer) = &mut self.bodies {
            for (body, kept) in [&seen.request, &seen.response].into_iter().zip(&mut bodies) {
                if body.cut.is_none() && !body.bytes.is_empty() {
                    *kept = Some(writer.keep(&body.bytes)?);
                }
            }
        }
        let mut exchange = exchange(seen);
        [exchange.request_body, exchange.response_body] = bodies;
        self.requests.push((asked, exchange));
        Ok(())
    }

    /// Tells the requests apart.
    #[must_use]
    pub fn finish(self) -> Recorded {
        let Recording {
            mut requests,
            unread,
            ..
        } = self;
        requests.sort_by_key(|(asked, _)| asked.began);
        let (asked, mut exchanges): (Vec<Asked>, Vec<Exchange>) = requests.into_iter().unzip();
        let conversations = Conversations::of(&asked);
        let times = ToolTimes::of(&asked, &conversations);
        for (exchange, placed) in exchanges.iter_mut().zip(&conversations.placed) {
            exchange.agent = placed.agent.and_then(|agent| u32::try_from(agent).ok());
            match placed.role {
                Role::Turn { turn, retry } => (exchange.turn, exchange.retry) = (turn, retry),
                Role::Side(side) => {
                    exchange.turn = 0;
                    exchange.warm_up = side == Side::Prewarm;
                    exchange.side = Some(side.name().to_owned());
                }
            }
        }
        repeated(&mut exchanges);
        let tools = times.tools.into_iter();
        let tools = tools.map(|tool| Event::Tool(begun_by(tool, &conversations)));
        let mut events: Vec<Event> = exchanges
            .into_iter()
            .map(|exchange| Event::Exchange(Box::new(exchange)))
            .chain(tools)
            .collect();
        events.sort_by_key(ended);
        Recorded {
            events,
            unanswered: times.unanswered.len(),
            conversations,
            unread,
        }
    }
}

impl Recorded {
    /// Turns of all agents.
    #[must_use]
    pub fn turns(&self) -> u32 {
        self.conversations
            .agents
            .iter()
            .map(|agent| agent.turns)
            .sum()
    }
}

/// When its first byte came.
fn began(seen: &Seen) -> u64 {
    let marks = seen.exchange.as_ref().map(|exchange| exchange.marks);
    let first = marks.or(seen.upgrade).map(|marks| marks.start);
    first.or(seen.client.request_came).unwrap_or_default()
}

fn ended(event: &Event) -> u64 {
    match event {
        Event::Exchange(exchange) => exchange.marks.done,
        Event::Tool(tool) => tool.end,
        _ => 0,
    }
}

fn asked(seen: &Seen) -> Asked {
    let exchange = seen.exchange.as_ref();
    let answer = seen.answer.as_ref();
    let is_whole = seen.request.cut.is_none();
    let calls = exchange.map_or(&[][..], |exchange| &exchange.calls);
    let arguments = |call_id: &str, place: usize| {
        let calls = answer.map_or(&[][..], |answer| &answer.calls);
        let named = calls.iter().find(|call| call.call_id == call_id);
        named
            .or(calls.get(place))
            .map(|call| call.arguments.clone())
    };
    let calls = calls.iter().enumerate().map(|(place, call)| AnsweredCall {
        call: ToolCall {
            call_id: call.call_id.clone(),
            name: call.name.clone(),
            arguments: arguments(&call.call_id, place).unwrap_or_default(),
        },
        at: call.at,
    });
    let headers = seen.request_headers.iter();
    Asked {
        began: began(seen),
        done: exchange
            .map_or(seen.client.last_handed_on, |exchange| {
                Some(exchange.marks.done)
            })
            .unwrap_or_default(),
        method: seen.method.clone(),
        path: seen.target.clone(),
        is_message: seen.upgrade.is_none()
            && exchange.is_some_and(|exchange| exchange.transport == "websocket"),
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect(),
        seen: is_whole
            .then(|| RequestSeen::read(&seen.target, &seen.request.bytes))
            .flatten()
            .map(|(_, seen)| seen),
        body: (is_whole && !seen.request.bytes.is_empty())
            .then(|| Digest::of_text(&String::from_utf8_lossy(&seen.request.bytes))),
        calls: calls.collect(),
        text: answer.map(|answer| answer.text.clone()).unwrap_or_default(),
        response_id: answer.and_then(|answer| answer.id.clone()),
        status: seen.status,
        is_cut: exchange.is_some_and(|exchange| exchange.error.is_some()),
    }
}

/// The exchange, or for what is none how long it took.
fn exchange(seen: Seen) -> Exchange {
    let began = began(&seen);
    seen.exchange.unwrap_or_else(|| Exchange {
        transport: "http".to_owned(),
        marks: Marks {
            start: began,
            done: seen.client.last_handed_on.unwrap_or(began).max(began),
            ..Marks::default()
        },
        request_bytes: Some(seen.request.wire_bytes),
        response_bytes: Some(seen.response.wire_bytes),
        error: seen.problem,
        ..Exchange::default()
    })
}

/// A try that was made again gave nothing: all until the next one is waiting.
fn repeated(exchanges: &mut [Exchange]) {
    let mut next: BTreeMap<(Option<u32>, u32), u64> = BTreeMap::new();
    for exchange in exchanges
        .iter_mut()
        .rev()
        .filter(|exchange| exchange.side.is_none())
    {
        let again = next.insert((exchange.agent, exchange.turn), exchange.marks.start);
        exchange.backoff_until = again.filter(|_| exchange.error.is_some());
    }
}

/// Notes the agent that a call began.
fn begun_by(tool: Tool, conversations: &Conversations) -> Tool {
    let is_of = |agent: &super::Agent| {
        agent.begun_by.as_ref() == Some(&tool.call_id)
            && agent.parent.and_then(|parent| u32::try_from(parent).ok()) == tool.agent
    };
    let began = conversations.agents.iter().position(is_of);
    Tool {
        began: began.and_then(|agent| u32::try_from(agent).ok()),
        ..tool
    }
}
