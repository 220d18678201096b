//! The simulated accelerator: slots, a prompt cache, and the time a prompt takes.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::dialect::Prompt;
use super::profile::Profile;
use super::tokens;
use timeslip_wire::clock;
use timeslip_wire::timer::Timer;

/// Conversations whose cached prefix is remembered.
const MAX_CACHED: usize = 4096;

/// The shared state of one simulated accelerator.
#[derive(Debug)]
pub struct Engine {
    profile: Profile,
    seed: u64,
    slots: Arc<Semaphore>,
    /// Hashes and tokens of the latest prompt's parts, by conversation.
    prefixes: Mutex<HashMap<String, Vec<(u64, u64)>>>,
}

/// A place on the accelerator.
#[derive(Debug)]
pub struct Slot {
    /// Held until the response is over.
    pub permit: OwnedSemaphorePermit,
    /// How long it was waited for.
    pub queue_ns: u64,
    /// When the request's fixed cost was paid.
    pub begin_ns: u64,
}

impl Engine {
    /// An idle engine.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        let slots = Arc::new(Semaphore::new(profile.queue_slots as usize));
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

    /// The seed of a conversation's jitter.
    #[must_use]
    pub fn seed_of(&self, cache_key: &str) -> u64 {
        self.seed ^ Fnv::of(cache_key.as_bytes()).hash
    }

    /// Counts prompt tokens.
    #[must_use]
    pub fn count(&self, parts: &[Value]) -> u64 {
        parts.iter().map(|part| weigh(part).1).sum()
    }

    /// Counts prompt tokens, and those of the longest prefix that the previous
    /// request with this cache key shares.
    pub fn prompt(&self, cache_key: &str, parts: &[Value]) -> Prompt {
        let parts: Vec<(u64, u64)> = parts.iter().map(weigh).collect();
        let total = |parts: &[(u64, u64)]| parts.iter().map(|(_, tokens)| tokens).sum();
        let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        if prefixes.len() >= MAX_CACHED && !prefixes.contains_key(cache_key) {
            prefixes.clear();
        }
        let before = prefixes.get(cache_key).map_or(&[][..], Vec::as_slice);
        let shared = std::iter::zip(before, &parts)
            .take_while(|(before, now)| before == now)
            .count();
        let prompt = Prompt {
            tokens: total(&parts),
            cached: total(&parts[..shared]),
        };
        prefixes.insert(cache_key.to_owned(), parts);
        prompt
    }

    /// When the fixed cost of a request is paid whose turn comes at `started`.
    #[must_use]
    pub fn begin_ns(&self, started: u64) -> u64 {
        started.saturating_add((self.profile.request_overhead_ms * 1e6) as u64)
    }

    /// Waits for a slot and pays the fixed cost of a request that came at `received_ns`.
    ///
    /// # Errors
    /// When the system refuses the timer.
    pub async fn admit(&self, received_ns: u64, timer: &mut Timer) -> io::Result<Slot> {
        let slots = Arc::clone(&self.slots);
        let had_to_wait = slots.available_permits() == 0;
        let permit = slots.acquire_owned().await.map_err(io::Error::other)?;
        // Without a queue the clock starts when the request was there, not when the
        // server got around to it.
        let started = if had_to_wait {
            clock::now()
        } else {
            received_ns
        };
        let begin_ns = self.begin_ns(started);
        timer.sleep_until(begin_ns).await?;
        Ok(Slot {
            permit,
            queue_ns: started.saturating_sub(received_ns),
            begin_ns,
        })
    }

    /// How long a prompt takes.
    #[must_use]
    pub fn prefill_ns(&self, prompt: Prompt) -> u64 {
        let seconds = (prompt.tokens - prompt.cached) as f64
            / self.profile.prefill_tokens_per_second
            + prompt.cached as f64 / self.profile.cached_tokens_per_second;
        (seconds * 1e9) as u64
    }
}

/// Hash and tokens of a part of a prompt.
fn weigh(part: &Value) -> (u64, u64) {
    let mut weight = Fnv::of(&[]);
    // Writing a value into memory cannot fail.
    let _ = serde_json::to_writer(&mut weight, part);
    (weight.hash, tokens::of_bytes(weight.bytes))
}

/// FNV-1a: stable across runs and platforms, which the standard hasher is not.
struct Fnv {
    hash: u64,
    bytes: usize,
}

impl Fnv {
    fn of(bytes: &[u8]) -> Self {
        let mut fnv = Fnv {
            hash: 0xcbf2_9ce4_8422_2325,
            bytes: 0,
        };
        fnv.add(bytes);
        fnv
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.hash = bytes.iter().fold(self.hash, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
    }
}

impl io::Write for Fnv {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
