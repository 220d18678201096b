//! The cases: what comes when, and what comes together.

use timeslip_simulator::ScenarioEvent::{
    Admission, Done, KeepAlive, Reasoning, Text, ToolArguments,
};
use timeslip_simulator::{Moment, Scenario, ScenarioEvent};

/// Milliseconds from one moment to the next.
const STEP_MS: f64 = 30.0;
/// When the request is said to be taken, in milliseconds after it came.
const ADMITTED_MS: f64 = 10.0;
/// When the first output comes.
const FIRST_MS: f64 = 100.0;
/// Moments of one kind of output.
const MOMENTS: u32 = 8;

/// A stream on which tools disagree.
#[derive(Clone, Debug)]
pub struct Case {
    /// What tools get wrong about it.
    pub about: &'static str,
    /// What is played.
    pub scenario: Scenario,
}

/// Every case.
#[must_use]
pub fn all() -> Vec<Case> {
    let text = |tokens| repeat(FIRST_MS, &[Text(tokens)]);
    let after = FIRST_MS + f64::from(MOMENTS) * STEP_MS;
    vec![
        case(
            "role-then-text",
            "a chunk that only says who speaks is no token",
            [admitted(), text(1), done(after)],
        ),
        case(
            "reasoning-then-text",
            "reasoning is output; text begins later",
            [
                admitted(),
                repeat(FIRST_MS, &[Reasoning(1)]),
                repeat(after, &[Text(1)]),
                done(after + f64::from(MOMENTS) * STEP_MS),
            ],
        ),
        case(
            "tool-only",
            "an answer may be nothing but a tool call",
            [
                admitted(),
                repeat(FIRST_MS, &[ToolArguments(1)]),
                done(after),
            ],
        ),
        case(
            "text-then-tool",
            "arguments of a call are output like text",
            [
                admitted(),
                text(1),
                repeat(after, &[ToolArguments(1)]),
                done(after + f64::from(MOMENTS) * STEP_MS),
            ],
        ),
        case(
            "four-tokens-an-event",
            "the gap between events is not the time of a token",
            [admitted(), text(4), done(after)],
        ),
        case(
            "four-events-a-read",
            "events that arrive together have no gaps between them",
            [
                admitted(),
                repeat(FIRST_MS, &[Text(1), Text(1), Text(1), Text(1)]),
                done(after),
            ],
        ),
        case(
            "keep-alives",
            "what only keeps the connection alive is no token",
            [
                admitted(),
                (1..=4)
                    .map(|number| moment(ADMITTED_MS + 15.0 * f64::from(number), &[KeepAlive]))
                    .collect(),
                repeat(FIRST_MS, &[KeepAlive, Text(1)]),
                done(after),
            ],
        ),
        case(
            "all-at-once",
            "an answer in one event has a TTFT and no rate",
            [
                admitted(),
                vec![moment(FIRST_MS, &[Text(64)])],
                done(FIRST_MS),
            ],
        ),
        case(
            "stall",
            "one long gap is a stall, not a slow stream",
            [
                admitted(),
                text(1),
                repeat(after + 120.0, &[Text(1)]),
                done(after + 120.0 + f64::from(MOMENTS) * STEP_MS),
            ],
        ),
        case(
            "late-end",
            "what comes after the last token is tail, not decode",
            [admitted(), text(1), done(after + 60.0)],
        ),
        case(
            "no-end",
            "a stream that just stops is a failure, whatever it said",
            [admitted(), text(1)],
        ),
    ]
}

/// The case of this name.
#[must_use]
pub fn named(name: &str) -> Option<Case> {
    all().into_iter().find(|case| case.scenario.name == name)
}

impl Case {
    /// Whether the stream comes to its end as the protocols want it.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.events().any(|(_, event)| event == Done)
    }

    /// Every event with its time, in milliseconds.
    pub fn events(&self) -> impl Iterator<Item = (f64, ScenarioEvent)> {
        let moments = self.scenario.moments.iter();
        moments.flat_map(|moment| moment.events.iter().map(|event| (moment.at_ms, *event)))
    }
}

fn case<const N: usize>(name: &str, about: &'static str, moments: [Vec<Moment>; N]) -> Case {
    let scenario = Scenario {
        name: name.into(),
        moments: moments.into_iter().flatten().collect(),
    };
    Case { about, scenario }
}

fn moment(at_ms: f64, events: &[ScenarioEvent]) -> Moment {
    Moment {
        at_ms,
        events: events.to_vec(),
    }
}

fn admitted() -> Vec<Moment> {
    vec![moment(ADMITTED_MS, &[Admission])]
}

fn done(at_ms: f64) -> Vec<Moment> {
    vec![moment(at_ms, &[Done])]
}

fn repeat(from_ms: f64, events: &[ScenarioEvent]) -> Vec<Moment> {
    (0..MOMENTS)
        .map(|number| moment(from_ms + f64::from(number) * STEP_MS, events))
        .collect()
}
