//! From a request to the response being played.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use super::dialect::{Answer, Call, Timing, Voice};
use super::emission::Emission;
use super::engine::Engine;
use super::model::Model;
use super::playback::{Playback, Stage};
use super::schedule::Pace;
use super::wire::Framing;
use crate::clock;
use crate::connection::Probe;
use crate::timer::Timer;

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
        call: &Call,
        voice: Box<dyn Voice>,
        framing: Framing,
        received_ns: u64,
    ) -> io::Result<Playback> {
        let profile = self.engine.profile();
        let mut timer = Timer::new()?;
        let prompt = self.engine.prompt(call.conversation(), &call.prompt);
        let prefill_ns = self.engine.prefill_ns(prompt);
        let outputs = if call.generate {
            self.model.next(call)
        } else {
            Vec::new()
        };
        let slot = self.engine.admit(received_ns, &mut timer).await?;
        let pace = Pace {
            profile,
            begin_ns: slot.begin_ns,
            prefill_ns,
            context_tokens: prompt.tokens,
            seed: self.engine.seed_of(&call.cache_key),
            streams_arguments: voice.streams_arguments(),
        };
        let beats = pace.beats(&outputs);
        let id = new_id(voice.id_prefix());
        let emission = Emission {
            response_id: id.clone(),
            clock_origin_ns: self.clock_origin_ns,
            received_ns,
            queue_ns: slot.queue_ns,
            prefill_ns,
            events_ns: Vec::with_capacity(beats.len()),
            kinds: String::with_capacity(beats.len()),
            tokens: Vec::with_capacity(beats.len()),
            done_ns: None,
            complete: false,
        };
        let answer = Answer {
            id,
            model: call.model.clone(),
            prompt,
            outputs,
            timing: Timing {
                queue_ns: slot.queue_ns,
                prefill_ns,
                ..Timing::default()
            },
            link_ms: profile.link_round_trip_ms,
            created_at: time::OffsetDateTime::now_utc().unix_timestamp(),
        };
        let stage = Stage {
            answer,
            voice,
            framing,
            prefilled_ns: slot.begin_ns.saturating_add(prefill_ns),
            timer,
            emission,
            log: self.log.clone(),
            _slot: Some(slot.permit),
        };
        Ok(Playback::new(stage, beats))
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
