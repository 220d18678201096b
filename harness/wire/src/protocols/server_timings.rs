//! Durations servers report about one response, each in its own shape and unit.
//!
//! All of them are on the server's clock and are used as durations only.

use serde::Deserialize;
use serde_json::Value;
use timeslip_datasets::run::journal::{Reported, Usage};

use super::fields::{Number, Object};
use super::running_times::RunningTimes;
use super::usage::{self, Counts};
use crate::clock;

/// A server's own report of its times.
pub(super) trait ServerTimings: Default + for<'de> Deserialize<'de> {
    /// The same in our terms.
    fn reported(&self) -> Reported;

    /// Reads a report out of a parsed payload.
    fn read(value: &Value) -> Reported {
        Self::deserialize(value).unwrap_or_default().reported()
    }
}

/// `timings` of llama.cpp, in the last event of every protocol it speaks; milliseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LlamaTimings {
    cache_n: Number,
    prompt_ms: Number,
    predicted_ms: Number,
    predicted_n: Number,
}

impl LlamaTimings {
    /// Output tokens so far.
    pub fn output_tokens(&self) -> Option<u64> {
        usage::tokens(self.predicted_n)
    }

    /// Prompt tokens that the cache knew.
    pub fn cached_tokens(&self) -> Option<u64> {
        usage::tokens(self.cache_n)
    }
}

impl ServerTimings for LlamaTimings {
    fn reported(&self) -> Reported {
        Reported {
            prefill_ns: self.prompt_ms.milliseconds(),
            decode_ns: self.predicted_ms.milliseconds(),
            ..Reported::default()
        }
    }
}

/// `metrics` of vLLM, milliseconds. Its time to first token starts when the request is
/// scheduled, after the queue: it is prefill and the first decode step.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct VllmMetrics {
    time_to_first_token_ms: Number,
    queue_time_ms: Number,
    generation_time_ms: Number,
}

impl ServerTimings for VllmMetrics {
    fn reported(&self) -> Reported {
        let queue_ns = self.queue_time_ms.milliseconds();
        let prefill_ns = self.time_to_first_token_ms.milliseconds();
        let decode_ns = self.generation_time_ms.milliseconds();
        let ttft_ns = sum(queue_ns, prefill_ns);
        Reported {
            queue_ns,
            prefill_ns,
            decode_ns,
            ttft_ns,
            total_ns: sum(ttft_ns, decode_ns),
            ..Reported::default()
        }
    }
}

/// `timing_metrics` of `responsesapi.websocket_timing`, milliseconds. Spans overlap: they
/// are used one by one, never summed. Fields named `timeslip_` exist on the simulated
/// endpoints only.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WebSocketTiming {
    engine_queue_max_ms: Number,
    engine_service_ttft_total_ms: Number,
    engine_service_total_ms: Number,
    timeslip_link_round_trip_ms: Number,
    timeslip_prefill_ms: Number,
    timeslip_decode_ms: Number,
}

impl ServerTimings for WebSocketTiming {
    fn reported(&self) -> Reported {
        Reported {
            link_ns: self.timeslip_link_round_trip_ms.milliseconds(),
            prefill_ns: self.timeslip_prefill_ms.milliseconds(),
            decode_ns: self.timeslip_decode_ms.milliseconds(),
            ..Reported::default()
        }
    }
}

impl WebSocketTiming {
    /// The part of the report that is about the whole logical turn so far.
    pub fn running(&self) -> RunningTimes {
        RunningTimes {
            longest_queue_ns: self.engine_queue_max_ms.milliseconds(),
            ttft_ns: self.engine_service_ttft_total_ms.milliseconds(),
            total_ns: self.engine_service_total_ms.milliseconds(),
        }
    }
}

/// `time_info` of Cerebras, seconds; its total is of everything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TimeInfo {
    queue_time: Number,
    prompt_time: Number,
    completion_time: Number,
    total_time: Number,
}

impl ServerTimings for TimeInfo {
    fn reported(&self) -> Reported {
        Reported {
            queue_ns: self.queue_time.seconds(),
            prefill_ns: self.prompt_time.seconds(),
            decode_ns: self.completion_time.seconds(),
            total_ns: self.total_time.seconds(),
            ..Reported::default()
        }
    }
}

