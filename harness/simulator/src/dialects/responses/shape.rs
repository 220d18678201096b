//! How output items are named in the events of Responses.

use serde_json::{Value, json};

use crate::output::Output;

/// How one kind of output item is named in events.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) id_prefix: &'static str,
    pub(super) delta: &'static str,
    pub(super) done: &'static str,
    /// What holds the text in the `done` event.
    pub(super) field: &'static str,
    /// It has probabilities of tokens.
    pub(super) logprobs: bool,
    pub(super) part: Option<Part>,
}

/// The content part around the text of an item.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) index: &'static str,
    pub(super) added: &'static str,
    pub(super) done: &'static str,
    pub(super) value: fn(&str) -> Value,
}

const REASONING: Shape = Shape {
    id_prefix: "rs_",
    delta: "response.reasoning_summary_text.delta",
    done: "response.reasoning_summary_text.done",
    field: "text",
    logprobs: false,
    part: Some(Part {
        index: "summary_index",
        added: "response.reasoning_summary_part.added",
        done: "response.reasoning_summary_part.done",
        value: |text| json!({ "type": "summary_text", "text": text }),
    }),
};
const TEXT: Shape = Shape {
    id_prefix: "msg_",
    delta: "response.output_text.delta",
    done: "response.output_text.done",
    field: "text",
    logprobs: true,
    part: Some(Part {
        index: "content_index",
        added: "response.content_part.added",
        done: "response.content_part.done",
        value: |text| {
            json!({
                "type": "output_text", "text": text, "annotations": [], "logprobs": [],
            })
        },
    }),
};
const CALL: Shape = Shape {
    id_prefix: "fc_",
    delta: "response.function_call_arguments.delta",
    done: "response.function_call_arguments.done",
    field: "arguments",
    logprobs: false,
    part: None,
};

impl Shape {
    pub(super) fn of(output: &Output) -> Self {
        match output {
            Output::Reasoning(_) => REASONING,
            Output::Text(_) => TEXT,
            Output::Call { .. } => CALL,
        }
    }
}
