//! Writes a session down as an ATIF trajectory.

use serde_json::{Map, json};
use timeslip_datasets::atif::{
    AgentInfo, Message, Observation, ObservationResult, Source, Step, ToolCall, Trajectory,
};
use timeslip_wire::protocols::{Answer, Item, arguments};

/// A trajectory that holds the prompt; `agent` is a name and a version.
pub(crate) fn start(agent: (&str, &str), session: &str, model: &str, prompt: &str) -> Trajectory {
    let agent = AgentInfo {
        name: agent.0.into(),
        version: agent.1.into(),
        model_name: Some(model.into()),
        other: Map::new(),
    };
    let mut trajectory = Trajectory::new(session, agent);
    trajectory.steps.push(step(1, Source::User, prompt.into()));
    trajectory
}

/// Adds one answer and what its tools said.
pub(crate) fn add_turn(trajectory: &mut Trajectory, answer: &Answer, results: &[Item]) {
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
