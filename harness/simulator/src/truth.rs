//! The truth about one response: what left when, and when its decoding really ended.

use std::sync::mpsc;
use std::time::Duration;

use timeslip_datasets::run::emissions::{DecodeStop, StopCause};
use tokio::sync::OwnedSemaphorePermit;

use super::{Emission, Fault};
use timeslip_wire::clock;

/// What is known of a response. Dropping it, whatever has become of the response, logs it;
/// where that is before the end of the answer, whoever asked is gone.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) emission: Emission,
    log: Option<mpsc::Sender<Emission>>,
    /// How long decoding goes on after a stop.
    reaction_ns: u64,
    /// When the tokens of each piece are decoded, in order.
    decoding: Vec<(u64, u32)>,
    /// Held until decoding has ended.
    slot: Option<OwnedSemaphorePermit>,
    /// The response was refused: it has nothing to be stopped.
    refused: bool,
}

impl Truth {
    pub(super) fn new(
        emission: Emission,
        log: Option<mpsc::Sender<Emission>>,
        reaction_ns: u64,
    ) -> Self {
        Truth {
            emission,
            log,
            reaction_ns,
            decoding: Vec::new(),
            slot: None,
            refused: false,
        }
    }

    /// It will decode these tokens at these times, in a slot.
    pub(super) fn decodes(
        &mut self,
        decoding: Vec<(u64, u32)>,
        slot: Option<OwnedSemaphorePermit>,
    ) {
        self.decoding = decoding;
        self.slot = slot;
    }

    /// It is refused.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// The server learns now that the rest is not wanted; when decoding will have ended. Only
    /// the first time counts.
    pub(super) fn stop(&mut self, by: StopCause) -> DecodeStop {
        let told_ns = clock::now();
        let end_ns = self.decoding.last().map_or(told_ns, |(due, _)| *due);
        let stopped_ns = told_ns.saturating_add(self.reaction_ns).min(end_ns);
        let decoded = self.decoding.iter().filter(|(due, _)| *due <= stopped_ns);
        *self.emission.stop.get_or_insert(DecodeStop {
            by,
            told_ns,
            stopped_ns: stopped_ns.max(told_ns),
            decoded_tokens: decoded.map(|(_, tokens)| u64::from(*tokens)).sum(),
        })
    }

    /// It ended by itself, or by a planned fault.
    fn is_over(&self) -> bool {
        let broken = matches!(self.emission.fault, Some(Fault::Reset | Fault::Cut));
        self.refused || broken || self.emission.done_ns.is_some()
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        if !self.is_over() {
            self.stop(StopCause::Disconnected);
        }
        if let (Some(slot), Some(stop)) = (self.slot.take(), self.emission.stop)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let left = Duration::from_nanos(stop.stopped_ns.saturating_sub(clock::now()));
            runtime.spawn(async move {
                tokio::time::sleep(left).await;
                drop(slot);
            });
        }
        if let Some(log) = &self.log {
            // The writer is gone only when the server is being stopped.
            let _ = log.send(self.emission.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(reaction_ns: u64) -> Truth {
        let emission = Emission {
            response_id: "r".into(),
            protocol: "p".into(),
            transport: "t".into(),
            clock_origin_ns: None,
            received_ns: 0,
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
        let mut truth = Truth::new(emission, None, reaction_ns);
        let now = clock::now();
        let far = now + 3_600_000_000_000;
        truth.decodes(vec![(now, 2), (far, 3), (far + 60_000_000_000, 4)], None);
        truth
    }

    #[test]
    fn decoding_goes_on_for_the_reaction_and_no_further_than_the_answer() {
        let stopped = |reaction| truth(reaction).stop(StopCause::Disconnected);
        let stop = stopped(7);
        assert_eq!(
            (stop.stopped_ns - stop.told_ns, stop.decoded_tokens),
            (7, 2)
        );
        let stop = stopped(3_600_000_000_000);
        assert_eq!(stop.decoded_tokens, 5);
        assert_eq!(stopped(u64::MAX).decoded_tokens, 9);
    }

    #[test]
    fn only_the_first_stop_counts() {
        let mut truth = truth(7);
        let first = truth.stop(StopCause::Cancelled);
        assert_eq!(truth.stop(StopCause::Disconnected), first);
    }
}
