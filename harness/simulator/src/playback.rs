//! One response on its way out: every write at its moment, and the truth about it.
//!
//! The connection's own task polls this and writes what it yields at once; no other
//! task stands between the pace and the socket. The next write is rendered after the
//! last one has left, while its moment is still to come.

use std::io;
use std::task::{Context, Poll, ready};

use timeslip_datasets::run::journal::EventKind;

use serde_json::Value;
use timeslip_datasets::run::emissions::StopCause;

use super::Fault;
use super::dialect::{Cut, ModelReply, Voice};
use super::output::Output;
use super::schedule::{Beat, Cue, Fragment};
use super::truth::Truth;
use super::wire::{Chunk, Framing, Wire};
use timeslip_wire::clock;
use timeslip_wire::timer::Timer;

/// What a response needs besides its beats.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) answer: ModelReply,
    pub(super) voice: Box<dyn Voice>,
    pub(super) framing: Framing,
    /// When the prompt has been read.
    pub(super) prefilled_ns: u64,
    pub(super) timer: Timer,
    pub(super) truth: Truth,
}

/// A response being played. Dropping it, finished or not, logs the truth about it.
#[derive(Debug)]
pub struct Playback {
    stage: Staged,
    wire: Wire,
    beats: std::iter::Peekable<std::vec::IntoIter<Beat>>,
    open: Option<usize>,
    /// When the first output is due.
    first_due_ns: Option<u64>,
    /// The moment of what is rendered.
    due_ns: u64,
    /// Output events in it.
    rendered: Vec<Rendered>,
    /// Up to where in its text each output has left.
    said: Vec<usize>,
    finishes: bool,
    /// The connection is to be reset.
    resets: bool,
    /// The last write is with the connection, but not yet with the kernel.
    unflushed: bool,
}

/// An output event that is about to leave.
#[derive(Debug)]
struct Rendered {
    kind: EventKind,
    tokens: u32,
    item: usize,
    /// Where it ends in the text of its output.
    end: usize,
}

impl Playback {
    pub(super) fn new(stage: Staged, mut beats: Vec<Beat>) -> Self {
        let mut pieces = beats
            .iter()
            .filter(|beat| matches!(beat.cue, Cue::Fragment(_)));
        let first_due_ns = pieces.next().map(|beat| beat.due_ns);
        if stage.framing == Framing::Whole {
            // All of it at once, when the last of it would have come.
            beats.retain(|beat| matches!(beat.cue, Cue::Finish | Cue::Reset));
        }
        Playback {
            wire: Wire::new(stage.framing),
            stage,
            beats: beats.into_iter().peekable(),
            open: None,
            first_due_ns,
            due_ns: 0,
            rendered: Vec::new(),
            said: Vec::new(),
            finishes: false,
            resets: false,
            unflushed: false,
        }
    }

    /// What is being said.
    #[must_use]
    pub fn answer(&self) -> &ModelReply {
        &self.stage.answer
    }