/// `usage` of Chat Completions, with the times that Groq, whose total leaves the queue
/// out, and SambaNova put there; seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TimedUsage {
    prompt_tokens: Number,
    input_tokens: Number,
    completion_tokens: Number,
    output_tokens: Number,
    total_tokens: Number,
    prompt_tokens_details: Object<PromptDetails>,
    input_tokens_details: Object<PromptDetails>,
    completion_tokens_details: Object<CompletionDetails>,
    output_tokens_details: Object<CompletionDetails>,
    cached_tokens: Number,
    num_cached_tokens: Number,
    prompt_cache_hit_tokens: Number,
    cached_prompt_tokens: Number,
    cache_read_input_tokens: Number,
    reasoning_tokens: Number,
    queue_time: Number,
    prompt_time: Number,
    completion_time: Number,
    time_to_first_token: Number,
    total_latency: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Number,
    cached_text_tokens: Number,
    cache_read_tokens: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Number,
}

impl TimedUsage {
    /// Output tokens so far.
    pub fn output_tokens(&self) -> Option<u64> {
        usage::tokens(self.output())
    }

    fn output(&self) -> Number {
        usage::first(&[self.completion_tokens, self.output_tokens])
    }

    /// The token counts, under whichever of their names.
    pub fn counts(&self) -> Option<Usage> {
        let none = PromptDetails::default();
        let details = [&self.prompt_tokens_details, &self.input_tokens_details];
        let [prompt, input] = details.map(|details| details.0.as_ref().unwrap_or(&none));
        let counts = Counts {
            input: usage::first(&[self.prompt_tokens, self.input_tokens]),
            cached: usage::first(&[
                prompt.cached_tokens,
                input.cached_tokens,
                prompt.cached_text_tokens,
                prompt.cache_read_tokens,
                self.cached_tokens,
                self.prompt_cache_hit_tokens,
                self.num_cached_tokens,
                self.cached_prompt_tokens,
                self.cache_read_input_tokens,
            ]),
            output: self.output(),
            reasoning: self.reasoning(),
            total: self.total_tokens,
        };
        counts.usage()
    }

    fn reasoning(&self) -> Number {
        let details = [&self.completion_tokens_details, &self.output_tokens_details];
        let [completion, output] = details.map(|details| {
            let details = details.0.as_ref();
            details.map_or_else(Number::default, |details| details.reasoning_tokens)
        });
        usage::first(&[completion, output, self.reasoning_tokens])
    }
}

impl ServerTimings for TimedUsage {
    fn reported(&self) -> Reported {
        let queue_ns = self.queue_time.seconds();
        let prefill_ns = self.prompt_time.seconds();
        let ttft_ns = self.time_to_first_token.seconds();
        let total_ns = self.total_latency.seconds();
        let decode_ns = self
            .completion_time
            .seconds()
            .or_else(|| total_ns?.checked_sub(ttft_ns?));
        Reported {
            queue_ns,
            prefill_ns,
            decode_ns,
            ttft_ns,
            total_ns: total_ns.or_else(|| sum(sum(queue_ns, prefill_ns), decode_ns)),
            ..Reported::default()
        }
    }
}

/// `perf_metrics` of Fireworks, seconds, often written as strings.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct PerfMetrics {
    prefill_queue_duration: Number,
    prefill_duration: Number,
    generation_duration: Number,
    server_time_to_first_token: Number,
    server_processing_time: Number,
}

impl ServerTimings for PerfMetrics {
    fn reported(&self) -> Reported {
        let queue_ns = self.prefill_queue_duration.seconds();
        let ttft_ns = self.server_time_to_first_token.seconds();
        // Without a prefill of its own, what of the time to the first token was not queue.
        // It contains the first decode step.
        let prefill_ns = self
            .prefill_duration
            .seconds()
            .or_else(|| ttft_ns?.checked_sub(queue_ns?));
        Reported {
            queue_ns,
            prefill_ns,
            decode_ns: self.generation_duration.seconds(),
            ttft_ns,
            total_ns: self.server_processing_time.seconds(),
            ..Reported::default()
        }
    }
}

