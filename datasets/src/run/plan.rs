//! The plan inside `run.json`: everything a run will do, as data.
//!
//! Protocols, transports and sandboxes are written by their names, suites and simulated
//! endpoints as the fields that whoever runs them understands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::journal::StampSource;
use super::journal::TrialKey;
use crate::options::{EndpointOptions, TrialLimits};

/// What a run will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Suites, resolved.
    pub suites: Vec<PlannedSuite>,
    /// Endpoints: candidates first, the baseline last; one alone is a candidate.
    pub endpoints: Vec<PlannedEndpoint>,
    /// Attempts of every task on every endpoint; a suite may have its own number.
    pub attempts: u32,
    /// Trials at once.
    pub concurrency: u32,
    /// From whom the arrivals of bytes are known, at best.
    #[serde(default)]
    pub arrivals: StampSource,
    /// Seed of order and simulation.
    pub seed: u64,
    /// Limits of a trial.
    pub limits: TrialLimits,
    /// Limits of the trials of suites that have their own.
    #[serde(default)]
    pub suite_limits: BTreeMap<String, TrialLimits>,
    /// Every trial, in the order they start.
    pub trials: Vec<TrialKey>,
    /// What kind of task each is, by suite and task.
    #[serde(default)]
    pub tags: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Plan {
    /// Whether the endpoint at `index` is what the others are held against.
    #[must_use]
    pub fn is_baseline(&self, index: usize) -> bool {
        index > 0 && index + 1 == self.endpoints.len()
    }

    /// The limits of a suite's trials.
    #[must_use]
    pub fn limits_of(&self, suite: &str) -> TrialLimits {
        self.suite_limits.get(suite).copied().unwrap_or(self.limits)
    }

    /// The longest that any trial may take, in seconds.
    #[must_use]
    pub fn longest_trial_seconds(&self) -> u64 {
        let suites = self.suites.iter().map(|suite| self.limits_of(suite.name()));
        let longest = suites.map(|limits| limits.trial_seconds).max();
        longest.unwrap_or(self.limits.trial_seconds)
    }
}

/// A suite of a plan: the fields of a suite file, with every choice made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlannedSuite(Map<String, Value>);

impl PlannedSuite {
    /// The suite that a suite file describes.
    ///
    /// # Errors
    /// When it cannot be written as a JSON object.
    pub fn of(file: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::from_value(serde_json::to_value(file)?)
    }

    /// The suite file that it was made from.
    ///
    /// # Errors
    /// When its fields are not those of a suite file.
    pub fn to_file<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_value(Value::Object(self.0.clone()))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// Where its tasks come from.
    #[must_use]
    pub fn source(&self) -> &str {
        self.text("source")
    }

    /// A field of the suite file; null where it has none of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    fn text(&self, name: &str) -> &str {
        self.field(name).as_str().unwrap_or_default()
    }
}

/// An endpoint with every choice made. Holds names of variables, never keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedEndpoint {
    /// Name in the configuration.
    pub name: String,
    /// Profile of the embedded server; absent for a real endpoint.
    pub simulate: Option<Simulation>,
    /// Where a real server listens.
    pub base_url: Option<String>,
    /// Model id on the wire.
    pub model: String,
    /// Name of the wire protocol.
    pub protocol: String,
    /// Name of the transport.
    pub transport: String,
    /// How it is spoken to.
    #[serde(flatten)]
    pub options: EndpointOptions,
    /// Variable that holds the key.
    pub api_key_env: Option<String>,
    /// File of further certificates to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Query parameters of every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Extra headers; a value `$NAME` is read from the environment.
    pub headers: BTreeMap<String, String>,
    /// Extra top-level body fields.
    pub body: Map<String, Value>,
    /// What its tokens cost; unknown when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

impl PlannedEndpoint {
    /// What it is: equal for endpoints of any runs that differ only in what no server sees,
    /// their names and prices and where a profile was read from.
    #[must_use]
    pub fn identity(&self) -> Self {
        let base_url = self.base_url.as_deref();
        PlannedEndpoint {
            name: String::new(),
            price: None,
            base_url: base_url.map(|url| url.trim_end_matches('/').to_owned()),
            simulate: self.simulate.as_ref().map(|simulate| Simulation {
                profile: String::new(),
                figures: simulate.figures.clone(),
            }),
            ..self.clone()
        }
    }

    /// Whether the other one is really the same: what differs between them is noise.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// Longest silence before a try is given up.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.options.idle_seconds.max(1))
    }
}

/// A simulated endpoint's profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    /// Name or path it was loaded by.
    pub profile: String,
    /// Its figures, as the simulator knows them.
    pub figures: Map<String, Value>,
}

impl Simulation {
    /// Where its figures come from, a sentence each.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        let notes = self.figures.get("notes").and_then(Value::as_array);
        notes.into_iter().flatten().filter_map(Value::as_str)
    }
}

/// What tokens cost, in US dollars per million.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Prompt tokens.
    pub input: f64,
    /// Prompt tokens that the server's cache knew; unknown when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
    /// Output tokens.
    pub output: f64,
    /// When this was the price: a year, a month or a day, as `2026-05-31`.
    pub priced_at: String,
}
