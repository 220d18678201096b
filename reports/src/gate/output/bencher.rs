//! Bencher Metric Format: benchmark → measure → value with its interval.

use serde_json::{Map, Value, json};

use super::place;
use crate::gate::finding::{Expressed, GateResult};

/// Renders every finding that has numbers: the candidate's figure where it is known, and
/// the change with its 95 % interval.
#[must_use]
pub fn bencher(result: &GateResult) -> Value {
    let mut benchmarks = Map::new();
    for finding in &result.findings {
        let Some(measured) = &finding.measured else {
            continue;
        };
        let mut measures = Map::new();
        if let Some(candidate) = measured.candidate {
            let name = format!("{} {}", finding.metric, finding.statistic);
            measures.insert(name, json!({ "value": candidate }));
        }
        let name = match measured.expressed {
            Expressed::Own => "value",
            Expressed::Relative => "relative change",
            Expressed::Nanoseconds => "change in nanoseconds",
            Expressed::Points => "change of share",
        };
        let mut change = Map::from_iter([("value".to_owned(), json!(measured.change))]);
        for (end, value) in [
            ("lower_value", measured.low),
            ("upper_value", measured.high),
        ] {
            if let Some(value) = value {
                change.insert(end.to_owned(), json!(value));
            }
        }
        measures.insert(name.to_owned(), Value::Object(change));
        let benchmark = format!("{} [{}]", finding.rule, place(finding));
        benchmarks.insert(benchmark, Value::Object(measures));
    }
    Value::Object(benchmarks)
}
