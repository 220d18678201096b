//! The simulated model: it plays recordings of the tasks it knows.
//!
//! Which recording, the one that solves the task or the one that does not, follows
//! from the profile, the seed, the task and the attempt alone, so a run can be
//! repeated and resumed. Difficulty is shared between profiles: a task that is hard
//! for one tends to be hard for the other, as with real models.

use std::collections::HashSet;

use sha2::{Digest, Sha256};
use timeslip_datasets::atif::{AgentStep, Trajectory};

use super::dialect::ModelRequest;
use super::free_prompt;
use super::output::Output;
use super::scenario::Scenario;
use super::tokens;
use super::tools::Toolbox;

/// How much of the order is the attempt's own luck rather than the task's difficulty.
const LUCK: f64 = 0.35;

/// The model id that talks until the request's output limit.
const STEADY: &str = "steady";
/// A prompt that any model answers so.
const COUNT: &str = "Count upward from 1";
/// Tokens of such an answer when the request sets no limit, and at most.
const STEADY_TOKENS: (u64, u64) = (512, 65_536);

/// A task as the model knows it, or an act of a session.
#[derive(Clone, Debug, Default)]
pub struct KnownTask {
    /// `suite/task`: what has the same id is solved, or not, together.
    pub id: String,
    /// Text by which it is recognised in a prompt.
    pub instruction: String,
    /// What to play, where the text is not completed.
    pub recordings: Vec<Trajectory>,
    /// How the text goes on that begins with the instruction: the prompt ends somewhere in
    /// it, and the rest is the answer.
    pub continuation: Option<String>,
}

impl KnownTask {
    /// Whether a text is about it.
    fn is_meant(&self, text: &str) -> bool {
        match &self.continuation {
            Some(whole) => {
                begun(&self.instruction, text).is_some_and(|begun| whole.starts_with(begun))
            }
            None => text.contains(self.instruction.trim()),
        }
    }
}

/// The end of a text, from where an instruction is in it last.
fn begun<'a>(instruction: &str, text: &'a str) -> Option<&'a str> {
    text.rfind(instruction).map(|at| &text[at..])
}

/// The model behind a simulated endpoint.
#[derive(Debug)]
pub struct Model {
    tasks: Vec<KnownTask>,
    profile: String,
    seed: u64,
    resolve_rate: f64,
    scenarios: Vec<Scenario>,
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
            scenarios: Vec::new(),
        }
    }

    /// Plays these, too, to requests for a model of their name.
    #[must_use]
    pub fn with_scenarios(self, scenarios: Vec<Scenario>) -> Self {
        Model { scenarios, ..self }
    }

    /// The model ids that mean something to it, besides the profile's own.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let scenarios = self.scenarios.iter().map(|scenario| scenario.name.as_str());
        std::iter::once(STEADY).chain(scenarios)
    }

    /// The scenario of this name.
    #[must_use]
    pub fn scenario(&self, name: &str) -> Option<&Scenario> {
        self.scenarios.iter().find(|scenario| scenario.name == name)
    }

    /// What it says next. The cache key tells attempts apart.
    #[must_use]
    pub fn next(&self, call: &ModelRequest) -> Vec<Output> {
        if call.model == STEADY {
            return vec![steady(call)];
        }
        let toolbox = Toolbox::new(&call.tools, &call.user);
        let Some((task, said)) = self.recognise(&call.user) else {
            let counts = call.user.iter().any(|text| text.contains(COUNT));
            return if counts {
                vec![steady(call)]
            } else {
                free_prompt::answer(call, toolbox)
                    .unwrap_or_else(|| unknown_task(toolbox, call.calls_so_far))
            };
        };
        if let Some(whole) = &task.continuation {
            return continued(task, whole, &call.user[said]);
        }
        if !toolbox.has_shell() {
            // Clients ask for a title so, too, with the whole instruction.
            return vec![Output::Text("A simulated session".into())];
        }
        let calls = call.calls_since(said);
        let solve = self.solves(task, attempt_of(&call.cache_key));
        let Some(recording) = task
            .recordings
            .iter()
            .find(|recording| recording.resolves() == Some(solve))
        else {
            return unknown_task(toolbox, calls);
        };
        say(recording, toolbox, calls)
            .unwrap_or_else(|| vec![toolbox.submit("The recording ends here.")])
    }

    /// What was asked for last that is known, and the first text that says it: the text is
    /// counted among `said`. Of several that are known by one text, the one that is known by
    /// most of it.
    fn recognise(&self, said: &[String]) -> Option<(&KnownTask, usize)> {
        let in_text = |text: &String| {
            let known = self.tasks.iter().filter(|task| task.is_meant(text));
            known.max_by_key(|task| task.instruction.trim().len())
        };
        let task = said.iter().rev().find_map(in_text)?;
        let first = said.iter().position(|text| task.is_meant(text))?;
        Some((task, first))
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
        let mut ids = HashSet::new();
        let all = self.tasks.iter().filter(|task| ids.insert(&task.id));
        let (easier, others): (Vec<_>, Vec<_>) = all.partition(|other| score(other) < own);
        let count = easier.len() + others.len();
        (easier.len() as f64) < (self.resolve_rate * count as f64).round()
    }
}

