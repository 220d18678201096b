//! Which protocol a request speaks.

use serde_json::Value;
use timeslip_wire::protocols::{self, Protocol};

use crate::head;
use crate::seen::Headers;

/// The protocol of a request: by its path, or else by a body that asks for a stream.
pub fn protocol(
    method: &str,
    target: &str,
    headers: &Headers,
    body: &[u8],
) -> Option<&'static dyn Protocol> {
    if method != "POST" {
        return None;
    }
    let by_body = || {
        let body: Value = serde_json::from_slice(body).ok()?;
        // Counting tokens or embedding looks alike, but never streams.
        (body["stream"] == true).then_some(())?;
        let is_list = |field: &str| body[field].is_array();
        let name = match () {
            () if is_list("messages") && head::value(headers, "anthropic-version").is_some() => {
                "anthropic-messages"
            }
            () if is_list("messages") => "chat-completions",
            () if is_list("input") || body["input"].is_string() => "responses",
            () => return None,
        };
        protocols::by_name(name)
    };
    protocols::of_path(target).or_else(by_body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_else_bodies_name_the_protocol() {
        let anthropic = vec![("Anthropic-Version".to_owned(), "2023-06-01".to_owned())];
        let none = Headers::new();
        let streaming = r#"{"stream":true,"messages":[]}"#;
        for (target, headers, body, expected) in [
            ("/v1/responses", &none, "", Some("responses")),
            (
                "/backend-api/codex/responses?a=b",
                &none,
                "",
                Some("responses"),
            ),
            ("/v1/chat/completions", &none, "", Some("chat-completions")),
            (
                "/v1/messages?beta=true",
                &none,
                "",
                Some("anthropic-messages"),
            ),
            (
                "/v1/messages/count_tokens",
                &anthropic,
                r#"{"messages":[]}"#,
                None,
            ),
            (
                "/v1beta/models/g:streamGenerateContent?alt=sse",
                &none,
                "",
                Some("gemini"),
            ),
            (
                "/v1beta/models/g:generateContent",
                &none,
                "",
                Some("gemini"),
            ),
            ("/v1beta/models/g:countTokens", &none, "", None),
            ("/api/chat", &none, "", Some("ollama")),
            ("/gateway", &none, streaming, Some("chat-completions")),
            (
                "/gateway",
                &anthropic,
                streaming,
                Some("anthropic-messages"),
            ),
            (
                "/gateway",
                &none,
                r#"{"stream":true,"input":"x"}"#,
                Some("responses"),
            ),
            ("/gateway", &none, r#"{"input":"x"}"#, None),
            ("/gateway", &none, "no JSON", None),
        ] {
            let found = protocol("POST", target, headers, body.as_bytes());
            assert_eq!(found.map(Protocol::name), expected, "{target} {body}");
        }
        assert!(protocol("GET", "/v1/responses", &none, b"").is_none());
    }
}
