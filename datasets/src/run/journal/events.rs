//! Output events of one exchange, stored as columns: a thousand tokens must not
//! cost a thousand JSON objects.

use serde::{Deserialize, Serialize};

/// What kind of model output an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Reasoning, or a summary of it.
    Reasoning,
    /// Text for the user.
    Text,
    /// Arguments of a tool call.
    ToolArguments,
}

impl EventKind {
    /// Its letter in stored columns.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            EventKind::Reasoning => 'r',
            EventKind::Text => 't',
            EventKind::ToolArguments => 'a',
        }
    }

    /// The kind of a stored letter.
    #[must_use]
    pub const fn from_letter(letter: char) -> Option<Self> {
        match letter {
            'r' => Some(EventKind::Reasoning),
            't' => Some(EventKind::Text),
            'a' => Some(EventKind::ToolArguments),
            _ => None,
        }
    }
}

/// One timed piece of model output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEvent {
    /// When its bytes arrived, from the trial's start: when the kernel received them
    /// where the platform says, when they were read where it does not.
    pub at: u64,
    /// What it carries.
    pub kind: EventKind,
    /// Bytes of model output in it.
    pub bytes: u32,
    /// Output tokens in it, where the server says.
    pub tokens: Option<u32>,
    /// How long after `at` the bytes were read, in nanoseconds: the client's own
    /// lag. Absent where the kernel gives no receive time.
    pub lag_ns: Option<u32>,
}

/// The events of one exchange: first absolute, then differences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct EventColumns(Vec<StreamEvent>);

impl EventColumns {
    /// Empty columns with room for `capacity` events.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends an event; times must not run backwards.
    pub fn push(&mut self, event: StreamEvent) {
        debug_assert!(self.0.last().is_none_or(|last| last.at <= event.at));
        self.0.push(event);
    }

    /// Gives back the room for events that did not come.
    pub fn shrink_to_fit(&mut self) {
        self.0.shrink_to_fit();
    }

    /// The events in order.
    #[must_use]
    pub fn as_slice(&self) -> &[StreamEvent] {
        &self.0
    }
}

/// The columns as they stand in the journal.
#[derive(Serialize, Deserialize)]
struct Raw {
    at: Vec<u64>,
    kind: String,
    bytes: Vec<u32>,
    /// Empty when no event has one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    tokens: Vec<Option<u32>>,
    /// Empty when no event has one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    lag: Vec<Option<u32>>,
}

/// A column nobody filled is left out.
fn column(events: &[StreamEvent], of: impl Fn(&StreamEvent) -> Option<u32>) -> Vec<Option<u32>> {
    if events.iter().all(|event| of(event).is_none()) {
        return Vec::new();
    }
    events.iter().map(of).collect()
}

impl From<EventColumns> for Raw {
    fn from(columns: EventColumns) -> Self {
        let events = columns.0;
        let mut previous = 0;
        let at = events
            .iter()
            .map(|event| {
                event
                    .at
                    .saturating_sub(std::mem::replace(&mut previous, event.at))
            })
            .collect();
        Raw {
            at,
            kind: events.iter().map(|event| event.kind.letter()).collect(),
            bytes: events.iter().map(|event| event.bytes).collect(),
            tokens: column(&events, |event| event.tokens),
            lag: column(&events, |event| event.lag_ns),
        }
    }
}

impl TryFrom<Raw> for EventColumns {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let length = raw.at.len();
        let optional = |column: &[Option<u32>]| column.is_empty() || column.len() == length;
        if length != raw.bytes.len()
            || length != raw.kind.len()
            || !optional(&raw.tokens)
            || !optional(&raw.lag)
        {
            return Err(format!(
                "events: columns differ in length (at {length}, kind {}, bytes {}, tokens {}, lag {})",
                raw.kind.len(),
                raw.bytes.len(),
                raw.tokens.len(),
                raw.lag.len()
            ));
        }
        let mut now = 0_u64;
        raw.at
            .iter()
            .zip(raw.kind.chars())
            .zip(raw.bytes)
            .enumerate()
            .map(|(index, ((step, letter), bytes))| {
                now = now.checked_add(*step).ok_or("events: times overflow")?;
                let kind = EventKind::from_letter(letter)
                    .ok_or_else(|| format!("events: unknown kind '{letter}'"))?;
                Ok(StreamEvent {
                    at: now,
                    kind,
                    bytes,
                    tokens: raw.tokens.get(index).copied().flatten(),
                    lag_ns: raw.lag.get(index).copied().flatten(),
                })
            })
            .collect::<Result<Vec<_>, String>>()
            .map(EventColumns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_survive_a_round_trip(steps in proptest::collection::vec((0_u64..1 << 40, 0_u8..3, 0_u32..1 << 20, any::<Option<u32>>(), any::<Option<u32>>()), 0..50)) {
            let mut columns = EventColumns::default();
            let mut at = 0;
            for (step, kind, bytes, tokens, lag_ns) in steps {
                at += step;
                let kind = [EventKind::Reasoning, EventKind::Text, EventKind::ToolArguments][usize::from(kind)];
                columns.push(StreamEvent { at, kind, bytes, tokens, lag_ns });
            }
            let text = serde_json::to_string(&columns).unwrap();
            prop_assert_eq!(serde_json::from_str::<EventColumns>(&text).unwrap(), columns);
        }
    }

    #[test]
    fn uneven_columns_are_refused() {
        let error = serde_json::from_str::<EventColumns>(r#"{"at":[1],"kind":"","bytes":[1]}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("columns differ in length"), "{error}");
    }
}
