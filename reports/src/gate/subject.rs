//! What a gate judges: one endpoint of the candidate, beside its baseline.

use std::collections::BTreeSet;

use crate::arm::Arm;
use crate::compare::{Scale, Statistic, change};
use crate::format::{one_line, percent, plural};
use crate::input::{Outcome, RunData};
use crate::metrics::Metric;
use crate::pairing::{PairedTask, pair, sides};

use super::rules::Rules;

/// One endpoint of the candidate with what it is held against.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The candidate.
    pub candidate: Arm<'a>,
    /// The baselines; several when history gives them, none when there is nothing to
    /// compare with.
    pub baselines: Vec<Arm<'a>>,
    /// Both sides are of one run, trial beside trial: drift hits both.
    pub interleaved: bool,
}

/// The subjects of a run by itself: its candidate against its baseline.
#[must_use]
pub fn within(run: &RunData) -> Vec<Subject<'_>> {
    let arm = |endpoint| Arm { run, endpoint };
    match sides(run) {
        Some((candidate, baseline)) => vec![Subject {
            candidate: arm(&candidate.name),
            baselines: vec![arm(&baseline.name)],
            interleaved: true,
        }],
        None => run
            .endpoints
            .iter()
            .map(|endpoint| Subject {
                candidate: arm(&endpoint.name),
                baselines: Vec::new(),
                interleaved: true,
            })
            .collect(),
    }
}

/// The subjects of a run against others: every endpoint against its namesake.
#[must_use]
pub fn against<'a>(candidate: &'a RunData, baselines: &'a [RunData]) -> Vec<Subject<'a>> {
    let subject = |endpoint: &'a str| Subject {
        candidate: Arm {
            run: candidate,
            endpoint,
        },
        baselines: baselines
            .iter()
            .filter(|run| run.endpoints.iter().any(|other| other.name == endpoint))
            .map(|run| Arm { run, endpoint })
            .collect(),
        interleaved: false,
    };
    let endpoints = candidate.endpoints.iter();
    endpoints.map(|endpoint| subject(&endpoint.name)).collect()
}

impl<'a> Subject<'a> {
    /// Trials of both sides by task; with several baselines the candidate's trials are
    /// paired with each.
    #[must_use]
    pub fn pairs(&self, suite: Option<&'a str>) -> Vec<PairedTask<'a>> {
        let mut tasks: Vec<PairedTask<'a>> = Vec::new();
        for baseline in &self.baselines {
            for task in pair(self.candidate.trials(suite), baseline.trials(suite)) {
                match tasks
                    .iter_mut()
                    .find(|known| known.suite == task.suite && known.task == task.task)
                {
                    Some(known) => known.pairs.extend(task.pairs),
                    None => tasks.push(task),
                }
            }
        }
        tasks
    }

    /// What it is held against, in words.
    #[must_use]
    pub fn baseline_label(&self) -> String {
        match self.baselines.as_slice() {
            [] => "nothing".to_owned(),
            [one] if self.interleaved => one_line(one.endpoint),
            [one] => one_line(&one.run.run_id),
            several => plural(several.len(), "earlier run"),
        }
    }

    /// Why no figure of the candidate may be judged; `None` when it may.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        objection(self.candidate.run, "the run")
    }

    /// Why the two sides may not be compared on a suite; `None` when they may.
    #[must_use]
    pub fn mismatch(
        &self,
        suite: Option<&'a str>,
        tasks: &[PairedTask],
        rules: &Rules,
    ) -> Option<String> {
        if self.baselines.is_empty() {
            return Some(
                "there is nothing to compare with: the run has one side, and no --baseline or --history was given or holds this endpoint"
                    .to_owned(),
            );
        }
        for baseline in &self.baselines {
            let whose = format!("the baseline {}", one_line(&baseline.run.run_id));
            let found = objection(baseline.run, &whose)
                .or_else(|| self.other_tasks(*baseline, suite))
                .or_else(|| {
                    let differs = baseline.simulated() != self.candidate.simulated();
                    (differs && !self.interleaved).then(|| {
                        format!("one of the run and {whose} is simulated, the other is not")
                    })
                });
            if found.is_some() {
                return found;
            }
        }
        errors(tasks, rules.max_error_share)
    }

