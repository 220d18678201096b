//! When each piece of an answer is due.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::output::Output;
use super::profile::Profile;
use super::tokens;

/// One thing that is due. What is due at the same moment leaves in one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// On the server's clock, in nanoseconds.
    pub due_ns: u64,
    /// What is due.
    pub cue: Cue,
}

/// What a beat brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cue {
    /// Something that means nothing.
    KeepAlive,
    /// The request is taken.
    Begin,
    /// Some tokens.
    Fragment(Fragment),
    /// The end.
    Finish,
}

/// Some tokens of one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Index of the output.
    pub item: usize,
    /// Where in its text.
    pub text: Range<usize>,
    /// How many tokens.
    pub tokens: u32,
}

/// The pace of one response.
#[derive(Clone, Copy, Debug)]
pub struct Pace<'a> {
    /// The speed.
    pub profile: &'a Profile,
    /// When the request was admitted.
    pub begin_ns: u64,
    /// How long its prompt takes.
    pub prefill_ns: u64,
    /// Tokens in the context at first.
    pub context_tokens: u64,
    /// Seeds the jitter.
    pub seed: u64,
    /// The protocol streams arguments of tool calls.
    pub streams_arguments: bool,
}

impl Pace<'_> {
    /// The beats of an answer at the profile's speed.
    #[must_use]
    pub fn beats(&self, outputs: &[Output]) -> Vec<Beat> {
        let mut beats = vec![Beat {
            due_ns: self.begin_ns,
            cue: Cue::Begin,
        }];
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut context = self.context_tokens;
        let mut due_ns = self.begin_ns.saturating_add(self.prefill_ns);
        for (item, output) in outputs.iter().enumerate() {
            for (text, tokens) in self.pieces(output) {
                due_ns = due_ns.saturating_add(self.step_ns(context, tokens, &mut random));
                context += u64::from(tokens);
                let cue = Cue::Fragment(Fragment { item, text, tokens });
                beats.push(Beat { due_ns, cue });
            }
        }
        beats.push(Beat {
            // Not at the same moment: the end is a write of its own.
            due_ns: due_ns.saturating_add(1),
            cue: Cue::Finish,
        });
        beats
    }

    /// Ranges of an output that leave together, and their tokens. An empty output is
    /// one empty piece.
    fn pieces(&self, output: &Output) -> Vec<(Range<usize>, u32)> {
        let whole = matches!(output, Output::Call { .. }) && !self.streams_arguments;
        let per_event = if whole {
            u32::MAX
        } else {
            self.profile.tokens_per_event.max(1)
        };
        let mut pieces = vec![(0..0, 0)];
        for token in tokens::split(output.text()) {
            match pieces.last_mut() {
                Some((range, tokens)) if *tokens < per_event => {
                    range.end += token.len();
                    *tokens += 1;
                }
                last => {
                    let start = last.map_or(0, |(range, _)| range.end);
                    pieces.push((start..start + token.len(), 1));
                }
            }
        }
        pieces
    }

    fn step_ns(&self, context: u64, tokens: u32, random: &mut ChaCha8Rng) -> u64 {
        let sigma = self.profile.jitter;
        // A log-normal step with mean one keeps the average rate.
        let stretch = if sigma > 0.0 {
            (sigma * normal(random) - 0.5 * sigma * sigma).exp()
        } else {
            1.0
        };
        let slowdown = 1.0 + self.profile.decode_slowdown_per_1k_context * context as f64 / 1000.0;
        let token_ns = 1e9 / self.profile.decode_tokens_per_second * slowdown;
        (token_ns * f64::from(tokens) * stretch).round() as u64
    }
}

/// A standard normal deviate, by Box and Muller.
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let mut unit = || (f64::from(random.next_u32()) + 0.5) / (f64::from(u32::MAX) + 1.0);
    (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(slowdown: f64, per_event: u32, streams_arguments: bool) -> Vec<Beat> {
        let profile = Profile {
            decode_tokens_per_second: 1000.0,
            jitter: 0.0,
            tokens_per_event: per_event,
            decode_slowdown_per_1k_context: slowdown,
            ..Profile::load("spark-sim").unwrap()
        };
        let pace = Pace {
            profile: &profile,
            begin_ns: 10,
            prefill_ns: 1_000_000,
            context_tokens: 2000,
            seed: 1,
            streams_arguments,
        };
        pace.beats(&[
            Output::Text("0123456789".into()),
            Output::Call {
                name: "f".into(),
                arguments: "{\"a\":12}".into(),
            },
        ])
    }

    fn pieces(beats: &[Beat]) -> Vec<(u64, Fragment)> {
        let piece = |beat: &Beat| match &beat.cue {
            Cue::Fragment(piece) => Some((beat.due_ns, piece.clone())),
            _ => None,
        };
        beats.iter().filter_map(piece).collect()
    }

    #[test]
    fn a_token_takes_its_time_and_a_longer_context_more() {
        let due = |slowdown| -> Vec<u64> {
            let pieces = pieces(&beats(slowdown, 1, true));
            pieces.into_iter().map(|(due, _)| due).collect()
        };
        assert_eq!(
            due(0.0),
            [2_000_010, 3_000_010, 4_000_010, 5_000_010, 6_000_010]
        );
        // Two thousand tokens of context at 50 % per thousand: twice the time, and a
        // little more with every token of the answer.
        assert_eq!(due(0.5)[..2], [3_000_010, 5_000_510]);
    }

    #[test]
    fn tokens_share_events_and_whole_calls_come_at_their_end() {
        let shapes = |beats: &[Beat]| -> Vec<(usize, Range<usize>, u32)> {
            let pieces = pieces(beats).into_iter();
            pieces
                .map(|(_, piece)| (piece.item, piece.text, piece.tokens))
                .collect()
        };
        assert_eq!(
            shapes(&beats(0.0, 2, true)),
            [(0, 0..8, 2), (0, 8..10, 1), (1, 0..8, 2)]
        );
        let whole = beats(0.0, 1, false);
        assert_eq!(shapes(&whole)[3..], [(1, 0..8, 2)]);
        assert_eq!(whole.last().unwrap().due_ns, 6_000_011);
    }
}
