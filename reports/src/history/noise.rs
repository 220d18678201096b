//! What the history says to a gate: what a run is held against, and by how much its
//! figures move without a cause.

use std::path::Path;

use super::{
    ALL_SUITES, BASELINE_WINDOW, Before, Error, FloorSource, History, Key, RunRef, setting,
};
use crate::Run;
use crate::data::RunData;
use crate::gate::FloorKey;

/// The runs that a run is held against: the pinned one, or the latest before it. Without a
/// history there are none: the first night begins it.
///
/// # Errors
/// For a history that is there and cannot be used.
pub fn baselines(file: &Path, run: &Run) -> Result<Vec<RunRef>, Error> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let fingerprint = setting::fingerprint(&run.manifest);
    History::open(file)?.baseline(&fingerprint, Some(before(&run.data)), BASELINE_WINDOW)
}

/// What is known of the noise in the setting of a run.
#[derive(Debug)]
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
    /// For a history that is there and cannot be used.
    pub fn of(file: &Path, run: &Run) -> Result<Self, Error> {
        Ok(Noise {
            history: file.exists().then(|| History::open(file)).transpose()?,
            fingerprint: setting::fingerprint(&run.manifest),
            started_at: run.data.started_at.clone(),
            run_id: run.data.run_id.clone(),
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
