//! What the history keeps of a run, and which runs may be compared.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timeslip_reports::history::{self, Endpoint, Record, RunRef};

use crate::analysis;
use crate::error::Error;
use crate::plan::{Plan, PlannedEndpoint};
use crate::rundir::{Manifest, RunDirectory};
use crate::validity;

/// Reads a run and computes what the history keeps of it.
///
/// # Errors
/// Whatever reading the run meets.
pub fn record(directory: &RunDirectory, manifest: &Manifest) -> Result<Record, Error> {
    let data = analysis::load(directory, manifest)?;
    let endpoints = manifest.plan.endpoints.iter().map(|endpoint| Endpoint {
        name: endpoint.name.clone(),
        setting: digest(manifest, &[alike(endpoint)]),
    });
    Ok(Record {
        run: RunRef {
            run_id: data.run_id.clone(),
            path: directory.path().to_string_lossy().into_owned(),
            started_at: data.started_at.clone(),
            timeslip_version: data.timeslip_version.clone(),
            fingerprint: fingerprint(manifest),
            valid: data.invalid.is_empty() && validity::every_endpoint_measured(&data),
            complete: data.trials.len() == data.planned_trials,
            simulated: data.endpoints.iter().any(|endpoint| endpoint.simulated),
            same_endpoint: same_endpoint(&manifest.plan),
            pinned: directory.is_pinned(),
        },
        endpoints: endpoints.collect(),
        figures: history::figures(&data),
    })
}

/// Equal for runs that may be compared: of the same tasks, attempts and sandbox, with
/// endpoints of the same names, protocols, transports and models.
#[must_use]
pub fn fingerprint(manifest: &Manifest) -> String {
    let endpoints = manifest.plan.endpoints.iter();
    let named: Vec<_> = endpoints
        .map(|endpoint| (&endpoint.name, alike(endpoint)))
        .collect();
    digest(manifest, &named)
}

/// Whether a run measures one endpoint under two names: what differs is noise.
#[must_use]
pub fn same_endpoint(plan: &Plan) -> bool {
    let [first, second] = &plan.endpoints[..] else {
        return false;
    };
    let renamed = PlannedEndpoint {
        name: first.name.clone(),
        ..second.clone()
    };
    *first == renamed
}

/// What makes figures of two endpoints comparable: protocol, transport, model, and
/// whether it is simulated.
fn alike(endpoint: &PlannedEndpoint) -> (&str, &str, &str, bool) {
    (
        &endpoint.protocol,
        endpoint.transport.name(),
        &endpoint.model,
        endpoint.simulate.is_some(),
    )
}

fn digest(manifest: &Manifest, endpoints: &impl serde::Serialize) -> String {
    let plan = &manifest.plan;
    let trials = plan.trials.iter();
    let tasks: BTreeSet<(&str, &str)> = trials.map(|trial| (&*trial.suite, &*trial.task)).collect();
    let text = serde_json::json!([tasks, plan.attempts, manifest.sandbox, endpoints]).to_string();
    HEXLOWER.encode(&Sha256::digest(text)[..16])
}
