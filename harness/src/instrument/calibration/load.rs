//! The load that is measured: streams that run side by side, one exchange after another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::time::ClockId;
use timeslip_datasets::options::EndpointOptions;
use timeslip_datasets::run::journal::Exchange;
use timeslip_wire::clock;
use timeslip_wire::connection::Target;
use timeslip_wire::protocols::{self, Item};
use timeslip_wire::transports;
use timeslip_wire::{Endpoint, Session};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Tools, clocks};
use crate::error::Error;

/// Longest time one exchange may take.
const MAX_EXCHANGE: Duration = Duration::from_secs(60);

/// How much is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Streams at once.
    pub streams: u32,
    /// Exchanges of every stream, one after another.
    pub exchanges: u32,
    /// Output tokens of every exchange.
    pub tokens: u32,
}

/// What the client saw.
#[derive(Debug, Default)]
pub struct Measured {
    /// Every exchange; its marks count from `origin`.
    pub exchanges: Vec<Exchange>,
    /// Zero of the marks, on [`clock::now`].
    pub origin: u64,
    /// How late the event loop woke, in nanoseconds, look by look.
    pub loop_lag: Vec<u64>,
    /// Processor time this process used, a server inside it included.
    pub cpu_ns: u64,
}

/// An endpoint that answers with the load's number of tokens.
///
/// # Errors
/// [`Error::Config`] for an unknown protocol or a bad URL.
pub fn endpoint(
    (protocol, transport): (&str, &str),
    base_url: &str,
    load: &Load,
) -> Result<Endpoint, Error> {
    let bad = |problem: String| Error::Config {
        place: base_url.to_owned(),
        problem,
    };
    let spoken = protocols::by_name(protocol)
        .ok_or_else(|| bad(format!("the protocol '{protocol}' is not known")))?;
    let carrier = transports::by_name(transport)
        .ok_or_else(|| bad(format!("the transport '{transport}' is not known")))?;
    let mut extra = serde_json::Map::new();
    spoken.bound_output(&mut extra, load.tokens);
    Ok(Endpoint {
        name: format!("{protocol} over {transport}"),
        target: Target::parse(base_url).map_err(bad)?,
        // The embedded server's model that writes as much as it is asked for.
        model: "steady".into(),
        protocol: spoken,
        transport: carrier,
        options: EndpointOptions {
            retries: 0,
            ..EndpointOptions::default()
        },
        shared: None,
        key: None,
        headers: Vec::new(),
        secrets: Vec::new(),
        extra,
        idle_timeout: MAX_EXCHANGE,
    })
}

/// Runs the load, its streams read by `measuring`, and returns what was seen of it. With
/// `tools`, every stream does before each exchange what a trial does beside its own.
///
/// # Errors
/// [`Error::Unreachable`] when an exchange fails.
pub async fn drive(
    endpoint: &Endpoint,
    load: &Load,
    tools: Option<&Tools>,
    measuring: &Handle,
) -> Result<Measured, Error> {
    let processor = || clock::system(ClockId::ProcessCPUTime);
    let (origin, cpu) = (clock::now(), processor());
    let late = Arc::new(Mutex::new(Vec::new()));
    let mut watch = JoinSet::new();
    let looked = Arc::clone(&late);
    watch.spawn_on(
        async move { clocks::watch_event_loop(&looked).await },
        measuring,
    );
    let mut streams = JoinSet::new();
    for number in 0..load.streams {
        let (endpoint, exchanges) = (endpoint.clone(), load.exchanges);
        let session = Session::new(&endpoint, format!("calibration-{number}#1"), origin);
        let (session, tools) = (session.on(measuring), tools.cloned());
        streams.spawn(async move { stream(&endpoint, session, tools, exchanges).await });
    }
    let mut measured = Measured {
        origin,
        ..Measured::default()
    };
    while let Some(ended) = streams.join_next().await {
        let seen = ended.map_err(|error| error.to_string()).flatten();
        let seen = seen.map_err(|problem| Error::Unreachable {
            endpoint: endpoint.name.clone(),
            problem,
        })?;
        measured.exchanges.extend(seen);
    }
    watch.shutdown().await;
    measured.cpu_ns = processor().saturating_sub(cpu);
    let mut late = late.lock().unwrap_or_else(PoisonError::into_inner);
    measured.loop_lag = std::mem::take(&mut *late);
    Ok(measured)
}

/// One conversation.
async fn stream(
    endpoint: &Endpoint,
    mut session: Session,
    tools: Option<Tools>,
    exchanges: u32,
) -> Result<Vec<Exchange>, String> {
    let mut items = Vec::new();
    let mut seen = Vec::with_capacity(exchanges as usize);
    for turn in 1..=exchanges {
        if let Some(tools) = &tools {
            session.during(tools.one_trial()).await?;
        }
        items.push(Item::User("Count upward from 1.".into()));
        let deadline = Instant::now() + MAX_EXCHANGE;
        let answer = session
            .ask(turn, "", &[], &items, deadline, |exchange| {
                seen.push(exchange);
            })
            .await
            .map_err(|failure| endpoint.redact(&failure.to_string()))?;
        items.extend(answer.items.into_iter().map(Item::Output));
    }
    Ok(seen)
}
