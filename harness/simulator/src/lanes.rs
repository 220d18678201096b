//! The lanes of one WebSocket: requests of a lane are answered in order, lanes side by
//! side, and each remembers its latest response for the next request to continue from.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::dialect::{ModelRequest, Refusal};
use super::dialects::responses;

/// Named lanes of a connection.
const MAX_LANES: usize = 32;
/// Requests of a connection that are answered or wait for their lane.
const MAX_IN_FLIGHT: usize = 16;

/// A lane's name; the lane of requests that name none has none.
pub(super) type Lane = Option<String>;

/// A response to continue from.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) id: String,
    /// The conversation up to its end.
    pub(super) items: Vec<Value>,
}

/// A request whose turn has come.
#[derive(Debug)]
pub(super) struct LaneRequest {
    /// The lane it occupies; none when it was refused out of turn.
    pub(super) lane: Option<Lane>,
    /// The lane as its events name it.
    pub(super) stream_id: Option<String>,
    pub(super) received_ns: u64,
    pub(super) call: Result<ModelRequest, Refusal>,
}

/// More that is said while a response is being made.
#[derive(Debug)]
pub(super) struct Steer {
    /// The lane as its events name it.
    pub(super) stream_id: Option<String>,
    /// The response that is to go another way.
    pub(super) response_id: String,
    /// What is said.
    pub(super) input: Value,
}

/// What a message asks for.
#[derive(Debug)]
pub(super) enum Message {
    /// Nothing yet: it waits for its lane.
    Waits,
    /// A request whose turn has come.
    Turn(Box<LaneRequest>),
    /// Another way.
    Steer(Steer),
}

/// A connection's memory.
#[derive(Debug)]
pub(super) struct Lanes {
    expires: Instant,
    latest: HashMap<Lane, Parent>,
    /// What waits behind the request that is being answered, for every busy lane.
    busy: HashMap<Lane, VecDeque<(u64, Value)>>,
}

impl Lanes {
    pub(super) fn new(lifetime: Duration) -> Self {
        Lanes {
            expires: Instant::now() + lifetime,
            latest: HashMap::new(),
            busy: HashMap::new(),
        }
    }

    /// Takes a message.
    pub(super) fn receive(&mut self, received_ns: u64, data: &[u8]) -> Message {
        let refuse = |stream_id, refusal| {
            Message::Turn(Box::new(LaneRequest {
                lane: None,
                stream_id,
                received_ns,
                call: Err(refusal),
            }))
        };
        let body: Value = match serde_json::from_slice(data) {
            Ok(body) => body,
            Err(problem) => {
                let refusal = Refusal::bad_request("invalid_json", problem.to_string());
                return refuse(None, refusal);
            }
        };
        let lane = body["stream_id"].as_str().map(str::to_owned);
        if !body["stream_id"].is_null() && !lane.as_deref().is_some_and(is_name) {
            let message = "A stream_id has 1 to 256 letters, digits, '_', '.' or '-'.";
            return refuse(None, Refusal::bad_request("invalid_stream_id", message));
        }
        if body["type"] == "response.steer" {
            let Some(response_id) = body["previous_response_id"].as_str() else {
                let message = "response.steer needs previous_response_id.";
                return refuse(
                    lane,
                    Refusal::bad_request("missing_required_parameter", message),
                );
            };
            return Message::Steer(Steer {
                response_id: response_id.to_owned(),
                input: body["input"].clone(),
                stream_id: lane,
            });
        }
        if let Some(refusal) = self.no_room(&lane) {
            return refuse(lane, refusal);
        }
        match self.busy.get_mut(&lane) {
            Some(waiting) => {
                waiting.push_back((received_ns, body));
                Message::Waits
            }
            None => {
                self.busy.insert(lane.clone(), VecDeque::new());
                Message::Turn(Box::new(self.begin(lane, received_ns, body)))
            }
        }
    }

    /// An answer is over; returns the next request of its lane.
    pub(super) fn finish(
        &mut self,
        lane: Option<Lane>,
        parent: Option<Parent>,
    ) -> Option<LaneRequest> {
        let lane = lane?;
        if let Some(parent) = parent {
            self.latest.insert(lane.clone(), parent);
        }
        match self.busy.get_mut(&lane)?.pop_front() {
            Some((received_ns, body)) => Some(self.begin(lane, received_ns, body)),
            None => {
                self.busy.remove(&lane);
                None
            }
        }
    }

    /// The latest response of some lane, by its id.
    pub(super) fn latest(&self, response_id: &str) -> Option<&Parent> {
        let mut latest = self.latest.values();
        latest.find(|parent| parent.id == response_id)
    }

    fn no_room(&self, lane: &Lane) -> Option<Refusal> {
        let known = |lane: &Lane| self.latest.contains_key(lane) || self.busy.contains_key(lane);
        let idle = self
            .latest
            .keys()
            .filter(|lane| !self.busy.contains_key(*lane));
        let named = idle
            .chain(self.busy.keys())
            .filter(|lane| lane.is_some())
            .count();
        let in_flight: usize = self.busy.values().map(|waiting| 1 + waiting.len()).sum();
        let message = if lane.is_some() && named >= MAX_LANES && !known(lane) {
            "Too many lanes on one connection."
        } else if in_flight >= MAX_IN_FLIGHT {
            "Too many responses in flight on one connection."
        } else {
            return None;
        };
        Some(Refusal::bad_request(
            "websocket_stream_limit_reached",
            message,
        ))
    }

    fn begin(&mut self, lane: Lane, received_ns: u64, body: Value) -> LaneRequest {
        // Whatever comes of it, an earlier response is not continued any more: an error
        // evicts it, and an answer takes its place.
        let parent = self.latest.remove(&lane);
        LaneRequest {
            stream_id: lane.clone(),
            lane: Some(lane),
            received_ns,
            call: self.accept(body, parent),
        }
    }

    /// Checks a request and joins it to what it continues from.
    fn accept(&self, body: Value, parent: Option<Parent>) -> Result<ModelRequest, Refusal> {
        let refuse = Refusal::bad_request;
        if body["type"] != "response.create" {
            let message = "Only response.create and response.steer are understood.";
            return Err(refuse("unknown_event", message));
        }
        if Instant::now() >= self.expires {
            let message = "This connection has reached its 60 minutes; open a new one.";
            return Err(refuse("websocket_connection_limit_reached", message));
        }
        let items = match (body["previous_response_id"].as_str(), parent) {
            (None, _) => Vec::new(),
            (Some(wanted), Some(parent)) if *wanted == parent.id => parent.items,
            (Some(wanted), _) => {
                let message = format!("Previous response with id '{wanted}' not found.");
                return Err(Refusal::bad_request("previous_response_not_found", message));
            }
        };
        responses::call(body, items)
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=256).contains(&name.len()) && name.bytes().all(allowed)
}
