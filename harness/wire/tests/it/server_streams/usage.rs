//! Counts of tokens, under any name.

use super::*;

#[test]
fn cached_and_reasoning_tokens_are_found_under_any_name() {
    for usage in [
        json!({ "prompt_tokens_details": { "cached_tokens": 6 } }),
        json!({ "cached_tokens": 6 }),
        json!({ "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4 }),
        json!({ "prompt_tokens_details": null, "input_tokens_details": { "cached_tokens": "6" } }),
        json!({ "cache_read_input_tokens": 6 }),
    ] {
        let mut usage = usage;
        usage["prompt_tokens"] = json!(10);
        usage["completion_tokens"] = json!(7);
        let chunk = json!({ "choices": [{ "delta": { "content": "a" }, "finish_reason": "stop" }], "usage": usage });
        let read = answer("chat-completions", &[&chunk.to_string()])
            .usage
            .unwrap();
        assert_eq!(
            (read.cached_tokens, read.output_tokens),
            (Some(6), 7),
            "{chunk}"
        );
    }
    let line =
        r#"{"message":{"content":"a"},"done":true,"eval_count":10,"prompt_eval_cached_count":90}"#;
    let usage = answer("ollama", &[line]).usage.unwrap();
    assert_eq!(
        (usage.input(), usage.cached_tokens, usage.output()),
        (None, Some(90), Some(10))
    );
}

#[test]
fn tokens_counted_before_the_first_shown_one_are_told_apart() {
    let chunk = |delta: Value, count: u32| {
        json!({ "choices": [{ "delta": delta }], "usage": { "prompt_tokens": 9, "completion_tokens": count } }).to_string()
    };
    let mut chunks: Vec<String> = (1..=20).map(|count| chunk(json!({}), count)).collect();
    chunks.extend((21..=25).map(|count| chunk(json!({ "content": "abc " }), count)));
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    let read = read("chat-completions", &chunks);
    assert_eq!(read.decoder.hidden_tokens(), Some(20));
    assert_eq!(read.tokens, [Some(1); 5]);
}
