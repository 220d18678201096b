//! The endpoints of a plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Overrides;
use crate::config::{Config, EndpointTable, Price};
use crate::connection::Target;
use crate::error::Error;
use crate::server::Profile;
use crate::{protocols, transports};

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
    /// Wire protocol.
    pub protocol: String,
    /// Transport.
    pub transport: transports::Kind,
    /// Have the server read instructions and tools ahead of the first turn.
    #[serde(default)]
    pub prewarm: bool,
    /// Offer to compress the messages of a WebSocket.
    #[serde(default)]
    pub deflate: bool,
    /// Put concurrent trials on one connection.
    #[serde(default)]
    pub shared_connection: bool,
    /// Variable that holds the key.
    pub api_key_env: Option<String>,
    /// Longest silence before a try is given up.
    pub idle_seconds: u64,
    /// Tries after the first.
    pub retries: u32,
    /// File of further certificates to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Query parameters of every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Extra headers; a value `$NAME` is read from the environment.
    pub headers: BTreeMap<String, String>,
    /// Extra top-level body fields.
    pub body: serde_json::Map<String, serde_json::Value>,
    /// What its tokens cost; unknown when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

impl PlannedEndpoint {
    /// Longest silence before a try is given up.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_seconds.max(1))
    }
}

/// A simulated endpoint's profile and its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    /// Name or path it was loaded by.
    pub profile: String,
    /// Its figures.
    pub figures: Profile,
}

/// Name of the endpoint given by `--base-url`.
pub const AD_HOC: &str = "command-line";

/// The endpoints that configuration and command line name, one or two.
///
/// # Errors
/// [`Error::Config`], naming file and field.
pub fn endpoints(config: &Config, overrides: &Overrides) -> Result<Vec<PlannedEndpoint>, Error> {
    let mut planned = Vec::new();
    if let Some(table) = &overrides.ad_hoc {
        planned.push(endpoint(AD_HOC, Path::new("command line"), table)?);
    }
    // An endpoint given by its URL stands alone unless others are named beside it.
    let configured = config.run.endpoints.clone().unwrap_or_default();
    let names = match (&overrides.endpoints[..], &overrides.ad_hoc) {
        ([], Some(_)) => Vec::new(),
        ([], None) => configured,
        (named, _) => named.to_vec(),
    };
    for name in &names {
        let (name, path, table) = config.endpoint(name)?;
        planned.push(endpoint(&name, &path, &table)?);
    }
    let count = planned.len();
    if !(1..=2).contains(&count) {
        return Err(Error::Config {
            place: "run.endpoints".into(),
            problem: format!(
                "names {count} endpoints; a run takes one, or a candidate and a baseline"
            ),
        });
    }
    if count == 2 && planned[0].name == planned[1].name {
        return Err(Error::Config {
            place: "run.endpoints".into(),
            problem: format!(
                "names '{}' twice; give the second one a name of its own",
                planned[0].name
            ),
        });
    }
    Ok(planned)
}

fn endpoint(name: &str, path: &Path, table: &EndpointTable) -> Result<PlannedEndpoint, Error> {
    let bad = |field: &str, problem: String| Error::Config {
        place: format!("{}: endpoint.{name}.{field}", path.display()),
        problem,
    };
    let simulate = match (&table.simulate, &table.base_url) {
        (Some(profile), None) => Some(Simulation {
            profile: profile.clone(),
            figures: Profile::load(profile)?,
        }),
        (None, Some(url)) => {
            Target::parse(url).map_err(|problem| bad("base_url", problem))?;
            None
        }
        _ => {
            return Err(bad(
                "simulate",
                "give either `simulate` or `base_url`, and not both".into(),
            ));
        }
    };
    let model = match (&table.model, &simulate) {
        (Some(model), _) => model.clone(),
        (None, Some(simulation)) => simulation.figures.model.clone(),
        (None, None) => return Err(bad("model", "is missing: the model id to ask for".into())),
    };
    let protocol = table
        .protocol
        .clone()
        .or_else(|| protocols::names().next().map(str::to_owned))
        .unwrap_or_default();
    let Some(spoken) = protocols::by_name(&protocol) else {
        let known = protocols::names().collect::<Vec<_>>().join(", ");
        return Err(bad(
            "protocol",
            format!("'{protocol}' is not known; known are {known}"),
        ));
    };
    let transport = table.transport.unwrap_or(transports::Kind::HttpSse);
    if transport == transports::Kind::Websocket && !spoken.has_websocket() {
        return Err(bad(
            "transport",
            format!("{protocol} does not travel over a WebSocket; use http-sse"),
        ));
    }
    let of_websocket = |field: &str, choice: Option<bool>| {
        let chosen = choice.unwrap_or(false);
        if chosen && transport != transports::Kind::Websocket {
            let problem = format!(
                "exists over a websocket only, not over {}",
                transport.name()
            );
            return Err(bad(field, problem));
        }
        Ok(chosen)
    };
    let prewarm = of_websocket("prewarm", table.prewarm)?;
    let deflate = of_websocket("deflate", table.deflate)?;
    let shared_connection = of_websocket("shared_connection", table.shared_connection)?;
    for (header, value) in &table.headers {
        let place = format!("headers.{header}");
        if hyper::header::HeaderName::try_from(header).is_err() {
            let problem = "is not a header name: letters, digits and hyphens, such as \"x-team\"";
            return Err(bad(&place, problem.into()));
        }
        if hyper::header::HeaderValue::try_from(value).is_err() {
            let problem =
                "is not a header value: it holds a line break or another control character";
            return Err(bad(&place, problem.into()));
        }
        let secret = ["auth", "key", "token", "secret", "cookie"];
        let lower = header.to_ascii_lowercase();
        if secret.iter().any(|word| lower.contains(word)) && !value.starts_with('$') {
            return Err(bad(
                &place,
                "looks like a secret; write \"$NAME\" to take it from the environment variable NAME".into(),
            ));
        }
    }
    Ok(PlannedEndpoint {
        name: name.to_owned(),
        simulate,
        base_url: table.base_url.clone(),
        model,
        protocol,
        transport,
        prewarm,
        deflate,
        shared_connection,
        api_key_env: table.api_key_env.clone(),
        idle_seconds: table.idle_seconds.unwrap_or(120),
        retries: table.retries.unwrap_or(3),
        // Like all paths of a file relative to it.
        ca_file: table.ca_file.as_ref().map(|file| {
            let folder = path.parent().unwrap_or(Path::new(""));
            folder.join(file)
        }),
        query: table.query.clone(),
        headers: table.headers.clone(),
        body: table.body.clone(),
        price: table.price.clone(),
    })
}
