//! The tables of a configuration file, every field optional.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use timeslip_suites::SuiteFile;

use crate::transports;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub run: RunTable,
    #[serde(default)]
    pub limits: LimitsTable,
    #[serde(default)]
    pub endpoint: BTreeMap<String, EndpointTable>,
    #[serde(default)]
    pub suite: BTreeMap<String, SuiteFile>,
}

/// Declares a table whose fields are all optional and can be laid over another.
macro_rules! table {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$doc])* pub $field: Option<$kind>,)* }

        impl $name {
            /// Takes over every field that `over` sets.
            pub fn overlay(&mut self, over: $name) {
                $(if over.$field.is_some() { self.$field = over.$field; })*
            }

            #[cfg(test)]
            pub(super) fn is_complete(&self) -> bool {
                true $(&& self.$field.is_some())*
            }
        }
    };
}

table! {
    /// `[run]`
    RunTable {
        /// Suites to run.
        suites: Vec<String>,
        /// Endpoints to compare, candidate first.
        endpoints: Vec<String>,
        /// Attempts of every task on every endpoint.
        attempts: u32,
        /// Trials at once.
        concurrency: u32,
        /// Seed of order and simulation.
        seed: u64,
        /// Where run directories are made.
        directory: std::path::PathBuf,
        /// What keeps tools away from the machine: `auto` or a backend's name.
        sandbox: String,
    }
}

table! {
    /// `[limits]`
    LimitsTable {
        /// Model calls in one trial.
        turns: u32,
        /// Wall-clock seconds of one trial.
        trial_seconds: u64,
        /// Seconds of one command.
        command_seconds: u64,
        /// Kibibytes of output the model sees.
        output_kib: usize,
        /// Mebibytes of memory of one command.
        memory_mb: u64,
        /// Milliseconds that 99 of 100 output events may lie unread in a valid run.
        client_lag_ms: f64,
    }
}

/// `[endpoint.NAME]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointTable {
    /// Ready-made endpoint that this one is, except for what is set here.
    pub preset: Option<String>,
    /// Profile of an embedded server; excludes `base_url`.
    pub simulate: Option<String>,
    /// Where a real server listens.
    pub base_url: Option<String>,
    /// Model id; a simulated endpoint takes its profile's.
    pub model: Option<String>,
    /// Wire protocol, `responses` unless said otherwise.
    pub protocol: Option<String>,
    /// Transport, `http-sse` unless said otherwise.
    pub transport: Option<transports::Kind>,
    /// Have the server read instructions and tools ahead of the first turn.
    pub prewarm: Option<bool>,
    /// Offer to compress the messages of a WebSocket.
    pub deflate: Option<bool>,
    /// Put concurrent trials on one connection.
    pub shared_connection: Option<bool>,
    /// Environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// Longest silence before a try is given up, in seconds.
    pub idle_seconds: Option<u64>,
    /// Tries after the first.
    pub retries: Option<u32>,
    /// File of further certificates to trust, in PEM.
    pub ca_file: Option<std::path::PathBuf>,
    /// Query parameters of every request.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Extra request headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Extra top-level fields of every request.
    #[serde(default)]
    pub body: serde_json::Map<String, serde_json::Value>,
    /// What its tokens cost; unknown when absent.
    pub price: Option<Price>,
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

impl EndpointTable {
    /// This table laid over a preset. Headers, query and body fields are added to the
    /// preset's; the price of another model than the preset's is not the preset's.
    #[must_use]
    pub fn over(self, preset: &EndpointTable) -> Self {
        let other_model = self.model.is_some() && self.model != preset.model;
        let mut laid = preset.clone();
        laid.headers.extend(self.headers);
        laid.query.extend(self.query);
        laid.body.extend(self.body);
        EndpointTable {
            preset: None,
            simulate: self.simulate,
            base_url: self.base_url.or(laid.base_url),
            model: self.model.or(laid.model),
            protocol: self.protocol.or(laid.protocol),
            transport: self.transport.or(laid.transport),
            prewarm: self.prewarm.or(laid.prewarm),
            api_key_env: self.api_key_env.or(laid.api_key_env),
            idle_seconds: self.idle_seconds.or(laid.idle_seconds),
            retries: self.retries.or(laid.retries),
            price: self.price.or(laid.price.filter(|_| !other_model)),
            ca_file: self.ca_file.or(laid.ca_file),
            query: laid.query,
            headers: laid.headers,
            body: laid.body,
            shared_connection: self.shared_connection.or(laid.shared_connection),
            deflate: self.deflate.or(laid.deflate),
        }
    }
}
