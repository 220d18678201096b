//! Ends a run early: when an endpoint gives nothing but one failure, or the money is spent.

use std::collections::{HashMap, HashSet};

use timeslip_datasets::run::journal::{EndedBy, Event, Exchange, Journal, TrialFinished, TrialKey};
use timeslip_datasets::run::plan::{Plan, Price};
use tokio::sync::oneshot;

use super::Subscriber;
use crate::error::Error;
use crate::run::runner::RunEvent;

/// What a run may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Trials of one endpoint in a row that end alike without an answer; 0 for any number.
    pub failures: u32,
    /// US dollars for all of the run: what is under way, and every trial that was finished
    /// before.
    pub cost_usd: Option<f64>,
}

impl Bounds {
    /// Checks that the bounds can be kept.
    ///
    /// # Errors
    /// [`Error::Config`] for a real endpoint whose price is not known.
    pub fn check(self, plan: &Plan) -> Result<(), Error> {
        let mut endpoints = plan.endpoints.iter();
        let unknown = endpoints.find(|one| one.simulate.is_none() && one.price.is_none());
        match (self.cost_usd, unknown) {
            (Some(_), Some(endpoint)) => Err(Error::Config {
                place: "--max-cost".into(),
                problem: format!(
                    "endpoint '{name}' has no price, so nobody knows what it costs; give it one in \
                     its table of timeslip.toml, in US dollars per million tokens: price = {{ \
                     input = …, cached_input = …, output = …, priced_at = \"…\" }}",
                    name = endpoint.name
                ),
            }),
            _ => Ok(()),
        }
    }
}

/// Trials of an endpoint that ended alike, one after the other.
#[derive(Debug)]
struct Streak {
    kind: String,
    length: u32,
}

/// The subscriber that ends a run.
#[derive(Debug)]
pub struct Watch {
    bounds: Bounds,
    /// Of the endpoints that cost anything.
    prices: HashMap<String, Price>,
    spent_usd: f64,
    streaks: HashMap<String, Streak>,
    /// Trials under way that had an answer.
    answered: HashSet<TrialKey>,
    stop: Option<oneshot::Sender<String>>,
}

impl Watch {
    /// One that goes on from what is recorded, and where it says why the run is to end.
    #[must_use]
    pub fn new(
        plan: &Plan,
        bounds: Bounds,
        recorded: &Journal,
    ) -> (Self, oneshot::Receiver<String>) {
        let (stop, stopped) = oneshot::channel();
        let priced = plan.endpoints.iter().filter_map(|endpoint| {
            let price = endpoint.price.clone()?;
            // Rather too much than too little.
            let cached_input = price.cached_input.or(Some(price.input));
            Some((
                endpoint.name.clone(),
                Price {
                    cached_input,
                    ..price
                },
            ))
        });
        let mut watch = Watch {
            bounds,
            prices: priced.collect(),
            spent_usd: 0.0,
            streaks: HashMap::new(),
            answered: HashSet::new(),
            stop: Some(stop),
        };
        for trial in &recorded.trials {
            let costs = trial.exchanges.iter();
            let costs = costs.filter_map(|exchange| watch.cost(&trial.key.endpoint, exchange));
            watch.spent_usd += costs.sum::<f64>();
        }
        (watch, stopped)
    }

    /// What an exchange cost; `None` where nobody knows.
    fn cost(&self, endpoint: &str, exchange: &Exchange) -> Option<f64> {
        match (self.prices.get(endpoint), &exchange.usage) {
            (None, _) => Some(0.0),
            (Some(price), Some(usage)) => price.of(usage),
            (Some(_), None) => exchange.error.as_ref().map(|_| 0.0),
        }
    }

    /// Why a run ends here, if it does.
    fn see(&mut self, trial: &TrialKey, event: &Event) -> Option<String> {
        match event {
            Event::Exchange(exchange) => {
                if exchange.error.is_none() {
                    self.streaks.remove(&trial.endpoint);
                    self.answered.insert(trial.clone());
                }
                self.pay(&trial.endpoint, exchange)
            }
            Event::TrialFinished(finished) => {
                let answered = self.answered.remove(trial);
                self.count(trial, finished, answered)
            }
            Event::TrialStarted(_) | Event::Tool(_) => None,
        }
    }

    fn pay(&mut self, endpoint: &str, exchange: &Exchange) -> Option<String> {
        let most = self.bounds.cost_usd?;
        let Some(cost) = self.cost(endpoint, exchange) else {
            return Some(format!(
                "stopped: endpoint {endpoint} does not say how many tokens an answer took, so \
                 --max-cost cannot be kept"
            ));
        };
        self.spent_usd += cost;
        (self.spent_usd >= most).then(|| {
            format!(
                "stopped: the run has cost ${:.4} of the ${most} that --max-cost allows",
                self.spent_usd
            )
        })
    }

    fn count(
        &mut self,
        trial: &TrialKey,
        finished: &TrialFinished,
        answered: bool,
    ) -> Option<String> {
        let detail = finished.detail.as_deref().unwrap_or("for no known reason");
        let kind = match finished.ended_by? {
            // What follows the colon is of one case: words, request ids, paths.
            EndedBy::Endpoint => detail.split(": ").next().unwrap_or_default(),
            EndedBy::Harness => "",
            _ => return None,
        };
        if answered {
            return None;
        }
        let streak = self
            .streaks
            .entry(trial.endpoint.clone())
            .or_insert(Streak {
                kind: String::new(),
                length: 0,
            });
        if streak.kind != kind {
            *streak = Streak {
                kind: kind.to_owned(),
                length: 0,
            };
        }
        streak.length += 1;
        (streak.length == self.bounds.failures).then(|| {
            format!(
                "stopped: the last {} trials of endpoint {} ended alike, without an answer: \
                 {detail}; correct that, or allow more with --max-failures",
                streak.length, trial.endpoint
            )
        })
    }
}

impl Subscriber for Watch {
    fn event(&mut self, event: &RunEvent) -> Result<(), Error> {
        if let RunEvent::Record(record) = event
            && let Some(why) = self.see(&record.trial, &record.event)
            && let Some(stop) = self.stop.take()
        {
            // Nobody waits for it when the run has ended meanwhile.
            let _ = stop.send(why);
        }
        Ok(())
    }
}
