//! Writes a session down as an ATIF trajectory.

use serde_json::{Map, json};
use timeslip_datasets::atif::{
    AgentInfo, Message, Observation, ObservationResult, Source, Step, ToolCall, Trajectory,
};
use timeslip_wire::protocols::{Answer, Item, arguments};

/// A trajectory that holds the prompt; `agent` is a name and a version.
pub(super) fn start(agent: (&str, &str), session: &str, model: &str, prompt: &str) -> Trajectory {
    let mut trajectory = empty(agent, session, model);
    add_user(&mut trajectory, prompt);
    trajectory
}

/// A trajectory in which nothing was said yet.
pub(in crate::run) fn empty(agent: (&str, &str), session: &str, model: &str) -> Trajectory {
    let agent = AgentInfo {
        name: agent.0.into(),
        version: agent.1.into(),
        model_name: Some(model.into()),
        other: Map::new(),
    };
    Trajectory::new(session, agent)
}

/// Adds what the developer says.
pub(in crate::run) fn add_user(trajectory: &mut Trajectory, text: &str) {
    let number = trajectory.steps.len() as u64 + 1;
    trajectory
        .steps
        .push(step(number, Source::User, text.to_owned()));
}

/// Adds one answer and what its tools said.
pub(in crate::run) fn add_turn(trajectory: &mut Trajectory, answer: &Answer, results: &[Item]) {
    let calls = answer.calls.iter().map(|call| ToolCall {
        tool_call_id: call.call_id.clone(),
        function_name: call.name.clone(),
        arguments: arguments(&call.arguments),
        other: Map::new(),
    });
    let results = results.iter().filter_map(|item| match item {
        Item::ToolResult { call_id, output } => Some(ObservationResult {
            source_call_id: Some(call_id.clone()),
            content: Some(Message::Text(output.clone())),
            other: Map::new(),
        }),
        _ => None,
    });
    let number = trajectory.steps.len() as u64 + 1;
    trajectory.steps.push(Step {
        reasoning_content: Some(answer.reasoning.clone()).filter(|text| !text.is_empty()),
        tool_calls: Some(calls.collect()),
        observation: Some(Observation {
            results: results.collect(),
            other: Map::new(),
        }),
        other: answer.usage.map_or_else(Map::new, |usage| {
            let metrics = json!({
                "prompt_tokens": usage.input(),
                "completion_tokens": usage.output(),
                "cached_tokens": usage.cached_tokens,
            });
            Map::from_iter([("metrics".to_owned(), metrics)])
        }),
        ..step(number, Source::Agent, answer.text.clone())
    });
}

/// Puts the session of a later step of a task behind those before.
pub(crate) fn append(trajectory: &mut Trajectory, later: Trajectory) {
    for mut step in later.steps {
        step.step_id = trajectory.steps.len() as u64 + 1;
        trajectory.steps.push(step);
    }
}

fn step(step_id: u64, source: Source, text: String) -> Step {
    Step {
        step_id,
        timestamp: None,
        source,
        message: Message::Text(text),
        reasoning_content: None,
        tool_calls: None,
        observation: None,
        other: Map::new(),
    }
}
