//! What a server sends and nobody here knows, counted by name.

use std::collections::BTreeMap;

/// Most names of one answer that are told apart.
const MAX_NAMES: usize = 32;
/// Most characters of a name.
const MAX_NAME: usize = 64;
/// What is counted once there are too many names.
const OTHERS: &str = "others";

/// Kinds of events, and how often each came. Untrusted.
#[derive(Debug, Default)]
pub(super) struct Unknown(BTreeMap<String, u32>);

impl Unknown {
    /// Counts one of a kind.
    pub fn count(&mut self, name: &str) {
        let end = name.char_indices().nth(MAX_NAME).map(|(end, _)| end);
        let name = match &name[..end.unwrap_or(name.len())] {
            "" => "without a type",
            name => name,
        };
        if let Some(count) = self.0.get_mut(name) {
            *count = count.saturating_add(1);
            return;
        }
        let name = match self.0.len() < MAX_NAMES {
            true => name,
            false => OTHERS,
        };
        let count = self.0.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a value of a field that has a list of known ones.
    pub fn count_value(&mut self, field: &str, value: &str) {
        self.count(&format!("{field} {value}"));
    }

    /// The counts.
    pub fn counts(&self) -> BTreeMap<String, u32> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_are_counted_together() {
        let mut unknown = Unknown::default();
        for number in 0..1_000 {
            unknown.count(&format!("{number}"));
        }
        unknown.count(&"ä".repeat(1_000));
        let counts = unknown.counts();
        assert_eq!(counts.len(), MAX_NAMES + 1);
        assert_eq!((counts["7"], counts[OTHERS]), (1, 1_001 - MAX_NAMES as u32));
    }
}
