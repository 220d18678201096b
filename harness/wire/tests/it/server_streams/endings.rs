//! Reasons to finish, and errors in any shape.

use super::*;

#[test]
fn only_what_says_so_is_cut_short_and_a_failure_is_one() {
    for (reason, cut) in [
        ("stop", false),
        ("end_turn", false),
        ("end", false),
        ("eos_token", false),
        ("COMPLETE", false),
        ("whatever", false),
        ("length", true),
        ("MAX_TOKENS", true),
        ("model_length", true),
        ("content_filter", true),
    ] {
        let chunks = chat(&[json!({ "content": "a" })], reason);
        let mut said = read("chat-completions", &[&chunks[0], &chunks[1]]);
        assert_eq!(said.decoder.answer().incomplete.is_some(), cut, "{reason}");
        assert_eq!(
            said.decoder.unknown().len(),
            usize::from(reason == "whatever")
        );
        let delta =
            json!({ "type": "message_delta", "delta": { "stop_reason": reason } }).to_string();
        let answer_ = answer("anthropic-messages", &[&delta]);
        assert_eq!(answer_.incomplete.is_some(), cut, "{reason}");
        let end = json!({ "candidates": [{ "finishReason": reason }] }).to_string();
        assert_eq!(
            answer("gemini", &[&end]).incomplete.is_some(),
            cut,
            "{reason}"
        );
        let line = json!({ "done": true, "done_reason": reason }).to_string();
        assert_eq!(
            answer("ollama", &[&line]).incomplete.is_some(),
            cut,
            "{reason}"
        );
    }
    for (protocol, payload) in [
        (
            "chat-completions",
            r#"{"choices":[{"delta":{},"finish_reason":"error","error":null}]}"#,
        ),
        (
            "chat-completions",
            r#"{"choices":[{"delta":{},"finish_reason":"stop","error":{"code":502,"message":"boom"}}]}"#,
        ),
        (
            "responses",
            r#"{"type":"response.completed","response":{"status":"failed","error":{"code":"server_error","message":"boom"}}}"#,
        ),
        (
            "responses",
            r#"{"type":"response.completed","response":{"status":"completed","error":{"code":503,"message":"boom"}}}"#,
        ),
        (
            "anthropic-messages",
            r#"{"type":"message_delta","delta":{"stop_reason":"error"}}"#,
        ),
        (
            "gemini",
            r#"{"candidates":[{"finishReason":"NETWORK_ERROR"}]}"#,
        ),
        ("ollama", r#"{"done":true,"done_reason":"error"}"#),
    ] {
        let failure = read(protocol, &[payload]).failure.expect(payload);
        assert!(Failure::from(failure).retryable(), "{payload}");
    }
    for (status, kind, reason) in [
        (json!("incomplete"), "response.incomplete", "incomplete"),
        (json!("incomplete"), "response.completed", "incomplete"),
        (json!("cancelled"), "response.completed", "cancelled"),
        (Value::Null, "response.incomplete", "incomplete"),
    ] {
        let event =
            json!({ "type": kind, "response": { "status": status, "incomplete_details": null } });
        assert_eq!(
            answer("responses", &[&event.to_string()])
                .incomplete
                .as_deref(),
            Some(reason)
        );
    }
}

#[test]
fn errors_are_in_the_servers_own_words_and_say_whether_to_try_again() {
    for (protocol, payload, words, again) in [
        (
            "chat-completions",
            r#"{"choices":null,"usage":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#,
            "insufficient balance",
            false,
        ),
        (
            "chat-completions",
            r#"{"choices":null,"base_resp":{"status_code":1002,"status_msg":"rate limit"}}"#,
            "rate limit",
            true,
        ),
        (
            "chat-completions",
            r#"{"detail":"Internal Server Error"}"#,
            "Internal Server Error",
            false,
        ),
        (
            "chat-completions",
            r#"{"error":{"error":{"message":"boom","code":"503"}}}"#,
            "boom",
            true,
        ),
        (
            "chat-completions",
            r#"{"errors":[{"message":"boom"}]}"#,
            "boom",
            false,
        ),
        (
            "responses",
            r#"{"error":{"message":"boom","type":"server_error","code":500}}"#,
            "boom",
            true,
        ),
        (
            "responses",
            r#"{"type":"response.failed","response":{"error":null}}"#,
            "no reason given",
            false,
        ),
        (
            "responses",
            r#"{"type":"error","error":"boom"}"#,
            "boom",
            false,
        ),
        (
            "anthropic-messages",
            r#"{"error":{"message":"boom","type":"overloaded_error"}}"#,
            "boom",
            true,
        ),
        (
            "anthropic-messages",
            r#"{"type":"error","message":"boom","status":529}"#,
            "boom",
            true,
        ),
        ("gemini", r#"{"error":"boom"}"#, "boom", false),
        (
            "ollama",
            r#"{"error":{"message":"boom","code":503}}"#,
            "boom",
            true,
        ),
    ] {
        let failure = Failure::from(read(protocol, &[payload]).failure.expect(payload));
        assert!(failure.to_string().contains(words), "{payload}: {failure}");
        assert_eq!(failure.retryable(), again, "{payload}");
    }
}