    /// It was not cut short by a fault.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.stage.truth.emission.fault != Some(Fault::Cut)
    }

    /// Waits for the next write; `None` after the last, and an error of the kind
    /// `ConnectionReset` where the connection is to be reset. Pends once after each, so that
    /// a connection which writes when nothing more comes does so at once.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Chunk>>> {
        if std::mem::take(&mut self.unflushed) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.wire.is_empty() && !self.resets && !self.render() {
            return Poll::Ready(None);
        }
        if let Err(error) = ready!(self.stage.timer.poll_until(context, self.due_ns)) {
            return Poll::Ready(Some(Err(error)));
        }
        if self.resets {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
        }
        self.catch_up();
        let mut chunk = self.wire.take();
        let now = clock::now();
        let emission = &mut self.stage.truth.emission;
        for left in self.rendered.drain(..) {
            emission.events_ns.push(now);
            emission.kinds.push(left.kind.letter());
            emission.tokens.push(left.tokens);
            self.said.resize(self.said.len().max(left.item + 1), 0);
            self.said[left.item] = left.end;
        }
        if self.finishes && emission.fault == Some(Fault::Cut) {
            // A stream that is cut has no end; this is an answer that leaves as a whole.
            chunk = chunk.half();
        } else if self.finishes {
            emission.done_ns = Some(now);
            emission.complete = true;
        }
        self.unflushed = true;
        Poll::Ready(Some(Ok(chunk)))
    }

    /// Renders the next moment that has anything to write; false at the end.
    fn render(&mut self) -> bool {
        while let Some(beat) = self.beats.next() {
            let due_ns = beat.due_ns;
            self.due_ns = due_ns;
            self.play(beat.cue);
            while let Some(beat) = self.beats.next_if(|beat| beat.due_ns == due_ns) {
                self.play(beat.cue);
            }
            if !self.wire.is_empty() || self.resets {
                return true;
            }
        }
        false
    }

    /// Adds the output that has become overdue meanwhile: one write costs less than
    /// many, and the log tells.
    fn catch_up(&mut self) {
        let now = clock::now();
        let overdue = |beat: &Beat| beat.due_ns <= now && matches!(beat.cue, Cue::Fragment(_));
        while let Some(beat) = self.beats.next_if(overdue) {
            self.play(beat.cue);
        }
    }

    fn play(&mut self, cue: Cue) {
        match cue {
            Cue::KeepAlive => self.wire.keep_alive(),
            Cue::Begin => self.stage.voice.begin(&self.stage.answer, &mut self.wire),
            Cue::Fragment(piece) => self.say(&piece),
            Cue::Finish => self.finish(),
            Cue::Reset => self.resets = true,
        }
    }

    /// Whoever asked goes another way: what is decoded until the engine heeds that is still
    /// said, and then the answer ends as one that was redirected. Where nothing of it is
    /// spared, it ends as if nothing had been said.
    pub(super) fn redirect(&mut self) {
        if self.cut(StopCause::Steered) {
            self.stage.answer.cut = Some(Cut::Steered);
        }
    }

    /// It is cancelled: what is decoded until the engine heeds that is still said, and then
    /// the stream ends without a word.
    pub(super) fn cancel(&mut self) -> bool {
        self.cut(StopCause::Cancelled)
    }

    /// Drops what will not be decoded; false where that is nothing.
    fn cut(&mut self, by: StopCause) -> bool {
        let stop = self.stage.truth.stop(by);
        let is_piece = |beat: &Beat| matches!(beat.cue, Cue::Fragment(_));
        let kept = |beat: &Beat| beat.due_ns <= stop.stopped_ns;
        let rest: Vec<Beat> = self.beats.by_ref().collect();
        // What is rendered has not left.
        let unsaid = !self.rendered.is_empty() && self.due_ns > stop.stopped_ns;
        let spared = unsaid || rest.iter().any(|beat| is_piece(beat) && !kept(beat));
        let mut beats = rest;
        if spared {
            if unsaid {
                self.wire.take();
                self.rendered.clear();
            }
            beats.retain(kept);
            if by == StopCause::Steered {
                beats.push(Beat {
                    due_ns: stop.stopped_ns,
                    cue: Cue::Finish,
                });
            }
        }
        self.beats = beats.into_iter().peekable();
        spared
    }

    /// Leaves of the outputs what has been said; a call of which a part is missing is none.
    fn forget_unsaid(&mut self) {
        let outputs = &mut self.stage.answer.outputs;
        let said = std::iter::zip(std::mem::take(outputs), &self.said);
        *outputs = said
            .filter_map(|(output, end)| match output {
                Output::Reasoning(text) => Some(Output::Reasoning(text.get(..*end)?.to_owned())),
                Output::Text(text) => Some(Output::Text(text.get(..*end)?.to_owned())),
                Output::Call { ref arguments, .. } if arguments.len() == *end => Some(output),
                Output::Call { .. } => None,
            })
            .collect();
    }

    /// The answer as an object.
    pub(super) fn whole(&self) -> Value {
        self.stage.voice.whole(&self.stage.answer)
    }

    fn finish(&mut self) {
        self.finishes = true;
        if self.stage.answer.cut == Some(Cut::Steered) {
            self.forget_unsaid();
        }
        let stage = &mut self.stage;
        let emission = &stage.truth.emission;
        // What leaves as a whole has no events: it was made when they would have left.
        let events = &emission.events_ns;
        let last_ns = *events.last().unwrap_or(&self.due_ns);
        let first_ns = events.first().copied().or(self.first_due_ns);
        let first_ns = first_ns.unwrap_or(last_ns);
        let timing = &mut stage.answer.timing;
        let turn_ns = emission.received_ns.saturating_add(timing.queue_ns);
        timing.first_token_ns = first_ns.saturating_sub(turn_ns);
        timing.decode_ns = last_ns.saturating_sub(stage.prefilled_ns);
        timing.generation_ns = last_ns.saturating_sub(first_ns);
        if stage.framing == Framing::Whole {
            let whole = stage.voice.whole(&stage.answer);
            self.wire.event(&whole);
        } else {
            stage.voice.finish(&stage.answer, &mut self.wire);
            self.wire.close();
        }
    }

    fn say(&mut self, piece: &Fragment) {
        let Staged { answer, voice, .. } = &mut self.stage;
        let Some(output) = answer.outputs.get(piece.item) else {
            return;
        };
        if self.open != Some(piece.item) {
            self.open = Some(piece.item);
            voice.open(answer, piece.item, &mut self.wire);
        }
        if let Some(text) = output.text().get(piece.text.clone())
            && !text.is_empty()
        {
            voice.delta(answer, piece.item, text, &mut self.wire);
            self.rendered.push(Rendered {
                kind: output.kind(),
                tokens: piece.tokens,
                item: piece.item,
                end: piece.text.end,
            });
        }
        if piece.text.end == output.text().len() {
            voice.close(answer, piece.item, &mut self.wire);
        }
    }
}
