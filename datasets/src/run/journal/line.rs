//! One line of a journal, read in one go where its trial and its kind stand first, as we
//! write it: a run of ten thousand trials has hundreds of thousands of lines.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Event, Record, TrialKey};

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Record, serde_json::Error> {
    if let InOrder(Some(record)) = serde_json::from_slice(line)? {
        return Ok(record);
    }
    // To keep the other fields until the kind is known takes longer than to read them again.
    let Head { trial, event: kind } = serde_json::from_slice(line)?;
    let mut fields = serde_json::Deserializer::from_slice(line);
    let event = kind.event(&mut fields)?;
    Ok(Record { trial, event })
}

/// What a line is about, and nothing of what it says.
#[derive(Deserialize)]
struct Head {
    trial: TrialKey,
    event: Kind,
}

/// The events of an [`Event`], by name.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    TrialStarted,
    Exchange,
    Tool,
    AgentRun,
    Act,
    TrialFinished,
}

impl Kind {
    /// The event of this kind with these fields.
    fn event<'de, D: Deserializer<'de>>(self, fields: D) -> Result<Event, D::Error> {
        Ok(match self {
            Kind::TrialStarted => Event::TrialStarted(Deserialize::deserialize(fields)?),
            Kind::Exchange => Event::Exchange(Deserialize::deserialize(fields)?),
            Kind::Tool => Event::Tool(Deserialize::deserialize(fields)?),
            Kind::AgentRun => Event::AgentRun(Deserialize::deserialize(fields)?),
            Kind::Act => Event::Act(Deserialize::deserialize(fields)?),
            Kind::TrialFinished => Event::TrialFinished(Deserialize::deserialize(fields)?),
        })
    }
}

/// A line that begins with its trial and its kind; none where it begins with anything else.
struct InOrder(Option<Record>);

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Line).map(InOrder)
    }
}

struct Line;

impl<'de> Visitor<'de> for Line {
    type Value = Option<Record>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line of a journal")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Option<Record>, A::Error> {
        if next_is(&mut fields, "trial")? {
            let trial = fields.next_value()?;
            if next_is(&mut fields, "event")? {
                let kind: Kind = fields.next_value()?;
                let event = kind.event(MapAccessDeserializer::new(fields))?;
                return Ok(Some(Record { trial, event }));
            }
        }
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Whether the next field is this one; another is passed over.
fn next_is<'de, A: MapAccess<'de>>(fields: &mut A, name: &str) -> Result<bool, A::Error> {
    match fields.next_key::<String>()? {
        Some(key) if key == name => Ok(true),
        Some(_) => fields.next_value::<IgnoredAny>().map(|_| false),
        None => Ok(false),
    }
}
