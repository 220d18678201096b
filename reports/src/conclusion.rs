//! The run in words: how much sooner are tasks done, why not more, and at what
//! quality?
//!
//! Every sentence carries its numbers. Where an interval holds 1 (or 0) the
//! words say that no difference is shown and how large it may be, and they say what the
//! data cannot carry.

mod real_time;

pub(crate) use real_time::a_day;

use crate::format::{
    listed, milliseconds, one_line, or_absent, percent, percent_range, plural, ratio, ratio_range,
    signed_points,
};
use crate::stages::StageGroup;
use crate::stats::{Estimate, OneSidedTest, pairs_needed};
use crate::summary::{BridgeRow, Comparison, EndpointSummary, Summary};

/// A difference is shown when a 95 % interval leaves zero out; the tasks needed are those
/// that do so in four of five runs.
const SHOWN: OneSidedTest = OneSidedTest {
    alpha: 0.025,
    power: 0.8,
};

/// The quantile of the normal distribution at 1 − 0.025.
const NORMAL_97_5: f64 = 1.959_963_984_540_054;

/// A smaller difference in quality is not asked for: no suite has the tasks to show it.
const LEAST_EFFECT: f64 = 0.05;

/// Below this many tasks a comparison is called a first look.
const FEW_TASKS: usize = 10;

/// What a run says, sentence by sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conclusion {
    /// How much sooner tasks finish.
    pub headline: String,
    /// Why not more: what made the difference and what is left.
    pub reasons: Vec<String>,
    /// What it costs or gains in resolved tasks.
    pub quality: Option<String>,
    /// What the data cannot carry.
    pub caveats: Vec<String>,
    /// That endpoints are simulated, when any is.
    pub simulated: Option<String>,
}

impl Conclusion {
    /// Reads the conclusion off a summary. Names are reduced to one line; the
    /// renderer still has to escape them for its own format.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let mut conclusion = match &summary.comparison {
            Some(_) if summary.several() => several(summary),
            Some(comparison) => compared(summary, comparison),
            None => alone(summary),
        };
        if let Some(real_time) = &summary.real_time
            && let Some(headline) = real_time::headline(real_time)
        {
            let tasks = std::mem::replace(&mut conclusion.headline, headline);
            let saved = real_time.saved.iter().map(a_day);
            conclusion.reasons.splice(0..0, saved.chain([tasks]));
        }
        if !summary.valid && !any_stands(summary) {
            let reasons: Vec<String> = summary.invalid.iter().map(|why| one_line(why)).collect();
            let invalid = format!(
                "This run is invalid, do not rely on its figures: {}.",
                reasons.join("; ")
            );
            let headline = std::mem::replace(&mut conclusion.headline, invalid);
            conclusion.reasons.insert(0, headline);
            conclusion.reasons.retain(|sentence| !sentence.is_empty());
        }
        conclusion.caveats.extend(caveats(summary));
        conclusion.simulated = simulated(summary);
        conclusion
    }

    /// Every sentence in reading order.
    #[must_use]
    pub fn sentences(&self) -> Vec<&str> {
        std::iter::once(&self.headline)
            .chain(&self.reasons)
            .chain(&self.quality)
            .chain(&self.caveats)
            .chain(&self.simulated)
            .map(String::as_str)
            .collect()
    }

    /// All of it as one paragraph.
    #[must_use]
    pub fn text(&self) -> String {
        self.sentences().join(" ")
    }
}

/// Whether what makes the run invalid leaves a comparison that it does not touch.
fn any_stands(summary: &Summary) -> bool {
    let touched = |comparison: &Comparison| {
        let mut lacks = comparison.lacks.iter();
        lacks.any(|lack| summary.invalid.contains(lack))
    };
    summary.comparisons().any(|comparison| !touched(comparison))
}

