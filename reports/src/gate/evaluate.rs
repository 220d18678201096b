//! One rule on one endpoint: from data to a p-value, and from there to a verdict.

use timeslip_datasets::run::calibration::ErrorQuantiles;

use crate::compare::{Change, NoChange, Scale, change, figure};
use crate::data::RunData;
use crate::format::{milliseconds, one_line, plural};
use crate::metrics::{Metric, Statistic, Unit};
use crate::pairing::PairedTask;
use crate::side::Side;
use crate::summary::stage_bridge;

use super::decide::{Evaluation, Tested, Weighed};
use super::finding::{Expressed, Finding, LimitSource, Verdict};
use super::quantity::{Limit, Objective};
use super::rules::{Action, Bounds, Rule, Rules};
use super::subject::Subject;
use super::{FloorKey, NoiseFloors};

/// A rule on everything it applies to.
pub(super) fn rule(
    rules: &Rules,
    rule: &Rule,
    run: &RunData,
    subjects: &[Subject],
    floors: &NoiseFloors,
) -> Vec<Evaluation> {
    let wanted = |name: &str| rule.endpoint.as_deref().is_none_or(|only| only == name);
    let chosen: Vec<&Subject> = subjects
        .iter()
        .filter(|subject| wanted(subject.candidate.endpoint))
        .collect();
    let evaluations: Vec<Evaluation> = match &rule.bounds {
        Bounds::Change { statistic, limit } => chosen
            .into_iter()
            .map(|subject| changed(rules, rule, *statistic, *limit, subject, floors))
            .collect(),
        // Any endpoint may have an objective, the baseline of the run, too.
        Bounds::Objective(objective) => match rule.endpoint.as_deref() {
            Some(name) if run.endpoints.iter().any(|endpoint| endpoint.name == name) => {
                vec![bounded(
                    rules,
                    rule,
                    objective,
                    Side {
                        run,
                        endpoint: name,
                    },
                )]
            }
            _ => chosen
                .into_iter()
                .map(|subject| bounded(rules, rule, objective, subject.candidate))
                .collect(),
        },
    };
    if evaluations.is_empty() {
        let endpoint = rule.endpoint.as_deref().unwrap_or_default();
        let known: Vec<String> = run.endpoints.iter().map(|e| one_line(&e.name)).collect();
        return vec![settled(
            blank(rule, endpoint, None),
            Verdict::Invalid,
            format!(
                "the run does not judge an endpoint '{}'; it has {}",
                one_line(endpoint),
                known.join(", ")
            ),
        )];
    }
    evaluations
}

fn blank(rule: &Rule, endpoint: &str, baseline: Option<String>) -> Finding {
    let statistic = match &rule.bounds {
        Bounds::Change { statistic, .. } => statistic.to_string(),
        Bounds::Objective(objective) => objective.statistic.to_string(),
    };
    Finding {
        rule: rule.name.clone(),
        metric: rule.metric.name().into_owned(),
        statistic,
        suite: rule.suite.clone(),
        endpoint: endpoint.to_owned(),
        baseline,
        verdict: Verdict::Inconclusive,
        reason: String::new(),
        measured: None,
    }
}

fn settled(mut finding: Finding, verdict: Verdict, reason: String) -> Evaluation {
    finding.verdict = verdict;
    finding.reason = reason;
    Evaluation::Settled(Box::new(finding))
}

/// A rule that only warns does not hold up the gate for want of data either.
fn undecided(rule: &Rule, finding: Finding, why: String) -> Evaluation {
    let verdict = match rule.action {
        Action::Fail => Verdict::Inconclusive,
        Action::Warn => Verdict::Warn,
    };
    settled(finding, verdict, why)
}

