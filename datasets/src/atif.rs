//! ATIF, the Agent Trajectory Interchange Format of Harbor, versions 1.0 to 1.8.
//!
//! What timeslip does not use is kept as it was read and written back, so that a
//! trajectory survives a round trip.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Result, files};

/// The minor versions of ATIF 1 this reader accepts.
const NEWEST_MINOR: u32 = 8;

/// The version [`Trajectory::new`] declares.
pub const WRITTEN_VERSION: &str = "ATIF-v1.6";

/// One recorded session of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// `ATIF-v1.0` … `ATIF-v1.8`.
    pub schema_version: String,
    /// Identifies the session; optional since 1.7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Which agent it was.
    pub agent: AgentInfo,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// Free-form additions; `extra.resolves` marks a recording that solves its task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Map<String, Value>>,
    /// Fields that are carried along untouched.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The agent of a [`Trajectory`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// The agent's name.
    pub name: String,
    /// The agent's version.
    pub version: String,
    /// The model it ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_name: Option<String>,
    /// Fields that are carried along untouched.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Who produced a [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The environment or the scaffold.
    System,
    /// The person, or the task standing in for one.
    User,
    /// The model.
    Agent,
}

/// Text, or since 1.6 a list of content parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Message {
    /// Plain text.
    Text(String),
    /// Typed parts; those with `"type": "text"` carry text.
    Parts(Vec<Value>),
}

impl Message {
    /// The text of the message; parts that are not text are left out.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts
                .iter()
                .filter_map(|part| part.get("text")?.as_str())
                .collect(),
        }
    }
}

/// One step of a [`Trajectory`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Counts from one.
    pub step_id: u64,
    /// RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Who produced the step.
    pub source: Source,
    /// What was said.
    pub message: Message,
    /// What the model thought before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// What the model asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<ToolCall>>,
    /// What the tools answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
    /// Fields that are carried along untouched (`metrics`, `extra`, …).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One tool call of a [`Step`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Ties the call to its result.
    pub tool_call_id: String,
    /// The tool.
    pub function_name: String,
    /// Its arguments, an object.
    pub arguments: Map<String, Value>,
    /// Fields that are carried along untouched.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What came back from the tool calls of a [`Step`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// One result per call.
    pub results: Vec<ObservationResult>,
    /// Fields that are carried along untouched.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The result of one tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservationResult {
    /// The call it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_call_id: Option<String>,
    /// What the tool said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Message>,
    /// Fields that are carried along untouched.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The view of a [`Step`] an agent loop needs.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentStep<'a> {
    /// Text said to the user; may be empty.
    pub message: String,
    /// Thinking text; may be empty.
    pub reasoning: &'a str,
    /// Tool calls, in order; may be empty.
    pub tool_calls: &'a [ToolCall],
}

impl Trajectory {
    /// An empty trajectory of the given session and agent.
    pub fn new(session_id: impl Into<String>, agent: AgentInfo) -> Self {
        Self {
            schema_version: WRITTEN_VERSION.to_owned(),
            session_id: Some(session_id.into()),
            agent,
            steps: Vec::new(),
            extra: None,
            other: Map::new(),
        }
    }

    /// Reads a trajectory file.
    pub fn read(file: &Path) -> Result<Self> {
        let trajectory: Self = files::read_json(file, "it should hold an ATIF trajectory")?;
        trajectory.check(file)?;
        Ok(trajectory)
    }

