//! What the history keeps of a run, and which runs may be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timeslip_datasets::options::TrialLimits;
use timeslip_reports::gate::FloorKey;
use timeslip_reports::history::{
    self, ALL_SUITES, Before, Endpoint, FloorSource, History, Key, Record, RunRef,
};
use timeslip_reports::input::RunData;

use crate::analysis;
use crate::console::say;
use crate::error::Error;
use crate::run::plan::{Plan, PlannedEndpoint};
use crate::rundir::{Manifest, Remark, RunDirectory};
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
            rejected: directory.is(Remark::Rejected),
            pinned: directory.is(Remark::Pinned),
        },
        endpoints: endpoints.collect(),
        figures: history::figures(&data),
    })
}

/// The runs that a run is held against: the pinned one, or the latest before it.
///
/// # Errors
/// [`Error::History`] for a history that cannot be used, and whatever reading a run meets.
pub fn baselines(file: &Path, run: &RunData, manifest: &Manifest) -> Result<Vec<RunData>, Error> {
    // The first night begins the history.
    if !file.exists() {
        return Ok(Vec::new());
    }
    let history = History::open(file)?;
    let found = history.baseline(
        &fingerprint(manifest),
        Some(before(run)),
        history::BASELINE_WINDOW,
    )?;
    let (there, gone): (Vec<&RunRef>, Vec<&RunRef>) =
        found.iter().partition(|run| Path::new(&run.path).exists());
    for run in gone {
        say(&format!(
            "{} is in the history, but its directory is gone; it is left out",
            run.run_id
        ));
    }
    let load = |found: &RunRef| {
        let (directory, manifest) = RunDirectory::open(Path::new(&found.path))?;
        analysis::load(&directory, &manifest)
    };
    there.into_iter().map(load).collect()
}

/// What is known of the noise in the setting of a run.
pub struct Noise {
    history: Option<History>,
    fingerprint: String,
    started_at: String,
    run_id: String,
}

impl Noise {
    /// Without a history nothing is known.
    ///
    /// # Errors
    /// [`Error::History`] for a history that is there and cannot be used.
    pub fn of(file: &Path, run: &RunData, manifest: &Manifest) -> Result<Self, Error> {
        Ok(Noise {
            history: file.exists().then(|| History::open(file)).transpose()?,
            fingerprint: fingerprint(manifest),
            started_at: run.started_at.clone(),
            run_id: run.run_id.clone(),
        })
    }

    /// By how much a figure moves without a cause: as a share, of shares in points. Of a
    /// statistic that no history keeps nothing is known.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn floor(&self, key: FloorKey) -> Result<Option<f64>, Error> {
        let Some(history) = &self.history else {
            return Ok(None);
        };
        let source = if key.interleaved {
            FloorSource::SameEndpoint
        } else {
            FloorSource::Nights
        };
        let figure = Key {
            suite: key.suite.unwrap_or(ALL_SUITES).to_owned(),
            endpoint: key.endpoint.to_owned(),
            metric: key.metric.to_owned(),
            statistic: key.statistic.to_string(),
        };
        let before = Before {
            started_at: &self.started_at,
            run_id: &self.run_id,
        };
        let evidence = history.evidence(&self.fingerprint, &figure, Some(before))?;
        Ok(evidence.of_source(source).map(|floor| floor.relative))
    }
}

fn before(run: &RunData) -> Before<'_> {
    Before {
        started_at: &run.started_at,
        run_id: &run.run_id,
    }
}

/// Equal for runs that may be compared: of the same tasks, attempts, prompts, limits and
/// sandbox, with endpoints of the same names, protocols, transports and models.
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
        &endpoint.transport,
        &endpoint.model,
        endpoint.simulate.is_some(),
    )
}

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
            let limits = comparable(plan.limits_of(&suite.name));
            let terms = serde_json::json!([suite.prompt, suite.grader, limits]);
            (&*suite.name, terms)
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
    HEXLOWER.encode(&Sha256::digest(text)[..16])
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
    use super::*;
    use crate::run::config::Config;
    use crate::run::plan::{self, Overrides};
    use timeslip_datasets::journal::TrialKey;

    fn manifest(tasks: &[&str], seed: u64) -> Manifest {
        let overrides = Overrides {
            endpoints: vec!["spark-sim".into(), "gpu-sim".into()],
            ..Overrides::default()
        };
        let endpoints = plan::endpoints(&Config::load(None).unwrap(), &overrides).unwrap();
        let trials = tasks.iter().map(|task| TrialKey {
            suite: "suite".into(),
            task: (*task).into(),
            endpoint: endpoints[0].name.clone(),
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
                endpoints,
                attempts: 1,
                concurrency: 1,
                seed,
                suite_limits: Default::default(),
                limits: TrialLimits {
                    turns: 9,
                    trial_seconds: 9,
                    command_seconds: 9,
                    output_kib: 9,
                    memory_mb: 9,
                    client_lag_ms: 5.0,
                },
                tags: Default::default(),
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
        plan.endpoints[1].options.retries += 1;
        assert!(!same_endpoint(&plan));
        plan.endpoints.pop();
        assert!(!same_endpoint(&plan));
    }
}
