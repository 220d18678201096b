//! What a proxy saw of a client, as lines of a trial's journal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use timeslip_datasets::run::Keeper;
use timeslip_datasets::run::journal::{Event, Exchange, Marks};
use timeslip_proxy::{Body, Seen};
use timeslip_wire::Redaction;
use timeslip_wire::protocols::{Answer, CommonItems, Digest, Item, ItemKind, RequestSeen};

use super::conversations::{Agent, Conversations, Role};
use super::processes::Processes;
use super::tool_times::ToolTimes;
use super::{AnsweredCall, Asked, Side, shapes, sides};

/// Bytes of conversations that are held. Requests beyond that are in the record, but told apart
/// no more: a thousand turns of the longest contexts take a tenth.
const MAX_HELD: usize = 512 << 20;

/// The transport of messages.
const WEBSOCKET: &str = "websocket";

/// A client that is being recorded.
#[derive(Debug)]
pub struct Recording {
    requests: Vec<Taken>,
    /// What their conversations have in common.
    common: CommonItems,
    /// Bytes of what is held until the conversations are told apart.
    held: usize,
    redaction: Redaction,
    keeper: Keeper,
    unread: u32,
    first_request: Option<u64>,
    /// The client's connections of which something was seen.
    connections: HashSet<u64>,
    processes: Processes,
}

/// One request that was taken in.
#[derive(Debug)]
struct Taken {
    asked: Asked,
    protocol: Option<&'static str>,
    exchange: Exchange,
    answer: Option<Answer>,
}

/// How a client asks its model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spoken {
    /// The protocol, by its configuration name.
    pub protocol: &'static str,
    /// The transport really used.
    pub transport: String,
    /// The model asked for, where a request says it. Untrusted.
    pub model: Option<String>,
}

/// What was recorded of a client.
#[derive(Debug, Default)]
pub struct Lines {
    /// Model calls and tool calls, in the order in which they began. Times are what they were:
    /// offsets from the proxy's origin.
    pub events: Vec<Event>,
    /// When the first byte of the first request came.
    pub first_request: Option<u64>,
    /// The client's agents.
    pub agents: Vec<Agent>,
    /// Turns of all of them.
    pub turns: u32,
    /// How most of those turns were asked; none where there are none.
    pub spoken: Option<Spoken>,
    /// The answers of those turns, each with the results of its calls as far as they came.
    pub answers: Vec<(Answer, Vec<Item>)>,
    /// Why the last model call failed, if it did.
    pub failure: Option<String>,
    /// Requests beside the conversations, by what they were for.
    pub sides: BTreeMap<Side, u32>,
    /// Requests that nothing here can read; they were passed on all the same.
    pub unread: u32,
    /// Calls whose results never came.
    pub unanswered: usize,
}

impl Recording {
    /// A recording without some secrets; the keeper keeps what is said.
    #[must_use]
    pub fn new(redaction: Redaction, keeper: Keeper) -> Self {
        Recording {
            requests: Vec::new(),
            common: CommonItems::default(),
            held: 0,
            redaction,
            keeper,
            unread: 0,
            first_request: None,
            connections: HashSet::new(),
            processes: Processes::default(),
        }
    }

    /// The processes that the client started, where they are known.
    #[must_use]
    pub fn with_processes(self, processes: Processes) -> Self {
        Recording { processes, ..self }
    }

    /// Takes in what a proxy saw, in any order.
    ///
    /// # Errors
    /// When what was said cannot be kept.
    pub fn take(&mut self, mut seen: Seen) -> io::Result<()> {
        // A server may quote the key that it was given.
        for body in [&mut seen.request.bytes, &mut seen.response.bytes] {
            self.redaction.body(body);
        }
        let first = self.first_request.into_iter().chain([began(&seen)]);
        self.first_request = first.min();
        let mut asked = Asked::of(&seen);
        if let Some(said) = &mut asked.seen {
            self.held += self.common.share(said);
        }
        let side = sides::of_request(&asked);
        self.unread += u32::from(seen.exchange.is_none() && side == Some(Side::Other));
        if let Some(marks) = seen.upgrade {
            let exchange = Exchange {
                transport: WEBSOCKET.to_owned(),
                marks,
                ..Exchange::default()
            };
            self.requests.push(Taken {
                asked,
                protocol: None,
                exchange,
                answer: None,
            });
            return Ok(());
        }
        let kept = self.keep(&seen, asked.seen.as_ref())?;
        let protocol = seen.protocol;
        let is_new = self.connections.insert(seen.connection);
        let (mut exchange, mut answer) = exchange(seen, !is_new);
        if let Some(answer) = &mut answer {
            // Nobody sends it back to the server.
            answer.items = Vec::new();
            // The texts of an answer are in `asked`, too.
            let calls = answer.calls.iter().map(|call| call.arguments.len());
            self.held += 2 * (answer.text.len() + calls.sum::<usize>()) + answer.reasoning.len();
        }
        self.held += size_of::<Taken>() + size_of_val(exchange.events.as_slice());
        if self.held > MAX_HELD {
            (asked.seen, asked.calls, asked.text) = <_>::default();
            answer = None;
        }
        // The opening of a WebSocket has a line of its own.
        exchange.reused_connection |= exchange.transport == WEBSOCKET;
        [exchange.request_body, exchange.response_body] = kept;
        self.redaction.exchange(&mut exchange);
        let error = exchange.error.take();
        exchange.error = error.map(|error| self.redaction.words(&error));
        answer
            .iter_mut()
            .for_each(|answer| self.redaction.answer(answer));
        let said = asked.seen.as_ref();
        exchange.incremental = said.is_some_and(|said| said.previous_response.is_some());
        self.requests.push(Taken {
            asked,
            protocol,
            exchange,
            answer,
        });
        Ok(())
    }

