//! What a paired run measures: latencies and successes of both sides, clustered in tasks.

use statrs::distribution::{ContinuousCDF, Normal};

use super::random::Random;

/// How single values scatter on the log scale.
#[derive(Clone, Copy)]
pub enum Noise {
    Normal,
    /// Student's t with 3 degrees of freedom, cut off at eight scales as by a timeout.
    Heavy,
    /// Every twentieth value is three times as large.
    Outliers,
}

/// Latencies whose two sides differ by a factor; all deviations are of logarithms.
#[derive(Clone, Copy)]
pub struct Latencies {
    pub noise: Noise,
    /// Of single values.
    pub deviation: f64,
    /// Between tasks, the same on both sides.
    pub tasks: f64,
    /// The first side's factor, as a logarithm.
    pub shift: f64,
}

/// Of one task's difference between the sides, and of one attempt.
const INTERACTION: f64 = 0.1;
const ATTEMPT: f64 = 0.1;

/// One task: its attempts on both sides, each with the values of its exchanges.
pub type Task = [Vec<Vec<f64>>; 2];

impl Latencies {
    /// A run of so many tasks with 1 to 5 attempts of 3 to 12 values.
    pub fn run(&self, tasks: usize, random: &mut Random) -> Vec<Task> {
        (0..tasks).map(|_| self.task(random)).collect()
    }

    fn task(&self, random: &mut Random) -> Task {
        let level = self.tasks * random.normal();
        let difference = INTERACTION * random.normal();
        let attempts = random.between(1, 5);
        [self.shift + difference / 2.0, -difference / 2.0].map(|side| {
            (0..attempts)
                .map(|_| {
                    let attempt = level + side + ATTEMPT * random.normal();
                    (0..random.between(3, 12))
                        .map(|_| (attempt + self.scatter(random)).exp())
                        .collect()
                })
                .collect()
        })
    }

    fn scatter(&self, random: &mut Random) -> f64 {
        match self.noise {
            Noise::Normal => self.deviation * random.normal(),
            Noise::Heavy => self.deviation * random.student3().clamp(-8.0, 8.0),
            Noise::Outliers => {
                let outlier = if random.chance(0.05) {
                    3.0_f64.ln()
                } else {
                    0.0
                };
                self.deviation * random.normal() + outlier
            }
        }
    }

    /// Many single values of the first side, ascending: what a run is a sample of.
    pub fn population(&self) -> Vec<f64> {
        let mut random = Random::new(1, 0);
        let mut values: Vec<f64> = (0..400_000)
            .map(|_| {
                let task = self.tasks * random.normal() + INTERACTION / 2.0 * random.normal();
                (self.shift + task + ATTEMPT * random.normal() + self.scatter(&mut random)).exp()
            })
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }
}

/// The mean log-ratio of the attempts' means within each task.
pub fn log_ratios(run: &[Task]) -> Vec<f64> {
    let log_mean = |attempts: &[Vec<f64>]| {
        let logs = attempts.iter().flatten().map(|value| value.ln());
        logs.sum::<f64>() / attempts.iter().flatten().count() as f64
    };
    run.iter()
        .map(|[first, second]| log_mean(first) - log_mean(second))
        .collect()
}

pub fn values(run: &[Task]) -> Vec<[Vec<f64>; 2]> {
    run.iter()
        .map(|task| [0, 1].map(|side| task[side].iter().flatten().copied().collect()))
        .collect()
}

/// Sum and number of each task's values.
pub fn sums(run: &[Task]) -> Vec<[(f64, f64); 2]> {
    run.iter()
        .map(|task| {
            [0, 1].map(|side| {
                let values = task[side].iter().flatten();
                (values.clone().sum(), values.count() as f64)
            })
        })
        .collect()
}

/// Successes of both sides, from a normal variable that must stay below a threshold: half
/// of its variance is the task's, a fifth the task's on that side, the rest the attempt's.
#[derive(Clone, Copy)]
pub struct Successes {
    pub first_rate: f64,
    pub second_rate: f64,
    /// A task has 1 to so many.
    pub attempts: usize,
}

const SHARED: f64 = 0.5;
const ON_ONE_SIDE: f64 = 0.2;

impl Successes {
    pub fn run(&self, tasks: usize, random: &mut Random) -> Vec<Vec<(bool, bool)>> {
        let thresholds =
            [self.first_rate, self.second_rate].map(|rate| Normal::standard().inverse_cdf(rate));
        (0..tasks)
            .map(|_| {
                let task = SHARED.sqrt() * random.normal();
                let sides = [0, 1].map(|_| task + ON_ONE_SIDE.sqrt() * random.normal());
                (0..random.between(1, self.attempts))
                    .map(|_| {
                        let [first, second] = [0, 1].map(|side: usize| {
                            let rest = (1.0 - SHARED - ON_ONE_SIDE).sqrt() * random.normal();
                            sides[side] + rest < thresholds[side]
                        });
                        (first, second)
                    })
                    .collect()
            })
            .collect()
    }
}
