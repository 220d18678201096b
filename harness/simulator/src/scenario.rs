//! Responses played to the letter: what comes when, and what comes together.

use serde::{Deserialize, Serialize};
use serde_json::json;
use timeslip_datasets::run::journal::EventKind;

use super::output::Output;
use super::schedule::{Beat, Cue, Fragment};
use super::tokens;

/// A response that is the same for every request, on every protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The model id it is asked for by.
    pub name: String,
    /// What happens, in order of time.
    pub moments: Vec<Moment>,
}

/// What leaves in one write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Milliseconds after the request was received in full.
    pub at_ms: f64,
    /// The events, in order.
    pub events: Vec<ScenarioEvent>,
}

/// One event of a scenario. A protocol without such an event leaves it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioEvent {
    /// A comment or a ping.
    KeepAlive,
    /// What says that the request was taken: `response.created`, `message_start`, the
    /// chunk with nothing but a role.
    Admission,
    /// So many tokens of reasoning.
    Reasoning(u32),
    /// So many tokens of text.
    Text(u32),
    /// So many tokens of a tool call's arguments. Where a protocol sends them whole, all
    /// come with the call's last event.
    ToolArguments(u32),
    /// The terminal event. Without one the stream just ends.
    Done,
}

impl ScenarioEvent {
    fn output(self) -> Option<(EventKind, u32)> {
        match self {
            ScenarioEvent::Reasoning(tokens) => Some((EventKind::Reasoning, tokens)),
            ScenarioEvent::Text(tokens) => Some((EventKind::Text, tokens)),
            ScenarioEvent::ToolArguments(tokens) => Some((EventKind::ToolArguments, tokens)),
            ScenarioEvent::KeepAlive | ScenarioEvent::Admission | ScenarioEvent::Done => None,
        }
    }
}

impl Scenario {
    /// What is said, and when, to a request of `received_ns`. Events of one kind in a
    /// row are one output.
    pub(super) fn play(&self, received_ns: u64, streams_arguments: bool) -> Played {
        let mut lengths: Vec<(EventKind, u32)> = Vec::new();
        let mut beats: Vec<Beat> = Vec::new();
        for moment in &self.moments {
            let due_ns = received_ns.saturating_add((moment.at_ms * 1e6) as u64);
            for event in &moment.events {
                let cue = match (event, event.output()) {
                    (_, Some((kind, tokens))) => Cue::Fragment(extend(&mut lengths, kind, tokens)),
                    (ScenarioEvent::KeepAlive, _) => Cue::KeepAlive,
                    (ScenarioEvent::Admission, _) => Cue::Begin,
                    _ => Cue::Finish,
                };
                beats.push(Beat { due_ns, cue });
            }
        }
        beats.sort_by_key(|beat| beat.due_ns);
        if !streams_arguments {
            let length = |piece: &Fragment| match lengths.get(piece.item) {
                Some((EventKind::ToolArguments, tokens)) => Some(*tokens),
                _ => None,
            };
            beats.retain_mut(|beat| match &mut beat.cue {
                Cue::Fragment(piece) => match length(piece) {
                    Some(tokens) => {
                        piece.text.start = 0;
                        piece.tokens = tokens;
                        piece.text.end == bytes(tokens)
                    }
                    None => true,
                },
                _ => true,
            });
        }
        let outputs = lengths
            .into_iter()
            .map(|(kind, tokens)| output(kind, tokens));
        Played {
            outputs: outputs.collect(),
            beats,
        }
    }
}

/// A scenario as it is played once.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) outputs: Vec<Output>,
    pub(super) beats: Vec<Beat>,
}

/// Adds tokens to the output that is being said, or begins one.
fn extend(lengths: &mut Vec<(EventKind, u32)>, kind: EventKind, tokens: u32) -> Fragment {
    if lengths.last().is_none_or(|(last, _)| *last != kind) {
        lengths.push((kind, 0));
    }
    let item = lengths.len() - 1;
    let length = &mut lengths[item].1;
    let start = bytes(*length);
    *length = length.saturating_add(tokens);
    Fragment {
        item,
        text: start..bytes(*length),
        tokens,
    }
}

fn bytes(tokens: u32) -> usize {
    tokens as usize * tokens::BYTES
}

fn output(kind: EventKind, tokens: u32) -> Output {
    match kind {
        EventKind::Reasoning => Output::Reasoning(tokens::text(tokens.into())),
        EventKind::Text => Output::Text(tokens::text(tokens.into())),
        EventKind::ToolArguments => Output::Call {
            name: "shell".into(),
            arguments: arguments(tokens),
        },
    }
}

/// A JSON object of exactly so many tokens; blanks inside a string or around an empty
/// object fill it up.
fn arguments(tokens: u32) -> String {
    let empty = json!({ "command": "" }).to_string();
    match bytes(tokens).checked_sub(empty.len()) {
        Some(blanks) => json!({ "command": " ".repeat(blanks) }).to_string(),
        None => format!("{:<1$}", "{}", bytes(tokens)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_the_letter() {
        use ScenarioEvent::{Admission, Done, Reasoning, Text, ToolArguments};
        let moment = |at_ms, events: &[ScenarioEvent]| Moment {
            at_ms,
            events: events.to_vec(),
        };
        let scenario = Scenario {
            name: "n".into(),
            moments: vec![
                moment(5.0, &[Admission]),
                moment(50.0, &[Reasoning(1), Reasoning(3)]),
                moment(60.5, &[Text(2), ToolArguments(2)]),
                moment(70.0, &[ToolArguments(4), Done]),
            ],
        };
        let played = scenario.play(7, true);
        let texts: Vec<&str> = played.outputs.iter().map(Output::text).collect();
        assert_eq!(texts[..2], ["001 002 003 004 ", "001 002 "]);
        assert_eq!(texts[2].len(), 24);
        assert!(serde_json::from_str::<serde_json::Value>(texts[2]).is_ok());
        let pieces = |played: &Played| -> Vec<(u64, usize, u32)> {
            let piece = |beat: &Beat| match &beat.cue {
                Cue::Fragment(piece) => Some((beat.due_ns, piece.item, piece.tokens)),
                _ => None,
            };
            played.beats.iter().filter_map(piece).collect()
        };
        let reasoning = [(50_000_007, 0, 1), (50_000_007, 0, 3), (60_500_007, 1, 2)];
        assert_eq!(pieces(&played)[..3], reasoning);
        assert_eq!(
            pieces(&played)[3..],
            [(60_500_007, 2, 2), (70_000_007, 2, 4)]
        );
        assert_eq!(pieces(&scenario.play(7, false))[3..], [(70_000_007, 2, 6)]);
        assert_eq!(played.beats.last().unwrap().cue, Cue::Finish);
        for tokens in 1..20 {
            let text = arguments(tokens);
            assert_eq!(tokens::split(&text).count(), tokens as usize, "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
