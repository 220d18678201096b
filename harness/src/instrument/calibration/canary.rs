//! The error of the instrument while a run goes on: a paced stream from an embedded server
//! that is read, like every other, by the thread that measures.

use std::sync::mpsc;
use std::time::Duration;

use hdrhistogram::Histogram;
use timeslip_datasets::run::calibration::{ErrorQuantiles, StreamCalibration};
use timeslip_datasets::run::emissions::Emission;
use timeslip_simulator::{Model, Options, Profile, Running};
use timeslip_wire::Endpoint;
use tokio::runtime::Handle;

use super::{Differences, Load, Measured, drive, load, profile};
use crate::error::Error;
use crate::run::endpoints;

/// Events a second of the stream: enough to see a late read, and little of a core.
const EVENTS_PER_SECOND: f64 = 250.0;
/// One exchange of about a second.
const LOAD: Load = Load {
    streams: 1,
    exchanges: 1,
    tokens: 250,
};
/// How long the truth about an exchange may come after it.
const MAX_TRUTH_LAG: Duration = Duration::from_secs(1);
/// After so many exchanges what is known of the errors is kept: a crash loses no more.
const EXCHANGES_KEPT_AT_ONCE: u32 = 30;
/// Significant digits of what is kept of the errors.
const DIGITS: u8 = 3;

/// A paced stream beside a run, and its errors so far.
#[derive(Debug)]
pub struct Canary {
    endpoint: Endpoint,
    _server: Running,
    truth: mpsc::Receiver<Emission>,
    errors: Errors,
}

impl Canary {
    /// Starts its server, which speaks as an endpoint of the run does.
    ///
    /// # Errors
    /// [`Error::System`] when the server cannot start.
    pub fn start(way: (&str, &str)) -> Result<Self, Error> {
        let (told, truth) = mpsc::channel();
        let model = Model::new(Vec::new(), "canary", 1, 1.0);
        let profile = Profile {
            decode_tokens_per_second: EVENTS_PER_SECOND,
            ..profile(1)
        };
        let server = timeslip_simulator::start(Options {
            told: Some(told),
            ..Options::new(profile, model)
        })
        .map_err(Error::system("cannot start the server of the canary"))?;
        let url = endpoints::simulated_url(server.address, way.0);
        Ok(Canary {
            endpoint: load::endpoint(way, &url, &LOAD)?,
            _server: server,
            truth,
            errors: Errors::new()?,
        })
    }

    /// Sings for ever; hands the errors so far to `keep` from time to time.
    pub async fn accompany(&mut self, measuring: &Handle, keep: impl Fn(StreamCalibration)) {
        loop {
            for _ in 0..EXCHANGES_KEPT_AT_ONCE {
                self.sing(measuring).await;
            }
            self.errors().map(&keep);
        }
    }

    /// One exchange, about a second, read by `measuring`. One that fails, or of which the
    /// server tells nothing, adds nothing.
    async fn sing(&mut self, measuring: &Handle) {
        let Ok(measured) = drive(&self.endpoint, &LOAD, None, measuring).await else {
            // Out of something; the run will say so itself.
            tokio::time::sleep(MAX_TRUTH_LAG).await;
            return;
        };
        if let Some(truth) = self.truth_of(&measured).await
            && let Ok(differences) = Differences::of(&measured, &[truth])
        {
            self.errors.add(&differences);
        }
    }

    async fn truth_of(&self, measured: &Measured) -> Option<Emission> {
        let id = measured.exchanges.first()?.response_id.as_deref();
        let give_up = tokio::time::Instant::now() + MAX_TRUTH_LAG;
        while tokio::time::Instant::now() < give_up {
            match self.truth.try_recv() {
                Ok(truth) if Some(truth.response_id.as_str()) == id => {
                    return Some(timeslip_simulator::on_our_clock(truth));
                }
                // Of one that was given up before.
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        None
    }

    /// The errors so far; `None` before the first exchange.
    #[must_use]
    pub fn errors(&self) -> Option<StreamCalibration> {
        let errors = &self.errors;
        let seconds = errors.ttft.len().max(1);
        Some(StreamCalibration {
            protocol: self.endpoint.protocol.name().into(),
            transport: self.endpoint.transport.name().into(),
            streams: LOAD.streams,
            events_per_second: errors.events / seconds,
            ttft_ns: quantiles(&errors.measured_ttft)?,
            ttft_error: quantiles(&errors.ttft)?,
            inter_event_ns: quantiles(&errors.measured_gaps)?,
            inter_event_error: quantiles(&errors.inter_event)?,
            end_error: quantiles(&errors.end)?,
            client_lag: quantiles(&errors.lag),
            loop_lag: quantiles(&errors.loop_lag),
            cpu_ns_per_event: None,
        })
    }
}

/// What is kept of [`Differences`], however long a run takes.
#[derive(Debug)]
struct Errors {
    ttft: Histogram<u64>,
    inter_event: Histogram<u64>,
    end: Histogram<u64>,
    lag: Histogram<u64>,
    loop_lag: Histogram<u64>,
    measured_ttft: Histogram<u64>,
    measured_gaps: Histogram<u64>,
    events: u64,
}

impl Errors {
    fn new() -> Result<Self, Error> {
        let histogram = || {
            let made = Histogram::new(DIGITS);
            made.map_err(|error| Error::system("cannot keep errors")(std::io::Error::other(error)))
        };
        Ok(Errors {
            ttft: histogram()?,
            inter_event: histogram()?,
            end: histogram()?,
            lag: histogram()?,
            loop_lag: histogram()?,
            measured_ttft: histogram()?,
            measured_gaps: histogram()?,
            events: 0,
        })
    }

    fn add(&mut self, differences: &Differences) {
        for (kept, new) in [
            (&mut self.ttft, &differences.ttft),
            (&mut self.inter_event, &differences.inter_event),
            (&mut self.end, &differences.end),
            (&mut self.lag, &differences.lag),
            (&mut self.loop_lag, &differences.loop_lag),
            (&mut self.measured_ttft, &differences.measured_ttft),
            (&mut self.measured_gaps, &differences.measured_gaps),
        ] {
            for value in new {
                // A histogram that grows as it has to refuses nothing.
                let _ = kept.record(*value);
            }
        }
        self.events += differences.events;
    }
}

fn quantiles(values: &Histogram<u64>) -> Option<ErrorQuantiles> {
    (!values.is_empty()).then(|| ErrorQuantiles {
        n: values.len() as usize,
        mean_ns: Some(values.mean() as u64),
        p50_ns: values.value_at_quantile(0.5),
        p95_ns: Some(values.value_at_quantile(0.95)),
        p99_ns: values.value_at_quantile(0.99),
        max_ns: values.max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_its_error_on_every_transport() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        for transport in timeslip_wire::transports::names() {
            let mut canary = Canary::start(("responses", transport)).unwrap();
            assert_eq!(canary.errors(), None);
            for _ in 0..2 {
                runtime.block_on(canary.sing(runtime.handle()));
            }
            let errors = canary.errors().unwrap();
            assert_eq!(errors.ttft_error.n, 2);
            assert_eq!(errors.inter_event_error.n, 2 * (LOAD.tokens as usize - 1));
            // The server waits 20 ms, and sends every 4 ms; no machine is that far off.
            assert!(errors.ttft_ns.p50_ns > 15_000_000, "{errors:?}");
            assert!(errors.inter_event_ns.p50_ns > 2_000_000, "{errors:?}");
            assert_eq!(errors.transport, transport);
        }
    }
}
