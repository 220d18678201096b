//! Which runs may be compared: those of one setting.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};
use timeslip_datasets::options::TrialLimits;
use timeslip_datasets::run::manifest::Manifest;
use timeslip_datasets::run::plan::{Plan, PlannedEndpoint};

/// Equal for runs that may be compared: of the same tasks, attempts, prompts, limits and
/// sandbox, with endpoints of the same names, protocols, transports and models.
pub(super) fn fingerprint(manifest: &Manifest) -> String {
    let endpoints = manifest.plan.endpoints.iter();
    let named: Vec<_> = endpoints
        .map(|endpoint| (&endpoint.name, alike(endpoint)))
        .collect();
    digest(manifest, &named)
}

/// Whether a run measures one endpoint under two names or more: what differs is noise.
pub(super) fn same_endpoint(plan: &Plan) -> bool {
    match &plan.endpoints[..] {
        [first, others @ ..] if !others.is_empty() => {
            others.iter().all(|other| first.is_same_as(other))
        }
        _ => false,
    }
}

/// Equal for endpoints that differ in their names alone, on the same tasks.
pub(super) fn of_endpoint(manifest: &Manifest, endpoint: &PlannedEndpoint) -> String {
    digest(manifest, &[alike(endpoint)])
}

/// What makes figures of two endpoints comparable: protocol, transport, model, whether it is
/// simulated, and whether its prompts are salted, which is told only where they are.
fn alike(endpoint: &PlannedEndpoint) -> Vec<Value> {
    let mut terms = vec![
        endpoint.protocol.as_str().into(),
        endpoint.transport.as_str().into(),
        endpoint.model.as_str().into(),
        endpoint.simulate.is_some().into(),
    ];
    if endpoint.options.salt {
        terms.push("salt".into());
    }
    terms
}

/// The terms of a run's trials and what is told of its endpoints, as 32 hexadecimal digits.
fn digest(manifest: &Manifest, endpoints: &impl serde::Serialize) -> String {
    let plan = &manifest.plan;
    let trials = plan.trials.iter();
    let attempts: BTreeSet<(&str, &str, u32)> = trials
        .map(|trial| (&*trial.suite, &*trial.task, trial.attempt))
        .collect();
    // What is asked, for how long, and what counts as solved.
    let suites: BTreeMap<&str, _> = plan
        .suites
        .iter()
        .map(|suite| {
            let limits = comparable(plan.limits_of(suite.name()));
            let terms = serde_json::json!([suite.field("prompt"), suite.field("grader"), limits]);
            (suite.name(), terms)
        })
        .collect();
    let text = serde_json::json!([
        attempts,
        suites,
        comparable(plan.limits),
        manifest.sandbox,
        endpoints
    ])
    .to_string();
    data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..16])
}

/// When a run is invalid says nothing about those that are not.
fn comparable(limits: TrialLimits) -> TrialLimits {
    TrialLimits {
        client_lag_ms: 0.0,
        ..limits
    }
}

#[cfg(test)]
mod tests {
    use timeslip_datasets::options::EndpointOptions;
    use timeslip_datasets::run::journal::StampSource;
    use timeslip_datasets::run::journal::TrialKey;

    use super::*;

    fn endpoint(name: &str) -> PlannedEndpoint {
        PlannedEndpoint {
            name: name.into(),
            simulate: None,
            base_url: Some("https://example.org/v1".into()),
            model: name.into(),
            protocol: "responses".into(),
            transport: "http-sse".into(),
            options: EndpointOptions::default(),
            api_key_env: None,
            ca_file: None,
            query: Default::default(),
            headers: BTreeMap::new(),
            body: serde_json::Map::new(),
            price: None,
            agent: None,
        }
    }

    fn manifest(tasks: &[&str], seed: u64) -> Manifest {
        let trials = tasks.iter().map(|task| TrialKey {
            suite: "suite".into(),
            task: (*task).into(),
            endpoint: "fast".into(),
            attempt: 1,
        });
        Manifest {
            version: 1,
            run_id: seed.to_string(),
            started_at: "2026-11-21T09:30:00Z".into(),
            timeslip_version: "0.1.0".into(),
            sandbox: "bubblewrap".into(),
            environment: Vec::new(),
            warnings: Vec::new(),
            plan: Plan {
                suites: Vec::new(),
                trials: trials.collect(),
                endpoints: vec![endpoint("fast"), endpoint("slow")],
                attempts: 1,
                concurrency: 1,
                arrivals: StampSource::Capture,
                seed,
                suite_limits: BTreeMap::new(),
                limits: TrialLimits {
                    turns: 9,
                    trial_seconds: 9,
                    command_seconds: 9,
                    output_kib: 9,
                    memory_mb: 9,
                    disk_mb: 9,
                    client_lag_ms: 5.0,
                },
                tags: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn a_fingerprint_is_of_what_makes_runs_comparable() {
        let first = manifest(&["a", "b"], 1);
        let same = manifest(&["b", "a"], 2);
        assert_eq!(fingerprint(&first), fingerprint(&same));
        let mut others = vec![
            manifest(&["a"], 1),
            first.clone(),
            first.clone(),
            first.clone(),
        ];
        others[1].plan.trials[0].attempt = 2;
        others[2].sandbox = "process".into();
        others[3].plan.endpoints[0].model.push('x');
        let mut salted = first.clone();
        salted.plan.endpoints[0].options.salt = true;
        others.push(salted);
        let mut shorter = first.clone();
        shorter.plan.limits.trial_seconds = 8;
        others.push(shorter);
        let mut swapped = first.clone();
        swapped.plan.endpoints.reverse();
        others.push(swapped);
        for other in others {
            assert_ne!(fingerprint(&first), fingerprint(&other), "{other:?}");
        }
    }

    #[test]
    fn one_endpoint_under_two_names_is_known_as_such() {
        let mut plan = manifest(&["a"], 1).plan;
        assert!(!same_endpoint(&plan));
        plan.endpoints[1] = PlannedEndpoint {
            name: "again".into(),
            ..plan.endpoints[0].clone()
        };
        assert!(same_endpoint(&plan));
        plan.endpoints.push(PlannedEndpoint {
            name: "third".into(),
            ..plan.endpoints[0].clone()
        });
        assert!(same_endpoint(&plan));
        plan.endpoints[2].options.retries += 1;
        assert!(!same_endpoint(&plan));
        plan.endpoints.truncate(1);
        assert!(!same_endpoint(&plan));
    }
}
