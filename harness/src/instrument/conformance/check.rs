//! Our own numbers against the log of what was truly sent.

use std::time::Duration;

use timeslip_datasets::run::calibration::ErrorQuantiles;
use timeslip_datasets::run::journal::{EventKind, Exchange, StampSource, StreamEvent};
use timeslip_simulator::{Emission, Model, Options, ScenarioEvent};
use timeslip_suites::Sandbox;
use timeslip_wire::clock;
use timeslip_wire::protocols::{Item, PROTOCOLS};
use timeslip_wire::transports::TRANSPORTS;
use timeslip_wire::{Failure, Measuring, Session};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Case;
use crate::error::Error;
use crate::instrument::calibration;
use crate::instrument::calibration::{Load, profile, read_log};
use crate::run::endpoints;

/// How far a time may be off. Definitions lie 15 ms apart and more; how exact the marks
/// are is what calibration tells, and a shared machine stalls now and then.
const TOLERANCE_NS: u64 = 7_000_000;
/// A wrong definition is wrong every time, a stall is not: a case that fails is played
/// again, so often in all.
const ATTEMPTS: u32 = 3;
/// No case is silent for so long, unless it has no end.
const SILENCE: Duration = Duration::from_secs(1);
/// Longest time a case may take.
const MAX_CASE_TIME: Duration = Duration::from_secs(20);

/// What came of one case over one protocol and transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The case.
    pub case: String,
    /// Wire protocol.
    pub protocol: &'static str,
    /// Transport.
    pub transport: &'static str,
    /// TTFT as measured and as it truly was, in nanoseconds; absent for a stream that
    /// must fail.
    pub ttft_ns: Option<(u64, u64)>,
    /// What was found wrong; empty when nothing was.
    pub problems: Vec<String>,
}

/// Plays every case on every protocol and transport and checks what was measured. A
/// case that fails is played up to three times.
///
/// `progress` is told each result as it comes.
///
/// # Errors
/// [`Error::System`] when the server cannot start or its log cannot be read.
pub async fn run(cases: &[Case], mut progress: impl FnMut(&Check)) -> Result<Vec<Check>, Error> {
    let folder = Sandbox::scratch()?;
    let log = folder.path().join("emissions.jsonl");
    let scenarios = cases.iter().map(|case| case.scenario.clone()).collect();
    let model = Model::new(Vec::new(), "conformance", 1, 1.0).with_scenarios(scenarios);
    let running = timeslip_simulator::start(Options {
        log: Some(log.clone()),
        ..Options::new(profile(cases.len() as u32), model)
    })
    .map_err(Error::system("cannot start the conformance server"))?;
    let measuring = Measuring::start(StampSource::default())
        .map_err(Error::system("cannot start measuring"))?;
    let mut checks = Vec::new();
    for protocol in PROTOCOLS {
        for transport in TRANSPORTS.iter().filter(|one| one.carries(*protocol)) {
            // Side by side: each is mostly waiting.
            let way = (protocol.name(), transport.name());
            let url = endpoints::simulated_url(running.address, protocol.name());
            let handle = measuring.handle();
            let played = cases
                .iter()
                .map(|case| patient(case, way, &url, &log, handle));
            for check in futures_util::future::try_join_all(played).await? {
                progress(&check);
                checks.push(check);
            }
        }
    }
    Ok(checks)
}

/// Plays a case until it is right, or often enough.
async fn patient(
    case: &Case,
    way: (&'static str, &'static str),
    url: &str,
    log: &std::path::Path,
    measuring: &Handle,
) -> Result<Check, Error> {
    let mut check = one(case, way, url, log, measuring).await?;
    for _ in 1..ATTEMPTS {
        if check.problems.is_empty() {
            break;
        }
        check = one(case, way, url, log, measuring).await?;
    }
    Ok(check)
}

async fn one(
    case: &Case,
    way: (&'static str, &'static str),
    url: &str,
    log: &std::path::Path,
    measuring: &Handle,
) -> Result<Check, Error> {
    let load = Load {
        streams: 1,
        exchanges: 1,
        tokens: 1024,
    };
    let mut endpoint = calibration::endpoint(way, url, &load)?;
    endpoint.model.clone_from(&case.scenario.name);
    endpoint.idle_timeout = SILENCE;
    let origin = clock::now();
    let mut exchanges = Vec::new();
    let mut session = Session::new(
        &endpoint,
        format!("conformance-{}#1", case.scenario.name),
        origin,
    )
    .on(measuring);
    let items = [Item::User("Anything.".into())];
    let deadline = Instant::now() + MAX_CASE_TIME;
    let answered = session
        .ask(1, "", &[], &items, deadline, |exchange| {
            exchanges.push(exchange)
        })
        .await;
    drop(session);
    let mut check = Check {
        case: case.scenario.name.clone(),
        protocol: way.0,
        transport: way.1,
        ttft_ns: None,
        problems: Vec::new(),
    };
    let exchange = exchanges.pop();
    match (answered, exchange, case.ends()) {
        (Ok(_), _, false) => check
            .problems
            .push("an endless stream passed for whole".into()),
        (Err(Failure::Closed(_) | Failure::Idle(_)), Some(exchange), false)
            if !exchange.events.as_slice().is_empty() => {}
        (Err(failure), _, false) => check.problems.push(format!(
            "an endless stream ended otherwise than by its end: {failure}"
        )),
        (Err(failure), _, true) => check.problems.push(failure.to_string()),
        (Ok(_), None, true) => check.problems.push("no exchange was recorded".into()),
        (Ok(_), Some(exchange), true) => {
            let truth = truth(&exchange, log).await?;
            check.ttft_ns = ttft(&exchange, &truth);
            check.problems = compare(case, &exchange, &truth);
        }
    }
    Ok(check)
}