fn changed(
    rules: &Rules,
    rule: &Rule,
    statistic: Statistic,
    limit: Limit,
    subject: &Subject,
    floors: &NoiseFloors,
) -> Evaluation {
    let finding = blank(
        rule,
        subject.candidate.endpoint,
        Some(subject.baseline_label()),
    );
    let tasks = subject.pairs(rule.suite.as_deref());
    if let Some(why) = objection(rules, rule, subject, &tasks) {
        return settled(finding, Verdict::Invalid, why);
    }
    let scale = match limit {
        Limit::Relative(_) => Scale::Log,
        Limit::Duration(_) | Limit::Points(_) => Scale::Difference,
    };
    let change = match change(&rule.metric, statistic, scale, &tasks) {
        Ok(change) => change,
        Err(NoChange::Same) => {
            return settled(finding, Verdict::Pass, NoChange::Same.to_string());
        }
        Err(NoChange::Unknown(why)) => return undecided(rule, finding, why),
    };
    if change.effect.n < rule.min_pairs {
        let why = format!(
            "only {} could be paired, and min_pairs = {}",
            plural(change.effect.n, "task"),
            rule.min_pairs
        );
        return undecided(rule, finding, why);
    }
    let weighed = weighed(rules, rule, (statistic, limit), subject, change, floors);
    let place = slowest_stage(&rule.metric, &tasks);
    tested(rule, finding, Weighed { place, ..weighed })
}

/// The change beside the limit that applies to it.
fn weighed(
    rules: &Rules,
    rule: &Rule,
    (statistic, limit): (Statistic, Limit),
    subject: &Subject,
    change: Change,
    floors: &NoiseFloors,
) -> Weighed {
    let floor = floors(FloorKey {
        suite: rule.suite.as_deref(),
        endpoint: subject.candidate.endpoint,
        metric: &rule.metric.name(),
        statistic,
        interleaved: subject.interleaved,
    });
    // Both sides of an interleaved run saw the same day, and whether a task is solved does
    // not depend on the day.
    let drift = (!subject.interleaved && floor.is_none() && rule.metric.unit != Unit::Share)
        .then_some(rules.drift);
    let instrument = instrument(&rule.metric, statistic, subject, &change);
    let others = [
        (floor, LimitSource::NoiseFloor),
        (drift, LimitSource::Drift),
        (instrument, LimitSource::Instrument),
    ];
    let (limit_on_scale, limit_source) = applied_limit(&rule.metric, limit, &change, others);
    Weighed {
        scale: change.scale,
        levels: change.levels,
        pairs: change.pairs,
        effect: change.effect,
        limit: limit_on_scale,
        limit_source,
        expressed: match limit {
            Limit::Relative(_) => Expressed::Relative,
            Limit::Duration(_) => Expressed::Nanoseconds,
            Limit::Points(_) => Expressed::Points,
        },
        more_is_worse: rule.metric.more_is_worse(),
        place: None,
    }
}

/// Why the two sides must not be judged by a rule; `None` when they may.
fn objection(
    rules: &Rules,
    rule: &Rule,
    subject: &Subject,
    tasks: &[PairedTask],
) -> Option<String> {
    let is_speed = matches!(
        rule.metric.unit,
        Unit::Duration | Unit::Rate | Unit::Dollars
    );
    subject
        .objection()
        .or_else(|| subject.mismatch(rule.suite.as_deref(), tasks, rules))
        .or_else(|| is_speed.then(|| subject.shortened(tasks, rules)).flatten())
}

/// The largest of the rule's own limit and what else may move the figure, on the effect's
/// scale and with the sign of what is worse.
fn applied_limit(
    metric: &Metric,
    limit: Limit,
    change: &Change,
    others: [(Option<f64>, LimitSource); 3],
) -> (f64, LimitSource) {
    let level = change.levels.map(|[_, baseline]| baseline);
    // How far on the effect's scale an amount reaches, as a distance.
    let reach = |share: f64| match (limit, level) {
        (Limit::Relative(_), _) => share.ln_1p(),
        (Limit::Points(_), _) => share,
        (Limit::Duration(_), Some(level)) => share * level,
        (Limit::Duration(_), None) => 0.0,
    };
    let own = match limit {
        Limit::Relative(share) if !metric.more_is_worse() => -(-share).ln_1p(),
        Limit::Relative(share) => share.ln_1p(),
        Limit::Duration(amount) | Limit::Points(amount) => amount,
    };
    let (distance, source) = others
        .into_iter()
        .filter_map(|(share, source)| Some((reach(share?), source)))
        .fold((own, LimitSource::Rule), |largest, other| {
            if other.0 > largest.0 { other } else { largest }
        });
    let sign = if metric.more_is_worse() { 1.0 } else { -1.0 };
    (sign * distance, source)
}