/// Several candidates against one baseline: the soonest first, then each in its order.
fn several(summary: &Summary) -> Conclusion {
    let point = |comparison: &Comparison| comparison.task_time_ratio.point.unwrap_or(0.0);
    let soonest = summary
        .comparisons()
        .filter(|comparison| comparison.lacks.is_empty() && comparison.shows_time())
        .filter(|comparison| point(comparison) > 1.0)
        .max_by(|a, b| point(a).total_cmp(&point(b)));
    let count = summary.comparisons().count();
    let others = summary
        .comparisons()
        .filter(|comparison| soonest.is_none_or(|one| one.candidate != comparison.candidate));
    // Of an invalid run the first sentence has the reasons already.
    let told = !any_stands(summary);
    let about = |comparison: &Comparison| {
        let mut lacks = comparison.lacks.clone();
        lacks.retain(|lack| !(told && summary.invalid.contains(lack)));
        let speed = match lacks[..] {
            [] if comparison.lacks.is_empty() => Some(speed(comparison)),
            [] => None,
            _ => Some(not_told(comparison, &lacks)),
        };
        let sentences = speed.into_iter().chain(quality(summary, comparison));
        sentences.collect::<Vec<_>>().join(" ")
    };
    let own_quality = soonest.and_then(|comparison| quality(summary, comparison));
    Conclusion {
        headline: first_of_several(summary, soonest, count),
        reasons: own_quality.into_iter().chain(others.map(about)).collect(),
        ..Conclusion::default()
    }
}

fn not_told(comparison: &Comparison, lacks: &[String]) -> String {
    let lacks: Vec<String> = lacks.iter().map(|lack| one_line(lack)).collect();
    format!(
        "How much sooner tasks finish on {} is not told: {}.",
        one_line(&comparison.candidate),
        lacks.join("; ").trim_end_matches('.')
    )
}

fn first_of_several(summary: &Summary, soonest: Option<&Comparison>, count: usize) -> String {
    let baseline = summary.comparison.as_ref();
    let baseline = baseline.map_or_else(String::new, |one| one_line(&one.baseline));
    let Some(soonest) = soonest else {
        let verb = if summary.comparisons().all(|one| !one.lacks.is_empty()) {
            "can be compared with"
        } else {
            "is shown to finish tasks sooner than"
        };
        return format!("None of the {count} candidates {verb} {baseline}.");
    };
    let estimate = &soonest.task_time_ratio;
    let Pace { factor, interval } = pace(estimate, estimate.point.unwrap_or(1.0), "95 % interval ");
    let rate = |name: &str| summary.endpoints.get(name)?.resolve_rate.point;
    let rates = rate(&soonest.candidate).zip(rate(&soonest.baseline));
    let quality = rates.map_or_else(String::new, |(own, other)| {
        format!(" and resolves {} against {}", percent(own), percent(other))
    });
    format!(
        "Of {count} candidates, {} finishes tasks soonest by the estimates: {factor} sooner than {baseline} ({interval}){quality}.",
        one_line(&soonest.candidate)
    )
}

fn compared(summary: &Summary, comparison: &Comparison) -> Conclusion {
    if !summary.headline_lacks.is_empty() {
        let lacks = summary.headline_lacks.iter();
        let further = lacks.filter(|lack| !summary.invalid.contains(lack));
        return Conclusion {
            headline: further.cloned().collect::<Vec<_>>().join(" "),
            quality: quality(summary, comparison),
            ..Conclusion::default()
        };
    }
    Conclusion {
        headline: speed(comparison),
        reasons: reasons(summary, comparison),
        quality: quality(summary, comparison),
        ..Conclusion::default()
    }
}

/// Why tasks do not finish sooner still: what made the difference, what is left. Empty where
/// ratios may not be quoted.
#[must_use]
pub fn reasons(summary: &Summary, comparison: &Comparison) -> Vec<String> {
    if !comparison.lacks.is_empty() {
        return Vec::new();
    }
    let candidate = summary.endpoints.get(&comparison.candidate);
    let mut reasons = Vec::new();
    reasons.extend(what_made_the_difference(comparison));
    reasons.extend(what_is_left(comparison, candidate));
    reasons.extend(both_resolved(comparison));
    reasons
}

