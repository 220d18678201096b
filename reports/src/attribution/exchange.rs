//! One exchange, taken apart into stretches, each given to a stage.

use timeslip_datasets::run::journal::{EventKind, Exchange};

use super::merged::{TooLate, too_late};
use super::prefill_fit::{PrefillModel, uncached_tokens};

use crate::stages::{Provenance, Stage};

/// A stretch that ends at `end` and began where the one before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// End, from the trial's start.
    pub end: u64,
    /// What it is given to.
    pub stage: Stage,
    /// How that is known.
    pub provenance: Provenance,
    /// Bound on its error.
    pub error_ns: Option<u64>,
}

/// The parts of `sent` → `first_token` as asked for, before they must fit.
struct Parts {
    network: Option<Part>,
    queue: Option<Part>,
    prefill: Option<Part>,
}

/// A duration, how it is known, and the bound on its error where it states one.
type Part = (u64, Provenance, Option<u64>);

/// What is known beside the exchange itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Context {
    /// The smallest ping of the trial.
    pub ping_ns: Option<u64>,
    /// Prefill as fitted for the endpoint.
    pub prefill: Option<PrefillModel>,
    /// A proxy stands between: the kernel's round trip ends there.
    pub proxied: bool,
}

/// Takes an exchange apart.
///
/// The first stretch begins at the exchange's `start`, the last one ends at its
/// `done`, or at the end of the backoff after it.
#[must_use]
pub fn segments(exchange: &Exchange, context: Context) -> Vec<Segment> {
    let marks = &exchange.marks;
    let mut line = ExchangeLine {
        at: marks.start,
        segments: Vec::new(),
    };
    // A try that was repeated gave nothing: all of it is waiting.
    if let Some(until) = exchange.backoff_until {
        line.until(until, Stage::Wait);
        return line.segments;
    }
    for (mark, stage) in [
        (marks.settled, Stage::Wait),
        (marks.upgrade_refused, Stage::ConnectUpgrade),
        (marks.dns, Stage::ConnectDns),
        (marks.tcp, Stage::ConnectTcp),
        (marks.proxy, Stage::ConnectTcp),
        (marks.tls, Stage::ConnectTls),
        (marks.upgraded, Stage::ConnectUpgrade),
        (marks.sent, Stage::Send),
    ] {
        if let Some(mark) = mark {
            line.until(mark, stage);
        }
    }
    match (marks.sent, marks.first_token) {
        (Some(_), Some(first_token)) => {
            line.first_token(first_token, &parts(exchange, context));
            for event in exchange.events.as_slice() {
                line.until(event.at, decode(event.kind));
            }
            // Without a terminal event the rest was spent waiting for more of the same.
            let last = exchange.events.as_slice().last();
            let rest = match (&exchange.error, last) {
                (Some(_), Some(event)) => decode(event.kind),
                _ => Stage::Tail,
            };
            line.until(marks.whole.unwrap_or(marks.done).min(marks.done), rest);
            // An end that did not come is nothing of the server's speed.
            line.until(marks.done, Stage::Wait);
        }
        // Nothing but the prompt was read; the answer only says so.
        (Some(_), None) if exchange.warm_up && exchange.error.is_none() => {
            line.first_token(marks.done, &parts(exchange, context));
        }
        // No output ever came: the time after sending is unexplained, the time
        // before it was spent trying to connect.
        (Some(_), None) => line.until(marks.done, Stage::Residue),
        (None, _) => line.until(marks.done, Stage::Wait),
    }
    if let Some(bounds) = too_late(exchange) {
        line.bound(bounds);
    }
    line.segments
}

/// Whether the server reports more time than the client's marks leave room for: before
/// the first token, for the whole stream, or while it streamed.
///
/// Its clock is not ours, so a thousandth and a tenth of a millisecond are forgiven.
#[must_use]
pub fn contradicts(exchange: &Exchange) -> bool {
    let marks = &exchange.marks;
    let reported = &exchange.reported;
    let (Some(sent), Some(first_token)) = (marks.sent, marks.first_token) else {
        return false;
    };
    let exceeds = |claim: Option<u64>, room: u64| {
        claim.is_some_and(|claim| claim > room.saturating_add(room / 1_000 + 100_000))
    };
    let before = [reported.queue_ns, reported.prefill_ns];
    let before = before.into_iter().flatten().fold(0, u64::saturating_add);
    let (ttft, whole) = (
        first_token.saturating_sub(sent),
        marks.done.saturating_sub(sent),
    );
    exceeds(Some(before), ttft)
        || exceeds(reported.ttft_ns, ttft)
        || exceeds(reported.total_ns, whole)
        || exceeds(reported.decode_ns, whole)
}

const fn decode(kind: EventKind) -> Stage {
    match kind {
        EventKind::Reasoning => Stage::DecodeReasoning,
        EventKind::Text => Stage::DecodeText,
        EventKind::ToolArguments => Stage::DecodeToolArguments,
    }
}

