//! How often an interval of 95 % holds the truth.

use std::fmt;

use timeslip_reports::stats::{
    Effect, Estimate, mean, paired_proportions, pass_at_k, pass_hat_k, quantile, quantile_effect,
    quantile_log_ratio, resolve_rate, signed_rank, sums_effect, sums_log_ratio,
};

use super::data::{Latencies, Noise, Successes, Task, log_ratios, sums, values};
use super::random::Random;
use super::{Share, repeat};

/// What every interval of 95 % must keep.
pub const WANTED: (f64, f64) = (0.93, 0.97);

/// How often to repeat: resampling takes much longer than a formula.
#[derive(Clone, Copy)]
pub struct Repetitions {
    pub formula: usize,
    pub resampling: usize,
}

/// One line of the table.
pub struct Coverage {
    pub interval: &'static str,
    pub data: String,
    pub tasks: usize,
    /// Of the simulations in which there was an interval.
    pub covered: Share,
    pub simulations: usize,
    pub width: f64,
    /// So few discordant pairs are expected that an honest interval of them covers more.
    pub discrete: bool,
}

impl Coverage {
    pub fn is_as_wanted(&self) -> bool {
        self.is_refused()
            || (self.covered.is_at_least(WANTED.0)
                && (self.discrete || self.covered.is_at_most(WANTED.1)))
    }

    /// No interval in any simulation, by a rule on the size of the data alone.
    pub fn is_refused(&self) -> bool {
        self.covered.of == 0
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:<22} {:<33} {:>5}  ",
            self.interval, self.data, self.tasks
        )?;
        if self.is_refused() {
            return write!(out, "refused: n too small");
        }
        let (percent, margin) = (
            self.covered.value() * 100.0,
            self.covered.margin(0.95) * 100.0,
        );
        write!(out, "{percent:>6.1} % ± {margin:.1}   {:>9.4}", self.width)?;
        if self.covered.of < self.simulations {
            write!(
                out,
                "  (given in {} of {})",
                self.covered.of, self.simulations
            )?;
        }
        if self.discrete {
            write!(out, "  (discrete: may cover more)")?;
        }
        if !self.is_as_wanted() {
            write!(out, "  NOT AS WANTED")?;
        }
        Ok(())
    }
}

type Interval = Option<(f64, f64)>;

struct Method<Data> {
    name: &'static str,
    truth: f64,
    resampling: bool,
    interval: Box<dyn Fn(&Data) -> Interval + Sync>,
}

impl<Data> Method<Data> {
    fn new(
        name: &'static str,
        truth: f64,
        interval: impl Fn(&Data) -> Interval + Sync + 'static,
    ) -> Self {
        Method {
            name,
            truth,
            resampling: false,
            interval: Box::new(interval),
        }
    }

    fn resampling(mut self) -> Self {
        self.resampling = true;
        self
    }
}

fn of_effect(effect: Result<Effect, String>) -> Interval {
    effect.ok()?.interval(0.95)
}

fn of_estimate(estimate: &Estimate) -> Interval {
    estimate.interval()
}

/// The shapes of latencies that are tried, with their names.
pub fn latencies() -> Vec<(&'static str, Latencies)> {
    let shape = |noise, deviation, tasks| Latencies {
        noise,
        deviation,
        tasks,
        shift: 1.1_f64.ln(),
    };
    vec![
        (
            "log-normal 0.15, tasks 0.2",
            shape(Noise::Normal, 0.15, 0.2),
        ),
        (
            "log-normal 0.15, tasks 0.5",
            shape(Noise::Normal, 0.15, 0.5),
        ),
        ("log-normal 0.5, tasks 0.5", shape(Noise::Normal, 0.5, 0.5)),
        ("log-t3 0.15, tasks 0.5", shape(Noise::Heavy, 0.15, 0.5)),
        ("log-t3 0.5, tasks 0.2", shape(Noise::Heavy, 0.5, 0.2)),
        (
            "5 % outliers ×3 0.15, tasks 0.2",
            shape(Noise::Outliers, 0.15, 0.2),
        ),
        (
            "5 % outliers ×3 0.5, tasks 0.5",
            shape(Noise::Outliers, 0.5, 0.5),
        ),
    ]
}

/// All intervals of latencies on runs of one shape and size.
pub fn of_latencies(
    name: &str,
    shape: Latencies,
    tasks: usize,
    repetitions: Repetitions,
) -> Vec<Coverage> {
    let population = shape.population();
    let at = |p| quantile(&population, p).expect("the population is not empty");
    let mean_value = population.iter().sum::<f64>() / population.len() as f64;
    let shift = shape.shift;
    let ratio = |name, p: f64| {
        Method::new(name, shift, move |run: &Vec<Task>| {
            of_effect(quantile_log_ratio(&values(run), p))
        })
        .resampling()
    };
    let one_side = |name, p: f64| {
        Method::new(name, at(p), move |run: &Vec<Task>| {
            let first: Vec<Vec<f64>> = values(run).into_iter().map(|[first, _]| first).collect();
            of_effect(quantile_effect(&first, p))
        })
    };
    let methods = vec![
        Method::new("signed_rank", shift, |run: &Vec<Task>| {
            of_effect(signed_rank(&log_ratios(run), "task"))
        }),
        Method::new("mean of logs, t", shift, |run: &Vec<Task>| {
            mean(&log_ratios(run))?.interval(0.95)
        }),
        Method::new("sums_log_ratio", shift, |run: &Vec<Task>| {
            of_effect(sums_log_ratio(&sums(run)))
        }),
        Method::new("sums_effect", mean_value, |run: &Vec<Task>| {
            let first: Vec<(f64, f64)> = sums(run).iter().map(|[first, _]| *first).collect();
            of_effect(sums_effect(&first))
        }),
        ratio("quantile_log_ratio p50", 0.5),
        ratio("quantile_log_ratio p95", 0.95),
        ratio("quantile_log_ratio p99", 0.99),
        one_side("quantile_effect p50", 0.5),
        one_side("quantile_effect p95", 0.95),
        one_side("quantile_effect p99", 0.99),
    ];
    let seed = tasks as u64;
    coverage(name, tasks, seed, &methods, repetitions, |random| {
        shape.run(tasks, random)
    })
}

