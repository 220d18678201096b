//! What an endpoint is like, found out by asking it: round trip, prefill speed, cached
//! prefill speed, decode speed against context length, tokens per event.
//!
//! ```text
//! TTFT = round trip + fixed cost + uncached tokens · a + cached tokens · b + one token
//! ```
//!
//! Every prompt is unique from its first word on, so that no server has it cached;
//! then it is sent once more, which shows what a cached token costs. `timeslip probe`
//! fits the slopes robustly; all of it is an estimate and says so.

mod ask;

pub use ask::{Sample, Samples, take};

/// How much to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Largest prompt, in tokens, roughly: servers count differently.
    pub context_tokens: u32,
    /// Prompts of each size.
    pub repetitions: u32,
    /// Output tokens of every answer.
    pub output_tokens: u32,
}
