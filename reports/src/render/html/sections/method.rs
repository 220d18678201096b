//! What the words mean, how exact the instrument was, and where the run took place.

use askama::Template;
use timeslip_datasets::run::calibration::{EmittedErrors, ErrorQuantiles, StreamCalibration};

use super::Section;
use crate::format::{nanoseconds, plural};
use crate::summary::{Fact, Summary};

pub(super) static SECTION: Section = Section {
    id: "method",
    title: "Method",
    nav: Some("Method"),
    body: |data| {
        let section = Method {
            instrument: instrument(data.summary),
            environment: environment(data.summary),
        };
        section.render().map(Some)
    },
};

#[derive(Template)]
#[template(path = "sections/method.html")]
struct Method {
    instrument: Vec<Fact>,
    environment: Vec<Fact>,
}

/// What is known of the instrument's error on this machine; empty when nothing is.
fn instrument(summary: &Summary) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(calibration) = &summary.calibration {
        facts.extend(calibration.settings.iter().flat_map(setting));
        facts.push(fact(
            "Clock resolution",
            nanoseconds(calibration.clock_resolution_ns),
        ));
        let priority = calibration.priority.iter();
        facts.extend(priority.map(|priority| fact("Priority of what measures", priority.clone())));
        let arrivals = calibration.arrivals.iter();
        facts.extend(arrivals.map(|source| fact("Arrivals are known by", source.words().into())));
    }
    let during = summary.calibration.iter().flat_map(|all| &all.during);
    for errors in during {
        facts.push(fact("In this run: TTFT error", spread(&errors.ttft_error)));
        facts.push(fact(
            "In this run: inter-event error",
            spread(&errors.inter_event_error),
        ));
    }
    let emitted = summary.calibration.iter().flat_map(|all| &all.emitted);
    for EmittedErrors {
        endpoint,
        ttft_error,
        inter_event_error,
    } in emitted
    {
        let against = format!("against the log of {endpoint}");
        facts.push(fact(&format!("TTFT {against}: error"), spread(ttft_error)));
        facts.push(fact(
            &format!("Gaps {against}: error"),
            spread(inter_event_error),
        ));
    }
    if let Some(lag) = &summary.client_lag {
        facts.push(fact(
            "In this run: events read after arrival by",
            spread(lag),
        ));
    }
    facts
}

fn environment(summary: &Summary) -> Vec<Fact> {
    let own = [
        ("Run", summary.run_id.clone()),
        ("Started", summary.started_at.clone()),
        ("timeslip", summary.timeslip_version.clone()),
        ("Seed", summary.seed.to_string()),
        ("Sandbox", summary.sandbox.clone()),
        ("Trials at once", summary.concurrency.to_string()),
    ];
    own.into_iter()
        .map(|(name, value)| Fact {
            name: name.to_owned(),
            value,
        })
        .chain(summary.environment.iter().cloned())
        .collect()
}

fn setting(setting: &StreamCalibration) -> Vec<Fact> {
    let StreamCalibration {
        protocol,
        transport,
        streams,
        ..
    } = setting;
    let streams = plural(*streams as usize, "stream");
    let place = format!("{protocol} over {transport}, {streams}");
    let named =
        |name: &str, value: &ErrorQuantiles| fact(&format!("{name}: {place}"), spread(value));
    [
        Some(named("TTFT error", &setting.ttft_error)),
        Some(named("Inter-event error", &setting.inter_event_error)),
        setting
            .client_lag
            .as_ref()
            .map(|lag| named("Read after arrival", lag)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn spread(errors: &ErrorQuantiles) -> String {
    format!(
        "{} (p50), {} (p99), n = {}",
        nanoseconds(errors.p50_ns),
        nanoseconds(errors.p99_ns),
        errors.n
    )
}

fn fact(name: &str, value: String) -> Fact {
    Fact {
        name: name.to_owned(),
        value,
    }
}
