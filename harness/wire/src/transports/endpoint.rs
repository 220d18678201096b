//! Whom to call, and how.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use timeslip_datasets::options::EndpointOptions;

use super::{Pool, Transport};
use crate::connection::Target;
use crate::protocols::Protocol;
use crate::redaction::Redaction;

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
    /// What is taken out of everything that this endpoint says. It is made anew each time:
    /// whoever needs it more than once keeps it.
    #[must_use]
    pub fn redaction(&self) -> Redaction {
        let secrets = self.key.iter().chain(&self.secrets);
        Redaction::of(secrets.map(|secret| secret.0.as_str()))
    }

    /// A server's words as they may be kept and shown, for once; see [`Redaction::words`].
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.redaction().words(text)
    }
}
