//! The endpoints of a plan.

use std::path::Path;

use timeslip_datasets::run::plan::{PlannedEndpoint, Simulation};
use timeslip_simulator::Profile;
use timeslip_wire::connection::Target;
use timeslip_wire::protocols::{PROTOCOLS, Protocol};
use timeslip_wire::transports::{TRANSPORTS, Transport};

use super::Overrides;
use crate::error::Error;
use crate::run::config::{Config, EndpointTable};

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
    let spoken = chosen(&table.protocol, PROTOCOLS, |one| one.name())
        .map_err(|problem| bad("protocol", problem))?;
    let carrier = chosen(&table.transport, TRANSPORTS, |one| one.name())
        .map_err(|problem| bad("transport", problem))?;
    let (protocol, transport) = (spoken.name(), carrier.name());
    if !carrier.carries(spoken) {
        return Err(bad(
            "transport",
            format!("{protocol} does not travel over a {transport}; use http-sse"),
        ));
    }
    let able =
        |field: &str, choice: Option<bool>, able: fn(&dyn Transport, &dyn Protocol) -> bool| {
            let choice = choice.unwrap_or(false);
            if choice && !able(carrier, spoken) {
                let able = TRANSPORTS.iter().filter(|one| able(**one, spoken));
                let able: Vec<&str> = able.map(|one| one.name()).collect();
                let place = match able[..] {
                    [] => format!("does not exist for {protocol}"),
                    _ => format!("exists over a {} only", able.join(" or ")),
                };
                return Err(bad(field, format!("{place}, not over {transport}")));
            }
            Ok(choice)
        };
    let prewarm = able("prewarm", table.prewarm, |one, _| one.keeps_state())?;
    let deflate = able("deflate", table.deflate, |one, _| one.compresses())?;
    let shared_connection = able(
        "shared_connection",
        table.shared_connection,
        |one, spoken| one.pool(spoken).is_some(),
    )?;
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
        protocol: protocol.to_owned(),
        transport: transport.to_owned(),
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

/// The entry of a table that a configuration names; the first when it names none.
fn chosen<T: Copy>(
    wanted: &Option<String>,
    table: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, String> {
    let wanted = wanted.as_deref();
    let mut entries = table.iter().copied();
    let found = entries.find(|entry| wanted.is_none_or(|wanted| name(*entry) == wanted));
    found.ok_or_else(|| {
        let known: Vec<&str> = table.iter().copied().map(name).collect();
        format!(
            "'{}' is not known; known are {}",
            wanted.unwrap_or_default(),
            known.join(", ")
        )
    })
}
