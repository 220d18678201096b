//! Opens a run directory and computes a figure that timeslip has not got: the share of each
//! endpoint's task time that was spent on its slowest exchange.
//!
//! ```text
//! cargo run -p timeslip-reports --example open_a_run -- runs/latest
//! ```

use std::error::Error;
use std::path::Path;

use timeslip_reports::data::TrialData;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1);
    let path = path.unwrap_or_else(|| "runs/latest".to_owned());
    let run = timeslip_reports::open(Path::new(&path))?;
    for endpoint in &run.data.endpoints {
        let trials = run.data.trials.iter();
        let own = trials.filter(|trial| trial.endpoint == endpoint.name);
        match mean(own.filter_map(slowest_share)) {
            Some(share) => println!("{}: {:.1} %", endpoint.name, share * 100.0),
            None => println!("{}: no exchange with output", endpoint.name),
        }
    }
    Ok(())
}

/// Part of the task time that lies between the request of the slowest exchange and its last
/// token; `None` where no exchange had output.
fn slowest_share(trial: &TrialData) -> Option<f64> {
    let exchanges = trial.exchanges.iter();
    let times = exchanges
        .filter_map(|exchange| Some(exchange.ttft_ns?.saturating_add(exchange.decode_ns?)));
    let slowest = times.max()?;
    (trial.wall_ns > 0).then(|| slowest as f64 / trial.wall_ns as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
