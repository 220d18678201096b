//! What `history show` and `history floor` say, as data.

use std::collections::HashMap;

use serde::Serialize;

use super::figures::key_place;
use super::{
    ALL_SUITES, Error, Evidence, Floor, History, Key, MIN_OBSERVATIONS, MOST_RUNS, RunRef, Trend,
};

/// Version of the JSON forms.
const VERSION: u32 = 1;

/// Which figures are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A metric, or a family of metrics such as `stage`; the key figures when absent.
    pub metric: Option<String>,
    /// A suite; all together when absent.
    pub suite: Option<String>,
    /// An endpoint; every one when absent.
    pub endpoint: Option<String>,
}

impl Filter {
    fn takes(&self, key: &Key) -> bool {
        let metric = match &self.metric {
            None => key_place(key).is_some(),
            Some(metric) => key
                .metric
                .strip_prefix(metric.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        };
        metric
            && key.suite == self.suite.as_deref().unwrap_or(ALL_SUITES)
            && self.endpoint.as_ref().is_none_or(|e| *e == key.endpoint)
    }
}

/// The whole history, by setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Version of this form.
    pub version: u32,
    /// Every setting, that of the latest run first.
    pub settings: Vec<Setting>,
}

/// Runs that may be compared with each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// What they have in common.
    pub fingerprint: String,
    /// Names of the endpoints, the candidate first.
    pub endpoints: Vec<String>,
    /// The runs, oldest first.
    pub runs: Vec<RunRef>,
    /// Figures over the runs.
    pub trends: Vec<Trend>,
}

/// The noise floors, by setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Floors {
    /// Version of this form.
    pub version: u32,
    /// Fewest observations of a floor.
    pub min_observations: usize,
    /// Every setting, that of the latest run first.
    pub settings: Vec<FloorSetting>,
}

/// The noise floors of one setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FloorSetting {
    /// What its runs have in common.
    pub fingerprint: String,
    /// Names of the endpoints, the candidate first.
    pub endpoints: Vec<String>,
    /// One row for each figure.
    pub floors: Vec<FloorRow>,
}

/// The noise floor of one figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FloorRow {
    /// Which figure.
    #[serde(flatten)]
    pub key: Key,
    /// The floor; `null` for unknown.
    pub floor: Option<Floor>,
    /// Changes seen within runs of one endpoint under two names.
    pub same_endpoint: usize,
    /// Changes seen from run to run since the last change point.
    pub nights: usize,
}

impl Overview {
    /// Reads it from a history.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn of(history: &History, filter: &Filter) -> Result<Self, Error> {
        let mut settings = Vec::new();
        for fingerprint in history.settings()? {
            let runs = history.runs(&fingerprint)?;
            let endpoints = endpoints(history, &runs)?;
            let by_id: HashMap<&str, &RunRef> =
                runs.iter().map(|run| (&*run.run_id, run)).collect();
            let mut trends = Vec::new();
            for key in taken(history, &fingerprint, &endpoints, filter)? {
                let values = history.values(&fingerprint, &key, None, MOST_RUNS)?;
                let values = values
                    .into_iter()
                    .filter_map(|(run_id, value, n)| Some((*by_id.get(&*run_id)?, value, n)));
                trends.push(Trend::of(key, values.collect()));
            }
            settings.push(Setting {
                fingerprint,
                endpoints,
                runs,
                trends,
            });
        }
        Ok(Overview {
            version: VERSION,
            settings,
        })
    }
}

impl Floors {
    /// Reads them from a history.
    ///
    /// # Errors
    /// What the database refuses.
    pub fn of(history: &History, filter: &Filter) -> Result<Self, Error> {
        let mut settings = Vec::new();
        for fingerprint in history.settings()? {
            let endpoints = endpoints(history, &history.runs(&fingerprint)?)?;
            let mut floors = Vec::new();
            for key in taken(history, &fingerprint, &endpoints, filter)? {
                let evidence = history.evidence(&fingerprint, &key, None)?;
                let floor = evidence.floor();
                let Evidence {
                    same_endpoint,
                    nights,
                    ..
                } = evidence;
                floors.push(FloorRow {
                    key,
                    floor,
                    same_endpoint: same_endpoint.len(),
                    nights: nights.len(),
                });
            }
            settings.push(FloorSetting {
                fingerprint,
                endpoints,
                floors,
            });
        }
        Ok(Floors {
            version: VERSION,
            min_observations: MIN_OBSERVATIONS,
            settings,
        })
    }
}

/// The figures to look at, those of the candidate first, in the order of the key figures.
fn taken(
    history: &History,
    fingerprint: &str,
    endpoints: &[String],
    filter: &Filter,
) -> Result<Vec<Key>, Error> {
    let mut keys = history.keys(fingerprint)?;
    keys.retain(|key| filter.takes(key));
    keys.sort_by_cached_key(|key| {
        let place = |place: Option<usize>| place.unwrap_or(usize::MAX);
        (
            place(endpoints.iter().position(|name| *name == key.endpoint)),
            place(key_place(key)),
            key.clone(),
        )
    });
    Ok(keys)
}

fn endpoints(history: &History, runs: &[RunRef]) -> Result<Vec<String>, Error> {
    let Some(latest) = runs.last() else {
        return Ok(Vec::new());
    };
    let record = history.record(&latest.run_id)?;
    Ok(record.map_or_else(Vec::new, |record| {
        record.endpoints.into_iter().map(|e| e.name).collect()
    }))
}
