//! One rule on one endpoint: from data to a p-value, and from there to a verdict.

use crate::arm::Arm;
use crate::compare::{Change, Scale, Statistic, change, figure};
use crate::format::milliseconds;
use crate::format::{one_line, plural};
use crate::input::{Calibration, ErrorQuantiles, RunData};
use crate::metrics::{Metric, Unit};
use crate::pairing::PairedTask;
use crate::summary::stage_bridge;

use super::decide::{Outcome, Tested, Weighed};
use super::finding::{Expressed, Finding, LimitSource, Verdict};
use super::quantity::{Limit, Objective};
use super::rules::{Bounds, Rule, Rules};
use super::subject::Subject;
use super::{FloorKey, Floors};

/// A rule on everything it applies to.
pub(super) fn rule(
    rules: &Rules,
    rule: &Rule,
    run: &RunData,
    subjects: &[Subject],
    floors: &Floors,
) -> Vec<Outcome> {
    let wanted = |name: &str| rule.endpoint.as_deref().is_none_or(|only| only == name);
    let chosen: Vec<&Subject> = subjects
        .iter()
        .filter(|subject| wanted(subject.candidate.endpoint))
        .collect();
    let outcomes: Vec<Outcome> = match &rule.bounds {
        Bounds::Change { statistic, limit } => chosen
            .into_iter()
            .map(|subject| changed(rules, rule, *statistic, *limit, subject, floors))
            .collect(),
        // Any endpoint may have an objective, the baseline of the run, too.
        Bounds::Objective(objective) => match rule.endpoint.as_deref() {
            Some(name) if run.endpoints.iter().any(|endpoint| endpoint.name == name) => {
                vec![bounded(
                    rule,
                    objective,
                    Arm {
                        run,
                        endpoint: name,
                    },
                )]
            }
            _ => chosen
                .into_iter()
                .map(|subject| bounded(rule, objective, subject.candidate))
                .collect(),
        },
    };
    if outcomes.is_empty() {
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
    outcomes
}

fn blank(rule: &Rule, endpoint: &str, baseline: Option<String>) -> Finding {
    let statistic = match &rule.bounds {
        Bounds::Change { statistic, .. } => statistic.to_string(),
        Bounds::Objective(objective) => objective.statistic.to_string(),
    };
    Finding {
        rule: rule.name.clone(),
        metric: rule.metric.name(),
        statistic,
        suite: rule.suite.clone(),
        endpoint: endpoint.to_owned(),
        baseline,
        verdict: Verdict::Inconclusive,
        reason: String::new(),
        measured: None,
    }
}

fn settled(mut finding: Finding, verdict: Verdict, reason: String) -> Outcome {
    finding.verdict = verdict;
    finding.reason = reason;
    Outcome::Settled(Box::new(finding))
}

fn changed(
    rules: &Rules,
    rule: &Rule,
    statistic: Statistic,
    limit: Limit,
    subject: &Subject,
    floors: &Floors,
) -> Outcome {
    let endpoint = subject.candidate.endpoint;
    let finding = blank(rule, endpoint, Some(subject.baseline_label()));
    if let Some(why) = subject.objection() {
        return settled(finding, Verdict::Invalid, why);
    }
    let suite = rule.suite.as_deref();
    let tasks = subject.pairs(suite);
    if let Some(why) = subject.mismatch(suite, &tasks, rules) {
        return settled(finding, Verdict::Invalid, why);
    }
    let is_speed = matches!(
        rule.metric.unit,
        Unit::Duration | Unit::Rate | Unit::Dollars
    );
    if let Some(why) = subject.shortened(&tasks, rules).filter(|_| is_speed) {
        return settled(finding, Verdict::Invalid, why);
    }
    let scale = match limit {
        Limit::Relative(_) => Scale::Log,
        Limit::Duration(_) | Limit::Points(_) => Scale::Difference,
    };
    let change = match change(&rule.metric, statistic, scale, &tasks) {
        Ok(change) => change,
        Err(why) => return settled(finding, Verdict::Inconclusive, why),
    };
    if change.effect.n < rule.min_pairs {
        let why = format!(
            "only {} could be paired, and min_pairs = {}",
            plural(change.effect.n, "task"),
            rule.min_pairs
        );
        return settled(finding, Verdict::Inconclusive, why);
    }
    let key = FloorKey {
        suite,
        endpoint,
        metric: &finding.metric,
        statistic,
        interleaved: subject.interleaved,
    };
    let floor = floors(key).map(|floor| (floor, LimitSource::NoiseFloor));
    // Both sides of an interleaved run saw the same day.
    let drift = (!subject.interleaved && floor.is_none() && scale == Scale::Log)
        .then_some((rules.drift, LimitSource::Drift));
    let instrument = instrument(&rule.metric, statistic, subject.candidate.run, &change)
        .map(|error| (error, LimitSource::Instrument));
    let (amount, limit_source) = [floor, drift, instrument].into_iter().flatten().fold(
        (amount(limit), LimitSource::Rule),
        |largest, other| {
            // A floor is a share and says nothing of a limit in milliseconds.
            let comparable = !matches!(limit, Limit::Duration(_));
            if comparable && other.0 > largest.0 {
                other
            } else {
                largest
            }
        },
    );
    let more_is_worse = !rule.metric.higher_is_better;
    let worse = if more_is_worse { amount } else { -amount };
    let limit_on_scale = match scale {
        Scale::Log => (1.0 + worse).max(f64::MIN_POSITIVE).ln(),
        Scale::Difference => worse,
    };
    let place = (rule.metric.unit == Unit::Duration && !rule.metric.is_stage())
        .then(|| slowest_stage(&tasks))
        .flatten();
    tested(
        rule,
        finding,
        Weighed {
            effect: change.effect,
            scale,
            levels: change.levels,
            pairs: change.pairs,
            limit: limit_on_scale,
            limit_source,
            expressed: match limit {
                Limit::Relative(_) => Expressed::Relative,
                Limit::Duration(_) => Expressed::Nanoseconds,
                Limit::Points(_) => Expressed::Points,
            },
            more_is_worse,
            place,
        },
    )
}

fn bounded(rule: &Rule, objective: &Objective, arm: Arm) -> Outcome {
    let finding = blank(rule, arm.endpoint, None);
    let alone = Subject {
        candidate: arm,
        baselines: Vec::new(),
        interleaved: true,
    };
    if let Some(why) = alone.objection() {
        return settled(finding, Verdict::Invalid, why);
    }
    let trials = arm.trials(rule.suite.as_deref());
    let effect = match figure(&rule.metric, objective.statistic, trials) {
        Ok(effect) => effect,
        Err(why) => return settled(finding, Verdict::Inconclusive, why),
    };
    if effect.n < rule.min_pairs {
        let why = format!(
            "only {}, and min_pairs = {}",
            plural(effect.n, "task"),
            rule.min_pairs
        );
        return settled(finding, Verdict::Inconclusive, why);
    }
    let Some(limit) = objective.bound.of(rule.metric.unit) else {
        let why = "the bound is not in the metric's unit".to_owned();
        return settled(finding, Verdict::Inconclusive, why);
    };
    let pairs = arm.trials(rule.suite.as_deref()).count();
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

fn tested(rule: &Rule, finding: Finding, weighed: Weighed) -> Outcome {
    let p = if weighed.more_is_worse {
        weighed.effect.p_above(weighed.limit)
    } else {
        weighed.effect.p_below(weighed.limit)
    };
    Outcome::Tested(Box::new(Tested {
        finding,
        weighed,
        p,
        unit: rule.metric.unit,
        alpha: rule.alpha,
        max_detectable: rule.max_detectable,
        action: rule.action,
    }))
}

fn amount(limit: Limit) -> f64 {
    match limit {
        Limit::Relative(amount) | Limit::Duration(amount) | Limit::Points(amount) => amount,
    }
}

/// The instrument's error as a share of what it measured, for times of one exchange. A
/// middle is off by the typical error, a high percentile by a high one.
fn instrument(
    metric: &Metric,
    statistic: Statistic,
    run: &RunData,
    change: &Change,
) -> Option<f64> {
    let calibration: &Calibration = run.calibration.as_ref()?;
    let of: fn(&crate::input::StreamCalibration) -> ErrorQuantiles = match metric.name().as_str() {
        "ttft" => |setting| setting.ttft_error,
        "inter_event" => |setting| setting.inter_event_error,
        _ => return None,
    };
    let high = matches!(statistic, Statistic::Quantile(percent) if percent > 75);
    let error = |errors: ErrorQuantiles| if high { errors.p99_ns } else { errors.p50_ns };
    let settings = calibration.settings.iter();
    let worst = settings.map(|setting| error(of(setting))).max()? as f64;
    let [_, baseline] = change.levels?;
    (change.scale == Scale::Log && baseline > 0.0).then(|| worst / baseline)
}

/// The stage group that lost the most time, in words.
fn slowest_stage(tasks: &[PairedTask]) -> Option<String> {
    let rows = stage_bridge(tasks);
    let whole: f64 = rows.iter().map(|row| row.delta_ms).sum();
    let most = rows
        .iter()
        .max_by(|a, b| a.delta_ms.total_cmp(&b.delta_ms))?;
    (most.delta_ms > 0.0).then(|| {
        format!(
            "{} takes {} more per task, all stages together {}",
            most.group.label(),
            milliseconds(most.delta_ms),
            milliseconds(whole)
        )
    })
}
