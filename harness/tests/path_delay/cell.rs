//! One protocol over one transport: what is asked across the path, and what the
//! attribution of the answers says beside the truth.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Map;
use timeslip_datasets::run::journal::{Exchange, Reported};
use timeslip_reports::attribution::{Context, PrefillModel, Segment, fit_prefill, segments};
use timeslip_reports::stages::Stage;
use timeslip_simulator::Emission;
use timeslip_wire::clock;
use timeslip_wire::connection::Target;
use timeslip_wire::protocols::{Item, PROTOCOLS, Protocol};
use timeslip_wire::transports::{self, Transport};
use timeslip_wire::{Endpoint, Session};
use tokio::time::Instant;

use crate::measured::Measured;
use crate::relay::Hold;
use crate::support;

/// Turns asked one after the other, so that nothing queues; enough to fit a prefill.
const ALONE: u32 = 10;
/// Turns of each of two sessions at once, which queue for the one slot.
const CROWDED: u32 = 2;
/// Output tokens of an answer.
const ANSWER: u32 = 40;

/// A protocol over a transport.
#[derive(Clone, Copy)]
pub struct Cell {
    protocol: &'static dyn Protocol,
    transport: &'static dyn Transport,
}

impl Cell {
    /// Every protocol over every transport it has.
    pub fn all() -> impl Iterator<Item = Cell> {
        // Over HTTP/2 the path is the same as over HTTP/1.1.
        let names = ["http-sse", "websocket"].into_iter();
        let transports = names.filter_map(transports::by_name);
        transports.flat_map(|transport| {
            let protocols = PROTOCOLS.iter().copied();
            let carried = protocols.filter(|protocol| transport.carries(*protocol));
            carried.map(move |protocol| Cell {
                protocol,
                transport,
            })
        })
    }

    /// Asks the server at `address`, from the calling thread's namespace.
    pub fn measure(self, address: SocketAddr) -> Taken {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let endpoint = self.endpoint(address);
        let origin = clock::now();
        let talk = |name: &'static str, turns| converse(&endpoint, name, turns, origin);
        let (alone, crowded) = runtime.block_on(async {
            let alone = talk("alone", ALONE).await;
            let (left, right) = tokio::join!(talk("left", CROWDED), talk("right", CROWDED));
            (alone, [left, right])
        });
        Taken {
            cell: self,
            from: origin,
            to: clock::now(),
            alone,
            crowded,
        }
    }

    fn endpoint(self, address: SocketAddr) -> Endpoint {
        let mut extra = Map::new();
        self.protocol.bound_output(&mut extra, ANSWER);
        let url = format!("http://{address}{}", self.protocol.base_path());
        let mut endpoint = support::endpoint(address.port(), self.transport.name());
        endpoint.target = Target::parse(&url).unwrap();
        endpoint.protocol = self.protocol;
        endpoint.extra = extra;
        endpoint.options.retries = 0;
        endpoint
    }
}

/// A conversation of turns whose new input differs in length.
async fn converse(endpoint: &Endpoint, name: &str, turns: u32, origin: u64) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    let mut items = Vec::new();
    let key = format!(
        "{} {} {name}#1",
        endpoint.protocol.name(),
        endpoint.transport.name()
    );
    let mut session = Session::new(endpoint, key, origin);
    for turn in 1..=turns {
        // The order of lengths is mixed, so that no drift can pass for prefill. All of
        // them together fit TCP's first window of ten segments: what waits for an
        // acknowledgement is upload time, which only the residue has.
        let words = 20 + 18 * (turn * 7 % 10);
        let filler: Vec<String> = (0..words)
            .map(|word| format!("{name}{turn}{word}"))
            .collect();
        items.push(Item::User(format!(
            "Count upward from 1. {}",
            filler.join(" ")
        )));
        let deadline = Instant::now() + Duration::from_secs(20);
        let answer = session
            .ask(turn, "Be brief.", &[], &items, deadline, |exchange| {
                exchanges.push(exchange)
            })
            .await
            .unwrap();
        items.extend(answer.items.into_iter().map(Item::Output));
        items.extend(answer.calls.into_iter().map(|call| Item::ToolResult {
            call_id: call.call_id,
            output: "ok".into(),
        }));
    }
    exchanges
}

/// What one cell's exchanges were, before they are compared with anything.
pub struct Taken {
    cell: Cell,
    from: u64,
    to: u64,
    alone: Vec<Exchange>,
    crowded: [Vec<Exchange>; 2],
}

/// The server's log.
pub fn emissions(log: &Path) -> Vec<Emission> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

