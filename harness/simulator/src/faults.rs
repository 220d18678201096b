//! Faults on demand: what a busy provider and a bad network do, from a seed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use timeslip_datasets::run::emissions::Fault;

use super::dialect::{Dialect, Refusal};
use super::model::unit;
use super::profile::Faults;
use super::schedule::{Beat, Cue};
use super::wire::Framing;

/// Conversations whose requests are counted at once.
const MAX_CONVERSATIONS: usize = 65_536;
/// How long after the last write a connection is reset: what was written is through by
/// then.
const RESET_AFTER_NS: u64 = 2_000_000;

/// What is to go wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drawn {
    pub(super) fault: Fault,
    /// How much of the output comes before it, in [0, 1).
    place: f64,
}

/// Draws the faults of a server.
#[derive(Debug)]
pub(super) struct FaultPlan {
    faults: Faults,
    seed: u64,
    /// Requests so far, by conversation.
    asked: Mutex<HashMap<String, u64>>,
}

impl FaultPlan {
    pub(super) fn new(faults: Faults, server_seed: u64) -> Self {
        FaultPlan {
            seed: faults.seed.unwrap_or(server_seed),
            faults,
            asked: Mutex::default(),
        }
    }

    /// What goes wrong with the next request of a conversation.
    pub(super) fn draw(&self, conversation: &str) -> Option<Drawn> {
        if self.faults.is_none() {
            return None;
        }
        let number = self.count(conversation);
        let unit = |what: &str| {
            let (seed, number) = (self.seed.to_string(), number.to_string());
            unit(&[&seed, conversation, &number, what])
        };
        let mut left = unit("fault");
        let fault = self
            .faults
            .rates()
            .into_iter()
            .find_map(|(_, rate, fault)| {
                left -= rate;
                (left < 0.0).then_some(fault)
            })?;
        let place = unit("place");
        Some(Drawn { fault, place })
    }

    fn count(&self, conversation: &str) -> u64 {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= MAX_CONVERSATIONS && !asked.contains_key(conversation) {
            asked.clear();
        }
        let number = asked.entry(conversation.to_owned()).or_default();
        *number += 1;
        *number
    }

    /// The refusal that a fault is, if it is one.
    pub(super) fn refusal(&self, fault: Fault, dialect: &dyn Dialect) -> Option<Refusal> {
        let seconds = self.faults.retry_after_seconds;
        match fault {
            Fault::RateLimit => {
                let message = format!("Rate limit reached. Please try again in {seconds}s.");
                Some(Refusal {
                    retry_after: Some(seconds),
                    ..Refusal::new(429, "rate_limit_exceeded", message)
                })
            }
            Fault::Overloaded => {
                let message = "The server is overloaded. Please try again later.";
                let status = dialect.overloaded();
                Some(Refusal::new(status, "server_is_overloaded", message))
            }
            Fault::Stall | Fault::Reset | Fault::Cut => None,
        }
    }

    /// Has the fault happen to an answer, `one_way_ns` in front of the client.
    pub(super) fn spoil(
        &self,
        drawn: Drawn,
        beats: &mut Vec<Beat>,
        framing: Framing,
        one_way_ns: u64,
    ) {
        let at = place_of(drawn.place, beats);
        match drawn.fault {
            Fault::RateLimit | Fault::Overloaded => {}
            Fault::Stall => {
                let silence_ns = (self.faults.stall_seconds * 1e9) as u64;
                for beat in beats.iter_mut().skip(at) {
                    beat.due_ns = beat.due_ns.saturating_add(silence_ns);
                }
            }
            // What leaves as a whole is cut when it leaves.
            Fault::Cut if framing == Framing::Whole => {}
            Fault::Cut => beats.truncate(at),
            Fault::Reset => {
                let due_ns = beats[..at].last().map_or(0, |beat| beat.due_ns);
                beats.truncate(at);
                let grace_ns = one_way_ns.saturating_add(RESET_AFTER_NS);
                beats.push(Beat {
                    due_ns: due_ns.saturating_add(grace_ns),
                    cue: Cue::Reset,
                });
            }
        }
    }
}

/// The beat before which it happens: an output, or the end where there is none.
fn place_of(place: f64, beats: &[Beat]) -> usize {
    let pieces = beats.iter().enumerate();
    let pieces: Vec<usize> = pieces
        .filter(|(_, beat)| matches!(beat.cue, Cue::Fragment(_)))
        .map(|(index, _)| index)
        .collect();
    let chosen = (place * pieces.len() as f64) as usize;
    let end = beats.iter().position(|beat| beat.cue == Cue::Finish);
    let chosen = pieces.get(chosen).copied();
    chosen.or(end).unwrap_or(beats.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(plan: &FaultPlan, conversation: &str) -> Vec<Option<Drawn>> {
        (0..2000).map(|_| plan.draw(conversation)).collect()
    }

    #[test]
    fn the_rates_are_met_and_the_seed_repeats_them() {
        let plan = FaultPlan::new(Faults::each_at_a_tenth(), 7);
        let first = drawn(&plan, "a");
        for (name, rate, fault) in Faults::each_at_a_tenth().rates() {
            let of_kind = |one: &&Option<Drawn>| one.is_some_and(|drawn| drawn.fault == fault);
            let share = first.iter().filter(of_kind).count() as f64 / 2000.0;
            assert!((share - rate).abs() < 0.03, "{name}: {share}");
        }
        let other = FaultPlan::new(Faults::each_at_a_tenth(), 7);
        assert_ne!(drawn(&other, "b"), first);
        // Other conversations in between change nothing.
        assert_eq!(drawn(&other, "a"), first);
        assert_ne!(
            drawn(&FaultPlan::new(Faults::each_at_a_tenth(), 8), "a"),
            first
        );
        let own = Faults {
            seed: Some(7),
            ..Faults::each_at_a_tenth()
        };
        assert_eq!(drawn(&FaultPlan::new(own, 8), "a"), first);
        assert_eq!(FaultPlan::new(Faults::default(), 7).draw("a"), None);
    }
}
