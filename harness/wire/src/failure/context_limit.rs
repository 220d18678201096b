//! How servers say that a conversation is longer than their model takes: by a code that a
//! few share, or in words of which each has its own.

/// Codes and words that say it by themselves.
const SAID: [&str; 14] = [
    // OpenAI, Azure, Groq, Cerebras; Anthropic as a reason to stop; LiteLLM; llama.cpp;
    // GitHub; Copilot; Anthropic for the request's bytes.
    "context_length_exceeded",
    "context_window_exceeded",
    "contextwindowexceeded",
    "context_limit_exceeded",
    "exceed_context_size",
    "tokens_limit_reached",
    "max_prompt_tokens_exceeded",
    "request_too_large",
    // Anthropic, Fireworks; Bedrock; Zhipu; Groq; DashScope; text-generation-inference.
    "prompt is too long",
    "input is too long",
    "prompt exceeds max length",
    "reduce the length of the messages",
    "range of input length should be",
    "`inputs` must have less than",
];

/// What may be too long.
const MEASURED: [&str; 17] = [
    "context length",
    "context_length",
    "context window",
    "context_window",
    "context size",
    "context limit",
    "maximum context",
    "max_model_len",
    "prompt length",
    "input length",
    "input tokens",
    "input token count",
    "prompt token count",
    "tokens in the prompt",
    "prompt contains",
    "token limit",
    "`inputs` tokens",
];

/// That it is.
const EXCEEDED: [&str; 11] = [
    "exceed",
    "too long",
    "too large",
    "too many",
    "longer than",
    "larger than",
    "greater than",
    "more than",
    "maximum",
    "must be <=",
    "reduce",
];

/// Limits of other kinds that are told in the same words: of how often, and of the answer.
const OTHER: [&str; 6] = [
    "rate limit",
    "rate_limit",
    "per minute",
    "per day",
    "quota",
    "max_tokens is too large",
];

/// Whether a code, a reason to stop or a message says that the conversation is longer than
/// the model takes.
#[must_use]
pub fn says_context_limit(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
    !says(&OTHER) && (says(&SAID) || says(&MEASURED) && says(&EXCEEDED))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Failure;
    use super::*;
    use crate::protocols::StreamError;

    /// As the servers' documentation and their users quote them.
    const TOO_LONG: [&str; 24] = [
        "context_length_exceeded",
        "model_context_window_exceeded",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "the request exceeds the available context size, try increasing it",
        "request (9000 tokens) exceeds the available context size (8192 tokens)",
        "Please reduce the length of the messages or completion.",
        "The input (41000 tokens) is longer than the model's context length (32768 tokens).",
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
        "Prompt contains 65673 tokens, too large for model with 32768 maximum context length",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081",
        "prompt token count of 70000 exceeds the limit of 64000",
        "Prompt exceeds max length",
        "Your request exceeded model token limit: 8192",
        "invalid params, context window exceeds limit",
        "the input length exceeds the context length",
        "Requested tokens (5000) exceed context window of 4096",
        "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 512 `max_new_tokens`",
        "Range of input length should be [1, 30720]",
        "Input is too long for requested model.",
        "Request body too large for gpt-4o model. Max size: 8000 tokens. tokens_limit_reached",
    ];

    const SOMETHING_ELSE: [&str; 7] = [
        "max_tokens is too large: 50000. This model supports at most 16384 completion tokens",
        "Rate limit reached for input tokens per minute: limit 40000, requested 41000; exceeds",
        "Invalid 'input[3].call_id': string too long. Expected at most 64 characters",
        "You exceeded your current quota, please check your plan; context window",
        "max_output_tokens",
        "content_filter",
        "the model does not exist",
    ];

    #[test]
    fn a_conversation_that_is_too_long_is_known_by_any_servers_words() {
        let wrong = TOO_LONG.iter().filter(|words| !says_context_limit(words));
        assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&&str>::new());
        let wrong = SOMETHING_ELSE
            .iter()
            .filter(|words| says_context_limit(words));
        assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    #[test]
    fn it_is_not_tried_again_whatever_the_status_and_the_place() {
        for words in TOO_LONG {
            let message = words.to_owned();
            let wait = Some(Duration::from_secs(1));
            for failure in [
                Failure::Status {
                    status: 500,
                    message: message.clone(),
                    retry_after: wait,
                },
                Failure::Stream(StreamError::Server {
                    status: Some(500),
                    code: "server_error".to_owned(),
                    message: message.clone(),
                    retry_after: wait,
                }),
                Failure::ClosedBy {
                    code: 1011,
                    reason: message,
                },
            ] {
                assert!(failure.context_limit() && !failure.retryable(), "{failure}");
            }
        }
        let busy = Failure::Status {
            status: 429,
            message: TOO_LONG[0].to_owned(),
            retry_after: None,
        };
        assert!(!busy.context_limit() && busy.retryable());
    }
}
