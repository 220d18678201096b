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
use url::Url;

use super::journal::{StampSource, TrialKey, Usage};
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
    /// Query parameters of every request; a value `$NAME` is read from the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Extra headers; a value `$NAME` is read from the environment.
    pub headers: BTreeMap<String, String>,
    /// Extra top-level body fields.
    pub body: Map<String, Value>,
    /// What its tokens cost; unknown when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The real agent that asks it; the built-in one when absent. The name is then that of
    /// both, as `codex@spark-sim`, where a run has more than one agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<PlannedAgent>,
}

/// A real agent of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedAgent {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How it is installed, started and pointed at a server: the fields of its adapter.
    pub adapter: Map<String, Value>,
}

impl PlannedEndpoint {
    /// What it is: equal for endpoints of any runs that differ only in what no server sees,
    /// their names and prices and where a profile was read from.
    #[must_use]
    pub fn identity(&self) -> Self {
        let (base_url, in_url) = match self.base_url.as_deref() {
            Some(url) => {
                let (url, query) = as_asked(url);
                (Some(url), query)
            }
            None => (None, BTreeMap::new()),
        };
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        PlannedEndpoint {
            name: String::new(),
            price: None,
            base_url,
            query: in_url.into_iter().chain(self.query.clone()).collect(),
            headers: headers.collect(),
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

    /// Whether both ask one server for one model: its prompt cache may be that of both.
    #[must_use]
    pub fn may_share_cache_with(&self, other: &Self) -> bool {
        let origin = |one: &Self| {
            let (url, _) = as_asked(one.base_url.as_deref()?);
            Some(Url::parse(&url).ok()?.origin())
        };
        self.model == other.model && origin(self).is_some() && origin(self) == origin(other)
    }

    /// Longest silence before a try is given up.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.options.idle_seconds.max(1))
    }
}

/// A base URL as its server is asked, and the parameters of its query: the host in small
/// letters, without the port that is its scheme's own or a slash at its end.
fn as_asked(base_url: &str) -> (String, BTreeMap<String, String>) {
    let Ok(mut url) = Url::parse(base_url) else {
        return (base_url.to_owned(), BTreeMap::new());
    };
    let http = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        other => other,
    };
    let http = http.to_owned();
    // One web scheme for another is never refused.
    let _ = url.set_scheme(&http);
    let query = url.query_pairs().into_owned().collect();
    url.set_query(None);
    (url.as_str().trim_end_matches('/').to_owned(), query)
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

impl Price {
    /// What the tokens of an answer cost, in US dollars; `None` where a count or a price is
    /// missing, or the counts contradict each other.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> Option<f64> {
        if usage.contradiction().is_some() {
            return None;
        }
        let (input, output) = (usage.input()?, usage.output()?);
        let cached = usage.cached_tokens.unwrap_or(0);
        let cached_price = if cached > 0 { self.cached_input? } else { 0.0 };
        let total = input.saturating_sub(cached) as f64 * self.input
            + cached as f64 * cached_price
            + output as f64 * self.output;
        Some(total / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base_url: &str, query: &[(&str, &str)]) -> PlannedEndpoint {
        let query = query.iter();
        PlannedEndpoint {
            name: base_url.to_owned(),
            simulate: None,
            base_url: Some(base_url.to_owned()),
            model: "m".into(),
            protocol: "responses".into(),
            transport: "http-sse".into(),
            options: EndpointOptions::default(),
            api_key_env: None,
            ca_file: None,
            query: query
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            headers: BTreeMap::new(),
            body: Map::new(),
            price: None,
            agent: None,
        }
    }

    #[test]
    fn one_server_is_the_same_however_its_url_is_written() {
        let one = endpoint("https://api.example.org/v1", &[]);
        for same in [
            "https://api.example.org/v1/",
            "https://API.Example.org:443/v1",
            "HTTPS://api.example.org/v1",
            "wss://api.example.org/v1",
        ] {
            assert!(one.is_same_as(&endpoint(same, &[])), "{same}");
        }
        for other in [
            "http://api.example.org/v1",
            "https://api.example.org:8443/v1",
            "https://api.example.org/V1",
            "https://api.example.org/v1?a=1",
        ] {
            assert!(!one.is_same_as(&endpoint(other, &[])), "{other}");
        }
        assert!(one.may_share_cache_with(&endpoint("https://API.example.org/v2", &[])));
        assert!(!one.may_share_cache_with(&endpoint("https://other.example.org/v1", &[])));
        let in_table = endpoint("http://h", &[("a", "1"), ("b", "2")]);
        assert!(in_table.is_same_as(&endpoint("http://H:80/?b=2&a=1", &[])));
    }
}
