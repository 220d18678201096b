//! `timeslip calibrate`: the instrument's own error on this machine.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use timeslip_datasets::run::calibration::{Calibration, ErrorQuantiles, StreamCalibration};
use timeslip_datasets::run::journal::StampSource;
use timeslip_datasets::text::plural;
use timeslip_reports::format::nanoseconds;
use timeslip_suites::{Sandbox, Suite};
use timeslip_wire::Measuring;
use timeslip_wire::protocols;
use timeslip_wire::transports;

use crate::cli::isolation;
use crate::error::Error;
use crate::exit;
use crate::instrument::calibration::{self, Load, Tools};

/// Measure the instrument's own error on this machine
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Concurrent streams to calibrate at
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 32, 128], value_parser = clap::value_parser!(u32).range(1..=1024))]
    streams: Vec<u32>,
    /// Wire protocol
    #[arg(long, value_name = "PROTOCOL", default_value = "responses")]
    protocol: String,
    /// Transport
    #[arg(long, value_name = "TRANSPORT", default_value = "http-sse", value_parser = PossibleValuesParser::new(transports::names()))]
    transport: String,
    /// Output tokens of every exchange
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    tokens: u32,
    /// Calibrate against a `timeslip serve` of this machine instead of an embedded
    /// server; needs --emissions
    #[arg(long, value_name = "URL", requires = "emissions")]
    base_url: Option<String>,
    /// The file that server was given as --log
    #[arg(long, value_name = "FILE", requires = "base_url")]
    emissions: Option<PathBuf>,
    /// Exchanges of every stream [default: enough for 200 in all, and 5 at least]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    exchanges: Option<u32>,
    /// Beside the streams, set up, run and grade the bundled tasks, as a run does
    #[arg(long)]
    with_tools: bool,
    /// Who says when bytes arrived, at best
    #[arg(long, value_name = "WHO", default_value = "capture", value_parser = arrivals())]
    arrivals: StampSource,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads the name of a source of stamps.
fn arrivals() -> impl TypedValueParser<Value = StampSource> {
    let names = StampSource::ALL.map(StampSource::name);
    PossibleValuesParser::new(names).map(|name| {
        let mut all = StampSource::ALL.into_iter();
        all.find(|source| source.name() == name).unwrap_or_default()
    })
}

/// Exchanges that are enough for a 99th percentile of TTFT.
const EXCHANGES: u32 = 200;

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if protocols::by_name(&arguments.protocol).is_none() {
        let known: Vec<&str> = protocols::names().collect();
        return Err(Error::Config {
            place: format!("--protocol {}", arguments.protocol),
            problem: format!("is not known; known are {}", known.join(", ")),
        });
    }
    let runtime = super::runtime()?;
    let measuring =
        Measuring::start(arguments.arrivals).map_err(Error::system("cannot start measuring"))?;
    let handle = measuring.handle();
    let scratch = Sandbox::scratch()?;
    let tools = match arguments.with_tools {
        true => Some(bundled_tools(scratch.path())?),
        false => None,
    };
    let tools = tools.as_ref();
    let mut settings = Vec::new();
    for streams in &arguments.streams {
        let load = Load {
            streams: *streams,
            exchanges: arguments
                .exchanges
                .unwrap_or_else(|| EXCHANGES.div_ceil(*streams).max(5)),
            tokens: arguments.tokens,
        };
        let way = (arguments.protocol.as_str(), arguments.transport.as_str());
        settings.push(match (&arguments.base_url, &arguments.emissions) {
            (Some(url), Some(log)) => {
                runtime.block_on(calibration::beside(way, url, log, &load, tools, handle))?
            }
            _ => runtime.block_on(calibration::embedded(way, false, &load, tools, handle))?,
        });
    }
    let calibration = calibration::taken(settings, &measuring);
    if arguments.json {
        let text = serde_json::to_string_pretty(&calibration)
            .map_err(|error| Error::system("cannot write JSON")(error.into()))?;
        super::print(&(text + "\n"))?;
    } else {
        super::print(&table(&calibration))?;
    }
    Ok(exit::PASS)
}

/// The bundled tasks, in the sandbox that a run would take.
fn bundled_tools(scratch: &Path) -> Result<Tools, Error> {
    let sandbox = isolation::choose(isolation::AUTO)?.sandbox;
    let suites = Suite::shipped(scratch)?.into_iter();
    let tasks = suites.flat_map(|suite| suite.tasks).collect();
    Ok(Tools::new(tasks, sandbox, scratch.to_owned()))
}

fn table(calibration: &Calibration) -> String {
    let mut text = format!(
        "clock resolution {}, priority of the measuring thread {}, arrivals by {}\n\n{:<34}{:>9}{:>20}{:>20}{:>20}{:>20}{:>20}\n",
        nanoseconds(calibration.clock_resolution_ns),
        calibration.priority.as_deref().unwrap_or("unknown"),
        calibration.arrivals.map_or("unknown", StampSource::name),
        "errors: p50 / p99",
        "events/s",
        "TTFT",
        "inter-event",
        "end of stream",
        "read after arrival",
        "event loop late",
    );
    for setting in &calibration.settings {
        let StreamCalibration {
            protocol,
            transport,
            streams,
            events_per_second,
            ..
        } = setting;
        let name = format!(
            "{protocol}, {transport}, {}",
            plural(*streams as usize, "stream")
        );
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:<34}{events_per_second:>9}{:>20}{:>20}{:>20}{:>20}{:>20}",
            pair(Some(setting.ttft_error)),
            pair(Some(setting.inter_event_error)),
            pair(Some(setting.end_error)),
            pair(setting.client_lag),
            pair(setting.loop_lag),
        );
    }
    text
}

fn pair(errors: Option<ErrorQuantiles>) -> String {
    errors.map_or_else(
        || "unknown".into(),
        |errors| {
            format!(
                "{} / {}",
                nanoseconds(errors.p50_ns),
                nanoseconds(errors.p99_ns)
            )
        },
    )
}