fn speed(comparison: &Comparison) -> String {
    let estimate = &comparison.task_time_ratio;
    let (candidate, baseline) = (
        one_line(&comparison.candidate),
        one_line(&comparison.baseline),
    );
    let Some(point) = estimate.point else {
        return format!(
            "Task times of {candidate} and {baseline} cannot be compared: no task ran to an end on both."
        );
    };
    let tokens = rate_words(comparison, point);
    let interval = interval_words(estimate, |range| {
        format!("95 % interval {}", ratio_range(range))
    });
    if estimate.may_be(1.0) {
        let (low, high) = estimate.interval().unwrap_or((point, point));
        return format!(
            "No difference in task time is shown between {candidate} and {baseline}: ratio {} ({interval}), so tasks may finish up to {} sooner or take up to {} as long{tokens}.",
            ratio(point),
            ratio(high),
            ratio(1.0 / low)
        );
    }
    if let Some(p) = comparison.task_time_p.filter(|_| !comparison.shows_time()) {
        return format!(
            "No difference in task time is shown between {candidate} and {baseline} among so many candidates: ratio {} ({interval}, p = {p:.2} after Holm’s correction){tokens}.",
            ratio(point)
        );
    }
    let Pace { factor, interval } = pace(estimate, point, "95 % interval ");
    if point >= 1.0 {
        format!(
            "Tasks finish {factor} sooner on {candidate} than on {baseline} ({interval}){tokens}."
        )
    } else {
        format!("Tasks take {factor} as long on {candidate} as on {baseline} ({interval}){tokens}.")
    }
}

/// A time ratio turned so that its factor is at least 1.
struct Pace {
    factor: String,
    interval: String,
}

fn pace(estimate: &Estimate, point: f64, prefix: &str) -> Pace {
    let sooner = point >= 1.0;
    Pace {
        factor: ratio(if sooner { point } else { 1.0 / point }),
        interval: interval_words(estimate, |(low, high)| {
            let range = if sooner {
                (low, high)
            } else {
                (1.0 / high, 1.0 / low)
            };
            format!("{prefix}{}", ratio_range(range))
        }),
    }
}

fn rate_words(comparison: &Comparison, task_ratio: f64) -> String {
    let Some(rate) = comparison.token_rate_ratio else {
        return String::new();
    };
    if (0.95..=1.05).contains(&rate) {
        return "; tokens stream at about the same rate".to_owned();
    }
    let faster = rate > 1.0;
    // "though" where the token rate promises more than the tasks show.
    let promised = if faster {
        rate > task_ratio
    } else {
        task_ratio >= 1.0
    };
    let join = if promised { "though" } else { "and" };
    if faster {
        format!(", {join} it streams tokens {} faster", ratio(rate))
    } else {
        format!(", {join} it streams tokens {} slower", ratio(1.0 / rate))
    }
}

fn what_made_the_difference(comparison: &Comparison) -> Option<String> {
    if !comparison.shows_time() {
        return None;
    }
    let faster = comparison.task_time_ratio.point? >= 1.0;
    let delta: f64 = comparison.stage_bridge.iter().map(|row| row.delta_ms).sum();
    let signed = |row: &&BridgeRow| if faster { -row.delta_ms } else { row.delta_ms };
    let row = comparison
        .stage_bridge
        .iter()
        .max_by(|a, b| signed(a).total_cmp(&signed(b)))?;
    let part = signed(&row);
    // The mean difference can point the other way than the mean ratio does.
    let whole = if faster { -delta } else { delta };
    if part <= 0.0 || whole <= 0.0 {
        return None;
    }
    let (group, part_words, whole_words) =
        (row.group.label(), milliseconds(part), milliseconds(whole));
    let verb = if faster { "saved" } else { "lost" };
    Some(if part <= whole {
        format!(
            "The difference is mostly {group}: {part_words} of the {whole_words} {verb} per task ({}).",
            percent(part / whole)
        )
    } else {
        let (gains, against) = if faster {
            ("saves", "give back")
        } else {
            ("costs", "win back")
        };
        format!(
            "The difference comes from {group}: it {gains} {part_words} per task, of which other stages {against} {}.",
            milliseconds(part - whole)
        )
    })
}

