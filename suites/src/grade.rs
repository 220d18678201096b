//! What came of judging a trial.

mod infrastructure;
mod rewards;

use timeslip_datasets::swebench::InstanceReport;

pub use infrastructure::Infrastructure;
pub use rewards::{CombinedRewards, Rewards};
pub(crate) use rewards::{REWARD, reach, shown, single, solves};

/// The verdict on one trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grade {
    /// The task was solved.
    pub resolved: bool,
    /// The verifier's own number, where it gives one (Harbor).
    pub reward: Option<f64>,
    /// All its numbers, by name.
    pub rewards: Rewards,
    /// The hidden tests that did not do what they should (SWE-bench).
    pub failed_tests: Vec<String>,
    /// Why it is not resolved, for a person.
    pub detail: Option<String>,
    /// The agent's change, where the format has one (SWE-bench).
    pub patch: Option<String>,
    /// What could be done with the change (SWE-bench).
    pub change: PatchStatus,
    /// What upstream's `report.json` says, where the tests ran to their end
    /// (SWE-bench).
    pub report: Option<Box<InstanceReport>>,
    /// What an unresolved task's log shows of a broken environment (SWE-bench).
    pub infrastructure: Option<Infrastructure>,
    /// What the tests printed, or why there are none.
    pub log: String,
    /// The verifier came to no verdict (it timed out, was killed, or gave no
    /// result). Counts as unresolved, because an agent can bring it about; said
    /// apart, so that a broken verifier is not taken for a weak agent.
    pub verifier_failed: bool,
}

/// What could be done with a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatchStatus {
    /// The format has none, or none could be read.
    #[default]
    None,
    /// It changes nothing.
    Empty,
    /// It does not apply to the repository.
    DoesNotApply,
    /// It was applied.
    Applied,
}

impl Grade {
    pub(crate) fn unresolved(detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::default()
        }
    }

    pub(crate) fn nothing_changed() -> Self {
        Self {
            change: PatchStatus::Empty,
            ..Self::unresolved("nothing was changed")
        }
    }

    pub(crate) fn with_log(self, log: String) -> Self {
        Self { log, ..self }
    }

    pub(crate) fn no_verdict(detail: impl Into<String>) -> Self {
        Self {
            verifier_failed: true,
            ..Self::unresolved(detail)
        }
    }
}

/// The end of a verifier's output, for a person.
pub(crate) fn last_lines(output: &str) -> &str {
    const SHOWN: usize = 2000;
    tail(output, SHOWN)
}

/// The last so many bytes of a text, without blanks around them.
pub(crate) fn tail(text: &str, bytes: usize) -> &str {
    let from = text.len().saturating_sub(bytes);
    let from = (from..text.len())
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(text.len());
    text[from..].trim()
}
