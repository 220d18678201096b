//! What the protocols have in common: requests that wait for their answers, and the
//! envelopes of JSON-RPC.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// Most requests that wait. Whoever answers none of so many is not waited for.
const MOST: usize = 1024;

/// Longest name or reason of an agent that is repeated.
const LONGEST: usize = 300;

/// Requests that were written, by number.
#[derive(Debug)]
pub(super) struct Calls<W> {
    last: u64,
    waiting: BTreeMap<u64, W>,
}

impl<W> Calls<W> {
    /// None.
    pub fn new() -> Self {
        Calls {
            last: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// The number of the next one, which is about `what`.
    pub fn begin(&mut self, what: W) -> u64 {
        self.last += 1;
        if self.waiting.len() >= MOST {
            self.waiting.pop_first();
        }
        self.waiting.insert(self.last, what);
        self.last
    }

    /// What an answer is about; `None` where nothing with its number was asked.
    pub fn answered(&mut self, call: u64) -> Option<W> {
        self.waiting.remove(&call)
    }
}

/// A message of JSON-RPC.
#[derive(Debug, PartialEq)]
pub(super) enum Envelope {
    /// It asks for something; the id is to be repeated as it is.
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    /// It tells something.
    Notification { method: String, params: Value },
    /// It answers a request of ours.
    Response {
        call: u64,
        result: Result<Value, String>,
    },
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<Value>,
}

impl Envelope {
    /// Reads one; an error for what is none.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let fields: Fields = serde_json::from_slice(line)
            .map_err(|error| format!("a line that is no message ({error})"))?;
        Ok(match (fields.method, fields.id) {
            (Some(method), Some(id)) => Envelope::Request {
                id,
                method,
                params: fields.params,
            },
            (Some(method), None) => Envelope::Notification {
                method,
                params: fields.params,
            },
            (None, id) => Envelope::Response {
                call: id.as_ref().and_then(Value::as_u64).unwrap_or_default(),
                result: match fields.error {
                    Some(error) => Err(reason(&error)),
                    None => Ok(fields.result),
                },
            },
        })
    }
}

/// A request, a notification or an answer of JSON-RPC, which says so itself.
pub(super) fn rpc(mut fields: Value) -> Value {
    fields["jsonrpc"] = json!("2.0");
    fields
}

/// The answer to a request of a kind that is not offered.
pub(super) fn not_offered(id: Value) -> Value {
    json!({"id": id, "error": {"code": -32601, "message": "not offered"}})
}

/// Why, in the words of an error.
pub(super) fn reason(error: &Value) -> String {
    let message = error["message"].as_str().or(error.as_str());
    match message {
        Some(message) => short(message),
        None => short(&error.to_string()),
    }
}

/// A text of an agent, cut.
pub(super) fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// A field that is text.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