impl Taken {
    /// Attributes every exchange and puts each stage beside its truth.
    pub fn attribute(self, emissions: &[Emission], holds: &[Hold]) -> Measured {
        let network = self.held(holds);
        let emissions: Vec<&Emission> = emissions
            .iter()
            .filter(|emission| emission.protocol == self.cell.protocol.name())
            .collect();
        let mut measured = Measured {
            name: format!(
                "{} {}",
                self.cell.protocol.name(),
                self.cell.transport.name()
            ),
            ..Measured::default()
        };
        let [left, right] = &self.crowded;
        for (session, queues) in [(&self.alone, false), (left, true), (right, true)] {
            for exchange in session {
                let truth = Truth::find(exchange, &emissions, self.from);
                let stages = Stages::of(exchange, session, None);
                measured.network.note(stages.sum(Stage::Network), network);
                // Alone, a queue is mostly none, which would hide the others.
                if queues && exchange.reported.queue_ns.is_some() {
                    measured.queue.note(stages.sum(Stage::Queue), truth.queue);
                }
                if exchange.reported.prefill_ns.is_some() {
                    measured
                        .prefill
                        .note(stages.sum(Stage::Prefill), truth.prefill);
                    measured
                        .residue
                        .note(stages.sum(Stage::Residue), truth.residue());
                }
            }
        }
        let queued = measured.queue.truths().max().unwrap_or(u64::MAX);
        assert!(
            queued > 20_000_000,
            "two sessions at once queue, not {queued} ns"
        );
        self.fit(&emissions, network, &mut measured);
        measured
    }

    /// Median time packets were held in each direction, added up.
    fn held(&self, holds: &[Hold]) -> u64 {
        let median = |from_client: bool| {
            let mut times: Vec<u64> = holds
                .iter()
                .filter(|hold| hold.from_client == from_client)
                .filter(|hold| (self.from..self.to).contains(&hold.came_ns))
                .map(|hold| hold.ns)
                .collect();
            times.sort_unstable();
            times[times.len() / 2]
        };
        median(true) + median(false)
    }

    /// The same for a server that reports nothing.
    fn fit(&self, emissions: &[&Emission], network: u64, measured: &mut Measured) {
        let silent: Vec<Exchange> = self
            .alone
            .iter()
            .map(|exchange| Exchange {
                reported: Reported::default(),
                ..exchange.clone()
            })
            .collect();
        let tells_cached = |exchange: &Exchange| {
            let usage = exchange.usage.expect("every protocol counts tokens");
            usage.cached_tokens.is_some()
        };
        // Where a server does not say what it found in its cache, nothing can be fitted.
        if !silent.iter().all(tells_cached) {
            return;
        }
        let model = fit_prefill(silent.iter()).expect("prefill can be fitted");
        for exchange in &silent {
            let stages = Stages::of(exchange, &silent, Some(model));
            let truth = Truth::find(exchange, emissions, self.from);
            measured
                .fitted
                .note(stages.sum(Stage::Prefill), truth.prefill);
            measured.network.note(stages.sum(Stage::Network), network);
        }
    }
}

/// What the server knows of one exchange, in nanoseconds.
struct Truth {
    queue: u64,
    prefill: u64,
    ttft: u64,
}

impl Truth {
    /// The emission with the exchange's id or, in a protocol without ids, the last one
    /// that began before the exchange's first token came.
    fn find(exchange: &Exchange, emissions: &[&Emission], origin: u64) -> Self {
        let first_token = origin + exchange.marks.first_token.unwrap();
        let emission = emissions
            .iter()
            .filter(|emission| match &exchange.response_id {
                Some(id) => emission.response_id == *id,
                None => emission.events_ns[0] < first_token,
            })
            .max_by_key(|emission| emission.events_ns[0])
            .expect("the server logged this response");
        Truth {
            queue: emission.queue_ns,
            prefill: emission.prefill_ns,
            ttft: emission.events_ns[0] - emission.received_ns,
        }
    }

    fn residue(&self) -> u64 {
        self.ttft - self.queue - self.prefill
    }
}

/// One exchange, attributed.
struct Stages {
    start: u64,
    segments: Vec<Segment>,
}

impl Stages {
    fn of(exchange: &Exchange, session: &[Exchange], prefill: Option<PrefillModel>) -> Self {
        let context = Context {
            ping_ns: session.iter().filter_map(|other| other.ping_ns).min(),
            prefill,
            proxied: false,
        };
        Stages {
            start: exchange.marks.start,
            segments: segments(exchange, context),
        }
    }

    fn sum(&self, stage: Stage) -> u64 {
        let starts = std::iter::once(self.start).chain(self.segments.iter().map(|part| part.end));
        std::iter::zip(starts, &self.segments)
            .filter(|(_, part)| part.stage == stage)
            .map(|(start, part)| part.end - start)
            .sum()
    }
}
