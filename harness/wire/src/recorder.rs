//! Takes the marks of one exchange while its bytes come in.

use std::time::Duration;

use timeslip_datasets::run::journal::{
    CallArrival, EventColumns, EventKind, Exchange, Marks, Reported, StampSource, StreamEvent,
};

use crate::clock;
use crate::connection::{Arrival, Counts, Steps};
use crate::failure::Failure;
use crate::live::{Heard, Tap};
use crate::protocols::server_timings::server_timing_header;
use crate::protocols::{
    Answer, Decoder, PayloadMeaning, Protocol, RunningTimes, StreamError, error_event,
};

/// Events there is room for before the first allocation.
const EXPECTED_EVENTS: usize = 4096;
/// How many times longer than within an answer nothing but keep-alives may come before
/// its first token: a queue or a long prompt is no stall.
const PATIENCE_BEFORE_OUTPUT: u32 = 5;
/// How long the end of an answer is awaited after its reason to finish: usage follows
/// within this, and some servers never end their stream.
const GRACE: Duration = Duration::from_secs(2);
/// Most remarks on one exchange.
const MAX_REMARKS: usize = 16;

/// Marks and events of one exchange in the making.
pub struct Recorder {
    decoder: Box<dyn Decoder>,
    origin: u64,
    exchange: Exchange,
    reported: Reported,
    done: Option<u64>,
    body_bytes: u64,
    /// The arrival that brought the latest output.
    output_arrival: Option<Arrival>,
    /// The arrival that brought the pong.
    pong_arrival: Option<Arrival>,
    /// Reads that brought the response, where the connection is nobody else's.
    reads: Option<u64>,
    /// When anything came last, on [`clock::now`].
    heard: u64,
    /// When something came last that moved the answer.
    moved: u64,
    /// A reason to finish has come.
    may_end: bool,
    /// When the latest payload of each call came, by [`Decoder::call_number`].
    calls: Vec<Option<u64>>,
    /// Where somebody reads along.
    tap: Option<Tap>,
}

impl Recorder {
    /// Starts the clock of an exchange.
    #[must_use]
    pub fn new(decoder: Box<dyn Decoder>, origin: u64, turn: u32, retry: u32) -> Self {
        Recorder::begun_at(clock::now(), decoder, origin, turn, retry)
    }

    /// An exchange that began at `now`, on [`clock::now`].
    #[must_use]
    pub fn begun_at(
        now: u64,
        decoder: Box<dyn Decoder>,
        origin: u64,
        turn: u32,
        retry: u32,
    ) -> Self {
        let exchange = Exchange {
            turn,
            retry,
            marks: Marks {
                start: now.saturating_sub(origin),
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
            done: None,
            body_bytes: 0,
            output_arrival: None,
            pong_arrival: None,
            reads: None,
            heard: now,
            moved: now,
            may_end: false,
            calls: Vec::new(),
            tap: None,
        }
    }

    /// Has somebody read along.
    pub(crate) fn tap(&mut self, tap: Option<Tap>) {
        self.tap = tap;
    }

    /// Gives back what was read along with.
    pub(crate) fn take_tap(&mut self) -> Option<Tap> {
        self.tap.take()
    }

    /// What whoever reads along says next; pends for ever where nobody does.
    pub(crate) async fn word(&mut self) -> String {
        match &mut self.tap {
            Some(tap) => tap.word().await,
            None => std::future::pending().await,
        }
    }

    /// Tells whoever reads along.
    pub(crate) fn tell(&self, heard: Heard) {
        if let Some(tap) = &self.tap {
            tap.tell(heard);
        }
    }

    fn offset(&self, at: u64) -> u64 {
        at.saturating_sub(self.origin)
    }

    /// A new connection was opened for this exchange.
    pub fn connected(&mut self, steps: Steps, upgraded: Option<u64>) {
        let offset = |at: Option<u64>| at.map(|at| self.offset(at));
        self.exchange.marks = Marks {
            dns: offset(steps.dns),
            tcp: offset(steps.tcp),
            proxy: offset(steps.proxy),
            tls: offset(steps.tls),
            upgraded: offset(upgraded),
            ..self.exchange.marks
        };
    }

    /// The upgrade of a new connection was refused. What that connection cost is
    /// told by this one mark; the others belong to the one that carries the exchange.
    pub fn upgrade_refused(&mut self) {
        self.connected(Steps::default(), None);
        let at = self.offset(clock::now());
        self.exchange.marks.upgrade_refused = Some(at);
    }

    /// The end of the previous answer's body was read, or is no longer waited for.
    pub fn settled(&mut self) {
        self.exchange.marks.settled = Some(self.offset(clock::now()));
    }

    /// Something unusual happened on the way.
    pub fn remark(&mut self, what: String) {
        if self.exchange.remarks.len() < MAX_REMARKS {
            self.exchange.remarks.push(what);
        }
    }

    /// The connection carried these responses before, and `named` says whether each began
    /// by naming itself.
    pub fn follow(&mut self, earlier: &[String], named: bool) {
        self.decoder.follow(earlier, named);
    }

    /// The response's id, as far as the server has named it.
    #[must_use]
    pub fn response_id(&self) -> Option<String> {
        self.decoder.response_id()
    }

    /// Takes one message of a WebSocket; true at the terminal event.
    ///
    /// # Errors
    /// What the decoder finds wrong.
    pub fn message(&mut self, arrival: Arrival, data: &[u8]) -> Result<bool, StreamError> {
        if data.trim_ascii().is_empty() {
            self.keep_alive();
            return Ok(false);
        }
        self.payload(arrival, data)
    }

    /// Whether the server took the request by an event of its own.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.exchange.marks.admitted.is_some()
    }

