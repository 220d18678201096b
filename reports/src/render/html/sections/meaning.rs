//! "What it means for you": the tables and sentences beside its charts.

use askama::Template;

use super::{ChartView, PageData, Section};
use crate::conclusion;
use crate::decision::{RetryPolicy, Routing};
use crate::format::{
    count, estimate, one_line, percent, percent_range, plural, ratio, ratio_range, round_duration,
    shorten,
};
use crate::summary::{Comparison, Summary};
use crate::table::Table;

/// Longest tag shown, in characters.
const MAX_TAG: usize = 60;

pub(super) static SECTION: Section = Section {
    id: "meaning",
    title: "What it means for you",
    nav: Some("Meaning"),
    body: |data| meaning(data).render().map(Some),
};

/// What is said beside the charts; each part absent where the run cannot tell.
#[derive(Template)]
#[template(path = "sections/meaning.html")]
struct Meaning<'a> {
    /// What is about a candidate and the baseline, for each candidate.
    candidates: Vec<Candidate<'a>>,
    /// Whether there are several, each with a part of its own.
    several: bool,
    solved_within: Option<ChartView<'a>>,
    timeouts: Option<Table>,
    retries: Option<Table>,
    /// Whether a task was tried on a candidate and the baseline.
    tried_on_both: bool,
    /// Whether any task was tried more than once.
    retried: bool,
    /// Charts without words of their own.
    others: Vec<ChartView<'a>>,
    /// Whether a cost is missing anywhere.
    cost_unknown: bool,
}

/// What is about one candidate and the baseline.
struct Candidate<'a> {
    /// What its part is called, where there are several.
    name: Option<String>,
    /// Why tasks do not finish sooner still; of one candidate the page's head says it.
    reasons: Vec<String>,
    bridge: Option<ChartView<'a>>,
    /// What the token rate alone would have promised.
    promise: Option<String>,
    routing: Option<RoutingWords<'a>>,
}

/// The ways to use both endpoints.
struct RoutingWords<'a> {
    chart: ChartView<'a>,
    tasks: String,
    routes: Option<Table>,
    not_by_tag: Option<String>,
}

fn meaning<'a>(data: &PageData<'a>) -> Meaning<'a> {
    let mut charts = data.charts_of(&SECTION);
    let mut take = |kind: &str, candidate: Option<&str>| {
        let index = charts
            .iter()
            .position(|chart| chart.kind == kind && chart.candidate == candidate)?;
        Some(charts.remove(index))
    };
    let summary = data.summary;
    let decision = &summary.decision;
    let solved_within = take("solved-within", None);
    let candidates: Vec<Candidate> = summary
        .comparisons()
        .map(|comparison| {
            let name = comparison.candidate.as_str();
            let policies = take("policies", Some(name));
            let quoted = comparison.lacks.is_empty() || !summary.several();
            Candidate {
                name: data.against(comparison),
                reasons: match summary.several() {
                    true => conclusion::reasons(summary, comparison),
                    false => Vec::new(),
                },
                bridge: take("bridge", Some(name)),
                promise: promise(comparison).filter(|_| quoted),
                // Words about a chart need the chart.
                routing: policies
                    .zip(decision.routing_of(name))
                    .map(|(chart, found)| routing(chart, found)),
            }
        })
        .collect();
    let tried_on_both = candidates.iter().any(|one| one.routing.is_some());
    let all: Vec<&RetryPolicy> = decision.retries.values().flatten().collect();
    let retried = all.iter().any(|policy| policy.up_to > 1);
    // With one attempt each, both sides stand in the table of policies already.
    let shown = retried || decision.routing.is_none() || decision.retries.len() > 2;
    Meaning {
        candidates,
        several: summary.several(),
        tried_on_both,
        solved_within,
        timeouts: timeouts(summary),
        retries: (shown && !all.is_empty()).then(|| retries(summary)),
        retried,
        others: charts,
        cost_unknown: all
            .iter()
            .any(|policy| policy.figures.cost_per_task_usd.is_none()),
    }
}

fn promise(comparison: &Comparison) -> Option<String> {
    let promised = comparison.promised_by_token_rate.as_ref()?;
    let rates = comparison.token_rate_ratio?;
    let (words, times) = if rates >= 1.0 {
        ("shorter", rates)
    } else {
        ("longer", 1.0 / rates)
    };
    Some(format!(
        "Token rate alone would have promised {}: the baseline’s tasks with decode {} {words} and all else as it was. Measured: {}.",
        estimate(promised, ratio, ratio_range),
        ratio(times),
        estimate(&comparison.task_time_ratio, ratio, ratio_range)
    ))
}

fn timeouts(summary: &Summary) -> Option<Table> {
    let timeouts = &summary.decision.timeouts;
    let last = timeouts.len().checked_sub(1)?;
    let named: Vec<&str> = summary
        .endpoints
        .keys()
        .map(String::as_str)
        .filter(|name| timeouts.iter().any(|t| t.solved.contains_key(*name)))
        .collect();
    let headings = std::iter::once("Timeout".to_owned()).chain(named.iter().map(|n| one_line(n)));
    let rows = timeouts.iter().enumerate().map(|(index, timeout)| {
        let own = if index == last { " (as run)" } else { "" };
        let share = |name: &&str| {
            let share = timeout.solved.get(*name);
            share.map_or_else(String::new, |share| estimate(share, percent, percent_range))
        };
        std::iter::once(format!("{}{own}", round_duration(timeout.within_ms)))
            .chain(named.iter().map(share))
            .collect()
    });
    Some(Table::new(headings, rows))
}

fn retries(summary: &Summary) -> Table {
    let decision = &summary.decision;
    let mut all = decision.retries.values().flatten();
    let costed = all.any(|policy| policy.figures.cost_per_solved_task_usd.is_some());
    let mut headings = vec![
        "Policy",
        "Tasks",
        "Solved",
        "Time per task",
        "Time per solved task",
    ];
    headings.extend(costed.then_some("Cost per solved task"));
    let endpoints = decision.retries.iter();
    let policies = endpoints.flat_map(|(name, retries)| {
        let retries = retries.iter();
        retries.map(move |policy| (name, policy))
    });
    let rows = policies.map(|(name, policy)| {
        let figures = &policy.figures;
        let times = match policy.up_to {
            1 => "once".to_owned(),
            up_to => format!("up to {up_to} times"),
        };
        let mut cells = vec![
            format!("{}, {times}", one_line(name)),
            count(policy.tasks as u64),
        ];
        cells.extend(figures.cells(costed));
        cells
    });
    Table::new(headings, rows)
}

fn routing<'a>(chart: ChartView<'a>, routing: &Routing) -> RoutingWords<'a> {
    let headings = [
        "Tag",
        "Tasks",
        "Chosen on the first half",
        "Chosen on the second half",
    ];
    let rows = routing.routes.iter().map(|route| {
        let tag = route.tag.as_deref();
        vec![
            tag.map_or_else(
                || "all others".to_owned(),
                |tag| shorten(&one_line(tag), MAX_TAG),
            ),
            count(route.tasks as u64),
            one_line(&route.chosen_on_first_half),
            one_line(&route.chosen_on_second_half),
        ]
    });
    RoutingWords {
        chart,
        tasks: plural(routing.tasks, "task"),
        routes: (!routing.routes.is_empty()).then(|| Table::new(headings, rows)),
        not_by_tag: routing.not_by_tag.clone(),
    }
}
