//! Simulated paired runs with a known truth, for the benchmark of all intervals and for
//! the tests that repeat some of it.

pub mod coverage;
pub mod data;
pub mod nights;
pub mod random;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use random::Random;

/// Runs a simulation so many times on two cores. Each has a generator of its own, seeded
/// by its number, so that the results do not depend on which core took it.
pub fn repeat<T: Send>(
    simulations: usize,
    seed: u64,
    simulate: impl Fn(usize, &mut Random) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut results = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= simulations {
                return results;
            }
            let mut random = Random::new(seed, index as u64);
            results.push((index, simulate(index, &mut random)));
        }
    };
    let mut results: Vec<(usize, T)> = thread::scope(|scope| {
        let other = scope.spawn(worker);
        let mut results = worker();
        results.extend(other.join().expect("a simulation does not panic"));
        results
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A share of simulations with its Monte-Carlo error.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub hits: usize,
    pub of: usize,
}

impl Share {
    pub fn of(hits: &[bool]) -> Self {
        Share {
            hits: hits.iter().filter(|hit| **hit).count(),
            of: hits.len(),
        }
    }

    pub fn value(self) -> f64 {
        self.hits as f64 / self.of as f64
    }

    /// Three standard errors of a share that is truly `expected`: what is beyond them is
    /// not chance.
    pub fn margin(self, expected: f64) -> f64 {
        3.0 * (expected * (1.0 - expected) / self.of as f64).sqrt()
    }

    pub fn is_at_most(self, limit: f64) -> bool {
        self.value() <= limit + self.margin(limit)
    }

    pub fn is_at_least(self, limit: f64) -> bool {
        self.value() >= limit - self.margin(limit)
    }
}
