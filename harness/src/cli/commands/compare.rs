//! `timeslip compare`: two runs, or two endpoints.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use timeslip_reports::Run;
use timeslip_reports::data::RunData;
use timeslip_reports::render;
use timeslip_reports::side::{Side, side_by_side};
use timeslip_reports::summary::Summary;

use crate::cli::claims::Claims;
use crate::error::Error;
use crate::exit;

/// Compare two runs, or two endpoints, metric by metric
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// The candidate: a run directory, RUN:ENDPOINT, or an endpoint of --run
    #[arg(value_name = "A")]
    candidate: String,
    /// The baseline, likewise; without it A's own candidates are compared with its
    /// baseline, and of two runs every endpoint with its namesake
    #[arg(value_name = "B")]
    baseline: Option<String>,
    /// Run that bare endpoint names belong to
    #[arg(long, value_name = "RUN", default_value = "runs/latest")]
    run: PathBuf,
    /// Write a whole report of the comparison here
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    claims: Claims,
    /// Print JSON, laid out as summary.json
    #[arg(long)]
    json: bool,
}

/// What one of the two names.
struct Operand {
    path: PathBuf,
    endpoint: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let candidate = operand(&arguments.candidate, &arguments.run);
    let baseline = arguments
        .baseline
        .as_ref()
        .map(|text| operand(text, &arguments.run));
    let first = timeslip_reports::open(&candidate.path)?;
    let second = match &baseline {
        Some(operand) => Some(timeslip_reports::open(&operand.path)?)
            .filter(|other| other.directory.path() != first.directory.path()),
        None => None,
    };
    let pairs = pairs(&first, &candidate, second.as_ref(), baseline.as_ref())?;
    let single = [
        ("--output", arguments.output.is_some()),
        ("--json", arguments.json),
    ];
    if let Some((option, _)) = single
        .into_iter()
        .find(|(_, given)| *given && pairs.len() > 1)
    {
        return Err(Error::Config {
            place: option.into(),
            problem: format!(
                "holds one comparison, and these are {}; name the endpoints as RUN:ENDPOINT",
                pairs.len()
            ),
        });
    }
    let mut summaries = Vec::new();
    for (index, data) in pairs.iter().enumerate() {
        let summary = arguments.claims.summary(data)?;
        summaries.push(summary.clone());
        if arguments.json {
            let text = serde_json::to_string_pretty(&summary)
                .map_err(|error| Error::system("cannot write JSON")(error.into()))?;
            super::print(&(text + "\n"))?;
        } else {
            super::print(if index > 0 { "\n" } else { "" })?;
            super::print(&render::terminal(&summary))?;
            super::print(&render::changes(&summary))?;
        }
        if let Some(folder) = &arguments.output {
            let written = render::write_summary(data, summary, folder)?;
            super::print(&format!("\nreport: {}\n", written.html.display()))?;
        }
    }
    let decided = |summary: &Summary| {
        let compared = summary.comparisons().map(|comparison| comparison.pairs);
        summary.valid && summary.complete && compared.min().is_some_and(|pairs| pairs > 0)
    };
    Ok(if summaries.iter().all(decided) {
        exit::PASS
    } else {
        exit::INVALID
    })
}

/// A run directory, `RUN:ENDPOINT`, or an endpoint of `run`.
fn operand(text: &str, run: &Path) -> Operand {
    let whole = |path: &str, endpoint: Option<&str>| Operand {
        path: path.into(),
        endpoint: endpoint.map(str::to_owned),
    };
    if Path::new(text).is_dir() {
        return whole(text, None);
    }
    match text.rsplit_once(':') {
        Some((path, endpoint)) if Path::new(path).is_dir() => whole(path, Some(endpoint)),
        // A path that does not exist is reported as one.
        _ if text.contains('/') => whole(text, None),
        _ => Operand {
            path: run.to_owned(),
            endpoint: Some(text.to_owned()),
        },
    }
}

/// An endpoint of a run by name.
fn side<'a>(run: &'a Run, endpoint: &'a str) -> Result<Side<'a>, Error> {
    let side = Side {
        run: &run.data,
        endpoint,
    };
    if side.endpoint_data().is_some() {
        return Ok(side);
    }
    let endpoints = run.data.endpoints.iter();
    let known: Vec<&str> = endpoints.map(|endpoint| endpoint.name.as_str()).collect();
    Err(Error::Run {
        path: run.directory.path().to_owned(),
        problem: format!("has no endpoint '{endpoint}'; it has {}", known.join(", ")),
    })
}

/// Every comparison that was asked for, as runs: of two endpoints, or the run as it is.
fn pairs<'a>(
    first: &'a Run,
    candidate: &Operand,
    second: Option<&Run>,
    baseline: Option<&Operand>,
) -> Result<Vec<Cow<'a, RunData>>, Error> {
    let both = |a: Side, b: Side| Cow::Owned(side_by_side(a, b));
    let other = second.unwrap_or(first);
    let refuse = |problem: &str| {
        Err(Error::Run {
            path: first.directory.path().to_owned(),
            problem: problem.to_owned(),
        })
    };
    let named = baseline.and_then(|operand| operand.endpoint.as_deref());
    match (candidate.endpoint.as_deref(), named, baseline) {
        (Some(a), Some(b), _) => {
            if a == b && second.is_none() {
                return refuse("an endpoint cannot be compared with itself");
            }
            Ok(vec![both(side(first, a)?, side(other, b)?)])
        }
        // The same endpoint in the other run.
        (Some(only), None, Some(_)) | (None, Some(only), Some(_)) if second.is_some() => {
            Ok(vec![both(side(first, only)?, side(other, only)?)])
        }
        (None, None, None) if first.data.endpoints.len() > 1 => {
            Ok(vec![Cow::Borrowed(&first.data)])
        }
        (None, None, None) => {
            refuse("has one endpoint; name a second run or endpoint to compare it with")
        }
        (None, None, Some(_)) if second.is_some() => {
            let names = first.data.endpoints.iter().map(|endpoint| &endpoint.name);
            let shared = names.filter(|name| side(other, name).is_ok());
            let found = shared
                .map(|name| Ok(both(side(first, name)?, side(other, name)?)))
                .collect::<Result<Vec<_>, Error>>()?;
            if found.is_empty() {
                return refuse(
                    "shares no endpoint's name with the other run; name them as RUN:ENDPOINT",
                );
            }
            Ok(found)
        }
        _ => refuse("the two sides are the same run; name two of its endpoints, or another run"),
    }
}
