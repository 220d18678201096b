//! Who ended a trial, apart from what the verifier found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who ended the agent's work. Whoever it was, what was left is graded.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The agent itself: it submitted, or said something without calling a tool.
    Agent,
    /// The most turns a trial may have.
    TurnLimit,
    /// The most time a trial may take.
    TimeLimit,
    /// The conversation is longer than the model, or the harness, takes.
    ContextLimit,
    /// The server cut the last answer short, e.g. at its output limit.
    OutputLimit,
    /// The most that the commands of a trial may write.
    DiskLimit,
    /// The endpoint failed.
    Endpoint,
    /// The harness failed: no environment, no sandbox, no grader.
    Harness,
}

impl EndedBy {
    /// The name used in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            EndedBy::Agent => "agent",
            EndedBy::TurnLimit => "turn_limit",
            EndedBy::TimeLimit => "time_limit",
            EndedBy::ContextLimit => "context_limit",
            EndedBy::OutputLimit => "output_limit",
            EndedBy::DiskLimit => "disk_limit",
            EndedBy::Endpoint => "endpoint",
            EndedBy::Harness => "harness",
        }
    }

    /// The words used in tables for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            EndedBy::TurnLimit => "turn limit",
            EndedBy::TimeLimit => "time limit",
            EndedBy::ContextLimit => "context limit",
            EndedBy::OutputLimit => "output limit",
            EndedBy::DiskLimit => "disk limit",
            other => other.name(),
        }
    }

    /// Whether a limit ended it.
    #[must_use]
    pub const fn limit(self) -> bool {
        match self {
            EndedBy::TurnLimit
            | EndedBy::TimeLimit
            | EndedBy::ContextLimit
            | EndedBy::OutputLimit
            | EndedBy::DiskLimit => true,
            EndedBy::Agent | EndedBy::Endpoint | EndedBy::Harness => false,
        }
    }

    /// Whether a fault ended it, of the endpoint or the harness: how long it took says
    /// nothing of how fast the task is done.
    #[must_use]
    pub const fn fault(self) -> bool {
        matches!(self, EndedBy::Endpoint | EndedBy::Harness)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, TrialFinished};
    use super::*;

    #[test]
    fn names_are_those_of_the_journal() {
        for by in [
            EndedBy::Agent,
            EndedBy::TurnLimit,
            EndedBy::TimeLimit,
            EndedBy::ContextLimit,
            EndedBy::OutputLimit,
            EndedBy::DiskLimit,
            EndedBy::Endpoint,
            EndedBy::Harness,
        ] {
            assert_eq!(serde_json::to_value(by).unwrap(), by.name());
            assert_eq!(by.label(), by.name().replace('_', " "));
        }
    }

    #[test]
    fn who_ended_a_trial_is_not_known_of_older_journals() {
        let old = r#"{"outcome":"unresolved","wall_ns":5,"grading_ns":1}"#;
        let read: TrialFinished = serde_json::from_str(old).unwrap();
        let expected = TrialFinished {
            outcome: Outcome::Unresolved,
            ended_by: None,
            detail: None,
            wall_ns: 5,
            grading_ns: 1,
            reward: None,
            failed_tests: Vec::new(),
            changes: None,
            solution_changes: None,
        };
        assert_eq!(read, expected);
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
        let ended = TrialFinished {
            ended_by: Some(EndedBy::ContextLimit),
            ..expected
        };
        let line = serde_json::to_string(&ended).unwrap();
        assert!(line.contains(r#""ended_by":"context_limit""#), "{line}");
        assert_eq!(serde_json::from_str::<TrialFinished>(&line).unwrap(), ended);
    }
}
