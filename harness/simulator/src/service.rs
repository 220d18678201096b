//! From a request to the response being played.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::Emission;
use super::dialect::{ModelReply, ModelRequest, Prompt, Timing, Voice};
use super::engine::Engine;
use super::model::Model;
use super::output::Output;
use super::playback::{Playback, Staged};
use super::scenario::Scenario;
use super::schedule::{Beat, Pace};
use super::wire::Framing;
use timeslip_wire::clock;
use timeslip_wire::connection::Probe;
use timeslip_wire::timer::Timer;

/// Everything a connection needs.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) engine: Engine,
    pub(super) model: Model,
    pub(super) log: Option<mpsc::Sender<Emission>>,
    /// How long a WebSocket lives.
    pub(super) websocket_lifetime: Duration,
    pub(super) clock_origin_ns: Option<u64>,
}

/// How it is known when a request came.
#[derive(Clone, Debug)]
pub(super) enum Received {
    /// The connection stamps what it reads.
    ByProbe(Arc<Probe>),
    /// It does not: bytes that crossed the simulated link have no stamps.
    WhenRead,
}

impl Received {
    /// When what was just read arrived.
    pub(super) fn at(&self) -> u64 {
        match self {
            Received::ByProbe(probe) => probe.arrival().at(),
            Received::WhenRead => clock::now(),
        }
    }
}

impl Service {
    /// Queues a request, and starts its response once it is admitted.
    pub(super) async fn respond(
        &self,
        call: &ModelRequest,
        voice: Box<dyn Voice>,
        framing: Framing,
        received_ns: u64,
    ) -> io::Result<Playback> {
        let mut timer = Timer::new()?;
        let prompt = self.engine.prompt(call.conversation(), &call.prompt);
        let Part {
            outputs,
            beats,
            queue_ns,
            prefill_ns,
            prefilled_ns,
            slot,
        } = match self.model.scenario(&call.model) {
            Some(scenario) => Part::of_scenario(scenario, received_ns, voice.streams_arguments()),
            None => {
                let streams_arguments = voice.streams_arguments();
                self.generate(call, received_ns, prompt, streams_arguments, &mut timer)
                    .await?
            }
        };
        let id = new_id(voice.id_prefix());
        let emission = Emission {
            response_id: id.clone(),
            protocol: voice.protocol().into(),
            transport: framing.transport().into(),
            clock_origin_ns: self.clock_origin_ns,
            received_ns,
            queue_ns,
            prefill_ns,
            events_ns: Vec::with_capacity(beats.len()),
            kinds: String::with_capacity(beats.len()),
            tokens: Vec::with_capacity(beats.len()),
            done_ns: None,
            complete: false,
        };
        let answer = ModelReply {
            id,
            model: call.model.clone(),
            prompt,
            outputs,
            timing: Timing {
                queue_ns,
                prefill_ns,
                ..Timing::default()
            },
            link_ms: Some(self.engine.profile().link_round_trip_ms).filter(|ms| *ms > 0.0),
            created_at: time::OffsetDateTime::now_utc().unix_timestamp(),
        };
        let stage = Staged {
            answer,
            voice,
            framing,
            prefilled_ns,
            timer,
            emission,
            log: self.log.clone(),
            _slot: slot,
        };
        Ok(Playback::new(stage, beats))
    }

    /// Queues a request and lays out what the model says to it.
    async fn generate(
        &self,
        call: &ModelRequest,
        received_ns: u64,
        prompt: Prompt,
        streams_arguments: bool,
        timer: &mut Timer,
    ) -> io::Result<Part> {
        let outputs = if call.generate {
            self.model.next(call)
        } else {
            Vec::new()
        };
        let slot = self.engine.admit(received_ns, timer).await?;
        let pace = Pace {
            profile: self.engine.profile(),
            begin_ns: slot.begin_ns,
            prefill_ns: self.engine.prefill_ns(prompt),
            context_tokens: prompt.tokens,
            seed: self.engine.seed_of(&call.cache_key),
            streams_arguments,
        };
        Ok(Part {
            beats: pace.beats(&outputs),
            outputs,
            queue_ns: slot.queue_ns,
            prefill_ns: pace.prefill_ns,
            prefilled_ns: pace.begin_ns.saturating_add(pace.prefill_ns),
            slot: Some(slot.permit),
        })
    }
}

/// What one response will say, and when.
struct Part {
    outputs: Vec<Output>,
    beats: Vec<Beat>,
    queue_ns: u64,
    prefill_ns: u64,
    /// When the prompt has been read.
    prefilled_ns: u64,
    slot: Option<OwnedSemaphorePermit>,
}

impl Part {
    /// A scenario knows neither queue nor prefill: it says itself when what comes.
    fn of_scenario(scenario: &Scenario, received_ns: u64, streams_arguments: bool) -> Self {
        let played = scenario.play(received_ns, streams_arguments);
        Part {
            outputs: played.outputs,
            beats: played.beats,
            queue_ns: 0,
            prefill_ns: 0,
            prefilled_ns: received_ns,
            slot: None,
        }
    }
}

/// A response id that no other response has, of this process or an earlier one whose
/// log is being continued.
fn new_id(prefix: &str) -> String {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let process = PROCESS.get_or_init(|| {
        let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
        (now as u64) ^ (u64::from(std::process::id()) << 40)
    });
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{process:016x}{number:08x}")
}
