//! Speed and quality at once: what a run means for someone who has to choose.
//!
//! Every figure here weighs tasks equally. An attempt that ended in an error is a
//! failure that took the time it took, because a user would have waited for it.

mod attempts;
mod by_tag;
mod figures;
mod paired_attempts;
mod pareto;
mod retries;
mod router;
mod solved_within;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::RunData;
use crate::pairing::sides;
use attempts::of_endpoint;
pub use by_tag::Route;
pub use figures::PolicyFigures;
pub use retries::RetryPolicy;
pub use router::{Policy, PolicyKind, Routing};
pub use solved_within::{SolvedCurve, SolvedStep, Timeout};

/// What the endpoints give in time, quality and cost together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Where times are censored: the longest that a trial could take.
    pub trial_limit_ms: f64,
    /// What each endpoint would have solved with a shorter timeout, shortest first.
    pub timeouts: Vec<Timeout>,
    /// "Try until solved, up to k times", by endpoint, for every k that the attempts
    /// allow.
    pub retries: IndexMap<String, Vec<RetryPolicy>>,
    /// Ways to use candidate and baseline, over tasks that finished on both, of several
    /// candidates the first; `null` when the run has one side only or no such task.
    pub routing: Option<Routing>,
    /// Ways to use the baseline with the other candidates that have such tasks; empty with
    /// one candidate.
    #[serde(default)]
    pub further_routing: Vec<Routing>,
}

impl Decision {
    /// Computes it from a run's trials.
    #[must_use]
    pub fn of(run: &RunData) -> Self {
        let retries = run
            .endpoints
            .iter()
            .map(|endpoint| {
                let tasks = of_endpoint(&run.trials, &endpoint.name);
                (endpoint.name.clone(), retries::policies(&tasks))
            })
            .filter(|(_, policies)| !policies.is_empty())
            .collect();
        let mut routings = sides(run)
            .into_iter()
            .map(|pair| router::routing(run, pair));
        Decision {
            trial_limit_ms: solved_within::limit_ms(run),
            timeouts: solved_within::timeouts(run),
            retries,
            routing: routings.next().flatten(),
            further_routing: routings.flatten().collect(),
        }
    }

    /// The ways to use every candidate with the baseline, in order.
    pub fn routings(&self) -> impl Iterator<Item = &Routing> {
        self.routing.iter().chain(&self.further_routing)
    }

    /// The ways to use a candidate with the baseline.
    #[must_use]
    pub fn routing_of(&self, candidate: &str) -> Option<&Routing> {
        self.routings()
            .find(|routing| routing.candidate == candidate)
    }
}
