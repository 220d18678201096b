//! The instrument's own error, as the report's facts.

use crate::format::nanoseconds;
use crate::input::{ErrorQuantiles, StreamCalibration};
use crate::summary::{Fact, Summary};

/// What is known of the instrument's error on this machine; empty when nothing is.
pub(super) fn facts(summary: &Summary) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(calibration) = &summary.calibration {
        facts.extend(calibration.settings.iter().flat_map(setting));
        facts.push(fact(
            "Clock resolution",
            nanoseconds(calibration.clock_resolution_ns),
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

fn setting(setting: &StreamCalibration) -> Vec<Fact> {
    let StreamCalibration {
        protocol,
        transport,
        streams,
        ..
    } = setting;
    let place = format!("{protocol} over {transport}, {streams} streams");
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
