//! Takes the marks of one exchange while its bytes come in.

use timeslip_datasets::journal::{EventColumns, EventKind, Exchange, Marks, Reported, StreamEvent};

use crate::clock;
use crate::connection::{Probe, Steps};
use crate::protocols::{Answer, Decoder, Step, StreamError};

/// Events there is room for before the first allocation.
const EXPECTED_EVENTS: usize = 4096;

/// Marks and events of one exchange in the making.
pub struct Recorder {
    decoder: Box<dyn Decoder>,
    origin: u64,
    exchange: Exchange,
    reported: Reported,
}

impl Recorder {
    /// Starts the clock of an exchange.
    #[must_use]
    pub fn new(decoder: Box<dyn Decoder>, origin: u64, turn: u32, retry: u32) -> Self {
        let exchange = Exchange {
            turn,
            retry,
            marks: Marks {
                start: clock::now() - origin,
                ..Marks::default()
            },
            events: EventColumns::with_capacity(EXPECTED_EVENTS),
            ..Exchange::default()
        };
        Recorder {
            decoder,
            origin,
            exchange,
            reported: Reported::default(),
        }
    }

    fn offset(&self, at: u64) -> u64 {
        at.saturating_sub(self.origin)
    }

    /// A new connection was opened for this exchange.
    pub fn connected(&mut self, steps: Steps, upgraded: Option<u64>) {
        let offset = |at: Option<u64>| at.map(|at| self.offset(at));
        let (dns, tcp, tls, upgraded) = (
            offset(steps.dns),
            offset(steps.tcp),
            offset(steps.tls),
            offset(upgraded),
        );
        let marks = &mut self.exchange.marks;
        (marks.dns, marks.tcp, marks.tls, marks.upgraded) = (dns, tcp, tls, upgraded);
    }

    /// An open connection is used again.
    pub fn reuse_connection(&mut self) {
        self.exchange.reused_connection = true;
    }

    /// Whether the connection was open already.
    #[must_use]
    pub fn reused_connection(&self) -> bool {
        self.exchange.reused_connection
    }

    /// Notes whether only new input is sent.
    pub fn set_incremental(&mut self, incremental: bool) {
        self.exchange.incremental = incremental;
    }

    /// Durations from response headers.
    pub fn report(&mut self, reported: &Reported) {
        self.reported.merge(reported);
    }

    /// A ping sent with this exchange came back.
    pub fn ping(&mut self, round_trip_ns: u64) {
        self.exchange.ping_ns.get_or_insert(round_trip_ns);
    }

    /// Takes one payload of the stream, read at `at`; true at the terminal event.
    ///
    /// # Errors
    /// What the decoder finds wrong.
    pub fn payload(&mut self, at: u64, data: &[u8]) -> Result<bool, StreamError> {
        let step = self.decoder.payload(data)?;
        let at = self.offset(at);
        match step {
            Step::Nothing => {}
            Step::Admitted => {
                self.exchange.marks.admitted.get_or_insert(at);
            }
            Step::Output { kind, bytes } => self.output(at, kind, bytes),
            Step::Done => return Ok(true),
        }
        Ok(false)
    }

    fn output(&mut self, at: u64, kind: EventKind, bytes: u32) {
        self.exchange.marks.first_token.get_or_insert(at);
        self.exchange.marks.last_token = Some(at);
        self.exchange.events.push(StreamEvent { at, kind, bytes });
    }

    /// Copies what the connection knows of this exchange.
    pub fn take_probe(&mut self, probe: &Probe) {
        let sent = probe.last_write().map(|at| self.offset(at));
        let first_byte = probe.first_read().map(|at| self.offset(at));
        // A ping or a window update may be written after the request; the request
        // itself was whole when `sent` was noted.
        self.exchange.marks.sent = self.exchange.marks.sent.or(sent);
        self.exchange.marks.first_byte = self.exchange.marks.first_byte.or(first_byte);
        (self.exchange.response_bytes, self.exchange.request_bytes) = probe.bytes();
        self.exchange.tcp = probe.tcp();
    }

    /// Notes that the whole request has been handed to the kernel.
    pub fn sent(&mut self, probe: &Probe) {
        self.exchange.marks.sent = probe.last_write().map(|at| self.offset(at));
    }

    /// Ends the exchange.
    #[must_use]
    pub fn finish(mut self, transport: &str) -> (Exchange, Answer) {
        let answer = self.decoder.answer();
        let mut exchange = self.exchange;
        exchange.marks.done = clock::now() - self.origin;
        exchange.transport = transport.to_owned();
        exchange.usage = answer.usage;
        exchange.reported = self.reported;
        exchange.reported.merge(&answer.reported);
        exchange.response_id.clone_from(&answer.id);
        exchange.served_model.clone_from(&answer.served_model);
        (exchange, answer)
    }
}
