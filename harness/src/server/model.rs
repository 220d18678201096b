//! The simulated model: it plays recordings of the tasks it knows.
//!
//! Which recording, the one that solves the task or the one that does not, follows
//! from the profile, the seed, the task and the attempt alone, so a run can be
//! repeated and resumed. Difficulty is shared between profiles: a task that is hard
//! for one tends to be hard for the other, as with real models.

use serde_json::Value;
use sha2::{Digest, Sha256};
use timeslip_datasets::atif::{AgentStep, Trajectory};

/// How much of the order is the attempt's own luck rather than the task's difficulty.
const LUCK: f64 = 0.35;

/// A task as the model knows it.
#[derive(Clone, Debug)]
pub struct KnownTask {
    /// `suite/task`.
    pub id: String,
    /// Text by which the task is recognised in a prompt.
    pub instruction: String,
    /// What to play.
    pub recordings: Vec<Trajectory>,
}

/// One thing the model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Reasoning.
    Reasoning(String),
    /// Text for the user.
    Text(String),
    /// A tool call.
    Call {
        /// Tool name.
        name: String,
        /// Arguments, as JSON text.
        arguments: String,
    },
}

/// The model behind a simulated endpoint.
#[derive(Debug)]
pub struct Model {
    tasks: Vec<KnownTask>,
    profile: String,
    seed: u64,
    resolve_rate: f64,
}

impl Model {
    /// A model that knows `tasks`.
    #[must_use]
    pub fn new(tasks: Vec<KnownTask>, profile: &str, seed: u64, resolve_rate: f64) -> Self {
        Model {
            tasks,
            profile: profile.to_owned(),
            seed,
            resolve_rate,
        }
    }

    /// What it says next in a conversation of Responses input items. `cache_key`
    /// tells attempts apart.
    #[must_use]
    pub fn next(&self, items: &[Value], cache_key: &str) -> Vec<Output> {
        let Some(task) = self.recognise(items) else {
            return unknown_task();
        };
        let solve = self.solves(task, attempt_of(cache_key));
        let Some(recording) = task
            .recordings
            .iter()
            .find(|recording| recording.resolves() == Some(solve))
        else {
            return unknown_task();
        };
        let calls_so_far = items
            .iter()
            .filter(|item| item["type"] == "function_call")
            .count();
        step_after(recording, calls_so_far).map_or_else(submit, |step| say(&step))
    }

    fn recognise(&self, items: &[Value]) -> Option<&KnownTask> {
        let prompt = items.iter().find(|item| item["role"] == "user")?;
        let mut texts = Vec::new();
        match &prompt["content"] {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(parts) => {
                texts.extend(parts.iter().filter_map(|part| part["text"].as_str()))
            }
            _ => {}
        }
        self.tasks.iter().find(|task| {
            texts
                .iter()
                .any(|text| text.contains(task.instruction.trim()))
        })
    }

    /// Whether this attempt solves the task: the easiest tasks, up to the resolve rate.
    fn solves(&self, task: &KnownTask, attempt: u32) -> bool {
        let score = |task: &KnownTask| {
            let difficulty = unit(&[&self.seed.to_string(), &task.id]);
            let luck = unit(&[
                &self.seed.to_string(),
                &task.id,
                &self.profile,
                &attempt.to_string(),
            ]);
            (1.0 - LUCK) * difficulty + LUCK * luck
        };
        let own = score(task);
        let easier = self.tasks.iter().filter(|other| score(other) < own).count();
        (easier as f64) < (self.resolve_rate * self.tasks.len() as f64).round()
    }
}

/// The step that follows so many calls.
fn step_after(recording: &Trajectory, calls_so_far: usize) -> Option<AgentStep<'_>> {
    let mut calls = 0;
    recording.agent_steps().find(|step| {
        let next = calls >= calls_so_far;
        calls += step.tool_calls.len();
        next
    })
}

