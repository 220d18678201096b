//! Typing: keys at human times, a suggestion after each pause, and each key cancels the
//! suggestion before it.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use timeslip_datasets::run::journal::ExchangeEnd;
use timeslip_datasets::session::{ScriptedAct, Typed, Typing};
use timeslip_wire::clock;
use tokio::time::Instant;

use super::{Cut, Player};
use crate::run::interactive::driver::Ask;

/// Characters around the cursor that a suggestion is asked with.
const CONTEXT: usize = 4_000;

/// When the keys of a text are pressed, from its beginning; the same for a seed.
pub(super) fn key_times(typing: Typing, keys: usize, seed: u64) -> Vec<Duration> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut unit = move || (f64::from(random.next_u32()) + 0.5) / (f64::from(u32::MAX) + 1.0);
    let mut at = Duration::ZERO;
    let mut next = || {
        let normal = (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
        let gap_ms = typing.median_ms * (typing.sigma * normal).exp();
        // Nobody waits for a key for longer.
        at += Duration::from_secs_f64(gap_ms.min(60_000.0) / 1000.0);
        at
    };
    (0..keys).map(|_| next()).collect()
}

impl Player<'_> {
    pub(super) async fn types(&mut self, scripted: &ScriptedAct, typed: &Typed) -> Cut<()> {
        self.finish_answers().await?;
        self.remember().await?;
        let act = self.acts.begin(scripted, None);
        let done = self.type_keys(act, typed).await?;
        if let Err(problem) = done {
            self.acts.detail(act, problem);
        }
        self.acts.end(act, clock::now());
        self.check(act, scripted.check.as_ref(), Some(act)).await
    }

    async fn type_keys(&mut self, act: u32, typed: &Typed) -> Cut<Result<(), String>> {
        if !self.driver.abilities().suggests {
            return Ok(Err("what is driven offers no continuations".to_owned()));
        }
        let (before, after) = match self.tree.place(typed) {
            Ok(place) => place,
            Err(problem) => return Ok(Err(problem)),
        };
        let seed = self.stage.session.seed.wrapping_add(u64::from(act));
        let times = key_times(typed.typing, typed.text.chars().count(), seed);
        let began = Instant::now();
        let debounce = Duration::from_secs_f64(typed.typing.debounce_ms / 1000.0);
        let mut so_far = before;
        for (index, (key, time)) in std::iter::zip(typed.text.chars(), &times).enumerate() {
            self.read_until(began + *time).await?;
            self.supersede(act).await?;
            self.acts.key(act, clock::now());
            so_far.push(key);
            let pause_ends = began + *time + debounce;
            let next = times.get(index + 1).map(|next| began + *next);
            if next.is_none_or(|next| next > pause_ends) {
                self.read_until(pause_ends).await?;
                self.suggest(act, &typed.file, &so_far, &after).await?;
            }
        }
        while self.answering.is_some() {
            self.observe(self.deadline).await?;
        }
        let text = typed.text.clone();
        let inserted = self.tree.insert(&self.stage.bench, &text);
        self.acts.offer(self.acts.answer(act).text.clone());
        Ok(inserted)
    }

    /// Reads along until a moment.
    async fn read_until(&mut self, moment: Instant) -> Cut<()> {
        while Instant::now() < moment {
            self.observe(moment).await?;
        }
        Ok(())
    }

    /// Cancels the suggestion that is under way: the next key makes it pointless.
    async fn supersede(&mut self, act: u32) -> Cut<()> {
        self.take_in();
        if self.answering.is_none() {
            return Ok(());
        }
        let told = self.driver.interrupt(act, ExchangeEnd::Superseded).await;
        self.acts.key_cancelled(act, told.at);
        while self.answering.is_some() {
            self.observe(self.deadline).await?;
        }
        Ok(())
    }

    async fn suggest(&mut self, act: u32, file: &str, before: &str, after: &str) -> Cut<()> {
        let ask = Ask {
            act,
            text: prompt(file, before, after),
            suggestion: true,
        };
        let told = self.driver.ask(ask).await?;
        self.acts.key_asked(act, told.at);
        self.answering = Some(act);
        Ok(())
    }
}

/// What a suggestion is asked with: it ends at the cursor.
fn prompt(file: &str, before: &str, after: &str) -> String {
    let from = before.len().saturating_sub(CONTEXT);
    let from = (from..=before.len()).find(|at| before.is_char_boundary(*at));
    let before = &before[from.unwrap_or(0)..];
    let after: String = after.chars().take(CONTEXT).collect();
    format!("File {file}, after the cursor:\n{after}\n\nFile {file}, up to the cursor:\n{before}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_pressed_at_human_times_and_again_the_same() {
        let typing = Typing::default();
        let times = key_times(typing, 20_001, 7);
        assert_eq!(times, key_times(typing, 20_001, 7));
        assert_ne!(times, key_times(typing, 20_001, 8));
        let mut gaps: Vec<f64> = times
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1000.0)
            .collect();
        gaps.sort_by(f64::total_cmp);
        let median = gaps[gaps.len() / 2];
        assert!((median - 200.0).abs() < 5.0, "{median}");
        // Source: a log-normal gap exceeds 75 ms in 97 of 100 cases.
        let fire = gaps.iter().filter(|gap| **gap > 75.0).count() as f64 / gaps.len() as f64;
        assert!((fire - 0.975).abs() < 0.01, "{fire}");
    }
}
