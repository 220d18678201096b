//! Single payloads that no honest server sends, or that say what went wrong, as each
//! protocol understands them.

use std::time::Duration;

use timeslip_wire::Failure;
use timeslip_wire::protocols::{self, StreamError};

/// A payload is held in memory while it is read: lists must not multiply it.
#[test]
fn lists_that_no_honest_answer_has_are_refused() {
    let elements = vec!["{}"; 2_000].join(",");
    for (protocol, payload) in [
        ("chat-completions", format!(r#"{{"choices":[{elements}]}}"#)),
        (
            "chat-completions",
            format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{elements}]}}}}]}}"#),
        ),
        ("gemini", format!(r#"{{"candidates":[{elements}]}}"#)),
        (
            "gemini",
            format!(r#"{{"candidates":[{{"content":{{"parts":[{elements}]}}}}]}}"#),
        ),
        (
            "ollama",
            format!(r#"{{"message":{{"tool_calls":[{elements}]}}}}"#),
        ),
    ] {
        let mut decoder = protocols::by_name(protocol).unwrap().decoder();
        let failure = decoder.payload(payload.as_bytes()).unwrap_err();
        assert!(failure.to_string().contains("more than 1000"), "{failure}");
    }
}

/// What is kept to be sent back is parsed, and takes many times the room of its text.
#[test]
fn an_answer_without_end_is_not_kept() {
    let numbers = format!("[{}0]", "0,".repeat(100_000));
    for (protocol, payload) in [
        (
            "responses",
            format!(
                r#"{{"type":"response.output_item.done","item":{{"type":"new","list":{numbers}}}}}"#
            ),
        ),
        (
            "anthropic-messages",
            format!(
                r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"new","list":{numbers}}}}}"#
            ),
        ),
        (
            "gemini",
            format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"f","args":{{"list":{numbers}}}}}}}]}}}}]}}"#
            ),
        ),
        (
            "ollama",
            format!(
                r#"{{"message":{{"tool_calls":[{{"function":{{"name":"f","arguments":{{"list":{numbers}}}}}}}]}}}}"#
            ),
        ),
    ] {
        let mut decoder = protocols::by_name(protocol).unwrap().decoder();
        let refused = (0..50).find_map(|_| decoder.payload(payload.as_bytes()).err());
        let refused = refused.expect(protocol).to_string();
        assert!(refused.contains("MiB of output"), "{refused}");
    }
}

#[test]
fn errors_inside_a_stream_say_whether_another_try_may_help() {
    for (protocol, error, retryable) in [
        (
            "anthropic-messages",
            r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
            true,
        ),
        (
            "anthropic-messages",
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"m"}}"#,
            false,
        ),
        (
            "responses",
            r#"{"type":"response.failed","response":{"error":{"code":"server_is_overloaded","message":"m"}}}"#,
            true,
        ),
        (
            "responses",
            r#"{"type":"error","error":{"type":"service_unavailable_error","code":"slow_down","message":"m"}}"#,
            true,
        ),
        (
            "responses",
            r#"{"type":"response.failed","response":{"error":{"code":"insufficient_quota","message":"m"}}}"#,
            false,
        ),
        (
            "chat-completions",
            r#"{"error":{"message":"m","type":"overloaded_error"}}"#,
            true,
        ),
        (
            "gemini",
            r#"{"error":{"message":"m","status":"UNAVAILABLE"}}"#,
            true,
        ),
        (
            "chat-completions",
            r#"{"error":{"message":"m","code":503}}"#,
            true,
        ),
        (
            "chat-completions",
            r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#,
            false,
        ),
        (
            "chat-completions",
            r#"{"choices":[],"x_groq":{"error":"over_capacity"}}"#,
            false,
        ),
        (
            "gemini",
            r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#,
            true,
        ),
        (
            "gemini",
            r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}"#,
            false,
        ),
        ("ollama", r#"{"error":"model not found"}"#, false),
    ] {
        let mut decoder = protocols::by_name(protocol).unwrap().decoder();
        let failure = decoder.payload(error.as_bytes()).unwrap_err();
        assert!(matches!(failure, StreamError::Server { .. }), "{failure:?}");
        assert_eq!(Failure::from(failure).retryable(), retryable, "{error}");
    }
}

#[test]
fn a_wait_that_an_error_of_the_stream_names_in_words_is_honoured() {
    let error = r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"Rate limit reached for gpt-5. Please try again in 1.2s. Visit our site."}}}"#;
    let mut decoder = protocols::by_name("responses").unwrap().decoder();
    let failure = Failure::from(decoder.payload(error.as_bytes()).unwrap_err());
    assert_eq!(failure.retry_after(), Some(Duration::from_millis(1_200)));
}
