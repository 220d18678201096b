//! Whom an event on a shared connection is for.

use serde::Deserialize;

use crate::protocols::Addressee;
use crate::protocols::fields::{Object, Text, text};

/// Reads whom an event is for, and nothing else of it.
pub(super) fn addressee(data: &[u8]) -> Addressee<'_> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow, default)]
        stream_id: Option<Text<'a>>,
        #[serde(rename = "type", borrow, default)]
        kind: Option<Text<'a>>,
    }
    // What cannot be read must end every conversation it may belong to.
    let Ok(Object(Some(envelope))) = serde_json::from_slice::<Object<Envelope<'_>>>(data) else {
        return Addressee::Everyone;
    };
    let lane = envelope.stream_id.filter(|lane| !lane.is_empty());
    match (lane, text(&envelope.kind)) {
        (Some(lane), _) => Addressee::Lane(lane.0),
        (None, "error") => Addressee::Everyone,
        (None, kind) if kind.starts_with("response.") => Addressee::Unknown,
        (None, _) => Addressee::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
