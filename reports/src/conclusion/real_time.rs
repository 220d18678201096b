//! Sessions in words: does it feel instant, how often, and what does interrupting cost?

use crate::format::{
    estimate, listed, milliseconds, one_line, or_absent, percent, percent_range, plural, rate,
};
use crate::summary::{INSTANT, RealTime, RealTimeEndpoint, Saved};

/// How often it feels instant and what a stop costs, one clause an endpoint.
pub(super) fn headline(real_time: &RealTime) -> Option<String> {
    let told: Vec<String> = real_time
        .endpoints
        .iter()
        .filter_map(|(name, endpoint)| instant(&one_line(name), endpoint))
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "An answer feels instant (something useful within {}) in {}.",
            milliseconds(INSTANT.ms),
            listed(&told)
        )
    })
}

fn instant(name: &str, endpoint: &RealTimeEndpoint) -> Option<String> {
    let within = endpoint.within.iter().find(|one| one.ms == INSTANT.ms)?;
    within.share.point?;
    let share = estimate(&within.share, percent, percent_range);
    let cost = stop(endpoint).map_or_else(String::new, |cost| format!("; {cost}"));
    Some(format!("{share} of acts on {name}{cost}"))
}

/// What a stop costs: how long it goes on, and what it says meanwhile.
fn stop(endpoint: &RealTimeEndpoint) -> Option<String> {
    let stream = endpoint.quiet.first()?;
    let quiet = stream.ms.p50?;
    let tokens = endpoint.stale_tokens.mean?;
    Some(format!(
        "there a stop leaves {} of output, {} {} on average",
        milliseconds(quiet),
        rate(tokens),
        if tokens == 1.0 { "token" } else { "tokens" }
    ))
}

/// What waiting less is worth in a day.
pub(crate) fn a_day(saved: &Saved) -> String {
    let names = [&saved.candidate, &saved.baseline].map(|name| one_line(name));
    let acts = plural(saved.acts_a_day as usize, "act");
    let Some(minutes) = saved.minutes.point else {
        return format!(
            "What {acts} a day save on {} is not known: {}.",
            names[0],
            or_absent(saved.minutes.reason.as_ref(), |why| one_line(why))
        );
    };
    let range = |sign: f64| {
        let ends = saved.minutes.interval();
        ends.map_or_else(String::new, |(low, high)| {
            let mut ends = [sign * low, sign * high];
            ends.sort_by(f64::total_cmp);
            format!(" (95 % interval {} to {})", rate(ends[0]), rate(ends[1]))
        })
    };
    let [candidate, baseline] = names;
    if saved.minutes.may_be(0.0) {
        return format!(
            "At {acts} a day no difference in waiting is shown between {candidate} and {baseline}: {} min{}.",
            rate(minutes),
            range(1.0)
        );
    }
    let (verb, sign) = if minutes > 0.0 {
        ("saves", 1.0)
    } else {
        ("costs", -1.0)
    };
    format!(
        "At {acts} a day {candidate} {verb} {} min of waiting against {baseline}{}.",
        rate(minutes.abs()),
        range(sign)
    )
}