fn bounded(rules: &Rules, rule: &Rule, objective: &Objective, side: Side) -> Evaluation {
    let finding = blank(rule, side.endpoint, None);
    let alone = Subject {
        candidate: side,
        baselines: Vec::new(),
        interleaved: true,
    };
    let suite = rule.suite.as_deref();
    if let Some(why) = alone.objection().or_else(|| alone.unusable(suite, rules)) {
        return settled(finding, Verdict::Invalid, why);
    }
    let effect = match figure(&rule.metric, objective.statistic, side.trials(suite)) {
        Ok(effect) => effect,
        Err(why) => return undecided(rule, finding, why),
    };
    if effect.n < rule.min_pairs {
        let why = format!(
            "only {}, and min_pairs = {}",
            plural(effect.n, "task"),
            rule.min_pairs
        );
        return undecided(rule, finding, why);
    }
    let Some(limit) = objective.bound.of(rule.metric.unit) else {
        let why = "the bound is not in the metric's unit".to_owned();
        return undecided(rule, finding, why);
    };
    let pairs = side.trials(suite).count();
    tested(
        rule,
        finding,
        Weighed {
            effect,
            scale: Scale::Difference,
            levels: None,
            pairs,
            limit,
            limit_source: LimitSource::Rule,
            expressed: Expressed::Own,
            more_is_worse: objective.below,
            place: None,
        },
    )
}

fn tested(rule: &Rule, finding: Finding, weighed: Weighed) -> Evaluation {
    let p = if weighed.more_is_worse {
        weighed.effect.p_above(weighed.limit)
    } else {
        weighed.effect.p_below(weighed.limit)
    };
    Evaluation::Tested(Box::new(Tested {
        finding,
        weighed,
        p,
        unit: rule.metric.unit,
        alpha: rule.alpha,
        max_detectable: rule.max_detectable,
        action: rule.action,
    }))
}

/// The instrument's error as a share of what it measured, for metrics that it bounds. A
/// middle is off by the typical error, a high percentile by a high one.
fn instrument(
    metric: &Metric,
    statistic: Statistic,
    subject: &Subject,
    change: &Change,
) -> Option<f64> {
    let high = matches!(statistic, Statistic::Quantile(percent) if percent > 75);
    let error = |errors: ErrorQuantiles| if high { errors.p99_ns } else { errors.p50_ns };
    let sides = subject.baselines.iter().chain([&subject.candidate]);
    let settings = sides
        .filter_map(|side| side.run.calibration.as_ref())
        .flat_map(|calibration| &calibration.settings);
    let errors = settings.filter_map(|setting| metric.instrument_error(setting));
    let worst = errors.map(error).max()? as f64;
    let [_, baseline] = change.levels?;
    (baseline > 0.0).then(|| worst / baseline)
}

/// The stage group that lost the most time, of those that the metric is made of.
fn slowest_stage(metric: &Metric, tasks: &[PairedTask]) -> Option<String> {
    let within = metric.stage_groups();
    if within.is_empty() {
        return None;
    }
    let rows = stage_bridge(tasks);
    let most = rows
        .iter()
        .filter(|row| within.contains(&row.group))
        .max_by(|a, b| a.delta_ms.total_cmp(&b.delta_ms))?;
    let whole: f64 = rows.iter().map(|row| row.delta_ms).sum();
    (most.delta_ms > 0.0).then(|| {
        format!(
            "mostly {}: {} more per trial, all stages together {}",
            most.group.label(),
            milliseconds(most.delta_ms),
            milliseconds(whole)
        )
    })
}
