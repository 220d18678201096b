//! What a protocol says of itself to the WebSocket that carries it.

use std::borrow::Cow;
use std::time::Duration;

/// The form of a protocol that travels over a WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct WebSocketForm {
    /// Path below the base URL at which a connection is upgraded.
    pub path: &'static str,
    /// Headers of the upgrade, beside those of every request; names in lower case.
    pub headers: &'static [(&'static str, &'static str)],
    /// Age at which a connection is replaced before its next exchange, because the
    /// server would end it within one.
    pub max_age: Duration,
    /// Reads whether a client's message asks for a response, and nothing else of it.
    pub asks: fn(&[u8]) -> Option<Asked<'_>>,
    /// How several conversations share a connection, where they can.
    pub lanes: Option<Lanes>,
}

/// A message that asks for a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The lane that it names.
    pub lane: Option<Cow<'a, str>>,
}

/// How several conversations share a connection.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// Conversations on one connection.
    pub count: usize,
    /// Reads whom an event is for, and nothing else of it.
    pub addressee: fn(&[u8]) -> Addressee<'_>,
}

/// Whom an event on a shared connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressee<'a> {
    /// The conversation in this lane.
    Lane(Cow<'a, str>),
    /// Every conversation: an error of the connection.
    Everyone,
    /// One conversation, but the event does not say which.
    Unknown,
    /// No conversation, such as news of the account's limits.
    Nobody,
}
