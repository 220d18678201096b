//! What a proxy saw of a client, as lines of a trial's journal.

use std::collections::HashMap;

use timeslip_datasets::run::journal::Event;
use timeslip_proxy::Seen;
use timeslip_wire::Redaction;
use timeslip_wire::protocols::{Answer, Digest, Item, ItemKind, RequestSeen};

use super::conversations::{Conversations, Role};
use super::tool_times::ToolTimes;
use super::{AnsweredCall, Asked, Side};

/// What was recorded of a client.
#[derive(Debug, Default)]
pub struct Lines {
    /// Model calls and tool calls, in the order in which they began.
    pub events: Vec<Event>,
    /// Turns of all of the client's agents.
    pub turns: u32,
    /// The answers of those turns, each with the results of its calls as far as they came.
    pub answers: Vec<(Answer, Vec<Item>)>,
    /// Why the last model call failed, if it did.
    pub failure: Option<String>,
}

impl Lines {
    /// The lines of what was seen, without the endpoint's secrets.
    #[must_use]
    pub fn of(mut seen: Vec<Seen>, redaction: &Redaction) -> Self {
        seen.sort_by_key(began);
        let requests: Vec<Asked> = seen.iter().map(Asked::of).collect();
        let conversations = Conversations::of(&requests);
        let results = results(&requests);
        let mut lines = Lines::default();
        for ((seen, asked), placed) in seen.into_iter().zip(&requests).zip(&conversations.placed) {
            let Some(mut exchange) = seen.exchange else {
                continue;
            };
            redaction.exchange(&mut exchange);
            exchange.error = exchange.error.map(|error| redaction.words(&error));
            let said = asked.seen.as_ref();
            exchange.incremental = said.is_some_and(|said| said.previous_response.is_some());
            match placed.role {
                Role::Turn { turn, retry } => {
                    (exchange.turn, exchange.retry) = (turn, retry);
                    lines.turns += u32::from(retry == 0);
                    lines.failure.clone_from(&exchange.error);
                    if let Some(mut answer) = seen.answer.filter(|_| exchange.error.is_none()) {
                        redaction.answer(&mut answer);
                        let calls = answer.calls.iter();
                        let results = calls.filter_map(|call| {
                            let output = results.get(call.call_id.as_str())?;
                            Some(Item::ToolResult {
                                call_id: call.call_id.clone(),
                                output: redaction.work((*output).to_owned()),
                            })
                        });
                        let results = results.collect();
                        lines.answers.push((answer, results));
                    }
                }
                Role::Side(side) => exchange.warm_up = side == Side::Prewarm,
            }
            lines.events.push(Event::Exchange(Box::new(exchange)));
        }
        let tools = ToolTimes::of(&requests, &conversations).tools.into_iter();
        lines.events.extend(tools.map(|mut tool| {
            redaction.tool(&mut tool, &mut String::new());
            Event::Tool(tool)
        }));
        lines.events.sort_by_key(|event| match event {
            Event::Exchange(exchange) => exchange.marks.start,
            Event::Tool(tool) => tool.start,
            _ => 0,
        });
        lines
    }
}

/// When a request's first byte came, or else its last.
#[must_use]
pub fn began(seen: &Seen) -> u64 {
    let exchange = seen.exchange.as_ref().map(|exchange| exchange.marks.start);
    let upgrade = seen.upgrade.as_ref().map(|marks| marks.start);
    let came = seen.client.request_came;
    exchange.or(upgrade).or(came).unwrap_or(0)
}

/// What tools said, by the ids of their calls.
fn results(requests: &[Asked]) -> HashMap<&str, &str> {
    let said = requests.iter().filter_map(|asked| asked.seen.as_ref());
    let items = said.flat_map(|said| &said.items);
    let results = items.filter_map(|item| match &item.kind {
        ItemKind::Result {
            call_id: Some(call_id),
            text,
            ..
        } => Some((call_id.as_str(), text.as_str())),
        _ => None,
    });
    results.collect()
}

impl Asked {
    /// A request as a proxy saw it.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        let exchange = seen.exchange.as_ref();
        let answer = seen.answer.as_ref();
        let calls = answer.map_or(&[][..], |answer| &answer.calls).iter();
        let arrivals = exchange.map_or(&[][..], |exchange| &exchange.calls).iter();
        let done = exchange.map(|exchange| exchange.marks.done);
        let body = String::from_utf8_lossy(&seen.request.bytes);
        let headers = seen.request_headers.iter();
        Asked {
            began: began(seen),
            done: seen.client.last_handed_on.or(done).unwrap_or(0),
            method: seen.method.clone(),
            path: seen.target.clone(),
            is_message: exchange.is_some_and(|exchange| exchange.transport == "websocket"),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect(),
            seen: RequestSeen::read(&seen.target, &seen.request.bytes).map(|(_, said)| said),
            body: (!body.is_empty()).then(|| Digest::of_text(&body)),
            calls: std::iter::zip(calls, arrivals)
                .map(|(call, arrival)| AnsweredCall {
                    call: call.clone(),
                    at: arrival.at,
                })
                .collect(),
            text: answer.map_or_else(String::new, |answer| answer.text.clone()),
            response_id: answer.and_then(|answer| answer.id.clone()),
            status: seen.status,
            is_cut: exchange.is_some_and(|exchange| exchange.error.is_some())
                || seen.client.left.is_some(),
        }
    }
}
