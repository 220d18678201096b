//! Facts of a trial that several figures are made of.

use std::collections::BTreeMap;

use crate::data::{ExchangeData, TrialData};
use crate::stages::{Stage, StageGroup};
use crate::stats::token_rate;

/// Turns a trial began.
pub(crate) fn turns(trial: &TrialData) -> u32 {
    let turns = trial.exchanges.iter().map(|exchange| exchange.turn);
    turns.max().unwrap_or(0)
}

/// Output tokens of some trials; `None` when no server reported any.
pub(crate) fn output_tokens<'a>(trials: impl IntoIterator<Item = &'a TrialData>) -> Option<u64> {
    trials
        .into_iter()
        .flat_map(|trial| &trial.exchanges)
        .filter_map(|exchange| exchange.output_tokens)
        .reduce(u64::saturating_add)
}

/// Time by stage, summed over some trials.
pub(crate) fn stage_totals<'a>(
    trials: impl IntoIterator<Item = &'a TrialData>,
) -> BTreeMap<Stage, u64> {
    let mut totals = BTreeMap::new();
    for value in trials.into_iter().flat_map(|trial| &trial.stages) {
        let total: &mut u64 = totals.entry(value.stage).or_default();
        *total = total.saturating_add(value.ns);
    }
    totals
}

/// Time of a trial's stages in a group.
pub(crate) fn group_ns(trial: &TrialData, group: StageGroup) -> u64 {
    let stages = trial.stages.iter();
    stages
        .filter(|value| value.stage.group() == group)
        .fold(0, |total, value| total.saturating_add(value.ns))
}

/// The output rate of one exchange, where it can be computed.
pub(crate) fn exchange_rate(exchange: &ExchangeData) -> Option<f64> {
    token_rate(exchange.streamed_tokens?, exchange.decode_ns?)
}