    /// Parses a trajectory; `file` only names it in errors.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        let trajectory: Self =
            serde_json::from_str(text).map_err(|error| files::json_error(file, &error))?;
        trajectory.check(file)?;
        Ok(trajectory)
    }

    /// Writes the trajectory as indented JSON.
    pub fn write(&self, file: &Path) -> Result<()> {
        let write_error = |source| Error::Write {
            file: file.to_path_buf(),
            source,
        };
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| write_error(std::io::Error::other(error)))?;
        text.push('\n');
        std::fs::write(file, text).map_err(write_error)
    }

    /// The steps of the model, in order.
    pub fn agent_steps(&self) -> impl Iterator<Item = AgentStep<'_>> {
        self.steps
            .iter()
            .filter(|step| step.source == Source::Agent)
            .map(|step| AgentStep {
                message: step.message.text(),
                reasoning: step.reasoning_content.as_deref().unwrap_or_default(),
                tool_calls: step.tool_calls.as_deref().unwrap_or_default(),
            })
    }

    /// What `extra.resolves` says: whether replaying the recording solves its task.
    pub fn resolves(&self) -> Option<bool> {
        self.extra.as_ref()?.get("resolves")?.as_bool()
    }

    /// What `extra.model` says: the simulated model that plays this recording, in the place of
    /// those that any other model plays.
    pub fn model(&self) -> Option<&str> {
        self.extra.as_ref()?.get("model")?.as_str()
    }

    fn check(&self, file: &Path) -> Result<()> {
        let minor = self
            .schema_version
            .strip_prefix("ATIF-v1.")
            .and_then(|minor| minor.parse::<u32>().ok());
        if minor.is_none_or(|minor| minor > NEWEST_MINOR) {
            return Err(Error::invalid(
                file,
                format!(
                    "schema_version is {:?}; versions ATIF-v1.0 to ATIF-v1.{NEWEST_MINOR} are understood",
                    self.schema_version
                ),
            ));
        }
        for (index, step) in self.steps.iter().enumerate() {
            let expected = index as u64 + 1;
            if step.step_id != expected {
                return Err(Error::invalid(
                    file,
                    format!(
                        "steps[{index}].step_id is {}; ATIF steps count from 1 without gaps, so it has to be {expected}",
                        step.step_id
                    ),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(version: &str) -> String {
        format!(
            r#"{{"schema_version":"{version}","session_id":"s","agent":{{"name":"a","version":"1","tool_definitions":[]}},
            "steps":[{{"step_id":1,"source":"user","message":"go"}},
            {{"step_id":2,"source":"agent","message":"","reasoning_content":"hm","metrics":{{"prompt_tokens":3}},
              "tool_calls":[{{"tool_call_id":"c","function_name":"shell","arguments":{{"command":"ls"}}}}],
              "observation":{{"results":[{{"source_call_id":"c","content":"a"}}]}}}}],
            "extra":{{"resolves":true}},"final_metrics":{{"total_steps":2}}}}"#
        )
    }

    fn parse(text: &str) -> Result<Trajectory> {
        Trajectory::parse(text, Path::new("t.json"))
    }

    #[test]
    fn accepts_every_version_and_no_other() {
        for minor in 0..=8 {
            parse(&sample(&format!("ATIF-v1.{minor}"))).unwrap();
        }
        for bad in ["ATIF-v1.9", "ATIF-v2.0", "1.6", ""] {
            let error = parse(&sample(bad)).unwrap_err();
            assert!(error.to_string().starts_with("t.json: schema_version is"));
        }
    }

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let trajectory = parse(&sample("ATIF-v1.6")).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("t.json");
        trajectory.write(&file).unwrap();
        assert_eq!(Trajectory::read(&file).unwrap(), trajectory);
        let value: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(value["final_metrics"]["total_steps"], 2);
        assert_eq!(value["steps"][1]["metrics"]["prompt_tokens"], 3);
    }

    #[test]
    fn agent_steps_are_the_models_own() {
        let trajectory = parse(&sample("ATIF-v1.0")).unwrap();
        let steps: Vec<_> = trajectory.agent_steps().collect();
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0].reasoning, "hm");
        assert_eq!(steps[0].tool_calls[0].arguments["command"], "ls");
        assert_eq!(trajectory.resolves(), Some(true));
    }

    #[test]
    fn message_parts_give_their_text() {
        let message: Message =
            serde_json::from_str(r#"[{"type":"text","text":"a"},{"type":"image"},{"text":"b"}]"#)
                .unwrap();
        assert_eq!(message.text(), "ab");
    }

    #[test]
    fn gaps_in_the_steps_are_named() {
        let text = sample("ATIF-v1.6").replace("\"step_id\":2", "\"step_id\":3");
        let error = parse(&text).unwrap_err();
        assert!(
            error.to_string().contains("steps[1].step_id is 3"),
            "{error}"
        );
    }
}
