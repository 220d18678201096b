//! Whom an event on a shared connection is for, and which message asks for some.

use std::borrow::Cow;

use serde::Deserialize;

use crate::protocols::fields::{Object, Text, text};
use crate::protocols::{Addressee, Asked};

/// What messages of both sides have around what they say.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    stream_id: Option<Text<'a>>,
    #[serde(rename = "type", borrow, default)]
    kind: Option<Text<'a>>,
}

impl<'a> Envelope<'a> {
    /// The envelope of a message, where it is one.
    fn of(data: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<Object<Self>>(data).ok()?.0
    }

    fn into_parts(self) -> (Option<Cow<'a, str>>, Option<Text<'a>>) {
        let lane = self.stream_id.filter(|lane| !lane.is_empty());
        (lane.map(|lane| lane.0), self.kind)
    }
}

/// Reads whether a message asks for a response.
pub(super) fn asked(data: &[u8]) -> Option<Asked<'_>> {
    let (lane, kind) = Envelope::of(data)?.into_parts();
    (text(&kind) == "response.create").then_some(Asked { lane })
}

/// Reads whom an event is for, and nothing else of it.
pub(super) fn addressee(data: &[u8]) -> Addressee<'_> {
    // What cannot be read must end every conversation it may belong to.
    let Some(envelope) = Envelope::of(data) else {
        return Addressee::Everyone;
    };
    let (lane, kind) = envelope.into_parts();
    match (lane, text(&kind)) {
        (Some(lane), _) => Addressee::Lane(lane),
        (None, "error") => Addressee::Everyone,
        (None, kind) if kind.starts_with("response.") => Addressee::Unknown,
        (None, _) => Addressee::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_a_response_is_told_from_what_does_not() {
        let lane = |lane: Option<&'static str>| lane.map(Into::into);
        for (message, expected) in [
            (r#"{"type":"response.create","input":[]}"#, Some(None)),
            (
                r#"{"stream_id":"a","type":"response.create"}"#,
                Some(Some("a")),
            ),
            (r#"{"type":"response.steer","input":[]}"#, None),
            (r#"{"type":"response.create""#, None),
            ("[]", None),
        ] {
            let expected = expected.map(|name| Asked { lane: lane(name) });
            assert_eq!(asked(message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn events_are_told_apart_by_their_envelope() {
        let lane = Addressee::Lane("lane-3".into());
        for (event, expected) in [
            (
                r#"{"type":"response.created","stream_id":"lane-3"}"#,
                lane.clone(),
            ),
            (r#"{"stream_id":"lane\u002d3","type":"error"}"#, lane),
            (r#"{"type":"error","error":{}}"#, Addressee::Everyone),
            (r#"{"type":"response.created"}"#, Addressee::Unknown),
            (r#"{"type":"codex.rate_limits"}"#, Addressee::Nobody),
            (r#"{"type":"response.created","#, Addressee::Everyone),
            (r#"[1]"#, Addressee::Everyone),
            (
                r#"{"type":"response.created","stream_id":{}}"#,
                Addressee::Unknown,
            ),
        ] {
            assert_eq!(addressee(event.as_bytes()), expected, "{event}");
        }
    }
}
