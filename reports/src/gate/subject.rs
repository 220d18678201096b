//! What a gate judges: one endpoint of the candidate, beside its baseline.

use std::collections::BTreeSet;

use crate::data::{EndpointData, RunData, TrialData};
use crate::format::{one_line, percent, plural};
use crate::pairing::{PairedTask, pair, sides};
use crate::side::Side;

use super::rules::Rules;

/// One endpoint of the candidate with what it is held against.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The candidate.
    pub candidate: Side<'a>,
    /// The baselines; several when history gives them, none when there is nothing to
    /// compare with.
    pub baselines: Vec<Side<'a>>,
    /// Both sides are of one run, trial beside trial: drift hits both.
    pub interleaved: bool,
}

/// The subjects of a run by itself: each of its candidates against its baseline.
#[must_use]
pub fn within(run: &RunData) -> Vec<Subject<'_>> {
    let side = |endpoint| Side { run, endpoint };
    let compared = sides(run);
    if compared.is_empty() {
        let alone = run.endpoints.iter().map(|endpoint| Subject {
            candidate: side(&endpoint.name),
            baselines: Vec::new(),
            interleaved: true,
        });
        return alone.collect();
    }
    let subjects = compared.into_iter().map(|pair| Subject {
        candidate: side(&pair.candidate.name),
        baselines: vec![side(&pair.baseline.name)],
        interleaved: true,
    });
    subjects.collect()
}

/// The subjects of a run against others: every endpoint against its namesake.
#[must_use]
pub fn against<'a>(candidate: &'a RunData, baselines: &'a [RunData]) -> Vec<Subject<'a>> {
    let subject = |endpoint: &'a str| Subject {
        candidate: Side {
            run: candidate,
            endpoint,
        },
        baselines: baselines
            .iter()
            .filter(|run| run.endpoints.iter().any(|other| other.name == endpoint))
            .map(|run| Side { run, endpoint })
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
        objection(self.candidate, "the run")
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
            if !self.interleaved && baseline.run.run_id == self.candidate.run.run_id {
                return Some("the baseline is the run itself".to_owned());
            }
            let whose = format!("the baseline {}", one_line(&baseline.run.run_id));
            let found = objection(*baseline, &whose)
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

    fn other_tasks(&self, baseline: Side<'a>, suite: Option<&'a str>) -> Option<String> {
        let (own, others) = (attempts(self.candidate, suite), attempts(baseline, suite));
        if own.is_empty() || others.is_empty() {
            let place = suite.map_or_else(String::new, |suite| {
                format!(" of suite {}", one_line(suite))
            });
            return Some(format!("one side has no trial{place}"));
        }
        let differing: Vec<_> = own.symmetric_difference(&others).collect();
        let (suite, task, attempt) = differing.first()?;
        Some(format!(
            "the two sides did not run the same tasks: {} on one side only, the first attempt {attempt} of {}/{}",
            plural(differing.len(), "attempt"),
            one_line(suite),
            one_line(task)
        ))
    }

    /// Why the candidate's own trials say nothing good or bad: too many ended in an error
    /// or were cut short.
    #[must_use]
    pub fn unusable(&self, suite: Option<&'a str>, rules: &Rules) -> Option<String> {
        let trials: Vec<&TrialData> = self.candidate.trials(suite).collect();
        let failed = trials.iter().filter(|trial| trial.failed()).count();
        if failed as f64 > rules.max_error_share * trials.len() as f64 {
            return Some(format!(
                "{failed} of {} ended in an error, more than max_error_share = {} allows",
                plural(trials.len(), "trial"),
                percent(rules.max_error_share)
            ));
        }
        let cut = cut_short(trials.iter().copied());
        (cut > rules.max_error_share)
            .then(|| format!("{} of the answers were cut short", percent(cut)))
    }

    /// Why the candidate's times are no good news: it wrote less, or was cut short.
    #[must_use]
    pub fn shortened(&self, tasks: &[PairedTask], rules: &Rules) -> Option<String> {
        let side = |side: usize| {
            let pairs = tasks.iter().flat_map(|task| &task.pairs);
            let timed = pairs.filter(|pair| pair.timed());
            timed.map(move |pair| pair.trials()[side])
        };
        let [candidate, baseline] = [0, 1].map(|index| cut_short(side(index)));
        if candidate > baseline + rules.max_error_share {
            return Some(format!(
                "{} of the candidate's answers were cut short, {} of the baseline's: fast for being short",
                percent(candidate),
                percent(baseline)
            ));
        }
        if rules.min_output_ratio <= 0.0 {
            return None;
        }
        let tokens = |index: usize| {
            let exchanges = side(index).flat_map(|trial| &trial.exchanges);
            let told: Vec<Option<u64>> = exchanges.map(|exchange| exchange.output_tokens).collect();
            let known = told.iter().flatten().count();
            let sum = told
                .iter()
                .flatten()
                .fold(0_u64, |sum, n| sum.saturating_add(*n));
            (known * 10 >= told.len() * 9 && known > 0).then_some(sum as f64)
        };
        let Some((candidate, baseline)) = tokens(0).zip(tokens(1)) else {
            return Some("how many tokens were written is not known on both sides, and a candidate may be fast for being short; min_output_ratio = 0 leaves this check out".to_owned());
        };
        (candidate < rules.min_output_ratio * baseline).then(|| {
            format!(
                "the candidate wrote {} of the baseline's output tokens, fewer than min_output_ratio = {} allows: fast for being short",
                percent(candidate / baseline),
                rules.min_output_ratio
            )
        })
    }

    /// In what the runs of the two sides differ beside the day; for the reader.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        let facts = |side: &Side| {
            let endpoint = side.endpoint_data();
            let of = |field: fn(&EndpointData) -> &str| endpoint.map_or("", field).to_owned();
            [
                ("sandbox", side.run.sandbox.clone()),
                ("trials at once", side.run.concurrency.to_string()),
                (
                    "timeout",
                    crate::format::nanoseconds(side.run.trial_limit_ns),
                ),
                ("model", of(|endpoint| &endpoint.model)),
                ("protocol", of(|endpoint| &endpoint.protocol)),
                ("transport", of(|endpoint| &endpoint.transport)),
            ]
        };
        let own = facts(&self.candidate);
        let others = self.baselines.iter().filter(|_| !self.interleaved);
        let mut differences: Vec<String> = others
            .flat_map(|baseline| {
                std::iter::zip(own.clone(), facts(baseline)).filter(|(a, b)| a.1 != b.1)
            })
            .map(|((name, own), (_, other))| {
                format!(
                    "{}: {name} is {} here and {} in the baseline; that is part of every change.",
                    one_line(self.candidate.endpoint),
                    one_line(&own),
                    one_line(&other)
                )
            })
            .collect();
        differences.dedup();
        differences
    }
}

