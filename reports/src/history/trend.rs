//! One figure over the runs of one setting.

use serde::Serialize;

use super::{Key, RunRef};
use crate::stats::{ChangePointOptions, change_points};

/// One figure over valid and complete runs, oldest first, with where its level changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// Which figure.
    #[serde(flatten)]
    pub key: Key,
    /// Its values.
    pub values: Vec<TrendPoint>,
    /// Changes of level, oldest first. They annotate; nothing fails because of them.
    pub changes: Vec<LevelChange>,
}

/// One value of a figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrendPoint {
    /// The run.
    pub run_id: String,
    /// When it started, RFC 3339 UTC.
    pub started_at: String,
    /// The value.
    pub value: f64,
    /// How many values are behind it.
    pub n: usize,
}

/// A change of level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LevelChange {
    /// Index of the first value of the new level.
    pub index: usize,
    /// The first run of the new level.
    pub run_id: String,
    /// When it started, RFC 3339 UTC.
    pub since: String,
    /// Mean before.
    pub before_mean: f64,
    /// Mean after.
    pub after_mean: f64,
    /// p value of a t test between the two.
    pub p: f64,
}

impl Trend {
    /// Of the values of some runs, oldest first.
    pub(super) fn of(key: Key, values: Vec<(&RunRef, f64, usize)>) -> Self {
        let values: Vec<TrendPoint> = values
            .into_iter()
            .map(|(run, value, n)| TrendPoint {
                run_id: run.run_id.clone(),
                started_at: run.started_at.clone(),
                value,
                n,
            })
            .collect();
        let series: Vec<f64> = values.iter().map(|value| value.value).collect();
        let changes = change_points(&series, &ChangePointOptions::default())
            .into_iter()
            .map(|point| LevelChange {
                index: point.index,
                run_id: values[point.index].run_id.clone(),
                since: values[point.index].started_at.clone(),
                before_mean: point.before_mean,
                after_mean: point.after_mean,
                p: point.p,
            })
            .collect();
        Trend {
            key,
            values,
            changes,
        }
    }
}
