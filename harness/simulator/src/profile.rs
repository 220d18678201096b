//! How fast and how good a simulated endpoint is.

mod faults;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use faults::Faults;

const SHIPPED: &[(&str, &str)] = &[
    ("spark-sim", include_str!("profiles/spark-sim.toml")),
    ("gpu-sim", include_str!("profiles/gpu-sim.toml")),
    ("heedless-sim", include_str!("profiles/heedless-sim.toml")),
];

/// A profile that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ProfileError {
    /// The profile's name or file.
    pub place: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Speed and quality of a simulated endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Model id it goes by.
    pub model: String,
    /// Output tokens per second of one stream.
    pub decode_tokens_per_second: f64,
    /// Share of the recorded tasks it solves.
    pub resolve_rate: f64,
    /// Prompt tokens per second, not cached.
    pub prefill_tokens_per_second: f64,
    /// Prompt tokens per second when the prefix is cached.
    pub cached_tokens_per_second: f64,
    /// Tokens in one stream event.
    pub tokens_per_event: u32,
    /// Standard deviation of the logarithm of inter-token gaps.
    pub jitter: f64,
    /// Responses generated at once; further ones queue.
    pub queue_slots: u32,
    /// Fixed milliseconds spent on every request before prefill.
    pub request_overhead_ms: f64,
    /// Round trip of the link in front of the server, in milliseconds.
    pub link_round_trip_ms: f64,
    /// How much longer a token takes for every 1,000 tokens of context before it, as a
    /// share: seconds per token = 1 / `decode_tokens_per_second` × (1 + this × context / 1000).
    #[serde(default)]
    pub decode_slowdown_per_1k_context: f64,
    /// Milliseconds that decoding goes on once the server has learned that the answer is no
    /// longer wanted.
    #[serde(default)]
    pub stop_reaction_ms: f64,
    /// Decoding ends at all when the answer is no longer wanted; otherwise the server goes on
    /// to the end of the answer, as some do.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub heeds_stops: bool,
    /// Where the figures come from.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Faults on demand, none by default.
    #[serde(default, skip_serializing_if = "Faults::is_none")]
    pub faults: Faults,
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

impl Profile {
    /// Names of the shipped profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// Finds a profile: a shipped name, or the path of a TOML file.
    ///
    /// # Errors
    /// [`ProfileError`] when there is none, or when it is wrong.
    pub fn load(name: &str) -> Result<Self, ProfileError> {
        let wrong = |place: &str, problem: String| ProfileError {
            place: place.to_owned(),
            problem,
        };
        let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        let (path, text) = match shipped {
            Some((name, text)) => (format!("{name}.toml"), (*text).to_owned()),
            None if name.ends_with(".toml") => {
                let text = std::fs::read_to_string(name)
                    .map_err(|error| wrong(name, format!("cannot read the profile: {error}")))?;
                (name.to_owned(), text)
            }
            None => {
                let known = Profile::names().collect::<Vec<_>>().join(", ");
                return Err(wrong(
                    &format!("profile '{name}'"),
                    format!(
                        "no such profile; shipped are {known}, or give the path of a .toml file"
                    ),
                ));
            }
        };
        let profile: Profile = toml::from_str(&text)
            .map_err(|error| wrong(&path, error.to_string().trim_end().to_owned()))?;
        profile.check().map_err(|problem| wrong(&path, problem))?;
        Ok(profile)
    }

    /// Its figures as a plan keeps them.
    ///
    /// # Errors
    /// What the serialiser says.
    pub fn to_map(&self) -> serde_json::Result<Map<String, Value>> {
        serde_json::from_value(serde_json::to_value(self)?)
    }

    /// The profile that a plan keeps.
    ///
    /// # Errors
    /// A sentence on the figure that is missing or wrong.
    pub fn from_map(figures: Map<String, Value>) -> Result<Self, String> {
        let profile: Profile =
            serde_json::from_value(Value::Object(figures)).map_err(|error| error.to_string())?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), String> {
        let positive = [
            ("decode_tokens_per_second", self.decode_tokens_per_second),
            ("prefill_tokens_per_second", self.prefill_tokens_per_second),
            ("cached_tokens_per_second", self.cached_tokens_per_second),
            ("tokens_per_event", f64::from(self.tokens_per_event)),
            ("queue_slots", f64::from(self.queue_slots)),
        ];
        let ranges = [
            ("resolve_rate", self.resolve_rate, 1.0),
            ("jitter", self.jitter, 2.0),
            ("request_overhead_ms", self.request_overhead_ms, 600_000.0),
            (
                "decode_slowdown_per_1k_context",
                self.decode_slowdown_per_1k_context,
                100.0,
            ),
            ("link_round_trip_ms", self.link_round_trip_ms, 60_000.0),
            ("stop_reaction_ms", self.stop_reaction_ms, 600_000.0),
        ];
        for (field, value) in positive {
            if !(1e-3..=1e9).contains(&value) {
                return Err(format!("{field} = {value}: must lie between 0.001 and 1e9"));
            }
        }
        for (field, value, highest) in ranges {
            if !(0.0..=highest).contains(&value) {
                return Err(format!(
                    "{field} = {value}: must lie between 0 and {highest}"
                ));
            }
        }
        self.faults.check()
    }

    /// How long decoding goes on once the answer is no longer wanted, in nanoseconds; for
    /// ever where stops are not heeded.
    #[must_use]
    pub fn stop_reaction_ns(&self) -> u64 {
        match self.heeds_stops {
            true => (self.stop_reaction_ms * 1e6) as u64,
            false => u64::MAX,
        }
    }

    /// One way of the link, in nanoseconds.
    #[must_use]
    pub fn one_way_ns(&self) -> u64 {
        (self.link_round_trip_ms * 0.5e6) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_profiles_load() {
        for name in Profile::names() {
            Profile::load(name).unwrap();
        }
    }

    #[test]
    fn impossible_figures_are_named() {
        let profile = Profile {
            resolve_rate: 1.5,
            ..Profile::load("gpu-sim").unwrap()
        };
        assert!(profile.check().unwrap_err().contains("resolve_rate"));
        let profile = Profile {
            decode_tokens_per_second: 0.0,
            ..Profile::load("gpu-sim").unwrap()
        };
        assert!(
            profile
                .check()
                .unwrap_err()
                .contains("decode_tokens_per_second")
        );
    }
}