/// Which of network, queue and prefill are not known of an exchange: their time is inside
/// the residue.
pub(super) fn unknown_parts(exchange: &Exchange, context: Context) -> impl Iterator<Item = Stage> {
    let parts = parts(exchange, context);
    [
        (Stage::Network, parts.network),
        (Stage::Queue, parts.queue),
        (Stage::Prefill, parts.prefill),
    ]
    .into_iter()
    .filter_map(|(stage, part)| part.is_none().then_some(stage))
}

fn parts(exchange: &Exchange, context: Context) -> Parts {
    let Context {
        ping_ns,
        prefill,
        proxied,
    } = context;
    let reported = &exchange.reported;
    // A ping crosses everything up to the server's front end. The kernel's round trip
    // ends at the first machine that terminates TCP; a link that the server reports
    // lies behind that one.
    let tcp = exchange.tcp.filter(|_| !proxied);
    let network = match (ping_ns, reported.link_ns, tcp) {
        (Some(ping), _, _) => Some((ping, Provenance::Measured, None)),
        (None, link, Some(tcp)) => Some((
            tcp.min_rtt_ns.saturating_add(link.unwrap_or(0)),
            link.filter(|link| *link > tcp.min_rtt_ns)
                .map_or(Provenance::Estimated, |_| Provenance::Reported),
            Some(tcp.rtt_ns.saturating_sub(tcp.min_rtt_ns)),
        )),
        (None, Some(link), None) => Some((link, Provenance::Reported, None)),
        (None, None, None) => None,
    };
    let fitted = prefill
        .zip(uncached_tokens(exchange))
        .map(|(model, uncached)| (model, model.prefill(uncached)));
    // What exceeds the unloaded fit; what hardly does is noise and stays in the residue.
    let excess = |(model, (prefill_ns, error_ns)): (PrefillModel, (u64, u64))| {
        let marks = &exchange.marks;
        let ttft = marks.first_token?.saturating_sub(marks.sent?);
        let fixed = ttft.saturating_sub(prefill_ns);
        let queue = if fixed > model.busy_ns {
            fixed.saturating_sub(model.unloaded_ns)
        } else {
            0
        };
        Some((queue, Provenance::Estimated, Some(error_ns)))
    };
    let as_reported = |ns: u64| (ns, Provenance::Reported, None);
    Parts {
        network,
        queue: reported
            .queue_ns
            .map(as_reported)
            .or_else(|| fitted.and_then(excess)),
        prefill: reported
            .prefill_ns
            .map(as_reported)
            .or_else(|| fitted.map(|(_, (ns, error))| (ns, Provenance::Estimated, Some(error)))),
    }
}

/// The line of one exchange as far as it is given to stages.
struct ExchangeLine {
    at: u64,
    segments: Vec<Segment>,
}

impl ExchangeLine {
    /// A measured stretch up to a mark; a mark that runs backwards adds nothing.
    fn until(&mut self, end: u64, stage: Stage) {
        self.push(
            end.saturating_sub(self.at),
            stage,
            Provenance::Measured,
            None,
        );
    }

    fn push(&mut self, ns: u64, stage: Stage, provenance: Provenance, error_ns: Option<u64>) {
        if ns > 0 {
            self.at += ns;
            match self.segments.last_mut() {
                // A thousand tokens of one kind are one stretch.
                Some(last) if last.stage == stage && last.provenance == provenance => {
                    last.end = self.at
                }
                _ => self.segments.push(Segment {
                    end: self.at,
                    stage,
                    provenance,
                    error_ns,
                }),
            }
        }
    }

    /// A stretch that ends or begins with output is off by as much as its time may be.
    fn bound(&mut self, too_late: TooLate) {
        for segment in &mut self.segments {
            let bound = match segment.stage {
                Stage::Residue => too_late.first,
                Stage::DecodeReasoning | Stage::DecodeText | Stage::DecodeToolArguments => {
                    too_late.first.max(too_late.last)
                }
                Stage::Tail => too_late.last,
                _ => 0,
            };
            if bound > 0 {
                segment.error_ns = Some(bound.max(segment.error_ns.unwrap_or(0)));
            }
        }
    }

    /// Splits `sent` → `first_token`. What was reported or estimated is cut to what
    /// fits, so that the residue is never negative; what does not state its own
    /// error may be off by as much as the residue leaves unexplained.
    fn first_token(&mut self, first_token: u64, parts: &Parts) {
        let mut left = first_token.saturating_sub(self.at);
        let mut take = |ns: u64| {
            let taken = ns.min(left);
            left -= taken;
            taken
        };
        let mut fit =
            |part: Option<Part>| part.map(|(ns, provenance, error)| (take(ns), provenance, error));
        let taken = [
            (Stage::Network, fit(parts.network)),
            (Stage::Queue, fit(parts.queue)),
            (Stage::Prefill, fit(parts.prefill)),
        ];
        for (stage, part) in taken {
            if let Some((ns, provenance, error)) = part {
                let bound = match provenance {
                    Provenance::Measured => None,
                    _ => error.or(Some(left)),
                };
                self.push(ns, stage, provenance, bound);
            }
        }
        self.push(left, Stage::Residue, Provenance::Measured, None);
    }
}
