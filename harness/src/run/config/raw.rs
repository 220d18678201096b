//! The tables of a configuration file, every field optional.

use std::collections::BTreeMap;

use serde::Deserialize;
use timeslip_datasets::options::{EndpointOptions, LimitsTable};
use timeslip_datasets::run::journal::StampSource;
use timeslip_datasets::run::plan::Price;
use timeslip_suites::SuiteFile;

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
        /// Endpoints to compare; without a `baseline` the last one is it.
        endpoints: Vec<String>,
        /// Agents that do the work, each on every endpoint.
        agents: Vec<String>,
        /// The endpoint that the others are held against; empty for the last one.
        baseline: String,
        /// Attempts of every task on every endpoint.
        attempts: u32,
        /// Trials at once.
        concurrency: u32,
        /// Who says when bytes arrived, at best.
        arrivals: StampSource,
        /// Seed of order and simulation.
        seed: u64,
        /// Where run directories are made.
        directory: std::path::PathBuf,
        /// What keeps tools away from the machine: `auto` or a backend's name.
        sandbox: String,
    }
}

/// Declares the table of an endpoint: what it is, and the options that every endpoint has.
macro_rules! endpoint_table {
    ($($(#[$doc:meta])* $field:ident: $kind:ty = $default:expr,)*) => {
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
            pub transport: Option<String>,
            /// Environment variable that holds the key.
            pub api_key_env: Option<String>,
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
            $($(#[$doc])* pub $field: Option<$kind>,)*
        }

        impl EndpointTable {
            /// This table laid over a preset. Headers, query and body fields are added to
            /// the preset's; the price of another model than the preset's is not the preset's.
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
                    api_key_env: self.api_key_env.or(laid.api_key_env),
                    price: self.price.or(laid.price.filter(|_| !other_model)),
                    ca_file: self.ca_file.or(laid.ca_file),
                    query: laid.query,
                    headers: laid.headers,
                    body: laid.body,
                    $($field: self.$field.or(laid.$field),)*
                }
            }

            /// Its options, every choice made.
            #[must_use]
            pub fn options(&self) -> EndpointOptions {
                EndpointOptions { $($field: self.$field.unwrap_or($default),)* }
            }
        }
    };
}
timeslip_datasets::endpoint_options!(endpoint_table);