/// Fireworks' time to the first token, which a stream's headers carry, too; seconds.
pub(super) fn fireworks_header(name: &str, value: &str) -> Reported {
    let seconds = (name == "fireworks-server-time-to-first-token")
        .then(|| value.trim().parse::<f64>().ok())
        .flatten();
    Reported {
        ttft_ns: seconds.and_then(|seconds| clock::from_milliseconds(seconds * 1e3)),
        ..Reported::default()
    }
}

/// A `Server-Timing` header's metrics with a meaning here: `link`, `queue`, `prefill`;
/// milliseconds. Whatever the protocol.
pub(crate) fn server_timing_header(value: &str) -> Reported {
    let mut reported = Reported::default();
    for metric in value.split(',') {
        let mut fields = metric.split(';').map(str::trim);
        let name = fields.next().unwrap_or_default();
        let duration = fields.find_map(|field| field.strip_prefix("dur=")?.parse().ok());
        let ns = duration.and_then(clock::from_milliseconds);
        match name {
            "link" => reported.link_ns = ns,
            "queue" => reported.queue_ns = ns,
            "prefill" => reported.prefill_ns = ns,
            _ => {}
        }
    }
    reported
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one?.checked_add(other?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MS: u64 = 1_000_000;

    #[test]
    fn every_servers_units() {
        let vllm = VllmMetrics::read(
            &json!({ "time_to_first_token_ms": 85.0, "queue_time_ms": 12.0, "generation_time_ms": 1000, "mean_itl_ms": null }),
        );
        assert_eq!(
            (vllm.queue_ns, vllm.prefill_ns, vllm.decode_ns),
            (Some(12 * MS), Some(85 * MS), Some(1000 * MS))
        );
        assert_eq!(
            (vllm.ttft_ns, vllm.total_ns),
            (Some(97 * MS), Some(1097 * MS))
        );

        let cerebras = TimeInfo::read(
            &json!({ "queue_time": 0.001, "prompt_time": 0.002, "completion_time": 0.05, "total_time": 0.06, "created": 1 }),
        );
        assert_eq!(
            (cerebras.queue_ns, cerebras.prefill_ns),
            (Some(MS), Some(2 * MS))
        );
        assert_eq!(
            (cerebras.decode_ns, cerebras.total_ns),
            (Some(50 * MS), Some(60 * MS))
        );

        let groq = TimedUsage::read(
            &json!({ "queue_time": 0.001, "prompt_time": 0.002, "completion_time": 0.05, "total_time": 0.052 }),
        );
        assert_eq!(groq.total_ns, Some(53 * MS), "with the queue");

        let sambanova =
            TimedUsage::read(&json!({ "time_to_first_token": 0.1, "total_latency": 0.35 }));
        assert_eq!(
            (sambanova.ttft_ns, sambanova.decode_ns, sambanova.total_ns),
            (Some(100 * MS), Some(250 * MS), Some(350 * MS))
        );
        assert_eq!(sambanova.prefill_ns, None, "the queue is not known");

        let fireworks = PerfMetrics::read(
            &json!({ "prefill-queue-duration": "0.250", "server-time-to-first-token": "0.350" }),
        );
        assert_eq!(
            (fireworks.queue_ns, fireworks.prefill_ns, fireworks.ttft_ns),
            (Some(250 * MS), Some(100 * MS), Some(350 * MS))
        );
        let llama = LlamaTimings::read(&json!({ "prompt_ms": 3, "predicted_ms": 4.5 }));
        assert_eq!(
            (llama.prefill_ns, llama.decode_ns),
            (Some(3 * MS), Some(4_500_000))
        );
    }

    #[test]
    fn nonsense_is_no_report() {
        for value in [
            json!(null),
            json!("fast"),
            json!([]),
            json!({ "prompt_ms": -1, "queue_time": {} }),
        ] {
            assert_eq!(LlamaTimings::read(&value), Reported::default());
            assert_eq!(TimedUsage::read(&value), Reported::default());
        }
    }

    #[test]
    fn headers() {
        let reported = server_timing_header("link;dur=20, queue;desc=x;dur=1.5, cdn;dur=3");
        assert_eq!(
            (reported.link_ns, reported.queue_ns),
            (Some(20 * MS), Some(1_500_000))
        );
        let reported = fireworks_header("fireworks-server-time-to-first-token", "0.25");
        assert_eq!(reported.ttft_ns, Some(250 * MS));
        assert_eq!(fireworks_header("date", "0.25"), Reported::default());
    }
}
