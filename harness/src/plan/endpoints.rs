//! The endpoints of a plan.

use std::path::Path;

use timeslip_datasets::run::plan::{PlannedEndpoint, Simulation};

use super::Overrides;
use crate::config::{Config, EndpointTable};
use crate::connection::Target;
use crate::error::Error;
use crate::server::Profile;
use crate::{protocols, transports};

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
        (Some(name), None) => Some((name, Profile::load(name)?)),
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
        (None, Some((_, profile))) => profile.model.clone(),
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
        let secret = ["auth", "key", "token", "secret", "cookie"];
        let lower = header.to_ascii_lowercase();
        if secret.iter().any(|word| lower.contains(word)) && !value.starts_with('$') {
            return Err(bad(
                &format!("headers.{header}"),
                "looks like a secret; write \"$NAME\" to take it from the environment variable NAME".into(),
            ));
        }
    }
    let simulate = simulate
        .map(|(profile, figures)| {
            let profile = profile.clone();
            Ok(Simulation {
                profile,
                figures: figures.to_map()?,
            })
        })
        .transpose()
        .map_err(|error: serde_json::Error| bad("simulate", error.to_string()))?;
    Ok(PlannedEndpoint {
        name: name.to_owned(),
        simulate,
        base_url: table.base_url.clone(),
        model,
        protocol,
        transport: transport.name().to_owned(),
        prewarm,
        deflate,
        shared_connection,
        api_key_env: table.api_key_env.clone(),
        idle_seconds: table.idle_seconds.unwrap_or(120),
        retries: table.retries.unwrap_or(3),
        headers: table.headers.clone(),
        body: table.body.clone(),
        price: table.price.clone(),
    })
}
