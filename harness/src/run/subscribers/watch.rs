//! Ends a run early: when an endpoint gives nothing but one failure, or the money is spent.

use std::collections::{HashMap, HashSet};

use timeslip_datasets::run::journal::{EndedBy, Event, Exchange, TrialFinished, TrialKey};
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
    /// US dollars for all of the run: what is under way, and every attempt before, finished or
    /// cut off.
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
    /// One that has seen nothing yet, and where it says why the run is to end.
    #[must_use]
    pub fn new(plan: &Plan, bounds: Bounds) -> (Self, oneshot::Receiver<String>) {
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
        let watch = Watch {
            bounds,
            prices: priced.collect(),
            spent_usd: 0.0,
            streaks: HashMap::new(),
            answered: HashSet::new(),
            stop: Some(stop),
        };
        (watch, stopped)
    }

    /// Counts what an attempt at a trial has cost before, whether it was finished or cut off.
    pub fn recorded(&mut self, trial: &TrialKey, exchanges: &[Exchange]) {
        let costs = exchanges.iter();
        let costs = costs.filter_map(|exchange| self.cost(&trial.endpoint, exchange));
        self.spent_usd += costs.sum::<f64>();
        if let Some(why) = self.spent() {
            self.stop(why);
        }
    }

    fn stop(&mut self, why: String) {
        if let Some(stop) = self.stop.take() {
            // Nobody waits for it when the run has ended meanwhile.
            let _ = stop.send(why);
        }
    }

    /// What an exchange cost; `None` where nobody knows.
    fn cost(&self, endpoint: &str, exchange: &Exchange) -> Option<f64> {
        match (self.prices.get(endpoint), &exchange.usage) {
            (None, _) => Some(0.0),
            (Some(price), Some(usage)) => price.of(usage),
            (Some(_), None) => (exchange.error.is_some() || exchange.warm_up).then_some(0.0),
        }
    }

    /// Why a run ends here, if it does.
    fn see(&mut self, trial: &TrialKey, event: &Event) -> Option<String> {
        match event {
            Event::Exchange(exchange) => {
                if exchange.error.is_none() && !exchange.warm_up {
                    self.streaks.remove(&trial.endpoint);
                    self.answered.insert(trial.clone());
                }
                self.pay(&trial.endpoint, exchange)
            }
            Event::TrialFinished(finished) => {
                let answered = self.answered.remove(trial);
                self.count(trial, finished, answered)
            }
            Event::TrialStarted(_) | Event::Tool(_) | Event::AgentRun(_) | Event::Act(_) => None,
        }
    }

    fn pay(&mut self, endpoint: &str, exchange: &Exchange) -> Option<String> {
        self.bounds.cost_usd?;
        let Some(cost) = self.cost(endpoint, exchange) else {
            return Some(format!(
                "stopped: endpoint {endpoint} gives no usable count of the tokens of an answer, so \
                 --max-cost cannot be kept"
            ));
        };
        self.spent_usd += cost;
        self.spent()
    }

    /// That the money is spent, if it is.
    fn spent(&self) -> Option<String> {
        let most = self.bounds.cost_usd?;
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
        {
            self.stop(why);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use timeslip_datasets::run::journal::{Outcome, Usage};

    use super::*;

    fn watch(failures: u32, cost_usd: Option<f64>) -> Watch {
        let price = Price {
            input: 1.0,
            cached_input: Some(1.0),
            output: 1.0,
            priced_at: "2026".into(),
        };
        Watch {
            bounds: Bounds { failures, cost_usd },
            prices: HashMap::from([("a".to_owned(), price)]),
            spent_usd: 0.0,
            streaks: HashMap::new(),
            answered: HashSet::new(),
            stop: None,
        }
    }

    fn trial(endpoint: &str) -> TrialKey {
        TrialKey {
            suite: "s".into(),
            task: "t".into(),
            endpoint: endpoint.into(),
            attempt: 1,
        }
    }

    fn failed(by: EndedBy, detail: &str) -> Event {
        Event::TrialFinished(TrialFinished {
            outcome: Outcome::Error,
            ended_by: Some(by),
            detail: Some(detail.into()),
            wall_ns: 0,
            grading_ns: 0,
            reward: None,
            failed_tests: Vec::new(),
            changes: None,
            solution_changes: None,
        })
    }

    fn answer(usage: Option<Usage>) -> Event {
        Event::Exchange(Box::new(Exchange {
            usage,
            ..Exchange::default()
        }))
    }

    #[test]
    fn only_failures_alike_and_without_an_answer_between_end_a_run() {
        let refused = |case: u32| failed(EndedBy::Endpoint, &format!("HTTP 401: request {case}"));
        let down = || failed(EndedBy::Endpoint, "HTTP 503: down");
        let mut watch = watch(2, None);
        let mut ends = |endpoint: &str, event: Event| watch.see(&trial(endpoint), &event).is_some();
        assert!(!ends("a", refused(1)) && !ends("b", refused(2)));
        assert!(!ends("a", down()));
        assert!(!ends("a", refused(3)));
        // A trial that had an answer ends what came before it, and is no part of it.
        assert!(!ends("a", answer(None)) && !ends("a", refused(4)));
        assert!(!ends("a", refused(5)) && !ends("a", failed(EndedBy::TurnLimit, "over")));
        assert!(ends("a", refused(6)));
        assert!(!ends("c", failed(EndedBy::Harness, "no room: /tmp/1")));
        assert!(ends("c", failed(EndedBy::Harness, "cannot mount: /tmp/2")));
    }

    #[test]
    fn any_number_of_failures_can_be_allowed() {
        let mut watch = watch(0, None);
        let refused = failed(EndedBy::Endpoint, "HTTP 401: no");
        assert!((0..100).all(|_| watch.see(&trial("a"), &refused).is_none()));
    }

    #[test]
    fn money_is_counted_or_the_run_ends() {
        let used = Usage {
            input_tokens: 400_000,
            cached_tokens: Some(100_000),
            output_tokens: 100_000,
            reasoning_tokens: None,
            missing: None,
        };
        let mut watch = watch(0, Some(1.0));
        let mut ends = |endpoint: &str, event: Event| watch.see(&trial(endpoint), &event);
        assert_eq!(ends("free", answer(None)), None);
        assert_eq!(ends("a", answer(Some(used))), None);
        assert!(ends("a", answer(Some(used))).unwrap().contains("$1.0000"));
        assert!(ends("a", answer(None)).unwrap().contains("no usable count"));
    }
}
