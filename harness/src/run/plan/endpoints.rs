//! The endpoints of a plan.

use std::collections::HashSet;
use std::path::Path;

use reqwest::header::{HeaderName, HeaderValue};
use timeslip_datasets::options::EndpointOptions;
use timeslip_datasets::run::plan::{PlannedEndpoint, Simulation};
use timeslip_simulator::Profile;
use timeslip_wire::connection::Target;
use timeslip_wire::protocols::{PROTOCOLS, Protocol};
use timeslip_wire::transports::{TRANSPORTS, Transport};

use super::Overrides;
use crate::error::Error;
use crate::run::config::{Config, EndpointTable, credentials};

/// Name of the endpoint given by `--base-url`.
pub const AD_HOC: &str = "command-line";

/// Most endpoints of a run: the charts have colours and marks for so many.
pub(super) const MOST: usize = 8;

/// The endpoints that configuration and command line name: candidates in their order, the
/// baseline last. One alone has no baseline.
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
    let named = |name: &str| {
        let (name, path, table) = config.endpoint(name)?;
        endpoint(&name, &path, &table)
    };
    for name in &names {
        planned.push(named(name)?);
    }
    let refuse = |problem: String| Error::Config {
        place: "run.endpoints".into(),
        problem,
    };
    let mut known = HashSet::new();
    if let Some(twice) = planned.iter().find(|one| !known.insert(&one.name)) {
        return Err(refuse(format!(
            "names '{}' twice; to measure it against itself, give the second one a name of its own",
            twice.name
        )));
    }
    let stated = config.run.baseline.as_deref().filter(|name| {
        // The command line's endpoints stand in place of the configured ones.
        let replaced = overrides.ad_hoc.is_some() || !overrides.endpoints.is_empty();
        !name.is_empty() && (!replaced || planned.iter().any(|one| one.name == **name))
    });
    if let Some(baseline) = overrides.baseline.as_deref().or(stated) {
        let place = planned.iter().position(|one| one.name == baseline);
        let baseline = match place {
            Some(place) => planned.remove(place),
            None => named(baseline)?,
        };
        // `NAME:MODEL` is known by another name than it was given.
        planned.retain(|one| one.name != baseline.name);
        planned.push(baseline);
    }
    match planned.len() {
        0 => Err(refuse("names no endpoint".into())),
        1..=MOST => Ok(planned),
        count => Err(refuse(format!(
            "names {count} endpoints; a run compares at most {MOST}"
        ))),
    }
}

