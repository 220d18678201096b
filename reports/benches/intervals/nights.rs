//! Nightly gates of 40 rules: how often they alarm when nothing changed, and how often
//! when something did.

use timeslip_reports::stats::{
    Effect, holm, paired_proportions, quantile_log_ratio, signed_rank, sums_log_ratio,
};

use super::data::Successes;
use super::random::Random;
use super::{Share, repeat};

/// Level of a whole night.
pub const ALPHA: f64 = 0.01;

const STREAMS: usize = 15;
const TAGS: usize = 9;

/// How the machine's speed wanders: a factor of 5 % from day to day and as much within one.
#[derive(Clone, Copy, PartialEq)]
pub enum Drift {
    None,
    /// Trials of both sides alternate, so it hits both.
    Interleaved,
    /// The second side ran the day before.
    Stored,
}

/// A comparison of two sides that are truly alike.
#[derive(Clone, Copy)]
pub struct Night {
    pub tasks: usize,
    /// Smallest change of a time that counts, as a logarithm.
    pub limit: f64,
    pub drift: Drift,
    /// How many of the rules are of tails, whose resampling takes most of the time.
    pub tails: usize,
}

/// Share of nights with any alarm.
pub fn false_alarms(night: Night, nights: usize, seed: u64) -> Share {
    Share::of(&repeat(nights, seed, |_, random| {
        let p_values = night.p_values(random);
        let alarms = holm(&p_values, &vec![ALPHA; p_values.len()]).expect("an alpha for each");
        alarms.contains(&true)
    }))
}

impl Night {
    /// 15 typical times, 15 ratios of sums or of tails and 10 resolve rates of one run.
    fn p_values(&self, random: &mut Random) -> Vec<f64> {
        let streams = self.streams(random);
        let mut p_values = Vec::new();
        for (index, stream) in streams.iter().enumerate() {
            let logs: Vec<f64> = stream
                .iter()
                .map(|sides| log_mean(&sides[0]) - log_mean(&sides[1]))
                .collect();
            p_values.push(p_above(signed_rank(&logs, "task"), self.limit));
            if index < self.tails {
                p_values.push(p_above(quantile_log_ratio(stream, 0.95), self.limit));
            } else {
                let sums: Vec<[(f64, f64); 2]> = stream
                    .iter()
                    .map(|sides| [0, 1].map(|s| (sides[s].iter().sum(), sides[s].len() as f64)))
                    .collect();
                p_values.push(p_above(sums_log_ratio(&sums), self.limit));
            }
        }
        let rates = Successes {
            first_rate: 0.6,
            second_rate: 0.6,
            attempts: 1,
        };
        let results = rates.run(self.tasks, random);
        for tag in 0..=TAGS {
            let tagged: Vec<Vec<(bool, bool)>> = results
                .iter()
                .enumerate()
                // The last is all of them.
                .filter(|(task, _)| tag == TAGS || task % TAGS == tag)
                .map(|(_, pairs)| pairs.clone())
                .collect();
            p_values.push(paired_proportions(&tagged).map_or(1.0, |effect| effect.p_below(0.0)));
        }
        p_values
    }

    /// Times that resemble each other: a slow attempt is slow in all of its stages.
    fn streams(&self, random: &mut Random) -> Vec<Vec<[Vec<f64>; 2]>> {
        let mut streams = vec![Vec::new(); STREAMS];
        let step = 0.05 / (self.tasks as f64).sqrt();
        let mut speeds = [0.05 * random.normal(), 0.05 * random.normal()];
        for task in 0..self.tasks {
            let level = 0.3 * random.normal();
            let sides = [0, 1].map(|position| {
                // A B, then B A.
                let side = (position + task) % 2;
                let day = match self.drift {
                    Drift::None => None,
                    Drift::Interleaved => Some(0),
                    Drift::Stored => Some(side),
                };
                let speed = day.map_or(0.0, |day: usize| {
                    speeds[day] += step * random.normal();
                    speeds[day]
                });
                (side, level + speed + 0.08 * random.normal())
            });
            for stream in &mut streams {
                let mut values = [Vec::new(), Vec::new()];
                for (side, attempt) in sides {
                    values[side] = (0..5)
                        .map(|_| (attempt + 0.2 * random.normal()).exp())
                        .collect();
                }
                stream.push(values);
            }
        }
        streams
    }
}

fn log_mean(values: &[f64]) -> f64 {
    values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64
}

fn p_above(effect: Result<Effect, String>, limit: f64) -> f64 {
    effect.map_or(1.0, |effect| effect.p_above(limit))
}

/// Share of runs in which one time that truly grew by `growth` is found beyond `limit`
/// (both as logarithms), at so small a level. Each side of each pair varies by `deviation`.
pub fn power_of_times(
    (pairs, deviation): (usize, f64),
    (growth, limit): (f64, f64),
    level: f64,
    runs: usize,
) -> Share {
    Share::of(&repeat(runs, 77, |_, random| {
        let logs: Vec<f64> = (0..pairs)
            .map(|_| growth + deviation * (random.normal() - random.normal()))
            .collect();
        p_above(signed_rank(&logs, "task"), limit) <= level
    }))
}

/// Share of runs in which a resolve rate that fell is found, when so many pairs are
/// discordant, at so small a level.
pub fn power_of_rates(
    pairs: usize,
    (fall, discordant): (f64, f64),
    level: f64,
    runs: usize,
) -> Share {
    Share::of(&repeat(runs, 78, |_, random| {
        let tasks: Vec<Vec<(bool, bool)>> = (0..pairs)
            .map(|_| {
                let draw = random.uniform();
                let second_only = (discordant + fall) / 2.0;
                vec![(
                    draw >= second_only,
                    draw < second_only || draw >= discordant,
                )]
            })
            .collect();
        paired_proportions(&tasks).is_ok_and(|effect| effect.p_below(0.0) <= level)
    }))
}