type AttemptKey<'a> = (&'a str, &'a str, u32);

fn attempts<'a>(side: Side<'a>, suite: Option<&'a str>) -> BTreeSet<AttemptKey<'a>> {
    let trials = side.trials(suite);
    trials
        .map(|trial| (trial.suite.as_str(), trial.task.as_str(), trial.attempt))
        .collect()
}

/// Share of answers that the server cut short.
fn cut_short<'a>(trials: impl Iterator<Item = &'a TrialData>) -> f64 {
    let exchanges: Vec<bool> = trials
        .flat_map(|trial| &trial.exchanges)
        .map(|exchange| exchange.cut_short)
        .collect();
    let cut = exchanges.iter().filter(|cut| **cut).count();
    cut as f64 / exchanges.len().max(1) as f64
}

fn objection(side: Side, whose: &str) -> Option<String> {
    let run = side.run;
    if let Some(why) = run.objections(&[side.endpoint]).first() {
        return Some(format!("{whose} is invalid: {}", one_line(why)));
    }
    // What is recorded twice has not finished twice.
    let finished: BTreeSet<_> = run
        .trials
        .iter()
        .map(|trial| (&trial.suite, &trial.task, &trial.endpoint, trial.attempt))
        .collect();
    if finished.len() < run.planned_trials {
        return Some(format!(
            "{whose} is incomplete: {} of {} finished; `timeslip run --resume` carries on",
            finished.len(),
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
        .filter(|pair| pair.trials().iter().any(|trial| trial.failed()))
        .count();
    (failed as f64 > most * pairs.len() as f64).then(|| {
        format!(
            "in {failed} of {} a trial ended in an error, more than max_error_share = {} allows",
            plural(pairs.len(), "pair"),
            percent(most)
        )
    })
}
