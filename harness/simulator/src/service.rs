//! From a request to the response being played.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::Emission;
use super::background::Background;
use super::dialect::{
    Cut, Dialect, ModelReply, ModelRequest, Problem, Prompt, Refusal, Timing, Voice,
};
use super::engine::Engine;
use super::faults::FaultPlan;
use super::line::Line;
use super::model::Model;
use super::output::Output;
use super::output_limit;
use super::playback::{Playback, Staged};
use super::scenario::Scenario;
use super::schedule::{Beat, Cue, Pace};
use super::truth::Truth;
use super::wire::Carrier;
use timeslip_wire::clock;
use timeslip_wire::connection::Probe;
use timeslip_wire::timer::Timer;

/// Everything a connection needs.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) engine: Engine,
    pub(super) model: Model,
    pub(super) faults: FaultPlan,
    pub(super) background: Background,
    /// Any model name is answered.
    pub(super) any_model: bool,
    pub(super) started_at: time::OffsetDateTime,
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
            Received::ByProbe(probe) => probe.arrival().at,
            Received::WhenRead => clock::now(),
        }
    }
}

/// The other end of a connection: when its requests came, and how it is reset.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) received: Received,
    pub(super) line: Line,
}

impl Peer {
    pub(super) fn new(received: Received, line: Line) -> Self {
        Peer { received, line }
    }
}

/// What the names of the small models are made with that agents ask for on their own, for
/// a title or a summary, whatever model they were told to use. They are always known.
const SIDE_MODELS: &[&str] = &["haiku", "flash", "mini", "nano"];

fn is_side_model(name: &str) -> bool {
    let mut words = name.split(['-', ':', '/']);
    words.any(|word| SIDE_MODELS.contains(&word))
}

impl Service {
    /// The names of the models there are, the profile's own first.
    pub(super) fn models(&self) -> Vec<&str> {
        let own = self.engine.profile().model.as_str();
        std::iter::once(own).chain(self.model.ids()).collect()
    }

    /// Refuses a model that nobody knows.
    ///
    /// # Errors
    /// In the dialect's words.
    pub(super) fn check_model(&self, dialect: &dyn Dialect, name: &str) -> Result<(), Refusal> {
        let known = self.models();
        if self.any_model || known.contains(&name) || is_side_model(name) {
            return Ok(());
        }
        let known = &known[..];
        Err(dialect.word(&Problem::UnknownModel { name, known }, &["model"]))
    }

    /// Queues a request, and starts its response once it is admitted.
    ///
    /// # Errors
    /// Why there is none: a model that nobody knows, or a planned fault.
    pub(super) async fn respond(
        &self,
        call: &ModelRequest,
        dialect: &dyn Dialect,
        voice: Box<dyn Voice>,
        carrier: Carrier,
        received_ns: u64,
    ) -> Result<Playback, Refusal> {
        self.check_model(dialect, &call.model)?;
        let drawn = self.faults.draw(call.conversation());
        let framing = carrier.framing;
        let mut truth = self.truth(&*voice, carrier, received_ns);
        truth.emission.fault = drawn.map(|drawn| drawn.fault);
        let refusal = drawn.and_then(|drawn| self.faults.refusal(drawn.fault, dialect));
        if let Some(refusal) = refusal {
            truth.refuse();
            return Err(refusal);
        }
        let failed = |_| Refusal::new(500, "server_error", "The response could not be started.");
        let mut timer = Timer::new().map_err(failed)?;
        let prompt = self.engine.prompt(call.conversation(), &call.prompt);
        let streams_arguments = voice.streams_arguments();
        let mut part = match self.model.scenario(&call.model) {
            Some(scenario) => Part::of_scenario(scenario, received_ns, streams_arguments),
            None => self
                .generate(call, prompt, streams_arguments, &mut timer, &mut truth)
                .await
                .map_err(failed)?,
        };
        if let Some(drawn) = drawn {
            let one_way_ns = self.engine.profile().one_way_ns();
            self.faults
                .spoil(drawn, &mut part.beats, framing, one_way_ns);
        }
        let beats = part.beats;
        truth.decodes(decoding(&beats), part.slot);
        let emission = &mut truth.emission;
        emission.queue_ns = part.queue_ns;
        emission.prefill_ns = part.prefill_ns;
        emission.events_ns.reserve(beats.len());
        emission.kinds.reserve(beats.len());
        emission.tokens.reserve(beats.len());
        let answer = ModelReply {
            id: emission.response_id.clone(),
            model: call.model.clone(),
            prompt,
            outputs: part.outputs,
            cut: part.cut.then_some(Cut::Limit),
            timing: Timing {
                queue_ns: part.queue_ns,
                prefill_ns: part.prefill_ns,
                ..Timing::default()
            },
            link_ms: Some(self.engine.profile().link_round_trip_ms).filter(|ms| *ms > 0.0),
            created_at: time::OffsetDateTime::now_utc().unix_timestamp(),
        };
        let stage = Staged {
            answer,
            voice,
            framing,
            prefilled_ns: part.prefilled_ns,
            timer,
            truth,
        };
        Ok(Playback::new(stage, beats))
    }

