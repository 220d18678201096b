//! `timeslip probe`: what an endpoint is like.

mod figures;

use std::fmt::Write;
use std::path::PathBuf;

use timeslip_datasets::atomic;
use timeslip_reports::format::{milliseconds, rate};

use crate::cli::ad_hoc::AdHoc;
use crate::console::say;
use crate::error::Error;
use crate::exit;
use crate::instrument::probing::{self, Effort};
use crate::run::config::Config;
use crate::run::endpoints;
use crate::run::plan::{self, Overrides};
use figures::{Figure, Figures};

/// Find out what an endpoint is like and write a profile that `serve` plays back
#[derive(Debug, clap::Parser)]
pub(super) struct Arguments {
    /// Endpoint, as named in the configuration
    #[arg(
        value_name = "ENDPOINT",
        required_unless_present = "base_url",
        conflicts_with = "base_url"
    )]
    endpoint: Option<String>,
    /// Configuration file [default: timeslip.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    ad_hoc: AdHoc,
    /// Largest prompt, in tokens, roughly
    #[arg(long, value_name = "N", default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(512..=2_000_000))]
    context: u32,
    /// Prompts of each of the six sizes; each is sent twice
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// Output tokens of every answer, unless the endpoint's body has a limit of its own;
    /// models that refuse `max_tokens` need `max_completion_tokens` there
    #[arg(long, value_name = "N", default_value_t = 96, value_parser = clap::value_parser!(u32).range(8..=16_384))]
    tokens: u32,
    /// Begin without asking a real endpoint for a word first
    #[arg(long)]
    no_check: bool,
    /// Where the profile goes; what is there is replaced
    #[arg(long, value_name = "FILE", default_value = "probed.toml")]
    output: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let config = Config::load(arguments.config.as_deref())?;
    let overrides = Overrides {
        endpoints: arguments.endpoint.iter().cloned().collect(),
        ad_hoc: arguments.ad_hoc.table(),
        ..Overrides::default()
    };
    let planned = plan::endpoints(&config, &overrides)?;
    let Some(chosen) = planned.first() else {
        return Err(Error::Empty("no endpoint was named".into()));
    };
    let runtime = super::runtime()?;
    for warning in runtime.block_on(endpoints::check(&planned, !arguments.no_check))? {
        say(&format!("warning: {warning}"));
    }
    let (endpoint, server) = endpoints::open(chosen, 1, &[], None)?;
    let effort = Effort {
        context_tokens: arguments.context,
        repetitions: arguments.repetitions,
        output_tokens: arguments.tokens,
    };
    let samples = runtime.block_on(probing::take(&endpoint, effort, |done, total| {
        if done % 12 == 0 || done == total {
            say(&format!("{done} of {total} prompts answered"));
        }
    }))?;
    let figures = Figures::of(&samples).map_err(|problem| Error::Unreachable {
        endpoint: endpoint.name.clone(),
        problem,
    })?;
    let simulated = if server.is_some() { ", SIMULATED" } else { "" };
    let origin = format!(
        "{} ({} over {}{simulated})",
        endpoint.name,
        endpoint.protocol.name(),
        endpoint.transport.name()
    );
    let writing = || Error::system(format!("cannot write {}", arguments.output.display()));
    let profile = toml::to_string(&figures.profile(&origin))
        .map_err(|error| writing()(std::io::Error::other(error)))?;
    atomic::write(&arguments.output, profile.as_bytes()).map_err(writing())?;
    let path = arguments.output.display();
    super::print(&format!(
        "{}\nprofile: {path}\nplay it: timeslip serve --profile {path}\n",
        describe(&origin, &figures)
    ))?;
    Ok(exit::PASS)
}

fn describe(origin: &str, figures: &Figures) -> String {
    let mut text = format!(
        "{origin}, {} answers; all figures are estimates\n",
        figures.samples
    );
    let ms = |ns: f64| milliseconds(ns / 1e6);
    let per_second = |ns: f64| format!("{} tokens/s", rate(1e9 / ns.max(1.0)));
    // Writing to a string cannot fail.
    let mut line = |name: &str, value: String, note: String| {
        let _ = writeln!(text, "{name:<28}{value:<20}{note}");
    };
    let residual = |figure: Figure| {
        figure
            .residual_ns
            .map_or_else(String::new, |ns| format!("±{} a point", ms(ns)))
    };
    line(
        "round trip",
        ms(figures.round_trip_ns),
        format!("by {}", figures.round_trip_from),
    );
    line(
        "fixed cost of a request",
        ms(figures.overhead_ns),
        "queue, server overhead".into(),
    );
    let prefill = figures.prefill_ns_per_token;
    line(
        "prefill, uncached",
        per_second(prefill.value),
        residual(prefill),
    );
    match figures.cached_ns_per_token {
        Some(cached) => line(
            "prefill, cached",
            per_second(cached.value),
            residual(cached),
        ),
        None => line(
            "prefill, cached",
            "unknown".into(),
            "no cached tokens reported".into(),
        ),
    }
    let decode = figures.decode_ns_per_token;
    line("decode", per_second(decode.value), residual(decode));
    line(
        "decode slows by",
        format!("{:.2} %", figures.decode_slowdown_per_1k_context * 100.0),
        "for every 1,000 tokens of context".into(),
    );
    line(
        "tokens per event",
        format!("{:.2}", figures.tokens_per_event),
        format!("jitter of the gaps {:.2}", figures.jitter),
    );
    text
}
