//! By which definition did another tool get its number?
//!
//! The number is held against every definition that is in use, computed from the
//! case's own plan.

use timeslip_datasets::run::calibration::ErrorQuantiles;
use timeslip_simulator::ScenarioEvent::{
    self, Admission, Done, KeepAlive, Reasoning, Text, ToolArguments,
};

use super::Case;

/// A number another tool reports about a case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Claim {
    /// Time to first token, in milliseconds.
    Ttft(f64),
    /// Inter-token latency or time per output token, in milliseconds.
    InterToken(f64),
    /// Output tokens per second.
    Rate(f64),
    /// Output tokens.
    Tokens(f64),
}

/// One way to get a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// What is taken.
    pub name: &'static str,
    /// What it gives on the case.
    pub value: f64,
    /// It is the declared one.
    pub declared: bool,
}

/// How far a number may be from a definition's value to be explained by it: a share,
/// and milliseconds that no tool is better than.
const SHARE: f64 = 0.04;
const SLACK_MS: f64 = 2.5;

/// The definitions that give the claimed number on this case, the closest first.
#[must_use]
pub fn explanations(case: &Case, claim: Claim) -> Vec<Definition> {
    let (value, slack) = match claim {
        Claim::Ttft(ms) => (ms, SLACK_MS),
        Claim::InterToken(ms) => (ms, 0.05),
        Claim::Rate(rate) => (rate, 0.0),
        Claim::Tokens(tokens) => (tokens, 0.5),
    };
    let distance = |definition: &Definition| (definition.value - value).abs();
    let mut found = definitions(case, claim);
    found.retain(|definition| distance(definition) <= slack.max(definition.value * SHARE));
    found.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    found
}

/// Every definition of a claim's kind on this case, the declared one first.
#[must_use]
pub fn definitions(case: &Case, claim: Claim) -> Vec<Definition> {
    let stream = Stream::of(case);
    match claim {
        Claim::Ttft(_) => stream.ttft(),
        Claim::InterToken(_) => stream.inter_token(),
        Claim::Rate(_) => stream
            .inter_token()
            .into_iter()
            .map(|definition| Definition {
                value: 1e3 / definition.value,
                ..definition
            })
            .chain(other(
                "all tokens ÷ (first token → end)",
                stream.per(stream.end - stream.first),
            ))
            .chain(other(
                "all tokens ÷ (request → end)",
                stream.per(stream.end),
            ))
            .filter(|definition| definition.value.is_finite())
            .collect(),
        Claim::Tokens(_) => stream.counts(),
    }
}

/// A case, boiled down.
struct Stream {
    /// Time and tokens of every output event.
    outputs: Vec<(f64, f64, ScenarioEvent)>,
    case: Vec<(f64, ScenarioEvent)>,
    first: f64,
    last: f64,
    end: f64,
}

impl Stream {
    fn of(case: &Case) -> Self {
        let case: Vec<(f64, ScenarioEvent)> = case.events().collect();
        let outputs: Vec<(f64, f64, ScenarioEvent)> = case
            .iter()
            .filter_map(|(at, event)| match event {
                Reasoning(tokens) | Text(tokens) | ToolArguments(tokens) => {
                    Some((*at, f64::from(*tokens), *event))
                }
                Admission | KeepAlive | Done => None,
            })
            .collect();
        let time = |event: Option<&(f64, f64, ScenarioEvent)>| event.map_or(0.0, |(at, ..)| *at);
        Stream {
            first: time(outputs.first()),
            last: time(outputs.last()),
            end: case.last().map_or(0.0, |(at, _)| *at),
            outputs,
            case,
        }
    }

    fn tokens(&self) -> f64 {
        self.outputs.iter().map(|(_, tokens, _)| tokens).sum()
    }

    fn text(&self) -> Vec<&(f64, f64, ScenarioEvent)> {
        let text = |output: &&(f64, f64, ScenarioEvent)| matches!(output.2, Text(_));
        self.outputs.iter().filter(text).collect()
    }

    /// Tokens per second over so many milliseconds.
    fn per(&self, ms: f64) -> Option<f64> {
        (ms > 0.0).then(|| self.tokens() / ms * 1e3)
    }

    fn at(&self, is: fn(&ScenarioEvent) -> bool) -> Option<f64> {
        self.case
            .iter()
            .find_map(|(at, event)| is(event).then_some(*at))
    }

    fn ttft(&self) -> Vec<Definition> {
        let mut found = declared("first output of any kind", Some(self.first));
        let others = [
            (
                "the chunk that only says who speaks",
                self.at(|event| *event == Admission),
            ),
            ("the first keep-alive", self.at(|event| *event == KeepAlive)),
            (
                "the first reasoning",
                self.at(|event| matches!(event, Reasoning(_))),
            ),
            (
                "the first text, reasoning left out",
                self.at(|event| matches!(event, Text(_))),
            ),
            (
                "the first tool arguments",
                self.at(|event| matches!(event, ToolArguments(_))),
            ),
            (
                "the second output event",
                self.outputs.get(1).map(|(at, ..)| *at),
            ),
            ("the whole answer", Some(self.end)),
        ];
        found.extend(
            others
                .into_iter()
                .flat_map(|(name, value)| other(name, value)),
        );
        found
    }