fn say(step: &AgentStep<'_>) -> Vec<Output> {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let calls = step.tool_calls.iter().map(|call| Output::Call {
        name: call.function_name.clone(),
        arguments: serde_json::Value::Object(call.arguments.clone()).to_string(),
    });
    let reasoning = some(step.reasoning).map(Output::Reasoning);
    let text = some(&step.message).map(Output::Text);
    reasoning.into_iter().chain(text).chain(calls).collect()
}

fn submit() -> Vec<Output> {
    vec![Output::Call {
        name: "submit".into(),
        arguments: r#"{"summary":"The recording ends here."}"#.into(),
    }]
}

fn unknown_task() -> Vec<Output> {
    let text = "I am a simulated model and only know the bundled tasks; this is not one of them.";
    std::iter::once(Output::Text(text.into()))
        .chain(submit())
        .collect()
}

/// Attempts are told apart by the end of the cache key, `…#3`.
fn attempt_of(cache_key: &str) -> u32 {
    cache_key
        .rsplit_once('#')
        .and_then(|(_, attempt)| attempt.parse().ok())
        .unwrap_or(1)
}

/// A number in [0, 1) that depends on nothing but the words.
fn unit(words: &[&str]) -> f64 {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.as_bytes());
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, ..] = digest;
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recording(resolves: bool) -> Trajectory {
        let call = |id: &str| json!({"tool_call_id": id, "function_name": "shell", "arguments": {"command": id}});
        let text = json!({
            "schema_version": "ATIF-v1.6",
            "agent": {"name": "a", "version": "1"},
            "steps": [
                {"step_id": 1, "source": "user", "message": "task"},
                {"step_id": 2, "source": "agent", "message": "one", "tool_calls": [call("a"), call("b")]},
                {"step_id": 3, "source": "agent", "message": "two", "tool_calls": [call("c")]},
            ],
            "extra": {"resolves": resolves},
        });
        Trajectory::parse(&text.to_string(), std::path::Path::new("test")).unwrap()
    }

    fn model(tasks: usize, profile: &str, rate: f64) -> Model {
        let task = |number| KnownTask {
            id: format!("suite/{number}"),
            instruction: format!("instruction {number}."),
            recordings: vec![recording(true), recording(false)],
        };
        Model::new((0..tasks).map(task).collect(), profile, 7, rate)
    }

    #[test]
    fn the_resolve_rate_is_met_and_difficulty_is_shared() {
        let (fast, slow) = (model(24, "fast", 0.584), model(24, "slow", 0.773));
        let solved = |model: &Model, attempt| -> Vec<bool> {
            model
                .tasks
                .iter()
                .map(|task| model.solves(task, attempt))
                .collect()
        };
        let count = |solved: &[bool]| solved.iter().filter(|solved| **solved).count();
        for attempt in 1..5 {
            assert_eq!(count(&solved(&fast, attempt)), 14);
            assert_eq!(count(&solved(&slow, attempt)), 19);
        }
        assert_eq!(solved(&fast, 1), solved(&model(24, "fast", 0.584), 1));
        assert_ne!(solved(&fast, 1), solved(&fast, 2));
        let agree = std::iter::zip(solved(&fast, 1), solved(&slow, 1))
            .filter(|(a, b)| a == b)
            .count();
        assert!(agree >= 14, "{agree} of 24 agree");
    }

    #[test]
    fn the_next_step_follows_from_the_calls_made() {
        let model = model(1, "p", 1.0);
        let user = json!({"role": "user", "content": [{"type": "input_text", "text": "Please: instruction 0. Thanks"}]});
        let call = json!({"type": "function_call"});
        let says = |items: &[Value]| match &model.next(items, "k#1")[0] {
            Output::Text(text) => text.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(says(std::slice::from_ref(&user)), "one");
        assert_eq!(says(&[user.clone(), call.clone(), call.clone()]), "two");
        assert!(says(&[user, call.clone(), call.clone(), call]).contains("submit"));
        assert!(says(&[json!({"role": "user", "content": "who are you?"})]).contains("simulated"));
    }
}
