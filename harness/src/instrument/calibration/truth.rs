//! What was measured against what was logged: pure functions.

use std::collections::HashMap;
use std::path::Path;

use timeslip_datasets::run;
use timeslip_datasets::run::emissions::{self, Emission};
use timeslip_datasets::run::journal::{Exchange, StreamEvent};

use super::Measured;
use crate::error::Error;

/// Reads a server's log of true emission times, be it this process or another one of
/// this machine that wrote it.
///
/// # Errors
/// [`Error::Record`] with file and line.
pub fn read_log(path: &Path) -> Result<Vec<Emission>, Error> {
    let log = emissions::read(path).map_err(run::Error::from)?;
    Ok(log
        .into_iter()
        .map(timeslip_simulator::on_our_clock)
        .collect())
}

/// Between consecutive output events as the client marked them, in nanoseconds.
fn gaps(events: &[StreamEvent]) -> impl Iterator<Item = u64> {
    events
        .windows(2)
        .map(|pair| pair[1].at.saturating_sub(pair[0].at))
}

/// |measured − true| gap between consecutive output events, in nanoseconds.
pub(super) fn gap_errors(events: &[StreamEvent], truth: &Emission) -> impl Iterator<Item = u64> {
    let true_gaps = truth.events_ns.windows(2);
    let true_gaps = true_gaps.map(|pair| pair[1].saturating_sub(pair[0]));
    std::iter::zip(gaps(events), true_gaps).map(|(seen, sent)| seen.abs_diff(sent))
}

/// Absolute differences between the client's marks and the truth, in nanoseconds.
#[derive(Debug, Default)]
pub struct Differences {
    /// `sent` → `first_token` against request received → first output event sent.
    pub ttft: Vec<u64>,
    /// Gaps between consecutive output events.
    pub inter_event: Vec<u64>,
    /// Terminal event parsed against terminal event sent.
    pub end: Vec<u64>,
    /// How long output events lay in the kernel before they were read, where known.
    pub lag: Vec<u64>,
    /// How late the event loop woke, look by look.
    pub loop_lag: Vec<u64>,
    /// TTFT as the client measured it.
    pub measured_ttft: Vec<u64>,
    /// Gaps between consecutive output events as the client measured them.
    pub measured_gaps: Vec<u64>,
    /// Output events.
    pub events: u64,
    first_ns: u64,
    last_ns: u64,
}

impl Differences {
    /// Compares every exchange with its emission.
    ///
    /// # Errors
    /// A sentence on the exchange that has no emission, or not as many events.
    pub fn of(measured: &Measured, emissions: &[Emission]) -> Result<Self, String> {
        let truths: HashMap<&str, &Emission> = emissions
            .iter()
            .map(|emission| (emission.response_id.as_str(), emission))
            .collect();
        let mut differences = Differences {
            first_ns: u64::MAX,
            loop_lag: measured.loop_lag.clone(),
            ..Differences::default()
        };
        for exchange in &measured.exchanges {
            let id = exchange.response_id.as_deref().unwrap_or_default();
            let truth = truths
                .get(id)
                .ok_or_else(|| format!("does not tell of response '{id}'"))?;
            differences.add(measured.origin, exchange, truth)?;
        }
        Ok(differences)
    }

    fn add(&mut self, origin: u64, exchange: &Exchange, truth: &Emission) -> Result<(), String> {
        let events = exchange.events.as_slice();
        let (Some(sent), Some(first), Some(true_first), Some(true_done)) = (
            exchange.marks.sent,
            events.first(),
            truth.events_ns.first().copied(),
            truth.done_ns,
        ) else {
            return Err(format!(
                "has no whole output of response '{}'",
                truth.response_id
            ));
        };
        if events.len() != truth.events_ns.len() {
            return Err(format!(
                "tells of {} output events of response '{}', {} arrived",
                truth.events_ns.len(),
                truth.response_id,
                events.len()
            ));
        }
        let true_ttft = true_first.saturating_sub(truth.received_ns);
        let ttft = first.at.saturating_sub(sent);
        self.measured_ttft.push(ttft);
        self.ttft.push(ttft.abs_diff(true_ttft));
        self.measured_gaps.extend(gaps(events));
        self.inter_event.extend(gap_errors(events, truth));
        self.end
            .push((origin + exchange.marks.done).abs_diff(true_done));
        let lags = events.iter().filter_map(|event| event.lag_ns);
        self.lag.extend(lags.map(u64::from));
        self.events += events.len() as u64;
        self.first_ns = self.first_ns.min(truth.received_ns);
        self.last_ns = self.last_ns.max(true_done);
        Ok(())
    }

    /// Output events per second that the server really sent.
    #[must_use]
    pub fn events_per_second(&self) -> u64 {
        let elapsed = self.last_ns.saturating_sub(self.first_ns).max(1);
        (u128::from(self.events) * 1_000_000_000 / u128::from(elapsed)) as u64
    }
}