/// The log's line on an exchange; its writer may be a little behind.
async fn truth(exchange: &Exchange, log: &std::path::Path) -> Result<Emission, Error> {
    let give_up = Instant::now() + MAX_CASE_TIME;
    loop {
        let found = read_log(log)?
            .into_iter()
            .find(|emission| Some(&emission.response_id) == exchange.response_id.as_ref());
        match found {
            Some(emission) => return Ok(emission),
            None if Instant::now() < give_up => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            None => {
                return Err(Error::Run {
                    path: log.to_owned(),
                    problem: format!("does not tell of response {:?}", exchange.response_id),
                });
            }
        }
    }
}

fn ttft(exchange: &Exchange, truth: &Emission) -> Option<(u64, u64)> {
    let measured = exchange
        .marks
        .first_token?
        .checked_sub(exchange.marks.sent?)?;
    let first = truth.events_ns.first()?;
    Some((measured, first.saturating_sub(truth.received_ns)))
}

/// Everything in which the exchange differs from the truth.
fn compare(case: &Case, exchange: &Exchange, truth: &Emission) -> Vec<String> {
    let mut problems = Vec::new();
    let events = exchange.events.as_slice();
    let sent = exchange.marks.sent.unwrap_or(0);
    let mut close = |what: &str, measured: Option<u64>, true_: Option<u64>| match (measured, true_)
    {
        (None, None) => {}
        (Some(measured), Some(true_)) if measured.abs_diff(true_) <= TOLERANCE_NS => {}
        (measured, true_) => problems.push(format!(
            "{what}: measured {}, truly {}",
            shown(measured),
            shown(true_)
        )),
    };
    let since_sent = |at: u64| at.saturating_sub(sent);
    let since_received = |at: u64| at.saturating_sub(truth.received_ns);
    close(
        "first token",
        exchange.marks.first_token.map(since_sent),
        truth.events_ns.first().copied().map(since_received),
    );
    for (kind, name) in [
        (EventKind::Reasoning, "first reasoning"),
        (EventKind::Text, "first text"),
        (EventKind::ToolArguments, "first tool arguments"),
    ] {
        let seen = events.iter().find(|event| event.kind == kind);
        let sent = std::iter::zip(truth.kinds.chars(), &truth.events_ns)
            .find_map(|(of, at)| (of == kind.letter()).then_some(*at));
        close(
            name,
            seen.map(|event| since_sent(event.at)),
            sent.map(since_received),
        );
    }
    close(
        "last token",
        exchange.marks.last_token.map(since_sent),
        truth.events_ns.last().copied().map(since_received),
    );
    close(
        "end",
        Some(since_sent(exchange.marks.done)),
        truth.done_ns.map(since_received),
    );
    let gaps = |at: &[u64]| at.windows(2).map(|pair| pair[1] - pair[0]).max();
    let seen: Vec<u64> = events.iter().map(|event| event.at).collect();
    close("longest gap", gaps(&seen), gaps(&truth.events_ns));
    close("median gap", middle(&seen), middle(&truth.events_ns));
    let mut same = |what: &str, measured: String, true_: String| {
        if measured != true_ {
            problems.push(format!("{what}: counted {measured}, truly {true_}"));
        }
    };
    same("events", letters(events), truth.kinds.clone());
    let tokens: u64 = truth.tokens.iter().map(|tokens| u64::from(*tokens)).sum();
    let used = exchange.usage.and_then(|usage| usage.output());
    same(
        "output tokens",
        format!("{used:?}"),
        format!("{:?}", Some(tokens)),
    );
    let keep_alives = case
        .events()
        .filter(|(_, event)| *event == ScenarioEvent::KeepAlive)
        .count();
    // Lines have none; one protocol sends a ping of its own with every admission.
    let alive = exchange.shape.keep_alives as usize;
    let expected = match truth.transport.as_str() {
        "http-lines" | "http2-lines" => 0..=0,
        _ => keep_alives..=keep_alives + 1,
    };
    if !expected.contains(&alive) {
        same("keep-alives", alive.to_string(), keep_alives.to_string());
    }
    let admitted_late = std::iter::zip(exchange.marks.admitted, exchange.marks.first_token)
        .any(|(admitted, first)| admitted >= first);
    if admitted_late {
        problems.push("the admission was marked after the first token".into());
    }
    // Bytes of one write may arrive with those of the next, never the other way round.
    let mut writes = truth.events_ns.clone();
    writes.dedup();
    if exchange.shape.output_reads as usize > writes.len() {
        problems.push(format!(
            "output reads: counted {}, truly at most {}",
            exchange.shape.output_reads,
            writes.len()
        ));
    }
    problems
}

fn middle(at: &[u64]) -> Option<u64> {
    let gaps = at.windows(2).map(|pair| pair[1] - pair[0]);
    Some(ErrorQuantiles::of(gaps)?.p50_ns)
}

fn letters(events: &[StreamEvent]) -> String {
    events.iter().map(|event| event.kind.letter()).collect()
}

fn shown(ns: Option<u64>) -> String {
    ns.map_or_else(
        || "nothing".into(),
        |ns| format!("{:.2?}", Duration::from_nanos(ns)),
    )
}