    /// Keeps what was said, and gives what request and response are known by.
    fn keep(&self, seen: &Seen, said: Option<&RequestSeen>) -> io::Result<[Option<String>; 2]> {
        let keep = |body: &Body, of_body: &dyn Fn() -> io::Result<String>| {
            let is_whole = body.cut.is_none() && !body.bytes.is_empty();
            is_whole.then(of_body).transpose()
        };
        let (request, response) = (&seen.request, &seen.response);
        match &self.keeper {
            Keeper::Nobody => Ok([None, None]),
            Keeper::Bodies(bodies) => Ok([
                keep(request, &|| bodies.keep(&request.bytes))?,
                keep(response, &|| bodies.keep(&response.bytes))?,
            ]),
            Keeper::Shapes(kept) => Ok([
                keep(request, &|| kept.keep(&shapes::of_request(request, said)))?,
                keep(response, &|| {
                    kept.keep(&shapes::of_response(response, seen.answer.as_ref()))
                })?,
            ]),
        }
    }

    /// Tells the requests apart.
    #[must_use]
    pub fn finish(mut self) -> Lines {
        self.requests.sort_by_key(|taken| taken.asked.began);
        let (mut requests, mut answered) = (Vec::new(), Vec::new());
        for taken in self.requests {
            requests.push(taken.asked);
            answered.push((taken.protocol, taken.exchange, taken.answer));
        }
        let conversations = Conversations::of(&requests);
        let results = results(&requests);
        let mut times = ToolTimes::of(&requests, &conversations);
        self.processes.mark(&mut times.tools, &requests);
        let mut lines = Lines {
            first_request: self.first_request,
            unread: self.unread,
            unanswered: times.unanswered.len(),
            sides: conversations.sides(),
            ..Lines::default()
        };
        let (mut exchanges, mut spoken) = (Vec::new(), BTreeMap::new());
        let answered = answered.into_iter().zip(&requests);
        for (((protocol, mut exchange, answer), asked), placed) in
            answered.zip(&conversations.placed)
        {
            exchange.agent = placed.agent.and_then(|agent| u32::try_from(agent).ok());
            match placed.role {
                Role::Turn { turn, retry } => {
                    (exchange.turn, exchange.retry) = (turn, retry);
                    lines.turns += u32::from(retry == 0);
                    if let Some(protocol) = protocol {
                        let way = Spoken {
                            protocol,
                            transport: exchange.transport.clone(),
                            model: asked.seen.as_ref().and_then(|said| said.model.clone()),
                        };
                        *spoken.entry(way).or_insert(0) += 1;
                    }
                    lines.failure.clone_from(&exchange.error);
                    if let Some(answer) = answer.filter(|_| exchange.error.is_none()) {
                        let results = answer.calls.iter().filter_map(|call| {
                            let output = results.get(call.call_id.as_str())?;
                            Some(Item::ToolResult {
                                call_id: call.call_id.clone(),
                                output: self.redaction.work((*output).to_owned()),
                            })
                        });
                        let results = results.collect();
                        lines.answers.push((answer, results));
                    }
                }
                Role::Side(side) => {
                    exchange.turn = 0;
                    exchange.warm_up = side == Side::Prewarm;
                    exchange.side = Some(side.name().to_owned());
                }
            }
            exchanges.push(exchange);
        }
        repeated(&mut exchanges);
        let most = spoken.into_iter().max_by_key(|(_, turns)| *turns);
        lines.spoken = most.map(|(way, _)| way);
        let exchanges = exchanges.into_iter();
        lines.events = exchanges
            .map(|exchange| Event::Exchange(Box::new(exchange)))
            .collect();
        lines.events.extend(times.tools.into_iter().map(|mut tool| {
            self.redaction.tool(&mut tool, &mut String::new());
            Event::Tool(tool)
        }));
        lines.events.sort_by_key(|event| match event {
            Event::Exchange(exchange) => exchange.marks.start,
            Event::Tool(tool) => tool.start,
            _ => 0,
        });
        lines.agents = conversations.agents;
        lines
    }
}

/// The exchange and its answer; for what is no model call how long it took, and whether its
/// connection had been used before.
fn exchange(seen: Seen, reused_connection: bool) -> (Exchange, Option<Answer>) {
    let began = began(&seen);
    let beside = || Exchange {
        transport: "http".to_owned(),
        reused_connection,
        marks: Marks {
            start: began,
            done: seen.client.last_handed_on.unwrap_or(began).max(began),
            ..Marks::default()
        },
        request_bytes: Some(seen.request.wire_bytes),
        response_bytes: Some(seen.response.wire_bytes),
        error: seen.problem,
        ..Exchange::default()
    };
    (seen.exchange.unwrap_or_else(beside), seen.answer)
}

/// A try that was made again gave nothing: all until the next one is waiting.
fn repeated(exchanges: &mut [Exchange]) {
    let mut next: BTreeMap<(Option<u32>, u32), u64> = BTreeMap::new();
    let turns = exchanges
        .iter_mut()
        .filter(|exchange| exchange.side.is_none());
    for exchange in turns.rev() {
        let again = next.insert((exchange.agent, exchange.turn), exchange.marks.start);
        exchange.backoff_until = again.filter(|_| exchange.error.is_some());
    }
}

/// When a request's first byte came, or else its last.
fn began(seen: &Seen) -> u64 {
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
            is_message: exchange.is_some_and(|exchange| exchange.transport == WEBSOCKET),
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
