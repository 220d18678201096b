use super::runs::LoadedRun;
use crate::error::Error;
use std::path::Path;
use timeslip_reports::gate::FloorKey;
use timeslip_reports::input::RunData;
pub(super) const DEFAULT: &str = "runs/history.sqlite";
pub(super) fn baselines(_: &Path, _: &LoadedRun) -> Result<Vec<RunData>, Error> {
    Ok(Vec::new())
}
pub(super) fn floors(
    _: &Path,
    _: &LoadedRun,
) -> Result<Box<dyn Fn(FloorKey) -> Option<f64>>, Error> {
    Ok(Box::new(|_| None))
}