    /// An open connection is used again.
    pub fn reuse_connection(&mut self) {
        self.exchange.reused_connection = true;
    }

    /// Another conversation opened the connection, perhaps while this exchange waited:
    /// of its steps those count that ended within this exchange.
    pub fn join_connection(&mut self, steps: Steps, upgraded: u64) {
        let start = self.exchange.marks.start;
        let within = |at: &u64| self.offset(*at) > start;
        if within(&upgraded) {
            let steps = Steps {
                dns: steps.dns.filter(within),
                tcp: steps.tcp.filter(within),
                proxy: steps.proxy.filter(within),
                tls: steps.tls.filter(within),
            };
            self.connected(steps, Some(upgraded));
        } else {
            self.reuse_connection();
        }
    }

    /// Notes whether the messages are compressed.
    pub fn set_compressed(&mut self, compressed: bool) {
        self.exchange.compressed = compressed;
    }

    /// The exchange goes over a lane of a shared connection.
    pub fn set_lane(&mut self, name: &str) {
        self.exchange.lane = Some(name.to_owned());
    }

    /// Notes whether only new input is sent.
    pub fn set_incremental(&mut self, incremental: bool) {
        self.exchange.incremental = incremental;
    }

    /// A ping that was sent with this exchange at `pinged` came back. With the first
    /// output or after it, the pong may have waited for the model, in a server that
    /// answers in order, and says nothing of the path.
    pub fn pong(&mut self, arrival: Arrival, pinged: u64) {
        let marks = &self.exchange.marks;
        // One that comes very late answers the ping of an exchange before.
        let ours = pinged >= self.origin.saturating_add(marks.start);
        if ours && marks.first_token.is_none() && self.exchange.ping_ns.is_none() {
            self.exchange.ping_ns = Some(arrival.at.saturating_sub(pinged));
            self.pong_arrival = Some(arrival);
        }
    }

    /// One header of the response, its name in lower case.
    pub fn header(&mut self, name: &str, value: &str) {
        if name == "server-timing" {
            self.reported.merge(&server_timing_header(value));
        }
        self.decoder.header(name, value);
    }

    /// A keep-alive of the stream came.
    pub fn keep_alive(&mut self) {
        let shape = &mut self.exchange.shape;
        shape.keep_alives = shape.keep_alives.saturating_add(1);
        self.heard = clock::now();
    }

    /// Bytes came.
    pub fn heard(&mut self, arrival: Arrival) {
        self.heard = arrival.read;
    }

    /// How long more may be waited for, where `idle` is the longest silence.
    #[must_use]
    pub fn patience(&self, idle: Duration) -> Duration {
        let left = |from: u64, patience: Duration| {
            let passed = Duration::from_nanos(clock::now().saturating_sub(from));
            patience.saturating_sub(passed)
        };
        left(self.heard, idle).min(left(self.moved, self.without_move(idle)))
    }

    /// How long keep-alives may come without anything that moves the answer.
    fn without_move(&self, idle: Duration) -> Duration {
        match (self.may_end, self.exchange.marks.first_token) {
            (true, _) => GRACE.min(idle),
            (false, None) => idle.saturating_mul(PATIENCE_BEFORE_OUTPUT),
            (false, Some(_)) => idle,
        }
    }

