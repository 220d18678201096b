//! A link over connections that one conversation has to itself.

use std::fmt::Debug;
use std::time::Duration;

use timeslip_datasets::run::journal::StopWay;

use super::{Boxed, Endpoint, Link};
use crate::connection::Probe;
use crate::failure::Failure;
use crate::live::StopSeen;
use crate::recorder::Recorder;

/// An open connection of one conversation.
pub(super) trait Connected: Debug + Send + Sized + 'static {
    /// Opens one.
    fn open(
        endpoint: &Endpoint,
        recorder: &mut Recorder,
    ) -> impl Future<Output = Result<Self, Failure>> + Send;
    /// Its times and counts.
    fn probe(&self) -> &Probe;
    /// Whether the end of the previous response has still to be waited for.
    fn is_unsettled(&self) -> bool {
        false
    }
    /// Whether it can carry another exchange, once what is left of the previous response
    /// has been read.
    fn settle(&mut self) -> impl Future<Output = bool> + Send;
    /// Sends a body and feeds the response to the recorder until its terminal event.
    fn converse(
        &mut self,
        endpoint: &Endpoint,
        session: &str,
        body: Vec<u8>,
        recorder: &mut Recorder,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Stops the exchange that was given up in the middle; the connection, where it can
    /// carry another one.
    fn stop(
        self,
        patience: Duration,
        recorder: &mut Recorder,
    ) -> impl Future<Output = (Option<Self>, StopSeen)> + Send;
    /// Keeps it alive until it is of no further use.
    fn tend(&mut self) -> impl Future<Output = ()> + Send;
}

/// A link that opens connections of this kind, one after another.
#[derive(Debug)]
pub(super) struct Own<C>(Option<C>);

impl<C> Own<C> {
    /// A link without a connection.
    pub(super) fn new() -> Self {
        Own(None)
    }
}

impl<C: Connected> Link for Own<C> {
    fn is_open(&self) -> bool {
        self.0.is_some()
    }

    fn probe(&self) -> Option<&Probe> {
        self.0.as_ref().map(C::probe)
    }

    fn connect<'a>(
        &'a mut self,
        endpoint: &'a Endpoint,
        recorder: &'a mut Recorder,
    ) -> Boxed<'a, Result<bool, Failure>> {
        Box::pin(async move {
            if let Some(open) = &mut self.0 {
                // From here on what the connection counts belongs to this exchange, also
                // when it ends before anything is sent.
                open.probe().arm();
                let unsettled = open.is_unsettled();
                let usable = open.settle().await;
                if unsettled {
                    recorder.settled();
                }
                if usable {
                    recorder.reuse_connection();
                    return Ok(true);
                }
            }
            // What the old connection measured must not be taken for the new one's.
            self.0 = None;
            self.0 = Some(C::open(endpoint, recorder).await?);
            Ok(false)
        })
    }

    fn send<'a>(
        &'a mut self,
        endpoint: &'a Endpoint,
        session: &'a str,
        body: Vec<u8>,
        recorder: &'a mut Recorder,
    ) -> Boxed<'a, Result<(), Failure>> {
        Box::pin(async move {
            let Some(open) = &mut self.0 else {
                return Err(Failure::Connect("not connected".into()));
            };
            open.probe().arm();
            recorder.sending(body.len());
            open.converse(endpoint, session, body, recorder).await
        })
    }

    fn tend(&mut self) -> Boxed<'_, ()> {
        Box::pin(async {
            if let Some(open) = &mut self.0 {
                open.tend().await;
            }
            self.0 = None;
        })
    }

    fn stop<'a>(
        &'a mut self,
        patience: Duration,
        recorder: &'a mut Recorder,
    ) -> Boxed<'a, StopSeen> {
        Box::pin(async move {
            let Some(open) = self.0.take() else {
                // It was being opened, and was dropped with that.
                return StopSeen::silent(StopWay::Close);
            };
            let (open, seen) = open.stop(patience, recorder).await;
            self.0 = open;
            seen
        })
    }

    fn close(&mut self) {
        self.0 = None;
    }
}