    /// What is known of a response before anything of it has left.
    fn truth(&self, voice: &dyn Voice, carrier: Carrier, received_ns: u64) -> Truth {
        let emission = Emission {
            response_id: new_id(voice.id_prefix()),
            protocol: voice.protocol().into(),
            transport: carrier.transport().into(),
            clock_origin_ns: self.clock_origin_ns,
            received_ns,
            queue_ns: 0,
            prefill_ns: 0,
            events_ns: Vec::new(),
            kinds: String::new(),
            tokens: Vec::new(),
            done_ns: None,
            complete: false,
            fault: None,
            stop: None,
        };
        let reaction_ns = self.engine.profile().stop_reaction_ns();
        Truth::new(emission, self.log.clone(), reaction_ns)
    }

    /// Queues a request and lays out what the model says to it.
    async fn generate(
        &self,
        call: &ModelRequest,
        prompt: Prompt,
        streams_arguments: bool,
        timer: &mut Timer,
        truth: &mut Truth,
    ) -> io::Result<Part> {
        let outputs = if call.generate {
            self.model.next(call)
        } else {
            Vec::new()
        };
        let (outputs, cut) = output_limit::within(outputs, call.output_limit, streams_arguments);
        let received_ns = truth.emission.received_ns;
        let profile = self.engine.profile();
        let pace = Pace {
            profile,
            begin_ns: self.engine.begin_ns(received_ns),
            prefill_ns: self.engine.prefill_ns(prompt),
            context_tokens: prompt.tokens,
            seed: self.engine.seed_of(&call.cache_key),
            streams_arguments,
        };
        if !profile.heeds_stops {
            // Whoever leaves before the answer begins has it decoded all the same.
            truth.decodes(decoding(&pace.beats(&outputs)), None);
        }
        let slot = self.engine.admit(received_ns, timer).await?;
        let pace = Pace {
            begin_ns: slot.begin_ns,
            ..pace
        };
        Ok(Part {
            beats: pace.beats(&outputs),
            outputs,
            cut,
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
    /// The request's output limit cut it short.
    cut: bool,
    beats: Vec<Beat>,
    queue_ns: u64,
    prefill_ns: u64,
    /// When the prompt has been read.
    prefilled_ns: u64,
    slot: Option<OwnedSemaphorePermit>,
}

impl Part {
    /// A scenario knows neither queue nor prefill nor limit: it says itself what comes when.
    fn of_scenario(scenario: &Scenario, received_ns: u64, streams_arguments: bool) -> Self {
        let played = scenario.play(received_ns, streams_arguments);
        Part {
            outputs: played.outputs,
            cut: false,
            beats: played.beats,
            queue_ns: 0,
            prefill_ns: 0,
            prefilled_ns: received_ns,
            slot: None,
        }
    }
}

/// When the tokens of each piece are decoded.
fn decoding(beats: &[Beat]) -> Vec<(u64, u32)> {
    let piece = |beat: &Beat| match &beat.cue {
        Cue::Fragment(piece) => Some((beat.due_ns, piece.tokens)),
        Cue::KeepAlive | Cue::Begin | Cue::Finish | Cue::Reset => None,
    };
    beats.iter().filter_map(piece).collect()
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