    fn inter_token(&self) -> Vec<Definition> {
        let decode = self.last - self.first;
        let count = self.outputs.len() as f64;
        let gaps = self.outputs.windows(2);
        let gaps = ErrorQuantiles::of(gaps.map(|pair| ((pair[1].0 - pair[0].0) * 1e6) as u64));
        let mut reads: Vec<f64> = self.outputs.iter().map(|(at, ..)| *at).collect();
        reads.dedup();
        let text = self.text();
        let text_span = match (text.first(), text.last()) {
            (Some(first), Some(last)) => last.0 - first.0,
            _ => 0.0,
        };
        let over = |ms: f64, number: f64| (ms > 0.0 && number > 0.0).then(|| ms / number);
        let mut found = declared(
            "(first → last token) ÷ (tokens − 1)",
            over(decode, self.tokens() - 1.0),
        );
        let admitted = self.at(|event| *event == Admission).unwrap_or(0.0);
        let others = [
            ("mean gap between output events", over(decode, count - 1.0)),
            (
                "median gap between output events",
                gaps.map(|gaps| gaps.p50_ns as f64 / 1e6),
            ),
            (
                "mean gap between reads",
                over(decode, reads.len() as f64 - 1.0),
            ),
            (
                "(request → last token) ÷ tokens: TTFT is in it",
                over(self.last, self.tokens()),
            ),
            (
                "(request → end) ÷ tokens: TTFT and tail are in it",
                over(self.end, self.tokens()),
            ),
            (
                "(first token → end) ÷ (tokens − 1): the tail is in it",
                over(self.end - self.first, self.tokens() - 1.0),
            ),
            (
                "from the chunk that only says who speaks, ÷ events",
                over(self.last - admitted, count),
            ),
            (
                "gaps of text events alone",
                over(text_span, text.len() as f64 - 1.0),
            ),
            (
                "text alone over all tokens' time",
                over(decode, text.iter().map(|text| text.1).sum::<f64>() - 1.0),
            ),
        ];
        found.extend(
            others
                .into_iter()
                .flat_map(|(name, value)| other(name, value)),
        );
        found
    }

    fn counts(&self) -> Vec<Definition> {
        let count =
            |list: &[&(f64, f64, ScenarioEvent)]| list.iter().map(|output| output.1).sum::<f64>();
        let events = self.outputs.len() as f64;
        let mut found = declared("tokens of all kinds, by usage", Some(self.tokens()));
        let others = [
            ("tokens of text alone", Some(count(&self.text()))),
            ("output events", Some(events)),
            (
                "output events and the chunk that only says who speaks",
                Some(events + 1.0),
            ),
            ("every event of the stream", Some(self.case.len() as f64)),
        ];
        found.extend(
            others
                .into_iter()
                .flat_map(|(name, value)| other(name, value)),
        );
        found
    }
}

fn declared(name: &'static str, value: Option<f64>) -> Vec<Definition> {
    let definition = |value| Definition {
        name,
        value,
        declared: true,
    };
    value.map(definition).into_iter().collect()
}

fn other(name: &'static str, value: Option<f64>) -> Vec<Definition> {
    let definition = |value| Definition {
        name,
        value,
        declared: false,
    };
    value.map(definition).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::conformance::named;

    fn best(case: &str, claim: Claim) -> Definition {
        let case = named(case).unwrap();
        explanations(&case, claim)
            .into_iter()
            .next()
            .expect("an explanation")
    }

    /// What known tools were seen to report on such streams.
    #[test]
    fn known_mistakes_are_recognised() {
        for (case, claim, words) in [
            ("reasoning-then-text", Claim::Ttft(11.9), "who speaks"),
            ("reasoning-then-text", Claim::Ttft(100.8), "any kind"),
            ("reasoning-then-text", Claim::Ttft(341.6), "first text"),
            ("tool-only", Claim::Ttft(10.4), "who speaks"),
            (
                "four-tokens-an-event",
                Claim::InterToken(29.9),
                "gap between output events",
            ),
            (
                "four-tokens-an-event",
                Claim::InterToken(6.77),
                "tokens − 1",
            ),
            ("four-events-a-read", Claim::InterToken(0.0), "median gap"),
            (
                "four-events-a-read",
                Claim::InterToken(30.0),
                "gap between reads",
            ),
            ("role-then-text", Claim::InterToken(38.7), "TTFT"),
            ("reasoning-then-text", Claim::Tokens(8.0), "text alone"),
            ("all-at-once", Claim::Tokens(1.0), "output events"),
        ] {
            let best = best(case, claim);
            assert!(best.name.contains(words), "{case} {claim:?}: {best:?}");
        }
    }

    #[test]
    fn what_nothing_explains_stays_unexplained() {
        let case = named("role-then-text").unwrap();
        assert!(explanations(&case, Claim::Ttft(61.0)).is_empty());
    }

    #[test]
    fn the_declared_definition_comes_first() {
        for case in crate::instrument::conformance::all() {
            for claim in [Claim::Ttft(0.0), Claim::Tokens(0.0)] {
                let first = &definitions(&case, claim)[0];
                assert!(first.declared, "{} {first:?}", case.scenario.name);
            }
        }
    }
}
