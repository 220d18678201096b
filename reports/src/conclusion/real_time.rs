//! Sessions in words: does it feel instant, how often, and what does interrupting cost?

use crate::format::{
    estimate, listed, milliseconds, one_line, or_absent, percent, percent_range, plural, rate,
};
use crate::summary::{INSTANT, RealTime, RealTimeEndpoint, Saved};

/// How often it feels instant and what a stop costs, on each endpoint.
pub(super) fn headline(real_time: &RealTime) -> Option<String> {
    let endpoints = real_time.endpoints.iter();
    let told: Vec<String> = endpoints
        .filter_map(|(name, endpoint)| instant(&one_line(name), endpoint))
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "An answer begins within {}, which feels instant, in {}.",
            milliseconds(INSTANT.ms),
            listed(&told)
        )
    })
}

fn instant(name: &str, endpoint: &RealTimeEndpoint) -> Option<String> {
    let within = endpoint.within.iter().find(|one| one.ms == INSTANT.ms)?;
    within.share.point?;
    let median = endpoint.response_ms.p50;
    let median = median.map(|ms| format!("median {}", milliseconds(ms)));
    let details: Vec<String> = median.into_iter().chain(after_a_stop(endpoint)).collect();
    Some(format!(
        "{} of answers on {name} ({})",
        estimate(&within.share, percent, percent_range),
        details.join("; ")
    ))
}

/// What a stop costs: what is still said, and for how long.
fn after_a_stop(endpoint: &RealTimeEndpoint) -> Option<String> {
    let stream = endpoint.quiet.first()?;
    let (quiet_ms, tokens) = (stream.ms.p50?, endpoint.stale_tokens.mean?);
    let stops = plural(stream.ms.n, "stop");
    Some(match tokens > 0.0 {
        true => format!(
            "quiet {} after a stop, {} more tokens on the average of {stops}",
            milliseconds(quiet_ms),
            rate(tokens)
        ),
        false => format!("quiet at once after each of {stops}"),
    })
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
