//! Change points of series, for checks against other implementations.
//!
//! Reads one JSON object a line from standard input, `{"series": […], "window": 50,
//! "max_p": 0.001, "min_change": 0.0, "min_segment": 1}`, and writes one JSON array of
//! change points a line.

use std::io::BufRead;

use serde::Deserialize;
use timeslip_reports::stats::{ChangePointOptions, change_points};

#[derive(Deserialize)]
struct Case {
    series: Vec<f64>,
    window: usize,
    max_p: f64,
    min_change: f64,
    min_segment: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        let options = ChangePointOptions {
            window: case.window,
            max_p: case.max_p,
            min_change: case.min_change,
            min_segment: case.min_segment,
        };
        let found: Vec<serde_json::Value> = change_points(&case.series, &options)
            .iter()
            .map(|point| {
                serde_json::json!({
                    "index": point.index,
                    "before_mean": point.before_mean,
                    "after_mean": point.after_mean,
                    "p": point.p,
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(found));
    }
    Ok(())
}
