//! `response.steer`: more that is said while a response is being made on a WebSocket.
//!
//! It is accepted as long as the response is being made: what the engine decodes until it
//! heeds that is still sent, `response.incomplete` follows, and a successor that begins where
//! the response was cut. An engine that heeds no stop ends its response first. A response
//! that has ended owes the outputs of its calls before more can be said, or it is too late.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::dialect::{ModelRequest, Refusal};
use super::dialects::responses;
use super::lanes::{Parent, Steer};

/// The responses of a connection that are being made.
#[derive(Debug, Default)]
pub(super) struct Steering(Mutex<HashMap<String, oneshot::Sender<Value>>>);

/// Where a response that is being made learns of another way.
pub(super) struct Told<'s> {
    steering: &'s Steering,
    id: String,
    receiver: oneshot::Receiver<Value>,
}

impl Steering {
    /// A response begins.
    pub(super) fn open(&self, id: &str) -> Told<'_> {
        let (sender, receiver) = oneshot::channel();
        self.responses().insert(id.to_owned(), sender);
        let id = id.to_owned();
        Told {
            steering: self,
            id,
            receiver,
        }
    }

    /// Tells the response that is meant.
    ///
    /// # Errors
    /// Gives it back where no such response is being made, or where it was told before.
    pub(super) fn hand_on(&self, steer: Steer) -> Result<(), Steer> {
        let Some(sender) = self.responses().remove(&steer.response_id) else {
            return Err(steer);
        };
        sender
            .send(steer.input.clone())
            .map_err(|input| Steer { input, ..steer })
    }

    fn responses(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Value>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told<'_> {
    /// The other way, once; never comes back where none is told.
    pub(super) async fn next(&mut self) -> Option<Value> {
        match (&mut self.receiver).await {
            Ok(input) => Some(input),
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.steering.responses().remove(&self.id);
    }
}

impl Parent {
    /// The calls whose outputs are owed: it ended with them.
    pub(super) fn owed(&self) -> Vec<Value> {
        let ids = |kind: &'static str| {
            let items = self.items.iter().filter(move |item| item["type"] == kind);
            items.map(|item| item["call_id"].clone())
        };
        let answered: Vec<Value> = ids("function_call_output").collect();
        let calls = ids("function_call");
        calls.filter(|id| !answered.contains(id)).collect()
    }
}

/// The request that goes on where a response was cut.
///
/// # Errors
/// What is said is no input.
pub(super) fn successor(
    call: ModelRequest,
    parent: Parent,
    input: Value,
) -> Result<ModelRequest, Refusal> {
    let mut prompt = call.prompt.into_iter();
    let (instructions, tools) = (prompt.next(), prompt.next());
    let body = json!({
        "model": call.model,
        "instructions": instructions.unwrap_or_default(),
        "tools": tools.unwrap_or_default(),
        "prompt_cache_key": call.cache_key,
        "previous_response_id": parent.id,
        "input": input,
    });
    responses::call(body, parent.items)
}

pub(super) fn accepted(response_id: &str, stream_id: Option<&str>) -> Value {
    event("accepted", response_id, stream_id)
}

/// Outputs are owed first.
pub(super) fn pending(steer: &Steer, owed: &[Value]) -> Value {
    let mut event = event("pending", &steer.response_id, steer.stream_id.as_deref());
    let stub = |id: &Value| json!({ "type": "function_call_output", "call_id": id });
    event["required_input"] = owed.iter().map(stub).collect();
    event
}

/// The response has ended, or was never there; its input is given back.
pub(super) fn failed(steer: &Steer, known: bool) -> Value {
    let (code, message) = match known {
        true => (
            "response_not_active",
            "The response is no longer in progress.",
        ),
        false => (
            "response_not_found",
            "No response of this id is in progress here.",
        ),
    };
    let mut event = event("failed", &steer.response_id, steer.stream_id.as_deref());
    event["error"] = json!({ "code": code, "message": message });
    event["input"] = steer.input.clone();
    event
}

fn event(outcome: &str, response_id: &str, stream_id: Option<&str>) -> Value {
    let mut event = json!({
        "type": format!("response.steer.{outcome}"),
        "previous_response_id": response_id,
    });
    if let Some(lane) = stream_id {
        event["stream_id"] = json!(lane);
    }
    event
}
