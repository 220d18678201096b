//! Asking: prompts of growing size, each new, then each once more.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::clock;
use timeslip_wire::protocols::Item;
use timeslip_wire::{Endpoint, Session};
use tokio::time::Instant;

use super::Effort;
use crate::error::Error;

/// Longest time one answer may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Prompt sizes between the smallest and the largest, each twice the one before.
const SIZES: u32 = 6;
/// Bytes of a token, roughly.
const BYTES_PER_TOKEN: usize = 4;

/// One answered prompt.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The prompt had been sent before.
    pub repeated: bool,
    /// What came of it.
    pub exchange: Exchange,
}

/// Every answered prompt.
pub type Samples = Vec<Sample>;

/// Asks. `progress` is told how many prompts were answered, of how many.
///
/// # Errors
/// [`Error::Unreachable`] when an exchange fails.
pub async fn take(
    endpoint: &Endpoint,
    effort: Effort,
    mut progress: impl FnMut(u32, u32),
) -> Result<Samples, Error> {
    let mut endpoint = endpoint.clone();
    let protocol = endpoint.protocol;
    protocol.bound_output(&mut endpoint.extra, effort.output_tokens);
    let mut samples = Vec::new();
    let total = SIZES * effort.repetitions * 2;
    // Not a fixed seed: a server that was probed before must not know the prompts.
    let mut random = ChaCha8Rng::seed_from_u64(seed());
    for repetition in 0..effort.repetitions {
        for size in 0..SIZES {
            let tokens = effort.context_tokens >> (SIZES - 1 - size);
            let items = [Item::User(prompt(tokens, &mut random))];
            let key = format!("timeslip-probe-{:016x}#1", random.next_u64());
            for repeated in [false, true] {
                let exchange = ask(&endpoint, &key, repetition * SIZES + size, &items).await?;
                samples.push(Sample { repeated, exchange });
                progress(samples.len() as u32, total);
            }
        }
    }
    Ok(samples)
}

async fn ask(
    endpoint: &Endpoint,
    key: &str,
    number: u32,
    items: &[Item],
) -> Result<Exchange, Error> {
    let mut session = Session::new(endpoint, key.to_owned(), clock::now());
    let mut last = None;
    let deadline = Instant::now() + PATIENCE;
    let answered = session
        .ask(number + 1, "", &[], items, deadline, |exchange| {
            last = Some(exchange);
        })
        .await;
    let problem = match (answered, last) {
        (Ok(_), Some(exchange)) => return Ok(exchange),
        (Err(failure), _) => endpoint.redact(&failure.to_string()),
        (Ok(_), None) => "answered without an exchange".into(),
    };
    Err(Error::Unreachable {
        endpoint: endpoint.name.clone(),
        problem,
    })
}

/// A text of about so many tokens that no server has seen, ending in a task that any
/// model can go on with for as long as it may.
fn prompt(tokens: u32, random: &mut ChaCha8Rng) -> String {
    const TASK: &str = "\n\nIgnore the words above. Count upward from 1, one number after \
the other, separated by spaces, and do not stop.";
    let mut text = String::new();
    while text.len() + TASK.len() < tokens as usize * BYTES_PER_TOKEN {
        // Pronounceable, so that tokenizers treat them like words rather than noise.
        for _ in 0..2 + random.next_u32() % 2 {
            text.push(letter("bdfglmnprst", random));
            text.push(letter("aeiou", random));
        }
        text.push(' ');
    }
    text + TASK
}

fn letter(of: &'static str, random: &mut ChaCha8Rng) -> char {
    let index = random.next_u32() as usize % of.len();
    char::from(of.as_bytes()[index])
}

fn seed() -> u64 {
    let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    now as u64 ^ (u64::from(std::process::id()) << 32)
}