fn endpoint(name: &str, path: &Path, table: &EndpointTable) -> Result<PlannedEndpoint, Error> {
    let bad = |field: &str, problem: String| Error::Config {
        place: format!("{}: endpoint.{name}.{field}", path.display()),
        problem,
    };
    let simulate = match (&table.simulate, &table.base_url) {
        (Some(name), None) => Some((name, Profile::load(name)?)),
        (None, Some(url)) => {
            let target = Target::parse(url).map_err(|problem| bad("base_url", problem))?;
            credentials::check_url(url, &target.query)
                .map_err(|problem| bad("base_url", problem))?;
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
    let options = table.options();
    check_options(&options, spoken, carrier).map_err(|(field, problem)| bad(field, problem))?;
    for (name, value) in &table.headers {
        check_header(name, value).map_err(|problem| bad(&format!("headers.{name}"), problem))?;
    }
    for (name, value) in &table.query {
        credentials::check(name, value)
            .map_err(|problem| bad(&format!("query.{name}"), problem))?;
    }
    for (name, value) in &table.body {
        credentials::check_body(value)
            .map_err(|problem| bad(&format!("body.{name}"), problem.into()))?;
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
        options,
        api_key_env: table.api_key_env.clone(),
        // Like all paths of a file relative to it.
        ca_file: table.ca_file.as_ref().map(|file| {
            let folder = path.parent().unwrap_or(Path::new(""));
            folder.join(file)
        }),
        query: table.query.clone(),
        headers: table.headers.clone(),
        body: table.body.clone(),
        price: table.price.clone(),
        agent: None,
    })
}

/// Refuses a header that cannot be sent, and a secret that is written down.
fn check_header(name: &str, value: &str) -> Result<(), String> {
    if HeaderName::try_from(name).is_err() {
        return Err("is not a header name: letters, digits and hyphens, such as \"x-team\"".into());
    }
    if HeaderValue::try_from(value).is_err() {
        return Err(
            "is not a header value: it holds a line break or another control character".into(),
        );
    }
    credentials::check(name, value)
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

/// An option that not every transport has: whether it is wanted, and who has it.
type Special = (
    &'static str,
    bool,
    fn(&dyn Transport, &dyn Protocol) -> bool,
);

/// Refuses options that the transport does not have with this protocol.
fn check_options(
    options: &EndpointOptions,
    protocol: &dyn Protocol,
    transport: &dyn Transport,
) -> Result<(), (&'static str, String)> {
    let special: [Special; 3] = [
        ("prewarm", options.prewarm, |one, _| one.keeps_state()),
        ("deflate", options.deflate, |one, _| one.compresses()),
        (
            "shared_connection",
            options.shared_connection,
            |one, protocol| one.pool(protocol).is_some(),
        ),
    ];
    for (field, wanted, has) in special {
        if wanted && !has(transport, protocol) {
            let able = TRANSPORTS.iter().filter(|one| has(**one, protocol));
            let able: Vec<&str> = able.map(|one| one.name()).collect();
            let place = match able[..] {
                [] => format!("does not exist for {}", protocol.name()),
                _ => format!("exists over a {} only", able.join(" or ")),
            };
            let problem = format!("{place}, not over {}", transport.name());
            return Err((field, problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the plan that a configuration and a command line come to.
    fn planned(
        run: &str,
        endpoints: &[&str],
        baseline: Option<&str>,
    ) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        let mut text = format!("[run]\n{run}\n");
        for number in 0..9 {
            text.push_str(&format!("[endpoint.e{number}]\nsimulate = \"gpu-sim\"\n"));
        }
        std::fs::write(&path, text).unwrap();
        let config = Config::load(Some(&path)).unwrap();
        let overrides = Overrides {
            endpoints: endpoints.iter().map(|name| (*name).to_owned()).collect(),
            baseline: baseline.map(str::to_owned),
            ..Overrides::default()
        };
        let planned = super::endpoints(&config, &overrides).map_err(|error| error.to_string())?;
        Ok(planned.into_iter().map(|one| one.name).collect())
    }

    #[test]
    fn the_baseline_is_the_last_or_the_one_that_is_named() {
        let three = "endpoints = [\"e0\", \"e1\", \"e2\"]\n";
        let first = format!("{three}baseline = \"e0\"");
        for (run, endpoints, baseline, expected) in [
            (three, &[][..], None, &["e0", "e1", "e2"][..]),
            (&first, &[], None, &["e1", "e2", "e0"]),
            (&first, &[], Some("e1"), &["e0", "e2", "e1"]),
            // Beside the others.
            (three, &[], Some("e5"), &["e0", "e1", "e2", "e5"]),
            // The command line's endpoints stand in place of the configured ones.
            (&first, &["e3"], None, &["e3"]),
            (&first, &["e0", "e3"], None, &["e3", "e0"]),
            (&first, &["e3"], Some("e4"), &["e3", "e4"]),
            (three, &["e3"], Some("e3"), &["e3"]),
            (three, &["groq:a", "e3"], Some("groq:a"), &["e3", "groq-a"]),
        ] {
            let planned = planned(run, endpoints, baseline).unwrap();
            assert_eq!(planned, expected, "{run} {endpoints:?} {baseline:?}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let all = ["e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"];
        for (endpoints, baseline, expected) in [
            (&["e1", "e2", "e1"][..], None, "names 'e1' twice"),
            (&["e1", "e1"], Some("e1"), "names 'e1' twice"),
            (&["e1"], Some("nobody"), "endpoint 'nobody'"),
            (&all, None, "names 9 endpoints; a run compares at most 8"),
        ] {
            let error = planned("", endpoints, baseline).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = planned("endpoints = []", &[], None).unwrap_err();
        assert!(error.contains("names no endpoint"), "{error}");
    }
}