fn what_is_left(comparison: &Comparison, candidate: Option<&EndpointSummary>) -> Option<String> {
    let groups = largest_groups(candidate?);
    if groups.is_empty() {
        return None;
    }
    let estimate = &comparison.task_time_ratio;
    let sooner = estimate.point? > 1.0 && comparison.shows_time();
    let subject = if sooner {
        format!("What is left is mostly {groups}")
    } else {
        let name = one_line(&comparison.candidate);
        format!("{name} spends its time mostly on {groups}")
    };
    let ceiling = comparison.amdahl_limit.map_or_else(String::new, |limit| {
        let baseline = one_line(&comparison.baseline);
        // Past the ceiling of decode alone, other stages must have become shorter, too.
        let beyond = if sooner && estimate.point.is_some_and(|point| point > limit) {
            " and nothing else changed: the rest comes from the other stages"
        } else {
            ""
        };
        format!(
            "; {baseline} would finish {} sooner if decode alone were infinitely fast{beyond}",
            ratio(limit)
        )
    });
    Some(format!("{subject}{ceiling}."))
}

/// The two largest groups with their shares, e.g. `tools (41 %) and network (22 %)`.
fn largest_groups(endpoint: &EndpointSummary) -> String {
    let mut shares: Vec<(StageGroup, f64)> = endpoint
        .groups
        .iter()
        .filter_map(|(group, summary)| Some((*group, summary.share?)))
        .filter(|(_, share)| *share >= 0.005)
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
        .iter()
        .take(2)
        .map(|(group, share)| format!("{} ({})", group.label(), percent(*share)))
        .collect::<Vec<_>>()
        .join(" and ")
}

fn both_resolved(comparison: &Comparison) -> Option<String> {
    let estimate = comparison.task_time_ratio_both_resolved.as_ref()?;
    let range = estimate.interval()?;
    let tasks = plural(estimate.n, "task");
    if estimate.may_be(1.0) {
        return Some(format!(
            "On the {tasks} that both resolved no difference in time is shown ({}).",
            ratio_range(range)
        ));
    }
    let point = estimate.point?;
    let Pace { factor, interval } = pace(estimate, point, "");
    let words = if point >= 1.0 {
        format!("finishes {factor} sooner")
    } else {
        format!("takes {factor} as long")
    };
    Some(format!(
        "On the {tasks} that both resolved it {words} ({interval})."
    ))
}

fn quality(summary: &Summary, comparison: &Comparison) -> Option<String> {
    let rate = |name: &str| summary.endpoints.get(name)?.resolve_rate.point;
    let candidate = rate(&comparison.candidate)?;
    let baseline = rate(&comparison.baseline)?;
    let rates = format!("{} against {}", percent(candidate), percent(baseline));
    let estimate = &comparison.resolve_rate_difference;
    let Some(point) = estimate.point else {
        return Some(format!(
            "It resolves {rates}; without pairs the difference has no interval."
        ));
    };
    let name = one_line(&comparison.candidate);
    let interval = interval_words(estimate, |(low, high)| {
        format!(
            "95 % interval {} to {}",
            signed_points(low),
            signed_points(high)
        )
    });
    // Of several candidates one p-value is told: that of the interval, after the correction.
    let chance = match (comparison.resolve_rate_p, comparison.mcnemar_p) {
        (Some(p), _) => format!("; p = {p:.2} after Holm’s correction"),
        (None, Some(p)) => format!("; McNemar's exact p = {p:.2}"),
        (None, None) => String::new(),
    };
    let difference = format!(
        "difference {} points, {interval}{chance}",
        signed_points(point)
    );
    Some(if !comparison.shows_quality() {
        let (low, high) = estimate.interval().unwrap_or((point, point));
        format!(
            "Quality is inconclusive: {name} resolves {rates} ({difference}); it could be up to {} worse or {} better{}.",
            points(-low),
            points(high),
            tasks_needed(estimate).unwrap_or_default()
        )
    } else {
        format!("{name} resolves {rates} ({difference}).")
    })
}

/// How many tasks would show a difference of the size that was seen, in words.
fn tasks_needed(estimate: &Estimate) -> Option<String> {
    let (low, high) = estimate.interval()?;
    let effect = estimate.point?.abs().max(LEAST_EFFECT);
    // Half the interval is as many standard errors as a two-sided level of 5 % asks for.
    let deviation = (high - low) / (2.0 * NORMAL_97_5) * (estimate.n as f64).sqrt();
    let needed = pairs_needed(deviation, effect, SHOWN)?;
    let needed = usize::try_from(needed).ok()?;
    Some(format!(
        "; about {} would show a difference of {}",
        plural(needed, "task"),
        points(effect)
    ))
}

