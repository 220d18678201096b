//! Paces one response at a profile's speed and logs when it really went out.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::profile::Profile;
use super::tokens;
use crate::clock;
use crate::timer::Timer;

/// Conversations whose cached prefix is remembered.
const MAX_CACHED: usize = 4096;

/// One event on the wire, and how many output tokens it carries; 0 for structure,
/// which costs no decoding time.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The event.
    pub event: Value,
    /// Output tokens in it.
    pub tokens: u32,
}

/// What a request costs before the first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// All prompt tokens.
    pub tokens: u64,
    /// Those found in the cache.
    pub cached: u64,
}

/// Server-side durations of one response.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timing {
    /// Waiting for a slot.
    pub queue_ns: u64,
    /// Reading the prompt.
    pub prefill_ns: u64,
}

/// The truth about one response, on the server's own clock.
#[derive(Clone, Debug, Serialize)]
pub struct Emission {
    /// Id of the response.
    pub response_id: String,
    /// Request read in full.
    pub received_ns: u64,
    /// Queue and prefill.
    #[serde(flatten)]
    pub timing: Timing,
    /// When each output event was handed to the socket's side, in order.
    pub events_ns: Vec<u64>,
    /// When the terminal event was.
    pub done_ns: u64,
}

/// Where frames go.
pub trait Sink {
    /// Sends one event.
    fn send(&mut self, event: Value) -> impl Future<Output = io::Result<()>> + Send;
}

/// The shared state of one simulated accelerator.
#[derive(Debug)]
pub struct Engine {
    profile: Profile,
    seed: u64,
    slots: Semaphore,
    prefixes: Mutex<HashMap<String, Vec<u64>>>,
}

impl Engine {
    /// An idle engine.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        let slots = Semaphore::new(profile.queue_slots as usize);
        Engine {
            profile,
            seed,
            slots,
            prefixes: Mutex::default(),
        }
    }

    /// The profile it runs at.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Counts prompt tokens, and those of the longest prefix that the previous
    /// request with this cache key shares.
    pub fn prompt(&self, cache_key: &str, parts: &[&Value]) -> Prompt {
        let texts: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
        let hashes: Vec<u64> = texts.iter().map(|text| hash(text)).collect();
        let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        if prefixes.len() >= MAX_CACHED && !prefixes.contains_key(cache_key) {
            prefixes.clear();
        }
        let before = prefixes
            .insert(cache_key.to_owned(), hashes.clone())
            .unwrap_or_default();
        let shared = std::iter::zip(&before, &hashes)
            .take_while(|(a, b)| a == b)
            .count();
        let count = |texts: &[String]| texts.iter().map(|text| tokens::of_bytes(text.len())).sum();
        Prompt {
            tokens: count(&texts),
            cached: count(&texts[..shared]),
        }
    }

    /// Plays a response: waits for a slot, then admits, reads the prompt and streams.
    /// `admit` gives the frames that say the request was taken, `finish` the last ones.
    ///
    /// # Errors
    /// When the peer is gone.
    pub async fn play(
        &self,
        arrival: Arrival<'_>,
        admit: impl FnOnce(Timing) -> Vec<Frame>,
        frames: Vec<Frame>,
        finish: impl FnOnce(Timing) -> Vec<Frame>,
        sink: &mut impl Sink,
    ) -> io::Result<Emission> {
        let profile = &self.profile;
        let mut timer = Timer::new()?;
        let _slot = self.slots.acquire().await.map_err(io::Error::other)?;
        let started = clock::now();
        let timing = Timing {
            queue_ns: started - arrival.received_ns,
            prefill_ns: self.prefill_ns(arrival.prompt),
        };
        let prefilling = started + (profile.request_overhead_ms * 1e6) as u64;
        timer.sleep_until(prefilling).await?;
        let mut sequence = 0_u64;
        let mut numbered = |mut event: Value| {
            event["sequence_number"] = sequence.into();
            sequence += 1;
            event
        };
        for frame in admit(timing) {
            sink.send(numbered(frame.event)).await?;
        }
        let mut due = prefilling.saturating_add(timing.prefill_ns);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ hash(arrival.noise));
        let mut events_ns = Vec::with_capacity(frames.len());
        let step_ns = 1e9 / profile.decode_tokens_per_second;
        for frame in frames {
            if frame.tokens > 0 {
                // A log-normal step with mean one keeps the average rate.
                let sigma = profile.jitter;
                let stretch = (sigma * normal(&mut random) - 0.5 * sigma * sigma).exp();
                due = due.saturating_add((step_ns * f64::from(frame.tokens) * stretch) as u64);
                timer.sleep_until(due).await?;
                events_ns.push(clock::now());
            }
            sink.send(numbered(frame.event)).await?;
        }
        for frame in finish(timing) {
            sink.send(numbered(frame.event)).await?;
        }
        Ok(Emission {
            response_id: arrival.response_id.to_owned(),
            received_ns: arrival.received_ns,
            timing,
            events_ns,
            done_ns: clock::now(),
        })
    }

    fn prefill_ns(&self, prompt: Prompt) -> u64 {
        let seconds = (prompt.tokens - prompt.cached) as f64
            / self.profile.prefill_tokens_per_second
            + prompt.cached as f64 / self.profile.cached_tokens_per_second;
        (seconds * 1e9) as u64
    }
}

/// A request as it reached the engine.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Id of the response to come.
    pub response_id: &'a str,
    /// When the request was whole.
    pub received_ns: u64,
    /// What it has to read.
    pub prompt: Prompt,
    /// Seeds the jitter.
    pub noise: &'a str,
}

/// FNV-1a: stable across runs and platforms, which the standard hasher is not.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A standard normal deviate, by Box and Muller.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let mut unit = || (f64::from(random.next_u32()) + 0.5) / (f64::from(u32::MAX) + 1.0);
    (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()
}
