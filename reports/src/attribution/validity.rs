//! Whether a run may be relied on: was the client itself the bottleneck?
//!
//! The kernel says when bytes arrived, the client when it read them. A client that
//! reads late was starved, and everything it did after reading came late as well.

use timeslip_datasets::run::calibration::ErrorQuantiles;
use timeslip_datasets::run::journal::Exchange;

use crate::data::RunData;

/// How long output events lay in the kernel before they were read, in nanoseconds; empty where
/// the kernel does not say.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientLag(Vec<u32>);

impl ClientLag {
    /// Takes in the events of an exchange.
    pub(crate) fn add(&mut self, exchange: &Exchange) {
        let events = exchange.events.as_slice().iter();
        self.0.extend(events.filter_map(|event| event.lag_ns));
    }

    /// Where those of some endpoints lie; `None` without any.
    pub(crate) fn quantiles<'a>(of: impl IntoIterator<Item = &'a Self>) -> Option<ErrorQuantiles> {
        let all = of.into_iter().flat_map(|lag| &lag.0);
        ErrorQuantiles::of(all.map(|ns| u64::from(*ns)))
    }
}

/// Why the figures of an endpoint with this lag must not be relied on: more than one
/// event in a hundred lay unread for longer than `limit_ms`.
#[must_use]
pub fn objection(endpoint: &str, lag: Option<ErrorQuantiles>, limit_ms: f64) -> Option<String> {
    let seen_ms = lag?.p99_ns as f64 / 1e6;
    (seen_ms > limit_ms).then(|| {
        format!(
            "the client was the bottleneck: 1 % of the output events of {endpoint} lay unread for more than {seen_ms:.1} ms (limit {limit_ms} ms); run fewer trials at once or on a machine with more free cores"
        )
    })
}

/// Whether every endpoint answered at least once: one that never did was not measured.
#[must_use]
pub fn every_endpoint_measured(run: &RunData) -> bool {
    run.endpoints.iter().all(|endpoint| {
        run.trials
            .iter()
            .any(|trial| trial.endpoint == endpoint.name && !trial.failed())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starved_client_invalidates_its_run_and_a_rare_stall_does_not() {
        let lag = |late: usize| {
            let events = (0..1_000).map(|event| if event < late { 20_000_000 } else { 60_000 });
            ErrorQuantiles::of(events)
        };
        assert_eq!(objection("fast", lag(5), 5.0), None);
        let objection = super::objection("fast", lag(20), 5.0).unwrap();
        assert!(
            objection.contains("bottleneck") && objection.contains("20.0 ms"),
            "{objection}"
        );
        assert_eq!(super::objection("fast", None, 5.0), None);
    }
}
