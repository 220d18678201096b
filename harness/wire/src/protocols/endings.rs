//! Why an answer ends, by the words of every server that says so.

use super::StreamError;

/// What a reason to finish means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The model was done, or calls a tool.
    Normal,
    /// The answer goes on, but not here.
    Cut,
    /// The server failed in the middle; this is the HTTP status it would have been.
    Failed(u16),
}

/// Reasons in lower case, with `_` between words. What is not in here is a normal end: only
/// what says so is cut short.
const ENDINGS: &[(&str, Ending)] = &[
    ("stop", Ending::Normal),
    ("end", Ending::Normal),
    ("end_turn", Ending::Normal),
    ("eos", Ending::Normal),
    ("eos_token", Ending::Normal),
    ("stop_sequence", Ending::Normal),
    ("tool_calls", Ending::Normal),
    ("tool_call", Ending::Normal),
    ("tool_use", Ending::Normal),
    ("function_call", Ending::Normal),
    ("complete", Ending::Normal),
    ("completed", Ending::Normal),
    ("done", Ending::Normal),
    ("load", Ending::Normal),
    ("unload", Ending::Normal),
    ("length", Ending::Cut),
    ("limit", Ending::Cut),
    ("max_length", Ending::Cut),
    ("max_tokens", Ending::Cut),
    ("max_output_tokens", Ending::Cut),
    ("max_completion_tokens", Ending::Cut),
    ("max_new_tokens", Ending::Cut),
    ("token_limit", Ending::Cut),
    ("model_length", Ending::Cut),
    ("context_length", Ending::Cut),
    ("context_length_exceeded", Ending::Cut),
    ("context_window_exceeded", Ending::Cut),
    ("model_context_window_exceeded", Ending::Cut),
    ("incomplete", Ending::Cut),
    ("truncated", Ending::Cut),
    ("repetition_truncation", Ending::Cut),
    ("abort", Ending::Cut),
    ("aborted", Ending::Cut),
    ("cancelled", Ending::Cut),
    ("canceled", Ending::Cut),
    ("timeout", Ending::Cut),
    ("pause_turn", Ending::Cut),
    ("content_filter", Ending::Cut),
    ("content_filtered", Ending::Cut),
    ("sensitive", Ending::Cut),
    ("refusal", Ending::Cut),
    ("safety", Ending::Cut),
    ("recitation", Ending::Cut),
    ("language", Ending::Cut),
    ("blocklist", Ending::Cut),
    ("prohibited_content", Ending::Cut),
    ("spii", Ending::Cut),
    ("image_safety", Ending::Cut),
    ("malformed_function_call", Ending::Cut),
    ("unexpected_tool_call", Ending::Cut),
    ("too_many_tool_calls", Ending::Cut),
    ("error", Ending::Failed(500)),
    ("failed", Ending::Failed(500)),
    ("internal_error", Ending::Failed(500)),
    ("server_error", Ending::Failed(500)),
    ("network_error", Ending::Failed(502)),
    ("overloaded", Ending::Failed(529)),
    ("insufficient_system_resource", Ending::Failed(503)),
];

/// What a reason means; `None` when nobody has heard of it.
pub(super) fn known(reason: &str) -> Option<Ending> {
    let same = |known: &str| {
        let letter = |byte: u8| match byte {
            b'-' | b' ' => b'_',
            other => other.to_ascii_lowercase(),
        };
        known.len() == reason.len() && known.bytes().eq(reason.bytes().map(letter))
    };
    let mut endings = ENDINGS.iter();
    let (_, ending) = endings.find(|(known, _)| same(known))?;
    Some(*ending)
}

/// The failure of an answer that ended by one.
pub(super) fn failure(reason: &str, status: u16) -> StreamError {
    StreamError::Server {
        status: Some(status),
        code: reason.to_owned(),
        message: "the server ended its answer by this reason".into(),
        retry_after: None,
    }
}