    fn other_tasks(&self, baseline: Arm<'a>, suite: Option<&'a str>) -> Option<String> {
        let tasks = |arm: Arm<'a>| -> BTreeSet<(&'a str, &'a str)> {
            let trials = arm.trials(suite);
            trials
                .map(|trial| (trial.suite.as_str(), trial.task.as_str()))
                .collect()
        };
        let (own, others) = (tasks(self.candidate), tasks(baseline));
        if own.is_empty() || others.is_empty() {
            let place = suite.map_or_else(String::new, |suite| {
                format!(" of suite {}", one_line(suite))
            });
            return Some(format!("one side has no trial{place}"));
        }
        let differing: Vec<_> = own.symmetric_difference(&others).collect();
        let (suite, task) = differing.first()?;
        Some(format!(
            "the two sides did not run the same tasks: {} on one side only, the first {}/{}",
            plural(differing.len(), "task"),
            one_line(suite),
            one_line(task)
        ))
    }

    /// Why the candidate's times are no good news: it wrote less, or was cut short.
    #[must_use]
    pub fn shortened(&self, tasks: &[PairedTask], rules: &Rules) -> Option<String> {
        if rules.min_output_ratio <= 0.0 {
            return None;
        }
        let cut = |side: usize| {
            let trials = tasks
                .iter()
                .flat_map(|task| &task.pairs)
                .map(|pair| pair.trials()[side]);
            let exchanges: Vec<bool> = trials
                .flat_map(|trial| &trial.exchanges)
                .map(|exchange| exchange.cut_short)
                .collect();
            let cut = exchanges.iter().filter(|cut| **cut).count();
            cut as f64 / exchanges.len().max(1) as f64
        };
        let (candidate, baseline) = (cut(0), cut(1));
        if candidate > baseline + rules.max_error_share {
            return Some(format!(
                "{} of the candidate's answers were cut short, {} of the baseline's: fast for being short",
                percent(candidate),
                percent(baseline)
            ));
        }
        let tokens = Metric::find("output_tokens")?;
        let ratio = change(&tokens, Statistic::Mean, Scale::Log, tasks).ok()?;
        let ratio = ratio.effect.point.exp();
        (ratio < rules.min_output_ratio).then(|| {
            format!(
                "the candidate wrote {} of the baseline's output tokens, fewer than min_output_ratio = {} allows: fast for being short",
                percent(ratio),
                rules.min_output_ratio
            )
        })
    }
}

fn objection(run: &RunData, whose: &str) -> Option<String> {
    if let Some(why) = run.invalid.first() {
        return Some(format!("{whose} is invalid: {}", one_line(why)));
    }
    if run.trials.len() < run.planned_trials {
        return Some(format!(
            "{whose} is incomplete: {} of {} finished; `timeslip run --resume` carries on",
            run.trials.len(),
            plural(run.planned_trials, "planned trial")
        ));
    }
    if run.calibration.is_none() {
        return Some(format!(
            "{whose} was not calibrated: the instrument's error is unknown"
        ));
    }
    let unbalanced = run.trials.iter().filter(|trial| {
        let sum = trial
            .stages
            .iter()
            .fold(0_u64, |sum, stage| sum.saturating_add(stage.ns));
        sum != trial.wall_ns
    });
    let unbalanced = unbalanced.count();
    (unbalanced > 0).then(|| {
        format!(
            "{whose} has {} whose stages do not sum to their time",
            plural(unbalanced, "trial")
        )
    })
}

fn errors(tasks: &[PairedTask], most: f64) -> Option<String> {
    let pairs: Vec<_> = tasks.iter().flat_map(|task| &task.pairs).collect();
    let failed = pairs
        .iter()
        .filter(|pair| {
            pair.trials()
                .iter()
                .any(|trial| trial.outcome == Outcome::Error)
        })
        .count();
    (failed as f64 > most * pairs.len() as f64).then(|| {
        format!(
            "{failed} of {} hold a trial that ended in an error, more than max_error_share = {} allows",
            plural(pairs.len(), "pair"),
            percent(most)
        )
    })
}