/// A size in percentage points; none on the other side of zero.
fn points(share: f64) -> String {
    let points = (share.max(0.0) * 100.0).round() as usize;
    plural(points, "point")
}

fn alone(summary: &Summary) -> Conclusion {
    let endpoints: Vec<_> = summary
        .endpoints
        .iter()
        .filter(|(_, endpoint)| endpoint.trials > 0)
        .collect();
    if endpoints.is_empty() {
        return Conclusion {
            headline: "No trial finished: there is nothing to report yet.".to_owned(),
            ..Conclusion::default()
        };
    }
    let lines: Vec<String> = endpoints
        .iter()
        .map(|(name, endpoint)| alone_sentence(&one_line(name), endpoint))
        .collect();
    Conclusion {
        headline: lines.join(" "),
        reasons: endpoints
            .iter()
            .map(|(name, endpoint)| (name, largest_groups(endpoint)))
            .filter(|(_, groups)| !groups.is_empty())
            .map(|(name, groups)| format!("{} spends its time mostly on {groups}.", one_line(name)))
            .collect(),
        caveats: vec!["Only one side was run, so nothing is compared.".to_owned()],
        ..Conclusion::default()
    }
}

fn alone_sentence(name: &str, endpoint: &EndpointSummary) -> String {
    let rate = &endpoint.resolve_rate;
    if let (None, Some(median)) = (rate.point, endpoint.wall_ms.p50) {
        let trials = plural(endpoint.trials, "trial");
        let median = milliseconds(median);
        return format!("{name} takes {median} (median of {trials}); nobody graded the result.");
    }
    let interval = interval_words(rate, |range| {
        format!("95 % interval {}", percent_range(range))
    });
    let resolved = format!(
        "resolves {} of {} ({interval})",
        or_absent(rate.point, percent),
        plural(endpoint.trials, "trial")
    );
    match endpoint.wall_ms.p50 {
        Some(median) => format!(
            "{name} finishes a task in {} (median) and {resolved}.",
            milliseconds(median)
        ),
        None => {
            format!("{name} {resolved}; every trial ended in an error, so there are no times.")
        }
    }
}

fn caveats(summary: &Summary) -> Vec<String> {
    let mut caveats = Vec::new();
    if !summary.complete {
        caveats.push(format!(
            "The run is incomplete: {} of {} finished, and the figures cover only these.",
            summary.finished_trials,
            plural(summary.planned_trials, "planned trial")
        ));
    }
    let tasks = summary
        .comparisons()
        .map(|comparison| comparison.task_time_ratio.n);
    let fewest = tasks.filter(|tasks| (1..FEW_TASKS).contains(tasks)).min();
    caveats.extend(fewest.map(|tasks| {
        format!(
            "Only {} could be compared: take this as a first look, not a result.",
            plural(tasks, "task")
        )
    }));
    if let Some(comparison) = summary.comparison.as_ref().filter(|_| summary.several()) {
        caveats.push(format!(
            "Each candidate is compared with {} and no other; a difference is said to be shown only where it holds among all of them (Holm’s correction). Which of two candidates is sooner, `timeslip compare` of the two says.",
            one_line(&comparison.baseline)
        ));
    }
    let errors: usize = summary
        .endpoints
        .values()
        .map(|endpoint| endpoint.errors)
        .sum();
    if errors > 0 {
        caveats.push(format!(
            "{} ended in an error: left out of every time, and resolved only where what was left passes.",
            plural(errors, "trial")
        ));
    }
    caveats
}

fn simulated(summary: &Summary) -> Option<String> {
    let names: Vec<String> = summary
        .endpoints
        .iter()
        .filter(|(_, endpoint)| endpoint.simulated)
        .map(|(name, _)| one_line(name))
        .collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| {
        format!(
            "{} {verb} simulated: these figures say nothing about real hardware.",
            listed(&names)
        )
    })
}

fn interval_words(estimate: &Estimate, format: impl FnOnce((f64, f64)) -> String) -> String {
    match (estimate.interval(), &estimate.reason) {
        (Some(range), _) => format(range),
        (None, Some(reason)) => reason.clone(),
        (None, None) => "no interval".to_owned(),
    }
}
