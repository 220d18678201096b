//! Cells that need care.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::data::TrialData;
use crate::format::one_line;

/// Untrusted text, made harmless in a spreadsheet, and in a terminal that shows the file.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn of(value: &str) -> Self {
        let value = one_line(value);
        Text(if value.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            format!("'{value}")
        } else {
            value
        })
    }
}

/// A number without needless digits: `50`, not `50.0`.
#[derive(Debug, Default, JsonSchema)]
#[schemars(transparent)]
pub(super) struct Number(pub(super) Option<f64>);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) => serializer.collect_str(&value),
            None => serializer.serialize_none(),
        }
    }
}

/// The columns that name a trial.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct TrialKey {
    /// Suite.
    suite: Text,
    /// Task id within the suite.
    task: Text,
    /// Endpoint.
    endpoint: Text,
    /// Attempt, from 1.
    attempt: u32,
}

impl TrialKey {
    pub(super) fn of(trial: &TrialData) -> Self {
        TrialKey {
            suite: Text::of(&trial.suite),
            task: Text::of(&trial.task),
            endpoint: Text::of(&trial.endpoint),
            attempt: trial.attempt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_starts_like_a_formula(value in any::<String>()) {
            prop_assert!(!Text::of(&value).0.starts_with(['=', '+', '-', '@', '\t', '\r']));
        }

        #[test]
        fn no_text_steers_a_terminal(value in any::<String>()) {
            let hostile = format!("{value}\u{1b}]0;x\u{7}\0\u{202e}\n");
            let steers = |c: char| timeslip_datasets::steers_terminal(c);
            prop_assert!(!Text::of(&hostile).0.contains(steers));
        }
    }
}