/// The rest of a text of which the prompt's end is the beginning.
fn continued(task: &KnownTask, whole: &str, prompt: &str) -> Vec<Output> {
    let begun = begun(&task.instruction, prompt).unwrap_or_default();
    let rest = whole.strip_prefix(begun).unwrap_or_default();
    vec![Output::Text(rest.to_owned())]
}

/// What follows after so many calls.
fn say(recording: &Trajectory, toolbox: Toolbox<'_>, calls_so_far: usize) -> Option<Vec<Output>> {
    let mut calls = 0;
    for step in recording.agent_steps() {
        let first = calls_so_far.saturating_sub(calls);
        calls += step.tool_calls.len();
        if first > 0 && first >= step.tool_calls.len() {
            continue;
        }
        let mut outputs = if first == 0 { words(&step) } else { Vec::new() };
        // Other clients may run several calls at once, which recordings do not expect.
        let most = if toolbox.is_native() { usize::MAX } else { 1 };
        let calls = step.tool_calls[first..].iter().take(most);
        outputs.extend(
            calls.filter_map(|call| toolbox.translate(&call.function_name, &call.arguments)),
        );
        return Some(outputs);
    }
    None
}

/// What a step says besides its calls.
fn words(step: &AgentStep<'_>) -> Vec<Output> {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let reasoning = some(step.reasoning).map(Output::Reasoning);
    let text = some(&step.message).map(Output::Text);
    reasoning.into_iter().chain(text).collect()
}

fn unknown_task(toolbox: Toolbox<'_>, calls_so_far: usize) -> Vec<Output> {
    let text = "I am a simulated model and only know the bundled tasks; this is not one of them.";
    let mut outputs = vec![Output::Text(text.into())];
    let harmless = if toolbox.is_native() || calls_so_far > 0 {
        None
    } else {
        toolbox.run("echo timeslip")
    };
    match harmless.unwrap_or_else(|| toolbox.submit("Nothing was done.")) {
        Output::Text(_) => {}
        call => outputs.push(call),
    }
    outputs
}

/// Text of more tokens than the request allows, so that its limit is what ends it.
fn steady(call: &ModelRequest) -> Output {
    let (default, most) = STEADY_TOKENS;
    let allowed = call.output_limit.map(|limit| limit.saturating_add(1));
    Output::Text(tokens::text(allowed.unwrap_or(default).min(most)))
}

/// Attempts are told apart by the end of the cache key, `…#3`.
fn attempt_of(cache_key: &str) -> u32 {
    cache_key
        .rsplit_once('#')
        .and_then(|(_, attempt)| attempt.parse().ok())
        .unwrap_or(1)
}

/// A number in [0, 1) that depends on nothing but the words.
pub(super) fn unit(words: &[&str]) -> f64 {
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
    use super::super::tools::Tool;
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
            continuation: None,
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
        let tool = |name: &str| Tool {
            name: name.into(),
            parameters: json!({"properties": {"command": {"type": "string"}}}),
        };
        let says = |user: &str, calls_so_far| {
            let call = ModelRequest {
                tools: ["shell", "edit_file", "submit"].map(tool).into(),
                user: vec![user.into()],
                calls_so_far,
                cache_key: "k#1".into(),
                ..ModelRequest::default()
            };
            model.next(&call)[0].text().to_owned()
        };
        let known = "Please: instruction 0. Thanks";
        assert_eq!(says(known, 0), "one");
        assert_eq!(says(known, 2), "two");
        assert!(says(known, 3).contains("recording ends"));
        assert!(says("who are you?", 0).contains("simulated"));
    }
}
