//! `timeslip conformance`: the first-token policy, checked and explained.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use timeslip_reports::format::nanoseconds;
use timeslip_simulator::{Model, Options};

use crate::cli::interrupt::Interruption;
use crate::console::say;
use crate::error::Error;
use crate::exit;
use crate::instrument::calibration::profile;
use crate::instrument::conformance::explain::{Claim, Definition, definitions, explanations};
use crate::instrument::conformance::{self, Case, Check};

/// Check the first-token policy against known truth, or explain another tool's number
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Play only this case (repeatable)
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<String>,
    /// Serve the cases to another tool: a case is asked for by its name as the model id
    #[arg(long, value_name = "ADDRESS")]
    serve: Option<SocketAddr>,
    /// With --serve: append true emission times to this file
    #[arg(long, value_name = "FILE", requires = "serve")]
    log: Option<PathBuf>,
    /// Explain the time to first token, in milliseconds, that another tool reports of --case
    #[arg(long, value_name = "MS", requires = "cases")]
    ttft: Option<f64>,
    /// Explain the inter-token latency or time per output token, in milliseconds
    #[arg(long, value_name = "MS", requires = "cases")]
    itl: Option<f64>,
    /// Explain the output tokens per second
    #[arg(long, value_name = "RATE", requires = "cases")]
    rate: Option<f64>,
    /// Explain the number of output tokens
    #[arg(long, value_name = "N", requires = "cases")]
    tokens: Option<f64>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let cases = chosen(&arguments.cases)?;
    if let Some(address) = arguments.serve {
        return serve(address, arguments.log.clone(), &cases);
    }
    let claims: Vec<(&str, Claim)> = [
        ("TTFT", arguments.ttft.map(Claim::Ttft)),
        ("inter-token latency", arguments.itl.map(Claim::InterToken)),
        ("output tokens per second", arguments.rate.map(Claim::Rate)),
        ("output tokens", arguments.tokens.map(Claim::Tokens)),
    ]
    .into_iter()
    .filter_map(|(name, claim)| Some((name, claim?)))
    .collect();
    if claims.is_empty() {
        return check(&cases);
    }
    let mut text = String::new();
    for case in &cases {
        for (name, claim) in &claims {
            explain(&mut text, case, name, *claim);
        }
    }
    super::print(&text)
}

fn chosen(names: &[String]) -> Result<Vec<Case>, Error> {
    if names.is_empty() {
        return Ok(conformance::all());
    }
    let named = |name: &String| {
        conformance::named(name).ok_or_else(|| {
            let known: Vec<String> = conformance::all()
                .into_iter()
                .map(|case| case.scenario.name)
                .collect();
            Error::Config {
                place: format!("--case {name}"),
                problem: format!("is not known; known are {}", known.join(", ")),
            }
        })
    };
    names.iter().map(named).collect()
}

fn check(cases: &[Case]) -> Result<u8, Error> {
    let mut text = String::new();
    let checks = super::runtime()?.block_on(conformance::run(cases, |check| {
        if !check.problems.is_empty() {
            say(&format!(
                "{} over {}: {}",
                check.case,
                check.protocol,
                check.problems.join("; ")
            ));
        }
    }))?;
    for case in cases {
        let _ = writeln!(text, "{}: {}", case.scenario.name, case.about);
        for check in checks
            .iter()
            .filter(|check| check.case == case.scenario.name)
        {
            let _ = writeln!(text, "  {}", line(check));
        }
    }
    let failed = checks
        .iter()
        .filter(|check| !check.problems.is_empty())
        .count();
    let _ = writeln!(text, "\n{} checks, {failed} failed", checks.len());
    super::print(&text)?;
    Ok(if failed == 0 {
        exit::PASS
    } else {
        exit::INVALID
    })
}

fn line(check: &Check) -> String {
    let verdict = if check.problems.is_empty() {
        "ok"
    } else {
        "FAILED"
    };
    let ttft = check.ttft_ns.map_or_else(
        || "no answer, as it should be".to_owned(),
        |(measured, truth)| {
            format!(
                "TTFT {} (truly {})",
                nanoseconds(measured),
                nanoseconds(truth)
            )
        },
    );
    let way = format!("{} over {}", check.protocol, check.transport);
    format!("{verdict:<8}{way:<34}{ttft}")
}

/// What a case's number may mean.
fn explain(text: &mut String, case: &Case, name: &str, claim: Claim) {
    let value = match claim {
        Claim::Ttft(value) | Claim::InterToken(value) => format!("{value} ms"),
        Claim::Rate(value) | Claim::Tokens(value) => value.to_string(),
    };
    let found = explanations(case, claim);
    let title = &case.scenario.name;
    let _ = match found.as_slice() {
        [] => writeln!(text, "{title}: {name} {value} fits no known definition."),
        [best, ..] if best.declared => {
            writeln!(
                text,
                "{title}: {name} {value} is right by the declared definition."
            )
        }
        _ => writeln!(
            text,
            "{title}: {name} {value} is not what was declared; it fits"
        ),
    };
    let shown =
        |definition: &Definition| format!("{:>10.2}  {}", definition.value, definition.name);
    for definition in &found {
        let _ = writeln!(text, "  {}", shown(definition));
    }
    let declared = definitions(case, claim)
        .into_iter()
        .find(|definition| definition.declared);
    if let Some(declared) = declared.filter(|declared| found.first() != Some(declared)) {
        let _ = writeln!(text, "  declared: {}", shown(&declared).trim_start());
    }
}

fn serve(address: SocketAddr, log: Option<PathBuf>, cases: &[Case]) -> Result<u8, Error> {
    let interrupted = Interruption::expect();
    let scenarios = cases.iter().map(|case| case.scenario.clone()).collect();
    let model = Model::new(Vec::new(), "conformance", 1, 1.0).with_scenarios(scenarios);
    let running = timeslip_simulator::start(Options {
        address,
        log,
        ..Options::new(profile(256), model)
    })
    .map_err(Error::system(format!("cannot serve on {address}")))?;
    let mut text = format!(
        "serving on http://{}, every protocol; model ids:\n",
        running.address
    );
    for case in cases {
        let ttft = definitions(case, Claim::Ttft(0.0));
        let ttft = ttft.first().map_or(0.0, |first| first.value);
        let _ = writeln!(
            text,
            "  {:<24}TTFT {ttft} ms; {}",
            case.scenario.name, case.about
        );
    }
    text.push_str("then: timeslip conformance --case CASE --ttft MS explains what a tool reports\nCtrl-C ends it\n");
    super::print(&text)?;
    super::runtime()?.block_on(interrupted.wait());
    Ok(exit::PASS)
}