    /// That time is over.
    ///
    /// # Errors
    /// [`Failure::Idle`] or [`Failure::Stalled`], unless all of the answer is there.
    pub fn give_up(&mut self, idle: Duration) -> Result<(), Failure> {
        if self.end() {
            self.exchange.marks.whole = Some(self.offset(self.moved));
            return Ok(());
        }
        let silence = Duration::from_nanos(clock::now().saturating_sub(self.heard));
        // Both end within moments of each other when the last event moved nothing.
        Err(match silence < idle.mul_f64(0.9) {
            true => Failure::Stalled(self.without_move(idle)),
            false => Failure::Idle(idle),
        })
    }

    /// The error in an event of that name, whatever its data are.
    pub fn error_event(&mut self, data: &[u8]) -> StreamError {
        match self.decoder.payload(data) {
            Err(error @ StreamError::Server { .. }) => error,
            Ok(_) | Err(StreamError::Malformed { .. }) => error_event(data),
        }
    }

    /// Takes one payload of the stream; true at the terminal event.
    ///
    /// # Errors
    /// What the decoder finds wrong.
    pub fn payload(&mut self, arrival: Arrival, data: &[u8]) -> Result<bool, StreamError> {
        let step = match self.decoder.payload(data) {
            // What follows the end and cannot be read is no part of the answer.
            Err(StreamError::Malformed { event, problem }) if self.may_end => {
                self.remark(format!(
                    "after the end of the answer a broken {event}: {problem}"
                ));
                PayloadMeaning::NOTHING
            }
            result => result?,
        };
        let shape = &mut self.exchange.shape;
        shape.payloads += 1;
        shape.keep_alives += u32::from(step.keep_alive);
        let at = self.offset(arrival.at);
        self.heard = arrival.read;
        let may_end = self.decoder.may_end();
        let finished = may_end && !std::mem::replace(&mut self.may_end, may_end);
        let admitted = step.admitted && self.exchange.marks.admitted.is_none();
        if admitted {
            self.exchange.marks.admitted = Some(at);
        }
        if admitted || finished || step.done {
            self.moved = arrival.read;
        }
        for &call in self.decoder.touched() {
            if call >= self.calls.len() {
                self.calls.resize(call + 1, None);
            }
            self.calls[call] = Some(at);
        }
        let mut tokens = step.tokens;
        if let Some(tap) = &mut self.tap {
            if admitted || step.done {
                tap.named(self.decoder.response_id());
            }
            let mut tokens = step.tokens;
            for (kind, _) in step.outputs() {
                let text = match kind {
                    EventKind::Text => tap.untold(self.decoder.heard()),
                    EventKind::Reasoning | EventKind::ToolArguments => String::new(),
                };
                tap.tell(Heard::Output {
                    at: arrival.at,
                    kind,
                    text,
                    tokens: tokens.take(),
                });
            }
        }
        for (kind, bytes) in step.outputs() {
            self.moved = arrival.read;
            if self.exchange.marks.first_token.is_none() {
                self.exchange.marks.first_token = Some(at);
                self.exchange
                    .ping_ns
                    .take_if(|_| self.pong_arrival == Some(arrival));
            }
            self.exchange.marks.last_token = Some(at);
            if self.output_arrival.replace(arrival) != Some(arrival) {
                self.exchange.shape.output_reads += 1;
            }
            let weakest = self.exchange.stamped_by.get_or_insert(arrival.source);
            *weakest = arrival.source.min(*weakest);
            self.exchange.events.push(StreamEvent {
                at,
                kind,
                bytes,
                // Of a payload with several kinds, all tokens are counted once.
                tokens: tokens.take(),
                lag_ns: arrival.lag_ns(),
            });
        }
        if step.done {
            self.done = Some(self.offset(clock::now()));
        }
        Ok(step.done)
    }

    /// Takes the whole body of an answer that was not streamed and is there with one arrival;
    /// true when it is an answer to its end.
    ///
    /// # Errors
    /// What the decoder finds wrong.
    pub fn whole(
        &mut self,
        arrival: Arrival,
        protocol: &dyn Protocol,
        body: &[u8],
    ) -> Result<bool, StreamError> {
        for payload in protocol.whole(body) {
            if self.payload(arrival, &payload)? {
                return Ok(true);
            }
        }
        Ok(self.end())
    }

    /// The response ended; true when the protocol lets it end here.
    pub fn end(&mut self) -> bool {
        if self.decoder.may_end() {
            self.done = Some(self.offset(clock::now()));
        }
        self.done.is_some()
    }

    /// Takes over what was counted of the connection during this exchange.
    pub fn take_counts(&mut self, counts: Counts) {
        // What comes before anything is sent is the end of the answer before.
        let (response_bytes, request_bytes) = match self.body_bytes {
            0 => (0, 0),
            _ => counts.bytes,
        };
        self.exchange.response_bytes = Some(response_bytes);
        self.exchange.request_bytes = Some(request_bytes);
        self.exchange.tcp = counts.tcp;
        self.reads = Some(counts.reads);
        // Cut off before an answer: the request counts as sent only if all of it was.
        if self.exchange.marks.sent.is_none() && request_bytes > self.body_bytes {
            self.sent(counts.last_write);
        }
    }

