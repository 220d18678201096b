//! What the history keeps of a run.

use timeslip_datasets::run::Remark;

use super::{Endpoint, Record, RunRef, figures, setting};
use crate::Run;
use crate::attribution::every_endpoint_measured;

impl Record {
    /// Everything that the history keeps of a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let Run {
            directory,
            manifest,
            data,
        } = run;
        let endpoints = manifest.plan.endpoints.iter().map(|endpoint| Endpoint {
            name: endpoint.name.clone(),
            setting: setting::of_endpoint(manifest, endpoint),
        });
        Record {
            run: RunRef {
                run_id: data.run_id.clone(),
                path: directory.path().to_string_lossy().into_owned(),
                started_at: data.started_at.clone(),
                timeslip_version: data.timeslip_version.clone(),
                fingerprint: setting::fingerprint(manifest),
                valid: data.invalid.is_empty() && every_endpoint_measured(data),
                complete: data.trials.len() == data.planned_trials,
                simulated: data.endpoints.iter().any(|endpoint| endpoint.simulated),
                same_endpoint: setting::same_endpoint(&manifest.plan),
                rejected: directory.is(Remark::Rejected),
                pinned: directory.is(Remark::Pinned),
            },
            endpoints: endpoints.collect(),
            figures: figures(data),
        }
    }
}