/// The rates of both sides that are tried, and attempts.
pub fn successes() -> Vec<Successes> {
    let mut shapes = Vec::new();
    for attempts in [1, 5] {
        for (first_rate, second_rate) in
            [(0.2, 0.2), (0.5, 0.5), (0.9, 0.9), (0.4, 0.5), (0.85, 0.9)]
        {
            shapes.push(Successes {
                first_rate,
                second_rate,
                attempts,
            });
        }
    }
    shapes
}

/// The intervals of rates on runs of one shape and size.
pub fn of_successes(shape: Successes, tasks: usize, repetitions: Repetitions) -> Vec<Coverage> {
    let name = format!(
        "{:.0} % against {:.0} %, {} per task",
        shape.first_rate * 100.0,
        shape.second_rate * 100.0,
        if shape.attempts == 1 { "one" } else { "1–5" }
    );
    let difference = shape.first_rate - shape.second_rate;
    let methods = vec![
        Method::new(
            "paired_proportions",
            difference,
            |run: &Vec<Vec<(bool, bool)>>| of_effect(paired_proportions(run)),
        ),
        Method::new(
            "resolve_rate",
            shape.first_rate,
            |run: &Vec<Vec<(bool, bool)>>| {
                let first: Vec<Vec<bool>> = run
                    .iter()
                    .map(|pairs| pairs.iter().map(|(first, _)| *first).collect())
                    .collect();
                of_estimate(&resolve_rate(&first))
            },
        ),
    ];
    let mut lines = coverage(
        &name,
        tasks,
        1000 + tasks as u64,
        &methods,
        repetitions,
        |random| shape.run(tasks, random),
    );
    // About one in six pairs is discordant at even odds, one in ten at nine to one.
    let rarest = [shape.first_rate, 1.0 - shape.first_rate]
        .into_iter()
        .fold(1.0, f64::min);
    for line in &mut lines {
        line.discrete = rarest * tasks as f64 <= 5.0;
    }
    lines
}

/// pass@3 and pass^3 of tasks that succeed rarely, half of the time or nearly always.
pub fn of_passes(tasks: usize, repetitions: Repetitions) -> Vec<Coverage> {
    const KINDS: [f64; 3] = [0.1, 0.5, 0.9];
    let truth = |of_kind: fn(f64) -> f64| KINDS.map(of_kind).iter().sum::<f64>() / 3.0;
    let methods = vec![
        Method::new(
            "pass_at_k",
            truth(|p| 1.0 - (1.0 - p).powi(3)),
            |run: &Vec<(u64, u64)>| of_effect(pass_at_k(run, 3)),
        ),
        Method::new(
            "pass_hat_k",
            truth(|p| p.powi(3)),
            |run: &Vec<(u64, u64)>| of_effect(pass_hat_k(run, 3)),
        ),
    ];
    let data = |random: &mut Random| {
        (0..tasks)
            .map(|_| {
                let p = KINDS[random.between(0, 2)];
                let attempts = random.between(3, 6) as u64;
                (
                    (0..attempts).filter(|_| random.chance(p)).count() as u64,
                    attempts,
                )
            })
            .collect()
    };
    coverage(
        "10, 50 or 90 %, 3–6 per task",
        tasks,
        2000 + tasks as u64,
        &methods,
        repetitions,
        data,
    )
}

fn coverage<Data>(
    name: &str,
    tasks: usize,
    seed: u64,
    methods: &[Method<Data>],
    repetitions: Repetitions,
    data: impl Fn(&mut Random) -> Data + Sync,
) -> Vec<Coverage> {
    let simulations = repetitions.formula.max(repetitions.resampling);
    let intervals = repeat(simulations, seed, |index, random| {
        let data = data(random);
        methods
            .iter()
            .map(|method| {
                let wanted = if method.resampling {
                    repetitions.resampling
                } else {
                    repetitions.formula
                };
                (index < wanted).then(|| (method.interval)(&data))
            })
            .collect::<Vec<Option<Interval>>>()
    });
    methods
        .iter()
        .enumerate()
        .map(|(column, method)| {
            let tried: Vec<Interval> = intervals.iter().filter_map(|row| row[column]).collect();
            let given: Vec<(f64, f64)> = tried.iter().copied().flatten().collect();
            let holds: Vec<bool> = given
                .iter()
                .map(|(low, high)| *low <= method.truth && method.truth <= *high)
                .collect();
            Coverage {
                interval: method.name,
                data: name.to_owned(),
                tasks,
                covered: Share::of(&holds),
                simulations: tried.len(),
                width: given.iter().map(|(low, high)| high - low).sum::<f64>() / given.len() as f64,
                discrete: false,
            }
        })
        .collect()
}
