//! Whom to call, and how.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use timeslip_datasets::options::EndpointOptions;

use super::{Pool, Transport};
use crate::connection::Target;
use crate::protocols::Protocol;
use crate::redaction::Redaction;

/// Most characters of a server's own words that are kept.
const MAX_WORDS: usize = 1_000;

/// A key, or a header's value, which may hold one. Never printed.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// An endpoint ready to be called.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Name in the configuration.
    pub name: String,
    /// Where it listens.
    pub target: Target,
    /// Model id.
    pub model: String,
    /// What is said.
    pub protocol: &'static dyn Protocol,
    /// What carries it.
    pub transport: &'static dyn Transport,
    /// How it is spoken to; of its longest silence, `idle_timeout` is what counts.
    pub options: EndpointOptions,
    /// Connections shared with the endpoint's other conversations, where they are.
    pub shared: Option<Arc<dyn Pool>>,
    /// Bearer token.
    pub key: Option<Secret>,
    /// Extra request headers.
    pub headers: Vec<(String, Secret)>,
    /// Header values that came from the environment.
    pub secrets: Vec<Secret>,
    /// Extra top-level body fields.
    pub extra: Map<String, Value>,
    /// Longest silence between two reads before the exchange is given up.
    pub idle_timeout: Duration,
}

impl Endpoint {
    /// What is taken out of everything that this endpoint says.
    #[must_use]
    pub fn redaction(&self) -> Redaction {
        let secrets = self.key.iter().chain(&self.secrets);
        Redaction::of(secrets.map(|secret| secret.0.as_str()))
    }

    /// A server's words as they may be kept and shown: first without secrets, since some
    /// servers echo what they were sent, then cut to 1,000 characters.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let text = self.redaction().words(text);
        text.chars().take(MAX_WORDS).collect()
    }
}
