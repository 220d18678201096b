//! What the environment holds for an endpoint.

use std::collections::BTreeMap;

use reqwest::header::HeaderValue;
use timeslip_datasets::run::plan::PlannedEndpoint;
use timeslip_wire::Secret;

use crate::error::Error;
use crate::run::config::credentials::reference;

/// The secrets of an endpoint, taken from the environment.
pub(super) struct Secrets {
    pub key: Option<Secret>,
    /// Headers with their values filled in.
    pub headers: Vec<(String, Secret)>,
    /// Query parameters with their values filled in.
    pub query: Vec<(String, Secret)>,
    /// The values that were filled in.
    pub values: Vec<Secret>,
}

/// Takes them from the environment.
pub(super) fn secrets(planned: &PlannedEndpoint) -> Result<Secrets, Error> {
    let key = planned.api_key_env.as_deref();
    let key = key.map(|name| variable(planned, "api_key_env", name));
    let mut values = Vec::new();
    let headers = filled_in(planned, "headers", &planned.headers, &mut values)?;
    let query = filled_in(planned, "query", &planned.query, &mut values)?;
    Ok(Secrets {
        key: key.transpose()?.map(Secret),
        headers,
        query,
        values,
    })
}

/// A table's values, each reference replaced by what it refers to, which goes to `values`.
fn filled_in(
    planned: &PlannedEndpoint,
    table: &str,
    given: &BTreeMap<String, String>,
    values: &mut Vec<Secret>,
) -> Result<Vec<(String, Secret)>, Error> {
    let fill_in = |(name, value): (&String, &String)| {
        let Some((before, variable_name)) = reference(value) else {
            return Ok((name.clone(), Secret(value.clone())));
        };
        let value = variable(planned, &format!("{table}.{name}"), variable_name)?;
        let whole = format!("{before}{value}");
        values.push(Secret(value));
        Ok((name.clone(), Secret(whole)))
    };
    given.iter().map(fill_in).collect()
}

/// The value of an environment variable that a field names. It is never repeated.
fn variable(planned: &PlannedEndpoint, field: &str, name: &str) -> Result<String, Error> {
    let bad = |problem: String| Error::Config {
        place: format!("endpoint.{}.{field}", planned.name),
        problem,
    };
    // A key pasted here by mistake must not be printed.
    let plausible = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(plausible)
    {
        return Err(bad(
            "is not the name of an environment variable; never write a key itself here".into(),
        ));
    }
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| {
        bad(format!(
            "the environment variable {name} is not set; export it with the key"
        ))
    })?;
    match HeaderValue::try_from(&value) {
        Ok(_) => Ok(value),
        Err(_) => Err(bad(format!(
            "the environment variable {name} holds a line break or another character that no \
             header can have; export it without"
        ))),
    }
}
