//! The error of a run's own figures: what was measured of simulated endpoints against what they
//! truly sent.

use std::collections::{BTreeMap, HashMap};

use timeslip_datasets::run::calibration::{EmittedErrors, ErrorQuantiles};
use timeslip_datasets::run::emissions::{self, Emission};
use timeslip_datasets::run::journal::Exchange;
use timeslip_datasets::run::manifest::Manifest;
use timeslip_datasets::run::{self, RunDirectory};

use super::truth::gap_errors;
use crate::error::Error;

/// Holds every whole answer of every simulated endpoint against its server's log. Times of a
/// simulated link are the server's, and so are their errors: these are bounds from above.
///
/// # Errors
/// [`Error::Record`] for a journal or a log that cannot be read.
pub fn emitted(directory: &RunDirectory, manifest: &Manifest) -> Result<Vec<EmittedErrors>, Error> {
    let mut simulated = BTreeMap::new();
    let endpoints = manifest.plan.endpoints.iter();
    for endpoint in endpoints.filter(|endpoint| endpoint.simulate.is_some()) {
        let log = directory.emissions(&endpoint.name)?;
        if log.exists() {
            let truths = emissions::read(&log).map_err(run::Error::from)?.into_iter();
            let truths: HashMap<String, Emission> = truths
                .map(|truth| (truth.response_id.clone(), truth))
                .collect();
            simulated.insert(endpoint.name.as_str(), (truths, Errors::default()));
        }
    }
    if simulated.is_empty() {
        return Ok(Vec::new());
    }
    for trial in directory.read_journal(manifest)? {
        let trial = trial.map_err(run::Error::from)?;
        let Some((truths, errors)) = simulated.get_mut(trial.key.endpoint.as_str()) else {
            continue;
        };
        for exchange in &trial.exchanges {
            let id = exchange.response_id.as_deref();
            if let Some(truth) = id.and_then(|id| truths.get(id)) {
                errors.add(exchange, truth);
            }
        }
    }
    let endpoints = manifest.plan.endpoints.iter();
    let held = endpoints.filter_map(|endpoint| {
        let (_, errors) = simulated.remove(endpoint.name.as_str())?;
        errors.of(&endpoint.name)
    });
    Ok(held.collect())
}

/// In nanoseconds.
#[derive(Debug, Default)]
struct Errors {
    ttft: Vec<u64>,
    inter_event: Vec<u64>,
}

impl Errors {
    /// Adds an answer that arrived as it was sent; one that did not was faulty, or cut off.
    fn add(&mut self, exchange: &Exchange, truth: &Emission) {
        let events = exchange.events.as_slice();
        let (Some(sent), Some(first), Some(true_first)) =
            (exchange.marks.sent, events.first(), truth.events_ns.first())
        else {
            return;
        };
        if !truth.complete || events.len() != truth.events_ns.len() {
            return;
        }
        let link = exchange.reported.link_ns.unwrap_or(0);
        let ttft = first.at.saturating_sub(sent);
        let true_ttft = true_first.saturating_sub(truth.received_ns);
        self.ttft
            .push(ttft.abs_diff(true_ttft.saturating_add(link)));
        self.inter_event.extend(gap_errors(events, truth));
    }

    fn of(self, endpoint: &str) -> Option<EmittedErrors> {
        Some(EmittedErrors {
            endpoint: endpoint.to_owned(),
            ttft_error: ErrorQuantiles::of(self.ttft)?,
            inter_event_error: ErrorQuantiles::of(self.inter_event)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timeslip_datasets::run::journal::{EventColumns, EventKind, StreamEvent};

    fn exchange(at: &[u64]) -> Exchange {
        let mut events = EventColumns::default();
        for at in at {
            events.push(StreamEvent {
                at: *at,
                kind: EventKind::Text,
                bytes: 1,
                tokens: None,
                lag_ns: None,
            });
        }
        let mut exchange = Exchange {
            events,
            ..Exchange::default()
        };
        exchange.marks.sent = Some(100);
        exchange.reported.link_ns = Some(40);
        exchange
    }

    fn emission(events_ns: Vec<u64>, complete: bool) -> Emission {
        Emission {
            response_id: "r".into(),
            protocol: "responses".into(),
            transport: "websocket".into(),
            clock_origin_ns: None,
            received_ns: 1_000,
            queue_ns: 0,
            prefill_ns: 0,
            kinds: "t".repeat(events_ns.len()),
            tokens: vec![1; events_ns.len()],
            events_ns,
            done_ns: None,
            complete,
            fault: None,
            stop: None,
        }
    }

    #[test]
    fn answers_are_held_against_what_was_sent_and_the_link_is_no_error() {
        let mut errors = Errors::default();
        errors.add(&exchange(&[193, 210]), &emission(vec![1_050, 1_060], true));
        assert_eq!(
            (&errors.ttft[..], &errors.inter_event[..]),
            (&[3][..], &[7][..])
        );
        // Cut off, or not as it was sent.
        errors.add(&exchange(&[193, 210]), &emission(vec![1_050, 1_060], false));
        errors.add(&exchange(&[193]), &emission(vec![1_050, 1_060], true));
        errors.add(&exchange(&[]), &emission(vec![], true));
        assert_eq!(errors.ttft.len(), 1);
        assert_eq!(errors.of("sim").unwrap().endpoint, "sim");
        assert_eq!(Errors::default().of("sim"), None);
    }
}
