//! The arms of a plan: each agent on each endpoint.

use std::collections::HashSet;

use timeslip_datasets::run::plan::PlannedEndpoint;

use super::Overrides;
use super::endpoints::{MOST, endpoints};
use crate::agents::{self, Adapter};
use crate::error::Error;
use crate::run::config::Config;

/// Each agent that configuration and command line name, on each endpoint: the candidates
/// first, the baseline last. An arm is an endpoint with the agent that asks it; where there
/// are several agents, its name is that of both, as `codex@spark-sim`.
///
/// # Errors
/// [`Error::Config`], naming file and field.
pub fn arms(config: &Config, overrides: &Overrides) -> Result<Vec<PlannedEndpoint>, Error> {
    let configured = config.run.agents.clone().unwrap_or_default();
    let names = match overrides.agents.is_empty() {
        true => configured,
        false => overrides.agents.clone(),
    };
    let refuse = |problem: String| Error::Config {
        place: "run.agents".into(),
        problem,
    };
    let found = names.iter().map(|name| agents::find(name));
    let found = found.collect::<Result<Vec<_>, Error>>()?;
    let mut known = HashSet::new();
    if let Some(twice) = found.iter().map(name_of).find(|name| !known.insert(*name)) {
        return Err(refuse(format!("names '{twice}' twice")));
    }
    let (baseline, endpoints) = match found.len() {
        0 => return Err(refuse("names no agent".into())),
        1 => (None, endpoints(config, overrides)?),
        _ => {
            let (baseline, config, overrides) = baseline_of(config, overrides);
            (baseline, endpoints(&config, &overrides)?)
        }
    };
    let several = found.len() > 1;
    let cells = found
        .iter()
        .flat_map(|agent| endpoints.iter().map(move |endpoint| (agent, endpoint)));
    let mut arms = cells
        .map(|(agent, endpoint)| arm(agent.as_ref(), endpoint, several))
        .collect::<Result<Vec<_>, Error>>()?;
    if let Some(baseline) = baseline {
        let Some(place) = arms.iter().position(|arm| arm.name == baseline) else {
            let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
            return Err(Error::Config {
                place: "run.baseline".into(),
                problem: format!("'{baseline}' is none of {}", names.join(", ")),
            });
        };
        let last = arms.remove(place);
        arms.push(last);
    }
    match arms.len() > MOST {
        true => Err(refuse(format!(
            "{} agents on {} endpoints are {}; a run compares at most {MOST}",
            found.len(),
            endpoints.len(),
            arms.len()
        ))),
        false => Ok(arms),
    }
}

/// The baseline where it is that of an arm, and what is left to say of the endpoints.
fn baseline_of(config: &Config, overrides: &Overrides) -> (Option<String>, Config, Overrides) {
    let (mut config, mut overrides) = (config.clone(), overrides.clone());
    let of_arm = |name: &mut Option<String>| match name.as_deref() {
        Some(stated) if stated.contains('@') => name.take(),
        _ => None,
    };
    let configured = of_arm(&mut config.run.baseline);
    let baseline = match &overrides.baseline {
        Some(_) => of_arm(&mut overrides.baseline),
        None => configured,
    };
    (baseline, config, overrides)
}

fn name_of(agent: &Option<Adapter>) -> &str {
    agent.as_ref().map_or(agents::BUILT_IN, |one| &one.name)
}

/// An agent on an endpoint; where there are `several` agents, it is named by both.
///
/// # Errors
/// [`Error::Config`] when it does not speak the endpoint's protocol.
pub fn arm(
    agent: Option<&Adapter>,
    endpoint: &PlannedEndpoint,
    several: bool,
) -> Result<PlannedEndpoint, Error> {
    let named = |agent: &str| match several {
        true => format!("{agent}@{}", endpoint.name),
        false => endpoint.name.clone(),
    };
    let Some(adapter) = agent else {
        return Ok(PlannedEndpoint {
            name: named(agents::BUILT_IN),
            ..endpoint.clone()
        });
    };
    // A simulated endpoint speaks everything.
    let simulated = || {
        adapter
            .speaks
            .first()
            .filter(|_| endpoint.simulate.is_some())
    };
    let way = adapter
        .way(&endpoint.protocol, &endpoint.transport)
        .or_else(simulated);
    let Some(way) = way else {
        return Err(Error::Config {
            place: format!("endpoint.{}.protocol", endpoint.name),
            problem: format!(
                "is {}, which {} does not speak; it speaks {}. Name an endpoint of its protocol, \
                 or another agent",
                endpoint.protocol,
                adapter.name,
                adapter.protocols().join(", ")
            ),
        });
    };
    Ok(PlannedEndpoint {
        name: named(&adapter.name),
        protocol: way.protocol.clone(),
        transport: way.transport.clone(),
        agent: Some(adapter.planned()?),
        ..endpoint.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arms that agents, endpoints and a baseline come to: name, protocol, transport.
    fn arms(
        agents: &[&str],
        endpoints: &[&str],
        baseline: Option<&str>,
    ) -> Result<Vec<String>, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let overrides = Overrides {
            agents: owned(agents),
            endpoints: owned(endpoints),
            baseline: baseline.map(str::to_owned),
            ..Overrides::default()
        };
        let config = Config::load(Some("/dev/null".as_ref())).unwrap();
        let arms = super::arms(&config, &overrides).map_err(|error| error.to_string())?;
        let shown = arms.iter().map(|arm| {
            let agent = arm.agent.as_ref().map_or("", |agent| &agent.name);
            format!("{} {agent} {} {}", arm.name, arm.protocol, arm.transport)
        });
        Ok(shown.collect())
    }

    #[test]
    fn agents_and_endpoints_are_a_grid() {
        let one = arms(&["codex"], &["spark-sim"], None).unwrap();
        assert_eq!(one, ["spark-sim codex responses websocket"]);
        let grid = arms(
            &["claude-code", "builtin"],
            &["spark-sim", "gpu-sim"],
            Some("claude-code@gpu-sim"),
        );
        assert_eq!(
            grid.unwrap(),
            [
                "claude-code@spark-sim claude-code anthropic-messages http-sse",
                "builtin@spark-sim  responses websocket",
                "builtin@gpu-sim  responses http-sse",
                "claude-code@gpu-sim claude-code anthropic-messages http-sse",
            ]
        );
        let by_endpoint = arms(&["codex", "builtin"], &["spark-sim"], Some("gpu-sim")).unwrap();
        assert_eq!(by_endpoint[3], "builtin@gpu-sim  responses http-sse");
    }

    #[test]
    fn what_cannot_be_planned_is_refused() {
        for (agents, endpoints, baseline, expected) in [
            (
                &["codex", "codex"][..],
                &["gpu-sim"][..],
                None,
                "names 'codex' twice",
            ),
            (&["codx"], &["gpu-sim"], None, "agent 'codx': is not known"),
            (
                &["claude-code"],
                &["groq"],
                None,
                "which claude-code does not speak",
            ),
            (
                &["codex", "pi"],
                &["gpu-sim"],
                Some("codex@x"),
                "'codex@x' is none of codex@gpu-sim, pi@gpu-sim",
            ),
            (
                &["opencode", "pi", "goose"],
                &["gpu-sim", "spark-sim", "groq"],
                None,
                "3 agents on 3 endpoints are 9",
            ),
        ] {
            let error = arms(agents, endpoints, baseline).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