    /// Notes the size of the body that is about to be sent.
    pub fn sending(&mut self, body_bytes: usize) {
        self.body_bytes = body_bytes as u64;
        self.moved = clock::now();
        self.heard = self.moved;
    }

    /// Notes the first bytes of the response itself.
    pub fn responding(&mut self, arrival: Arrival) {
        let at = self.offset(arrival.at);
        self.exchange.marks.first_byte.get_or_insert(at);
    }

    /// Notes when the whole request had been handed to the kernel.
    pub fn sent(&mut self, at: Option<u64>) {
        self.exchange.marks.sent = at.map(|at| self.offset(at));
    }

    /// What the server reports of the conversation so far.
    #[must_use]
    pub fn running_times(&self) -> RunningTimes {
        self.decoder.running_times()
    }

    /// Ends the exchange. What the server named in it is not redacted yet.
    #[must_use]
    pub fn finish(mut self, transport: &str) -> (Exchange, Answer) {
        let answer = self.decoder.answer();
        let mut exchange = self.exchange;
        exchange.shape.merged = merged(&exchange, self.reads);
        exchange.unknown = self.decoder.unknown();
        // What was never shown is no beginning of what was.
        let shown = exchange.marks.first_token.is_some();
        exchange.hidden_tokens = self.decoder.hidden_tokens().filter(|_| shown);
        exchange.marks.done = self
            .done
            .unwrap_or_else(|| clock::now().saturating_sub(self.origin));
        exchange.transport = transport.to_owned();
        // What was counted of an answer that was cut off is not of what was read of it.
        exchange.usage = answer.usage.filter(|_| self.done.is_some());
        let contradiction = exchange.usage.and_then(|usage| usage.contradiction());
        exchange
            .remarks
            .extend(contradiction.map(|what| format!("the usage contradicts itself: {what}")));
        let calls = answer.calls.iter().enumerate().filter_map(|(place, call)| {
            let number = self.decoder.call_number(place);
            Some(CallArrival {
                call_id: call.call_id.clone(),
                name: call.name.clone(),
                at: self.calls.get(number).copied().flatten()?,
            })
        });
        exchange.calls = calls.collect();
        exchange.reported = self.reported;
        exchange.reported.merge(&answer.reported);
        exchange.response_id = answer.id.clone();
        exchange.served_model = answer.served_model.clone();
        exchange.served_tier = answer.served_tier.clone();
        exchange.served_speed = answer.served_speed.clone();
        exchange.incomplete = answer.incomplete.clone();
        (exchange, answer)
    }
}

/// Output events that a late read may have found merged, when `reads` brought all.
fn merged(exchange: &Exchange, reads: Option<u64>) -> u32 {
    if exchange.stamped_by == Some(StampSource::Capture) {
        return 0;
    }
    let events = exchange.events.as_slice().len() as u64;
    let together = events.saturating_sub(exchange.shape.output_reads.into());
    // What a read found in one segment was sent together.
    let unread = exchange.tcp.zip(reads).map_or(u64::MAX, |(tcp, reads)| {
        u64::from(tcp.data_segments_in).saturating_sub(reads)
    });
    u32::try_from(unread.min(together)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols;

    /// The round trip an exchange has when its pong is read at `pong` and its first
    /// output at `output`.
    fn ping_ns(pinged: u64, pong: u64, output: u64) -> Option<u64> {
        let decoder = protocols::by_name("responses").unwrap().decoder();
        let mut recorder = Recorder::new(decoder, 0, 1, 0);
        recorder.exchange.marks.start = 100;
        let arrival = Arrival::read;
        let delta = br#"{"type":"response.output_text.delta","delta":"x"}"#;
        if pong <= output {
            recorder.pong(arrival(pong), pinged);
        }
        recorder.payload(arrival(output), delta).unwrap();
        recorder.pong(arrival(pong), pinged);
        recorder.finish("websocket").0.ping_ns
    }

    #[test]
    fn a_pong_tells_of_the_path_unless_it_may_have_waited_for_the_model() {
        assert_eq!(ping_ns(110, 140, 200), Some(30));
        assert_eq!(ping_ns(110, 200, 200), None, "with the first output");
        assert_eq!(ping_ns(110, 900, 200), None, "after it");
        assert_eq!(ping_ns(90, 140, 200), None, "of the exchange before");
    }
}
