//! Names of the stage groups and of the other closed vocabularies, for machines and for
//! people.

use crate::input::{Outcome, Provenance, Role, Stage, StageGroup};

/// What people call a stage.
pub(crate) fn stage_label(stage: Stage) -> String {
    match stage {
        Stage::Residue => StageGroup::Residue.label().to_owned(),
        other => other.name().replace('_', " "),
    }
}

impl StageGroup {
    /// Every group, in the order reports show them.
    pub const ALL: [StageGroup; 8] = [
        StageGroup::Network,
        StageGroup::Queue,
        StageGroup::Prefill,
        StageGroup::Residue,
        StageGroup::Decode,
        StageGroup::Tool,
        StageGroup::Harness,
        StageGroup::Wait,
    ];

    /// The name used in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StageGroup::Network => "network",
            StageGroup::Queue => "queue",
            StageGroup::Prefill => "prefill",
            StageGroup::Residue => "residue",
            StageGroup::Decode => "decode",
            StageGroup::Tool => "tool",
            StageGroup::Harness => "harness",
            StageGroup::Wait => "wait",
        }
    }

    /// The word used in sentences, legends and tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            StageGroup::Tool => "tools",
            StageGroup::Residue => "unexplained",
            other => other.name(),
        }
    }
}

impl Role {
    /// The name used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Candidate => "candidate",
            Role::Baseline => "baseline",
        }
    }
}

impl Provenance {
    /// The name used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Provenance::Measured => "measured",
            Provenance::Reported => "reported",
            Provenance::Estimated => "estimated",
            Provenance::Unavailable => "unavailable",
        }
    }
}

impl Outcome {
    /// The name used in every machine-readable output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Resolved => "resolved",
            Outcome::Unresolved => "unresolved",
            Outcome::LimitReached => "limit_reached",
            Outcome::Error => "error",
        }
    }

    /// The word used in tables for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Outcome::LimitReached => "limit reached",
            other => other.name(),
        }
    }
}
