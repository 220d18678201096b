//! Every stage of every trial.

use schemars::JsonSchema;
use serde::Serialize;

use super::CsvFile;
use super::cells::TrialKey;
use super::columns::trial_columns;

pub(super) static FILE: CsvFile = CsvFile {
    name: "stages",
    columns: trial_columns::<StageRecord>,
    write: |run, _, rows| {
        for trial in &run.trials {
            let key = TrialKey::of(trial);
            for value in &trial.stages {
                let row = StageRecord {
                    stage: value.stage.name(),
                    group: value.stage.group().name(),
                    ns: value.ns,
                    provenance: value.provenance.name(),
                    error_ns: value.error_ns,
                };
                rows.push((&key, row))?;
            }
        }
        Ok(())
    },
};

#[derive(Debug, Default, Serialize, JsonSchema)]
struct StageRecord {
    /// Where the time went; the stages of a trial sum to its task time.
    stage: &'static str,
    /// The group that it is shown under.
    group: &'static str,
    /// Its time in nanoseconds.
    ns: u64,
    /// How it came to be known: measured, reported, estimated or unavailable.
    provenance: &'static str,
    /// Bound on the error of ns, where one is known.
    error_ns: Option<u64>,
}
