//! Whom to call, and how.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use timeslip_datasets::options::EndpointOptions;

use super::{Pool, Transport};
use crate::connection::Target;
use crate::protocols::Protocol;

/// Most characters of a server's own words that are kept.
const MAX_WORDS: usize = 1_000;
/// Bytes of a secret that tell nothing yet.
const HARMLESS: usize = 4;

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
    /// A server's words as they may be kept and shown: first without secrets, since some
    /// servers echo what they were sent, then cut to 1,000 characters.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let secrets = || {
            let secrets = self.key.iter().chain(&self.secrets);
            secrets.map(|secret| secret.0.as_str())
        };
        let mut text = text.to_owned();
        for secret in secrets() {
            text = text.replace(secret, "***");
        }
        // What was read may end in the middle of one.
        if let Some(length) = secrets()
            .filter_map(|secret| part_at_end(&text, secret))
            .max()
        {
            text.truncate(text.len() - length);
            text.push_str("***");
        }
        text.chars().take(MAX_WORDS).collect()
    }
}

/// Length of the longest beginning of the secret that the text ends with.
fn part_at_end(text: &str, secret: &str) -> Option<usize> {
    let parts = (HARMLESS..secret.len()).rev();
    let mut parts = parts.filter_map(|length| secret.get(..length));
    parts.find(|part| text.ends_with(part)).map(str::len)
}
